"""Short gaps are bridged as far as was asked for; nothing is made up beyond, and nothing spreads over long ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barlowtrack.activity.gaps import bridge, smooth
from barlowtrack.data import Source

NAN = np.nan


def bridged(row: list[float], max_gap: int, time: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, probability and source of one trace; the probability of volume t is 1 - t / 100."""
    values = np.array([row])
    has = np.isfinite(values)
    probability = np.where(has, 1 - np.arange(len(row)) / 100, NAN)
    source = np.where(has, Source.SEEN, Source.NONE).astype(np.uint8)
    result = bridge({"red": values}, probability, source, np.arange(len(row)) / 3 if time is None else time, max_gap)
    return result.values["red"][0], result.probability[0], result.source[0]


@pytest.mark.parametrize(
    ("row", "max_gap", "expected"),
    [
        ([1, NAN, 3], 1, [1, 2, 3]),
        ([1, NAN, NAN, 4], 1, [1, NAN, NAN, 4]),
        ([1, NAN, NAN, 4], 2, [1, 2, 3, 4]),
        ([NAN, 1, NAN], 5, [NAN, 1, NAN]),
        ([1, NAN, 3, NAN, NAN, NAN, 7], 2, [1, 2, 3, NAN, NAN, NAN, 7]),
        ([1, NAN, 3], 0, [1, NAN, 3]),
        ([NAN, NAN, NAN], 9, [NAN, NAN, NAN]),
        ([1], 3, [1]),
    ],
    ids=["one", "too_long", "just_short_enough", "ends", "two_gaps", "not_asked", "never_seen", "one_volume"],
)
def test_gaps(row: list[float], max_gap: int, expected: list[float]) -> None:
    values, probability, source = bridged(row, max_gap)
    np.testing.assert_allclose(values, expected)
    made = np.isnan(row) & np.isfinite(expected)
    np.testing.assert_array_equal(source == Source.INTERPOLATED, made)
    np.testing.assert_array_equal(np.isfinite(probability), np.isfinite(expected))


def test_the_lesser_probability_of_both_ends_holds_between_them() -> None:
    assert bridged([1, NAN, NAN, 4], 2)[1] == pytest.approx([1, 0.97, 0.97, 0.97])


def test_uneven_time_is_heeded_and_unknown_time_is_even() -> None:
    assert bridged([0, NAN, 4], 1, np.array([0.0, 1.0, 4.0]))[0][1] == pytest.approx(1)
    assert bridged([0, NAN, 4], 1, np.full(3, NAN))[0][1] == pytest.approx(2)


def test_a_value_that_is_missing_at_an_end_is_not_made_up() -> None:
    source = np.array([[Source.SEEN, Source.NONE, Source.SEEN, Source.SEEN]], np.uint8)
    red, ratio = np.array([[1.0, NAN, 3.0, 4.0]]), np.array([[NAN, NAN, 3.0, NAN]])
    result = bridge({"red": red, "ratio": ratio}, np.ones((1, 4)), source, np.arange(4.0), 3)
    np.testing.assert_array_equal(result.values["red"], [[1, 2, 3, 4]])
    np.testing.assert_array_equal(result.values["ratio"], ratio)
    assert np.isnan(red[0, 1]), "what came must stay as it was"


def test_smoothing_leaves_gaps_and_does_not_reach_over_long_ones() -> None:
    values = np.array([[0.0, 0, 0, NAN, NAN, NAN, 9, 9, 9], [0.0, 0, 0, NAN, 9, 9, 9, 9, 9]])
    result = smooth(values, 1.0)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(values))
    np.testing.assert_allclose(result[0], values[0])
    assert result[1, 2] > 0, "over a gap no longer than the width it sees the other side"


def test_smoothing_is_the_gaussian_it_says() -> None:
    values = np.random.default_rng(0).normal(size=(2, 40))
    values[:, 11] = NAN
    expected = np.full_like(values, NAN)
    for t in set(range(40)) - {11}:
        step = np.arange(40) - t
        weight = np.exp(-0.5 * (step / 2.0) ** 2) * (np.abs(step) <= 6) * np.isfinite(values[0])
        expected[:, t] = (np.nan_to_num(values) * weight).sum(axis=1) / weight.sum()
    np.testing.assert_allclose(smooth(values, 2.0), expected)


@settings(max_examples=30, deadline=None)
@given(width=st.floats(0, 8), seed=st.integers(0, 99), constant=st.floats(-1e3, 1e3))
def test_a_constant_stays_constant(width: float, seed: int, constant: float) -> None:
    values = np.where(np.random.default_rng(seed).random((3, 30)) < 0.3, NAN, constant)
    np.testing.assert_allclose(smooth(values, width), values, atol=1e-9)


def test_reversed_time_gives_reversed_traces() -> None:
    values = np.where(np.random.default_rng(1).random((3, 50)) < 0.4, NAN, np.random.default_rng(2).normal(size=(3, 50)))
    np.testing.assert_allclose(smooth(values[:, ::-1], 1.5)[:, ::-1], smooth(values, 1.5))


@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (2, 1)])
def test_without_much_there_is_nothing_to_smooth(shape: tuple[int, int]) -> None:
    assert smooth(np.ones(shape), 2.0).shape == shape
