"""What moves alike in red and green is not activity: it is taken out of green."""

from __future__ import annotations

import numpy as np

from barlowtrack.activity.robust import medians, spreads
from barlowtrack.data import BoolArray, FloatArray

LARGEST_SLOPE = 2.0
"""Movement that dims a nucleus dims both channels by about the same share: a slope of one. Twice that is no movement any more."""
PRIOR_SPREAD = 1.0
"""Slopes up to about one are believed before anything is seen; what few or noisy points say is shrunk towards none."""
TUNING = 1.345
"""Huber's: residuals beyond so many spreads count less; activity is such a residual."""
ROUNDS = 8


def slopes(green: FloatArray, red: FloatArray, use: BoolArray | None = None) -> FloatArray:
    """Returns how much of red's relative fluctuation is found in green's, by neuron: (K,), 0 to LARGEST_SLOPE.

    A robust line through zero (Huber's weights, found again ROUNDS times) with a normal prior around slope zero, over the volumes in which
    both channels were read. Negative slopes are zero: movement and light that is lost dim both channels.

    Args:
        green: (K, T) light, bleaching undone.
        red: (K, T) likewise.
        use: Optional (K, T); only these values count.

    Reference:
        Huber 1964 for the weights; Creamer, Leifer & Pillow 2022 for regressing one channel out of the other, and what it cannot do.
    """
    return _fit(*_fluctuations(green, red, use))


def regress_out(green: FloatArray, red: FloatArray, use: BoolArray | None = None) -> FloatArray:
    """Returns green, (K, T), without what moves with red; NaN where either channel is, green as it was where nothing can be fitted.

    See slopes for what is fitted and from what. Where red is as usual, green stays what it was.
    """
    green_part, red_part = _fluctuations(green, red, use)
    slope = _fit(green_part, red_part)[:, None]
    counted = np.isfinite(green_part)
    with np.errstate(invalid="ignore"):
        moved = _usual(green, counted)[:, None] * slope * (red / _usual(red, counted)[:, None] - 1)
    kept = np.where(np.isfinite(red), green, np.nan)
    return np.asarray(np.where(slope > 0, kept - moved, kept), dtype=green.dtype)


def _usual(light: FloatArray, counted: BoolArray) -> FloatArray:
    middle = medians(np.where(counted, light, np.nan))
    return np.where(middle > 0, middle, np.nan)


def _fluctuations(green: FloatArray, red: FloatArray, use: BoolArray | None) -> tuple[FloatArray, FloatArray]:
    """Returns both channels relative to their usual light, less one, (K, T); NaN where a value does not count or its neuron is dark."""
    counted = np.isfinite(green) & np.isfinite(red)
    if use is not None:
        counted &= use
    parts = []
    for light in (green, red):
        usual = _usual(light, counted)
        parts.append(np.where(counted, light, np.nan) / usual[:, None] - 1)
    gone = ~np.isfinite(parts[0] + parts[1])
    return np.where(gone, np.nan, parts[0]), np.where(gone, np.nan, parts[1])


def _fit(green_part: FloatArray, red_part: FloatArray) -> FloatArray:
    has = np.isfinite(green_part)
    y, x = np.where(has, green_part, 0.0), np.where(has, red_part, 0.0)
    slope = np.zeros(len(y))
    for _ in range(ROUNDS):
        residual = y - slope[:, None] * x
        spread = spreads(np.where(has, residual, np.nan))
        spread = np.where(np.isfinite(spread), np.maximum(spread, 1e-9), 1.0)
        far = np.abs(residual) / (TUNING * spread[:, None])
        weight = has / np.maximum(far, 1.0)
        # the median deviation of a handful of points may be next to nothing by chance; their mean square less easily
        noise = (weight * residual**2).sum(axis=1) / np.maximum(weight.sum(axis=1) - 1, 1e-3)
        slope = (weight * x * y).sum(axis=1) / ((weight * x * x).sum(axis=1) + np.maximum(noise, 1e-18) / PRIOR_SPREAD**2)
        slope = np.clip(slope, 0.0, LARGEST_SLOPE)
    return slope
