"""Errors estimated without truth, against made-up truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.estimate import estimate_error, keep_at_most


def test_shares_are_means_of_what_is_assigned() -> None:
    t, neuron = np.array([0, 0, 1, 1, 3]), np.array([0, 1, 0, UNKNOWN, 3])
    found = estimate_error(t, neuron, np.array([1.0, 0.5, 0.9, 0.2, 0.6]))
    assert found.share == pytest.approx(1.0 / 4)
    assert np.allclose(found.volume, [0.25, 0.1, np.nan, 0.4], equal_nan=True)
    assert np.allclose(found.neuron, [0.05, 0.5, np.nan, 0.4], equal_nan=True)
    assert found.low <= found.share <= found.high


def test_of_nothing_nothing_is_estimated() -> None:
    assert np.isnan(estimate_error(np.zeros(3, int), np.full(3, UNKNOWN), np.ones(3)).share)
    assert np.isnan(estimate_error(np.zeros(0, int), np.zeros(0, int), np.zeros(0)).high)


def test_the_interval_holds_where_errors_come_neuron_by_neuron() -> None:
    t, neuron = np.repeat(np.arange(40), 50), np.tile(np.arange(50), 40)
    covered = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chance = rng.beta(8, 1, 50)[neuron]
        found = estimate_error(t, neuron, chance)
        wrong = (rng.random(50)[neuron] > chance).mean()
        covered += found.low <= wrong <= found.high
        assert found.high - found.low < 0.25
    assert covered >= 16


def test_the_same_numbers_give_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    given = rng.integers(0, 9, 200), rng.integers(0, 9, 200), rng.random(200)
    one, two = estimate_error(*given), estimate_error(*given)
    assert (one.low, one.high) == (two.low, two.high)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 5), st.sampled_from([0.0, 0.3, 0.9, 0.95, 0.99, 1.0])), max_size=30),
    st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0]),
)
def test_as_many_are_kept_as_the_error_allows(rows: list[tuple[int, float]], max_error: float) -> None:
    neuron, probability = np.array([r[0] for r in rows], int), np.array([r[1] for r in rows])
    keep, least = keep_at_most(neuron, probability, max_error)
    assert not keep[neuron < 0].any()
    assert np.array_equal(keep, (neuron >= 0) & (probability >= least))
    if keep.any():
        assert (1 - probability[keep]).mean() <= max_error + 1e-9
    further = (neuron >= 0) & ~keep
    if further.any():
        more = (neuron >= 0) & (probability >= probability[further].max())
        assert (1 - probability[more]).mean() > max_error
