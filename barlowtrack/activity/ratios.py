"""Ratios of the two channels, and changes relative to a baseline."""

from __future__ import annotations

import numpy as np

from barlowtrack.activity.robust import spreads
from barlowtrack.data import BoolArray, FloatArray

FEWEST_VALUES = 5
"""Of fewer values a baseline says little: the usual percentile, the 20th, of up to five lies between the two least of them."""

CLEARLY = 3.0
"""A baseline must be so many times its standard error: less is zero by chance in every 700th neuron without light."""


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
        (K,) float64; NaN where fewer than FEWEST_VALUES count, or the percentile is not more than CLEARLY of its standard errors above
        zero: nothing can be relative to it.
    """
    result = percentiles(values, percentile, use)
    return np.where(result > CLEARLY * _standard_errors(values, use), result, np.nan)


def _standard_errors(values: FloatArray, use: BoolArray | None) -> FloatArray:
    """(K,) by how much a median of each neuron's values differs by chance; percentiles off the middle are no surer.

    By chance is what changes from one value to the next one that counts: activity that lasts is not.
    """
    counted = np.isfinite(values) if use is None else use & np.isfinite(values)
    noise = np.zeros(len(values))
    for neuron, (row, of) in enumerate(zip(values, counted, strict=True)):
        if of.sum() >= FEWEST_VALUES:
            noise[neuron] = float(spreads(np.diff(row[of].astype(np.float64)))) / np.sqrt(2.0)
    return np.asarray(np.sqrt(np.pi / 2) * noise / np.sqrt(np.maximum(counted.sum(axis=1), 1)))


def percentiles(values: FloatArray, percentile: float, use: BoolArray | None = None) -> FloatArray:
    """Returns the (K,) percentile of each neuron's values that count; NaN where they are fewer than FEWEST_VALUES. See baselines."""
    counted = np.isfinite(values) if use is None else use & np.isfinite(values)
    result = np.full(len(values), np.nan)
    for neuron, (row, of) in enumerate(zip(values, counted, strict=True)):
        if of.sum() >= FEWEST_VALUES:
            result[neuron] = np.percentile(row[of].astype(np.float64), percentile)
    return result


def relative_changes(values: FloatArray, baseline: FloatArray, over: FloatArray | None = None) -> FloatArray:
    """Returns (values - baseline) / baseline, (K, T) float32: dR/R0 of ratios, dF/F0 of light; NaN where the (K,) baseline is.

    Args:
        values: (K, T).
        baseline: (K,) what they change from.
        over: Optional (K,); divides instead of the baseline: of light from which something was taken, the light before.

    Reference:
        Chen et al. 2013 (dF/F0 of GCaMP6); Nguyen et al. 2016 (dR/R0 against a red reference in whole-brain recordings).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(((values - baseline[:, None]) / (baseline if over is None else over)[:, None]).astype(np.float32))


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.float32(np.nan))
