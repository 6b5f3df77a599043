"""Gaps: bridged only when they are short and only when asked for, and never smeared over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from barlowtrack.data import BoolArray, FloatArray, IntArray, Source

REACH = 3.0
"""A Gaussian ends at this many of its widths; 0.3 % of it lies beyond."""


@dataclass(frozen=True)
class Bridged:
    """Traces of which short gaps are filled.

    Attributes:
        values: By name, (K, T) as they came, with gaps filled.
        probability: (K, T); over a gap the lesser of both ends.
        source: (K, T) uint8; Source.INTERPOLATED over a gap that was filled.
    """

    values: dict[str, FloatArray]
    probability: FloatArray
    source: IntArray


def bridge(
    values: Mapping[str, FloatArray],
    probability: FloatArray,
    source: IntArray,
    time: FloatArray,
    max_gap: int,
    closed: BoolArray | None = None,
) -> Bridged:
    """Fills gaps of up to max_gap volumes by straight lines; neither before a neuron's first value nor after its last one.

    Each trace is bridged by itself: the ratio over a gap is the line between two ratios. A trace whose value is NaN at either end of a gap
    (a ratio over red that was not positive) stays NaN in it. A gap is where a neuron has no source; a value that is NaN though it was read
    is no gap.

    Args:
        values: (K, T) traces by name.
        probability: (K, T) that a value is the neuron's.
        source: (K, T) where it comes from.
        time: (T,) rising, in any unit; volumes count as evenly spaced if any is NaN.
        max_gap: Most volumes in a row that are filled; 0 fills none.
        closed: Optional (K, T); where it holds nothing is filled: somebody says that the neuron is not there, or its value is not wanted.

    Returns:
        New arrays; what came is left as it was.
    """
    n_volumes = source.shape[1]
    time = evenly_if_unknown(time)
    has = source != Source.NONE
    volume = np.arange(n_volumes)
    before = np.maximum.accumulate(np.where(has, volume, -1), axis=1)
    after = np.minimum.accumulate(np.where(has, volume, n_volumes)[:, ::-1], axis=1)[:, ::-1]
    inside = ~has & (before >= 0) & (after < n_volumes) & (after - before - 1 <= max_gap)
    if closed is not None:
        inside &= ~closed
    neuron, at = np.nonzero(inside)
    left, right = before[inside], after[inside]
    weight = (time[at] - time[left]) / (time[right] - time[left])
    filled = {}
    for name, trace in values.items():
        new = trace.copy()
        new[inside] = trace[neuron, left] * (1 - weight) + trace[neuron, right] * weight
        filled[name] = new
    sure, whence = probability.copy(), source.copy()
    sure[inside] = np.minimum(probability[neuron, left], probability[neuron, right])
    whence[inside] = Source.INTERPOLATED
    return Bridged(filled, sure, whence)


def smooth(values: FloatArray, width: float) -> FloatArray:
    """Returns values under a Gaussian, normalised over what is there.

    What is NaN stays NaN, and counts for nothing. Values at both sides of a gap longer than the width do not see each other: over such a
    gap a neuron may have changed.

    Args:
        values: (K, T).
        width: Standard deviation in volumes; 0 leaves everything as it is.

    Returns:
        (K, T), of the same kind.
    """
    n_volumes = values.shape[1]
    if width <= 0 or n_volumes < 2:
        return values.copy()
    has = np.isfinite(values)
    volume = np.arange(n_volumes)
    last = np.maximum.accumulate(np.where(has, volume, -1), axis=1)
    earlier = np.concatenate([np.full((len(values), 1), -1), last[:, :-1]], axis=1)
    piece = np.cumsum(has & (earlier >= 0) & (volume - earlier - 1 > width), axis=1)
    light = np.where(has, values, 0.0).astype(np.float64)
    total, weight = light.copy(), has.astype(np.float64)
    for step in range(1, min(int(REACH * width), n_volumes - 1) + 1):
        share = np.exp(-0.5 * (step / width) ** 2)
        alike = share * (piece[:, step:] == piece[:, :-step])
        total[:, step:] += alike * light[:, :-step]
        weight[:, step:] += alike * has[:, :-step]
        total[:, :-step] += alike * light[:, step:]
        weight[:, :-step] += alike * has[:, step:]
    result = np.full(values.shape, np.nan, values.dtype)
    result[has] = total[has] / weight[has]
    return result


def evenly_if_unknown(time: FloatArray) -> FloatArray:
    """Returns the times, (T,); the numbers of the volumes where any time is unknown, or does not rise."""
    known = np.isfinite(time).all() and (np.diff(time) > 0).all()
    return np.asarray(time, np.float64) if known else np.arange(len(time), dtype=np.float64)
