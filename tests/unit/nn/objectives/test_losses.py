"""Every loss but Barlow's (its own file): equal to the published formula, one pair at a time; and what all of them must hold."""

import numpy as np
import pytest
import torch
from torch import Tensor

from barlowtrack.nn.objectives.contrastive import info_nce, nt_xent
from barlowtrack.nn.objectives.distillation import byol, dino, negative_cosine, simsiam
from barlowtrack.nn.objectives.swav import sinkhorn, swav
from barlowtrack.nn.objectives.vicreg import vicreg

CENTRE = torch.linspace(-0.2, 0.3, 5, dtype=torch.float64)[None]
QUEUE = torch.randn(4, 5, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
LOSSES = {
    "vicreg": vicreg,
    "nt_xent": lambda a, b: nt_xent(a, b, 0.3),
    "info_nce": lambda a, b: info_nce(a, b, QUEUE.to(a.dtype), 0.3),
    "swav": lambda a, b: swav(a, b, 0.3),
    "byol": lambda a, b: byol(a, b, a + 0.1, b - 0.2),
    "simsiam": lambda a, b: simsiam(a, b, a + 0.1, b - 0.2),
    "dino": lambda a, b: dino((a, b), (a + 0.1, b - 0.2), CENTRE.to(a.dtype), temperature=0.3),
}


def views(n: int = 6, d: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return first, first + 0.5 * torch.randn(n, d, generator=generator, dtype=torch.float64)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum()


def test_vicreg_is_algorithm_1() -> None:
    a, b = (z.numpy() for z in views())
    n, d = a.shape
    invariance = np.mean([(a[i, j] - b[i, j]) ** 2 for i in range(n) for j in range(d)])
    lacking = [np.mean([max(0.0, 1 - np.sqrt(np.var(z[:, j], ddof=1) + 1e-4)) for j in range(d)]) for z in (a, b)]
    redundancy = [sum(np.cov(z[:, i], z[:, j])[0, 1] ** 2 for i in range(d) for j in range(d) if i != j) / d for z in (a, b)]
    expected = 25 * invariance + 25 * sum(lacking) / 2 + sum(redundancy)

    assert float(vicreg(*views())) == pytest.approx(expected, rel=1e-10)
    apart = float(vicreg(*views(), invariance=1, variance=2, covariance=3))
    assert apart == pytest.approx(invariance + 2 * sum(lacking) / 2 + 3 * sum(redundancy), rel=1e-10)


def test_vicreg_of_features_that_vary_enough_and_say_different_things_is_zero() -> None:
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    assert float(vicreg(3 * signs, 3 * signs)) == pytest.approx(0, abs=1e-12)


def test_nt_xent_is_the_mean_over_all_ordered_pairs() -> None:
    z = np.concatenate([view.numpy() for view in views()])
    said = []
    for i in range(12):
        others = sum(np.exp(cosine(z[i], z[k]) / 0.3) for k in range(12) if k != i)
        said.append(-np.log(np.exp(cosine(z[i], z[(i + 6) % 12]) / 0.3) / others))

    assert float(nt_xent(*views(), 0.3)) == pytest.approx(np.mean(said), rel=1e-10)


def test_info_nce_tells_a_key_from_the_queue() -> None:
    q, k = (z.numpy() for z in views())
    said = []
    for i in range(6):
        good = np.exp(cosine(q[i], k[i]) / 0.07)
        said.append(-np.log(good / (good + sum(np.exp(cosine(q[i], old) / 0.07) for old in QUEUE.numpy()))))

    assert float(info_nce(*views(), QUEUE, 0.07)) == pytest.approx(np.mean(said), rel=1e-9)


def test_info_nce_with_an_empty_queue_is_zero_and_pulls_nowhere() -> None:
    q, k = (z.requires_grad_() for z in views())
    loss = info_nce(q, k, torch.empty(0, 5, dtype=torch.float64), 0.07)
    loss.backward()
    assert loss.item() == 0
    assert q.grad is not None
    assert float(q.grad.abs().max()) == 0


def slow_codes(scores: np.ndarray, rounds: int, epsilon: float = 0.05) -> np.ndarray:
    """The pseudo-code of the paper's appendix, on (N, K)."""
    q = np.exp(scores / epsilon)
    q /= q.sum()
    n, k = q.shape
    for _ in range(rounds):
        for j in range(k):
            q[:, j] /= q[:, j].sum() * k
        for i in range(n):
            q[i] /= q[i].sum() * n
    return q * n


def test_codes_are_the_published_iteration_and_share_the_prototypes_evenly() -> None:
    scores = 0.3 * views(8, 4)[0]
    np.testing.assert_allclose(sinkhorn(scores).numpy(), slow_codes(scores.numpy(), 3), rtol=1e-9)
    np.testing.assert_allclose(sinkhorn(scores).sum(dim=1), 1, rtol=1e-12)
    np.testing.assert_allclose(sinkhorn(scores, rounds=500).sum(dim=0), 8 / 4, rtol=1e-6)


def test_codes_of_scores_whose_exponential_overflows_are_finite() -> None:
    codes = sinkhorn(1e4 * views(8, 4)[0].float())
    assert bool(torch.isfinite(codes).all())
    np.testing.assert_allclose(codes.sum(dim=1), 1, rtol=1e-4)


@pytest.mark.parametrize("epsilon", [0.05, 0.02])
def test_swav_predicts_the_codes_of_the_other_view(epsilon: float) -> None:
    a, b = (0.3 * z.numpy() for z in views())
    codes_a, codes_b = slow_codes(a, 3, epsilon), slow_codes(b, 3, epsilon)
    said = [-codes_a[i] @ np.log(softmax(b[i] / 0.1)) - codes_b[i] @ np.log(softmax(a[i] / 0.1)) for i in range(6)]

    assert float(swav(*(0.3 * z for z in views()), 0.1, epsilon)) == pytest.approx(np.mean(said) / 2, rel=1e-9)


def test_byol_is_the_squared_distance_of_unit_vectors_and_simsiam_the_cosine() -> None:
    p1, p2, t1, t2 = (z.numpy() for z in (*views(), *views(seed=1)))
    pairs = [(p1[i], t2[i]) for i in range(6)], [(p2[i], t1[i]) for i in range(6)]
    squares = [np.mean([((p / np.linalg.norm(p) - t / np.linalg.norm(t)) ** 2).sum() for p, t in way]) for way in pairs]
    cosines = [np.mean([cosine(p, t) for p, t in way]) for way in pairs]

    assert float(byol(*views(), *views(seed=1))) == pytest.approx(sum(squares), rel=1e-10)
    assert float(simsiam(*views(), *views(seed=1))) == pytest.approx(-sum(cosines) / 2, rel=1e-10)
    assert float(negative_cosine(*views())) == pytest.approx(-np.mean([cosine(a, b) for a, b in zip(p1, p2, strict=True)]), rel=1e-10)


def test_dino_is_the_cross_entropy_of_the_centred_sharper_teacher() -> None:
    s1, s2, t1, t2 = (z.numpy() for z in (*views(), *views(seed=1)))
    centre, said = CENTRE.numpy()[0], []
    for i in range(6):
        said.append(-softmax((t1[i] - centre) / 0.04) @ np.log(softmax(s2[i] / 0.1)))
        said.append(-softmax((t2[i] - centre) / 0.04) @ np.log(softmax(s1[i] / 0.1)))

    assert float(dino(views(), views(seed=1), CENTRE, temperature=0.1)) == pytest.approx(np.mean(said), rel=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_right_in_float64(name: str) -> None:
    a, b = (z.requires_grad_() for z in views(4, 5))
    targets = views(4, 5, seed=1)
    checked = {  # what a loss detaches is held still, or a finite difference would see it move
        "info_nce": (lambda x: info_nce(x, b, QUEUE, 0.3), (a,)),
        "byol": (lambda x, y: byol(x, y, *targets), (a, b)),
        "simsiam": (lambda x, y: simsiam(x, y, *targets), (a, b)),
        "dino": (lambda x, y: dino((x, y), targets, CENTRE, temperature=0.3), (a, b)),
        "swav": (lambda x: -(sinkhorn(targets[0]) * torch.log_softmax(x / 0.3, dim=1)).sum(), (a,)),
    }
    function, inputs = checked.get(name, (LOSSES[name], (a, b)))
    assert torch.autograd.gradcheck(function, inputs)


def test_codes_get_no_gradient() -> None:
    a, b = (z.requires_grad_() for z in views())
    swav(a, b, 0.3).backward()
    still = views()
    x, y = (z.clone().requires_grad_() for z in still)
    loss = -(sinkhorn(still[0]) * torch.log_softmax(y / 0.3, dim=1) + sinkhorn(still[1]) * torch.log_softmax(x / 0.3, dim=1))
    (loss.sum(dim=1).mean() / 2).backward()
    torch.testing.assert_close(a.grad, x.grad)
    torch.testing.assert_close(b.grad, y.grad)


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, t: byol(p, p, t, t),
        lambda p, t: simsiam(p, p, t, t),
        lambda p, t: dino((p, p), (t, t), CENTRE, temperature=0.1),
        lambda p, t: info_nce(p, t, QUEUE, 0.1),
    ],
    ids=["byol", "simsiam", "dino", "moco"],
)
def test_targets_get_no_gradient(loss) -> None:
    learns, target = (z.requires_grad_() for z in views())
    loss(learns, target).backward()
    assert target.grad is None
    assert learns.grad is not None
    assert float(learns.grad.abs().max()) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_order_of_the_batch_changes_nothing_but_rows_must_match(name: str) -> None:
    z1, z2 = views()
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    whole = float(LOSSES[name](z1, z2))
    assert float(LOSSES[name](z1[order], z2[order])) == pytest.approx(whole, rel=1e-12)
    assert float(LOSSES[name](z1[order], z2)) > whole + 1e-3


@pytest.mark.parametrize("name", ["vicreg", "nt_xent", "swav"])
def test_swapping_the_views_changes_nothing(name: str) -> None:
    z1, z2 = views()
    assert float(LOSSES[name](z2, z1)) == pytest.approx(float(LOSSES[name](z1, z2)), rel=1e-12)


def test_swapping_views_and_targets_changes_nothing() -> None:
    (p1, p2), (t1, t2) = views(), views(seed=1)
    for loss in (byol, simsiam, lambda a, b, c, d: dino((a, b), (c, d), CENTRE, temperature=0.1)):
        assert float(loss(p2, p1, t2, t1)) == pytest.approx(float(loss(p1, p2, t1, t2)), rel=1e-12)


def test_losses_of_cosines_ignore_the_length_of_every_row() -> None:
    (z1, z2), (t1, t2) = views(), views(seed=1)
    long = torch.linspace(0.01, 30, 6, dtype=torch.float64)[:, None]
    assert float(nt_xent(long * z1, z2, 0.3)) == pytest.approx(float(nt_xent(z1, z2, 0.3)), rel=1e-9)
    assert float(info_nce(long * z1, z2, 7 * QUEUE, 0.3)) == pytest.approx(float(info_nce(z1, z2, QUEUE, 0.3)), rel=1e-9)
    assert float(byol(long * z1, z2, t1, long * t2)) == pytest.approx(float(byol(z1, z2, t1, t2)), rel=1e-9)
    assert float(simsiam(long * z1, z2, t1, long * t2)) == pytest.approx(float(simsiam(z1, z2, t1, t2)), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("case", ["one", "two", "all rows equal", "a constant feature", "zero"])
def test_degenerate_volumes_give_finite_loss_and_moderate_gradient(name: str, case: str) -> None:
    n = {"one": 1, "two": 2}.get(case, 6)
    z1, z2 = (z.float() for z in views(n))
    if case == "all rows equal":
        z1, z2 = torch.ones(6, 5), torch.ones(6, 5)
    elif case == "zero":
        z1, z2 = torch.zeros(6, 5), torch.zeros(6, 5)
    elif case == "a constant feature":
        z1[:, 2] = z2[:, 2] = 1234.5
    z1, z2 = z1.requires_grad_(), z2.requires_grad_()
    loss = LOSSES[name](z1, z2)
    loss.backward()

    assert bool(torch.isfinite(loss))
    for grad in (z1.grad, z2.grad):
        assert grad is None or (bool(torch.isfinite(grad).all()) and float(grad.abs().max()) < 1e7)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shapes", [((3, 5), (4, 5)), ((0, 5), (0, 5))])
def test_views_that_do_not_match_are_refused(name: str, shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="views"):
        LOSSES[name](torch.zeros(shapes[0]), torch.zeros(shapes[1]))
