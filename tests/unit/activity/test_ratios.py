"""Ratios and relative changes: right where they can be, NaN where they cannot, never infinite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from barlowtrack.activity.ratios import FEWEST_VALUES, baselines, ratios, relative_changes

ANY = arrays(np.float32, (3, 8), elements=st.floats(width=32, allow_nan=True, allow_infinity=False))


def test_a_ratio_needs_red_light() -> None:
    red = np.array([[2.0, 0.0, -1.0, np.nan, 4.0]])
    green = np.array([[1.0, 1.0, 1.0, 1.0, np.nan]])
    np.testing.assert_array_equal(ratios(green, red), [[0.5, np.nan, np.nan, np.nan, np.nan]])


def test_changes_are_relative_to_each_neurons_own_baseline() -> None:
    steps = np.arange(1.0, 6)
    values = np.array([steps, 10 * steps, -steps, [np.nan] * 5, [0.0] * 5])
    base = baselines(values, 50)
    np.testing.assert_array_equal(base, [3.0, 30.0, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(relative_changes(values, base)[:2], [(steps - 3) / 3] * 2)
    assert np.isnan(relative_changes(values, base)[2:]).all()
    np.testing.assert_allclose(relative_changes(values, base, 2 * base)[:2], [(steps - 3) / 6] * 2)


def test_a_baseline_is_taken_only_from_values_that_count() -> None:
    values = np.array([[1.0] * 5 + [100.0, 100.0, np.nan]])
    assert baselines(values, 100, np.array([[True] * 5 + [False, False, True]])) == pytest.approx(1)
    assert np.isnan(baselines(values, 50, np.zeros((1, 8), bool))).all()


def test_a_few_values_have_no_baseline() -> None:
    enough = np.arange(1.0, FEWEST_VALUES + 1)[None]
    assert np.isfinite(baselines(enough, 20)).all()
    few = np.where(np.arange(FEWEST_VALUES) == 2, np.nan, enough)
    assert np.isnan(baselines(few, 20)).all()
    assert np.isnan(relative_changes(few, baselines(few, 20))).all()


def test_a_baseline_that_may_be_zero_by_chance_is_none() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (300, 50))
    assert np.isnan(baselines(noise, 50)).mean() > 0.99
    assert np.isfinite(baselines(noise + 1, 50)).mean() > 0.99  # five standard errors
    few = np.array([[4.2, 1.4, 0.0, 8.3, 78.1]])  # of a real recording; its largest dF/F0 was 60
    assert np.isnan(baselines(few, 20)).all()
    slow = 1 + 0.9 * np.sin(np.arange(50) / 8)[None]
    assert np.isfinite(baselines(slow, 20)).all()  # activity that lasts is no noise


def test_without_neurons_there_is_nothing() -> None:
    nothing = np.empty((0, 4))
    assert ratios(nothing, nothing).shape == relative_changes(nothing, baselines(nothing, 20)).shape == (0, 4)


@settings(max_examples=50, deadline=None)
@given(green=ANY, red=ANY, percentile=st.floats(0, 100))
def test_nothing_is_ever_infinite(green: np.ndarray, red: np.ndarray, percentile: float) -> None:
    ratio = ratios(green, red)
    change = relative_changes(ratio, baselines(ratio, percentile))
    assert not np.isinf(ratio).any()
    assert not np.isinf(change).any()
    assert np.isnan(ratio[~(red > 0)]).all()


@given(gain=st.floats(0.01, 100))
def test_gain_of_a_channel_does_not_change_what_is_relative(gain: float) -> None:
    values = np.random.default_rng(0).uniform(1, 9, (4, 30))
    one, other = (relative_changes(x, baselines(x, 20)) for x in (values, gain * values))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
