"""Medians and spreads of matrices with gaps, without a word about empty rows."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import FloatArray

MAD_TO_SPREAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def medians(values: FloatArray, axis: int = -1) -> FloatArray:
    """Returns the median along an axis over what is finite there; NaN where nothing is.

    numpy.nanmedian warns of empty rows and falls back to a Python loop for long ones; one sort does neither.
    """
    values = np.moveaxis(np.asarray(values, np.float64), axis, -1)
    if values.shape[-1] == 0:
        return np.full(values.shape[:-1], np.nan)
    finite = np.isfinite(values)
    ordered = np.sort(np.where(finite, values, np.inf), axis=-1)
    count = finite.sum(axis=-1)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[..., None] // 2, axis=-1)[..., 0]
    high = np.take_along_axis(ordered, count[..., None] // 2, axis=-1)[..., 0]
    return np.where(count > 0, (low + high) / 2, np.nan)


def spreads(values: FloatArray, axis: int = -1) -> FloatArray:
    """Returns the spread along an axis, as of a normal distribution, from its median absolute deviation; NaN where nothing is finite."""
    middle = np.expand_dims(medians(values, axis), axis)
    return MAD_TO_SPREAD * medians(np.abs(values - middle), axis)
