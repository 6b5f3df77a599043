"""Medians and spreads with gaps, beside numpy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from barlowtrack.activity.robust import medians, spreads


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=st.sampled_from([np.nan, -1.0, 0.0, 2.0, 3.5])))
def test_medians_are_numpys_without_its_warnings(values: np.ndarray) -> None:
    for axis in (0, 1):
        expected = np.full(values.shape[1 - axis], np.nan)
        seen = np.isfinite(values).any(axis=axis)
        expected[seen] = np.nanmedian(np.compress(seen, values, axis=1 - axis), axis=axis)
        np.testing.assert_array_equal(medians(values, axis=axis), expected)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 4)])
def test_nothing_has_no_median(shape: tuple[int, ...]) -> None:
    assert np.isnan(medians(np.ones(shape), axis=1)).all()
    assert spreads(np.ones(shape), axis=1).shape == (*shape[:1], *shape[2:])


def test_spread_is_that_of_a_normal_distribution_and_heeds_no_outliers() -> None:
    values = np.random.default_rng(0).normal(3, 2, (1, 20_000))
    values[:, ::20] = 1e6
    assert spreads(values)[0] == pytest.approx(2, rel=0.1)
