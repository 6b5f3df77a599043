"""How far the planes of a volume have jumped against each other.

Neighbouring planes show many of the same nuclei. Each is laid over the next, and over the one after that; the jumps of all planes
are then solved for at once. Correlations are not whitened, as they are in phase correlation proper: in planes of which half the light
is noise, that makes the error several times larger. What cannot be told is what all planes of a volume do together (that is drift, or
the worm), and a slow lean of the worm through the depth is partly taken for jumps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from barlowtrack.data import FloatArray, IntArray, VoxelArray
from barlowtrack.preparing.spots import Pictures, Spectrum, peak, spots

REACH_VOX = 12
"""Planes are looked for as far as this from where they should be."""
LEAST_CORRELATION = 0.15
"""Of two planes that have something in common; planes without nuclei reach .05."""
SPREAD_VOX = 2.0
"""Of jumps, before anything is known of them: holds planes that show little near where they are."""
MATCH_VOX = 0.15
"""Error of laying two planes over each other that are as alike as they are unlike (correlation one half)."""
SECOND = 8.0
"""A plane and the one after the next have so much less in common, in variance of what they say."""
OUTLIER_VOX = 0.4


def measure_jitter(channels: Sequence[VoxelArray]) -> tuple[FloatArray, IntArray]:
    """Measures the jumps of one volume.

    Args:
        channels: Its channels (Z, Y, X), which jump alike.

    Returns:
        (Z, 2) jump of every plane along y and x in voxels, 0 where it shows nothing; mean 0 over the others, whose numbers follow.
    """
    n_planes = len(channels[0])
    first, second, shift, weight = _pairs(channels)
    jumps: FloatArray = np.zeros((n_planes, 2))
    sure = np.unique(np.r_[first[weight > 0], second[weight > 0]])
    if len(sure) < 2:
        return jumps, np.zeros(0, np.int64)
    pairs = np.zeros((len(first), n_planes))
    pairs[np.arange(len(first)), first], pairs[np.arange(len(first)), second] = -1, 1
    trusted = weight.copy()
    for _ in range(8):  # again with less trust in pairs that contradict the others
        left = pairs.T @ (pairs * trusted[:, None]) + np.eye(n_planes) / SPREAD_VOX**2
        jumps = np.linalg.solve(left, pairs.T @ (trusted[:, None] * shift))
        away = np.linalg.norm(shift - pairs @ jumps, axis=1)
        trusted = weight / (1 + (away / OUTLIER_VOX) ** 2)
    told = np.zeros_like(jumps)
    told[sure] = jumps[sure] - jumps[sure].mean(axis=0)
    return told, sure


def roughness(jumps: FloatArray, sure: IntArray) -> float:
    """Returns the spread of jumps in voxels, as far as they follow no slow lean: from second differences; NaN without three planes."""
    row = np.flatnonzero(np.diff(sure, n=2) == 0) if len(sure) > 2 else np.zeros(0, int)
    row = row[sure[row + 2] - sure[row] == 2] if len(row) else row
    if not len(row):
        return float("nan")
    at = sure[row]
    bends = jumps[at] - 2 * jumps[at + 1] + jumps[at + 2]
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6))


def _pairs(channels: Sequence[VoxelArray]) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Returns pairs of planes: first, second, shift of the second against the first (n, 2), and weight, 0 where nothing is told."""
    n_planes = len(channels[0])
    first = np.array([z for gap in (1, 2) for z in range(n_planes - gap)], np.int64)
    gap = np.array([gap for gap in (1, 2) for _ in range(n_planes - gap)], np.int64)
    row = {(int(z), int(g)): i for i, (z, g) in enumerate(zip(first, gap, strict=True))}
    pictures = Pictures(channels[0].shape[1:], (REACH_VOX, REACH_VOX))
    surfaces: list[FloatArray | float] = [0.0] * len(first)
    for channel in channels:
        light = spots(channel)
        seen: list[Spectrum] = []
        for z in range(n_planes):
            seen = [*seen[-2:], pictures.transformed(light[z])]
            for back in range(1, min(z, 2) + 1):
                i = row[z - back, back]
                surfaces[i] = surfaces[i] + pictures.overlay(seen[-1 - back], seen[-1]) / len(channels)
    found = [peak(np.asarray(surface)) for surface in surfaces]
    shift = np.array([at for at, _ in found]).reshape(-1, 2)
    alike = np.clip([top for _, top in found], 0, 0.99)
    told = (alike > LEAST_CORRELATION) & np.isfinite(shift).all(axis=1)
    error = 2 * MATCH_VOX**2 * (1 - alike) / np.maximum(alike, 1e-6) + 1e-3
    weight = np.where(told, 1 / error, 0.0) / np.where(gap == 1, 1.0, SECOND)
    return first, first + gap, np.where(told[:, None], shift, 0.0), weight
