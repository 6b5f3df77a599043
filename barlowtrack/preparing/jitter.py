"""How far the planes of a volume have jumped against each other.

Neighbouring planes show many of the same nuclei. Each is laid over the next, and over the one after that; the jumps of all planes
are then solved for at once. Correlations are not whitened, as they are in phase correlation proper: in planes of which half the light
is noise, that makes the error several times larger.

What cannot be told is what all planes of a volume do together: that is drift, or the worm. A worm that lies aslant makes planes lie beside
each other too, but slowly from plane to plane, where jumps follow no order. How much jumps there are is told by how rough the measured
places are; what is slow over the depth, goes on from volume to volume or is more than such jumps explain is left to the worm (lean.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from barlowtrack.data import BoolArray, FloatArray, IntArray, VoxelArray
from barlowtrack.preparing.lean import expected_lean
from barlowtrack.preparing.spots import Pictures, Spectrum, peak, spots

REACH_VOX = 20
"""Planes are looked for as far as this from where they should be, and no farther than an eighth of the smaller side of the picture: among
few nuclei false peaks come easily."""
LEAST_CORRELATION = 0.15
"""Of two planes that have something in common; planes without nuclei reach .05."""
SPREAD_VOX = 1 / 48
"""Of jumps, before anything is known of them, in smaller sides of the picture: 4 voxels of 192. Of slow shapes over the depth neighbours
say least: a spread of 2 takes a fifth off the slowest shape of 15 planes, and so off jumps. Where the picture is small, pairs err."""
MATCH_VOX = 0.15
"""Error of laying two planes over each other that are as alike as they are unlike (correlation one half)."""
SECOND = 8.0
"""A plane and the one after the next have so much less in common, in variance of what they say."""
OUTLIER_VOX = 0.4
QUIET_VOX = 0.15
"""Roughness of planes that do not jump: .05 to .13 on real volumes and on simulated ones."""
SLOWEST = 3
"""Degree of the shapes over the depth that a worm may have: it lies aslant, or is bent."""


def measure_jitter(channels: Sequence[VoxelArray]) -> tuple[FloatArray, BoolArray]:
    """Measures the jumps of one volume.

    Args:
        channels: Its channels (Z, Y, X), which jump alike.

    Returns:
        (Z, 2) how far every plane lies from the others along y and x in voxels, 0 where it shows nothing, mean 0 over the rest; and (Z,)
        whether it is of the rest. The worm's own lean is in it; see settled.
    """
    n_planes, side = len(channels[0]), min(channels[0].shape[1:])
    first, second, shift, weight = _pairs(channels)
    jumps: FloatArray = np.zeros((n_planes, 2))
    sure = np.unique(np.r_[first[weight > 0], second[weight > 0]])
    if len(sure) < 2:
        return jumps, np.zeros(n_planes, bool)
    pairs = np.zeros((len(first), n_planes))
    pairs[np.arange(len(first)), first], pairs[np.arange(len(first)), second] = -1, 1
    trusted = weight.copy()
    for _ in range(8):  # again with less trust in pairs that contradict the others
        left = pairs.T @ (pairs * trusted[:, None]) + np.eye(n_planes) / (SPREAD_VOX * side) ** 2
        jumps = np.linalg.solve(left, pairs.T @ (trusted[:, None] * shift))
        away = np.linalg.norm(shift - pairs @ jumps, axis=1)
        trusted = weight / (1 + (away / OUTLIER_VOX) ** 2)
    told = np.zeros_like(jumps)
    told[sure] = jumps[sure] - jumps[sure].mean(axis=0)
    return told, np.isin(np.arange(n_planes), sure)


def roughness(places: Sequence[FloatArray], sure: Sequence[BoolArray]) -> float:
    """Returns the spread of the jumps in voxels, from second differences of planes' places (Z, 2) of some volumes; NaN where none is told.

    A slow lean hardly changes these; noise of the measurement is within QUIET_VOX.
    """
    bends = [(at[:-2] - 2 * at[1:-1] + at[2:])[good[:-2] & good[1:-1] & good[2:]] for at, good in zip(places, sure, strict=True)]
    found = np.concatenate(bends) if bends else np.zeros((0, 2))
    return float(1.4826 * np.median(np.abs(found)) / np.sqrt(6)) if len(found) else float("nan")


def settled(places: Sequence[FloatArray], sure: Sequence[BoolArray]) -> FloatArray:
    """Tells jumps from the lean of the worm, over all volumes together.

    Slow shapes over the depth (polynomials) have in jumps the variance of jumps, and are another one in every volume; the worm's lean goes
    on. What is to be expected of the lean, given all volumes, is taken off. Where planes are no rougher than the measurement, nothing
    jumps.

    Args:
        places: (Z, 2) of every volume, as measured.
        sure: (Z,) of every volume.

    Returns:
        (T, Z, 2) jumps, mean 0 over the planes of a volume that show something, 0 in the others.
    """
    jumps = np.zeros((len(places), *places[0].shape))
    rough = roughness(places, sure)
    variance = rough**2 - QUIET_VOX**2
    if not variance > 0:
        return jumps
    shapes = {t: shape for t, good in enumerate(sure) if (shape := _slow_shapes(np.flatnonzero(good))) is not None}
    if not shapes:
        return jumps
    size = np.array([shape.T @ places[t][sure[t]] for t, shape in shapes.items()])  # (T, SLOWEST, 2)
    lean = np.stack([expected_lean(size[:, k], np.array(list(shapes)), variance) for k in range(SLOWEST)], axis=1)
    for (t, shape), of_it in zip(shapes.items(), lean, strict=True):
        left = places[t][sure[t]] - shape @ of_it
        jumps[t, sure[t]] = (left - left.mean(axis=0)) * variance / (variance + QUIET_VOX**2)
    return jumps


def _slow_shapes(planes: IntArray) -> FloatArray | None:
    """Returns (n, SLOWEST) polynomials over these planes, of length 1 and mean 0, their signs alike in all volumes; None for too few."""
    if len(planes) <= SLOWEST + 1:
        return None
    depth = (planes - planes.mean()) / np.ptp(planes)
    shapes, signs = np.linalg.qr(np.vander(depth, SLOWEST + 1, increasing=True))
    return np.asarray((shapes * np.sign(np.diag(signs)))[:, 1:])


def _pairs(channels: Sequence[VoxelArray]) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Returns pairs of planes: first, second, shift of the second against the first (n, 2), and weight, 0 where nothing is told."""
    n_planes = len(channels[0])
    first = np.array([z for gap in (1, 2) for z in range(n_planes - gap)], np.int64)
    gap = np.array([gap for gap in (1, 2) for _ in range(n_planes - gap)], np.int64)
    row = {(int(z), int(g)): i for i, (z, g) in enumerate(zip(first, gap, strict=True))}
    reach = min(REACH_VOX, max(1, min(channels[0].shape[1:]) // 8))
    pictures = Pictures(channels[0].shape[1:], (reach, reach))
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
