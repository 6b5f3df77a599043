"""Ratios of the two channels, and changes relative to a baseline."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import BoolArray, FloatArray


def ratios(green: FloatArray, red: FloatArray) -> FloatArray:
    """Returns green / red, (K, T) float32; NaN, never infinite, where either is missing or red is not positive."""
    result = np.full(np.shape(red), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite becomes NaN below
        np.divide(green, red, out=result, where=red > 0, dtype=np.float64)
        return _finite(result.astype(np.float32))


def baselines(values: FloatArray, percentile: float, use: BoolArray | None = None) -> FloatArray:
    """Returns what each neuron's values change from.

    Args:
        values: (K, T), NaN where there is none.
        percentile: Of a neuron's values, 0 to 100; 50 is the median. A low one is the resting light of a neuron that is mostly silent.
        use: Optional (K, T); only these values count. Without it, all that are finite do.

    Returns:
        (K,) float64; NaN where no value counts or the percentile is not positive: nothing can be relative to it.
    """
    counted = np.isfinite(values) if use is None else use & np.isfinite(values)
    result = np.full(len(values), np.nan)
    for neuron, (row, of) in enumerate(zip(values, counted, strict=True)):
        if of.any():
            result[neuron] = np.percentile(row[of].astype(np.float64), percentile)
    return np.where(result > 0, result, np.nan)


def relative_changes(values: FloatArray, baseline: FloatArray) -> FloatArray:
    """Returns (values - baseline) / baseline, (K, T) float32: dR/R0 of ratios, dF/F0 of light; NaN where the (K,) baseline is.

    Reference:
        Chen et al. 2013 (dF/F0 of GCaMP6); Nguyen et al. 2016 (dR/R0 against a red reference in whole-brain recordings).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(((values - baseline[:, None]) / baseline[:, None]).astype(np.float32))


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.float32(np.nan))
