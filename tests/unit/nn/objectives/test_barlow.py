import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from barlowtrack.nn.objectives.barlow import barlow_terms, feature_correlation, object_correlation, standardise

PUBLISHED = {"alpha": 0.67, "lambda_off_diagonal": 0.0051}


def views(n: int = 7, d: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return first, first + 0.5 * torch.randn(n, d, generator=generator, dtype=torch.float64)


def slow_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of every column of a with every column of b, one pair at a time."""
    return np.array([[np.corrcoef(a[:, i], b[:, j])[0, 1] for j in range(b.shape[1])] for i in range(a.shape[1])])


def slow_term(c: np.ndarray, weight: float) -> float:
    total = 0.0
    for i in range(len(c)):
        for j in range(len(c)):
            total += (1 - c[i, j]) ** 2 if i == j else weight * c[i, j] ** 2
    return total


@pytest.mark.parametrize("alpha", [0.0, 0.67, 1.0])
def test_published_formula_equals_a_slow_obvious_recomputation(alpha: float) -> None:
    z1, z2 = views()
    by_feature, by_object = slow_correlation(z1.numpy(), z2.numpy()), slow_correlation(z1.numpy().T, z2.numpy().T)
    expected = (1 - alpha) * slow_term(by_feature, 0.0051) / 5**2 + alpha * slow_term(by_object, 0.0051) / 7**2

    assert float(barlow_terms(z1, z2, alpha=alpha, lambda_off_diagonal=0.0051).loss) == pytest.approx(expected, rel=1e-10)


def test_rebalanced_object_term_is_divided_by_n_and_has_its_own_weight() -> None:
    z1, z2 = views()
    terms = barlow_terms(z1, z2, alpha=0.3, lambda_off_diagonal=0.01, lambda_object=0.2, per_object=True)
    expected = slow_term(slow_correlation(z1.numpy().T, z2.numpy().T), 0.2) / 7

    assert float(terms.object) == pytest.approx(expected, rel=1e-10)
    assert float(terms.loss) == pytest.approx(0.7 * float(terms.feature) + 0.3 * expected, rel=1e-10)


def test_gradients_are_right_in_float64() -> None:
    z1, z2 = (z.requires_grad_() for z in views(5, 4))
    assert torch.autograd.gradcheck(lambda a, b: barlow_terms(a, b, **PUBLISHED).loss, (z1, z2))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-10, 10))
def test_feature_term_ignores_scale_and_shift_of_each_feature(seed: int, scale: float, shift: float) -> None:
    z1, z2 = views(seed=seed)
    scales = scale * torch.linspace(0.5, 2, 5, dtype=torch.float64)
    shifts = shift * torch.linspace(-1, 1, 5, dtype=torch.float64)
    before, after = barlow_terms(z1, z2, **PUBLISHED), barlow_terms(z1 * scales + shifts, z2, **PUBLISHED)

    assert float(after.feature) == pytest.approx(float(before.feature), rel=1e-8)


def test_object_term_ignores_scale_and_shift_of_each_object() -> None:
    z1, z2 = views()
    per_object = torch.linspace(0.1, 3, 7, dtype=torch.float64)[:, None]
    before, after = barlow_terms(z1, z2, **PUBLISHED), barlow_terms(z1 * per_object + per_object, z2, **PUBLISHED)

    assert float(after.object) == pytest.approx(float(before.object), rel=1e-10)


def test_swapping_the_views_changes_nothing() -> None:
    z1, z2 = views()
    assert float(barlow_terms(z1, z2, **PUBLISHED).loss) == pytest.approx(float(barlow_terms(z2, z1, **PUBLISHED).loss), rel=1e-12)


def test_order_of_the_batch_changes_nothing() -> None:
    z1, z2 = views()
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    assert float(barlow_terms(z1[order], z2[order], **PUBLISHED).loss) == pytest.approx(
        float(barlow_terms(z1, z2, **PUBLISHED).loss), rel=1e-12
    )
    assert float(barlow_terms(z1[order], z2, **PUBLISHED).loss) != pytest.approx(float(barlow_terms(z1, z2, **PUBLISHED).loss), rel=1e-3)


def test_equal_views_leave_only_the_off_diagonal() -> None:
    z, _ = views()
    assert float(barlow_terms(z, z, alpha=0.5, lambda_off_diagonal=0.0).loss) == pytest.approx(0, abs=1e-20)
    assert feature_correlation(z, z).diagonal().numpy() == pytest.approx(np.ones(5))
    assert object_correlation(z, z).diagonal().numpy() == pytest.approx(np.ones(7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_objects_give_finite_loss_and_gradient(n: int, dtype: torch.dtype) -> None:
    z1, z2 = (z.to(dtype).requires_grad_() for z in views(n, 6))
    terms = barlow_terms(z1, z2, **PUBLISHED)
    terms.loss.backward()

    assert all(bool(torch.isfinite(term)) for term in terms)
    assert z1.grad is not None
    assert bool(torch.isfinite(z1.grad).all())


@pytest.mark.parametrize("value", [0.0, 1.0, 1234.567])
def test_constant_features_give_finite_loss_and_moderate_gradient(value: float) -> None:
    z1, z2 = (z.float() for z in views(9, 6))
    z1[:, 2] = value
    z1.requires_grad_()
    terms = barlow_terms(z1, z2, **PUBLISHED)
    terms.loss.backward()

    assert bool(torch.isfinite(terms.loss))
    assert z1.grad is not None
    assert float(z1.grad.abs().max()) < 10
    assert standardise(z1.detach(), 0)[:, 2].abs().max() == 0


def test_all_rows_equal_gives_finite_values() -> None:
    z = torch.ones(4, 3, requires_grad=True)
    loss = barlow_terms(z, z, **PUBLISHED).loss
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert z.grad is not None
    assert bool(torch.isfinite(z.grad).all())


@pytest.mark.parametrize("shapes", [((3, 4), (4, 4)), ((0, 4), (0, 4)), ((4,), (4,))])
def test_views_that_do_not_match_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="views"):
        barlow_terms(torch.zeros(shapes[0]), torch.zeros(shapes[1]), **PUBLISHED)
