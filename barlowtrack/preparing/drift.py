"""How far the whole field has moved: slow drift of stage or focus, told from what the animal does by being slow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from barlowtrack.data import FloatArray, VoxelArray
from barlowtrack.preparing.spots import Pictures, peak, spots

REACH_VOX = 16
"""Around where the middle of the light says it is, the best overlay is looked for."""
LEAST_CORRELATION = 0.4
"""Below, the animal has another posture, and the middle of its light tells more than how nuclei lie over each other."""
SMOOTH_VOLUMES = 31
"""Drift is the median over so many volumes: what is faster is the animal, which the tracker follows."""


class _Look(NamedTuple):
    """A volume as drift is told from it: middle of its light (z, y, x) in voxels, and its spots from above, (Y, X)."""

    middle: FloatArray
    above: FloatArray


class Field:
    """A volume that others are laid over.

    Args:
        reference: (Z, Y, X) of its reference channel.
    """

    def __init__(self, reference: VoxelArray) -> None:
        height, width = reference.shape[1:]
        self._pictures = Pictures((height, width), (REACH_VOX, REACH_VOX))
        self._seen = _look(reference)

    def shift(self, volume: VoxelArray) -> FloatArray:
        """Returns (3,) how far a volume (Z, Y, X) lies off along z, y, x in voxels; NaN where one of the two shows nothing."""
        look = _look(volume)
        shift = look.middle - self._seen.middle
        if not np.isfinite(shift).all():
            return shift
        whole = np.round(shift[1:])
        back = ndimage.shift(look.above, -whole, order=0, mode="constant")
        finer, alike = peak(self._pictures.overlay(self._pictures.transformed(self._seen.above), self._pictures.transformed(back)))
        if alike > LEAST_CORRELATION and np.isfinite(finer).all():
            shift[1:] = whole + finer
        return shift


def _look(volume: VoxelArray) -> _Look:
    light = ndimage.gaussian_filter(volume.astype(np.float32), (0, 2, 2), mode="nearest")
    dark, bright = (float(level) for level in np.percentile(light[:, ::2, ::2], [20, 99.5]))
    # a share of the light, cut off above: the brightest nuclei must not stand for the animal
    light = np.clip((light - dark) / max(bright - dark, 1e-12) - 0.15, 0, 0.5)
    total = float(light.sum())
    middle = np.full(3, np.nan)
    if total > 0:
        for axis, size in enumerate(light.shape):
            others = tuple(other for other in range(3) if other != axis)
            middle[axis] = float(light.sum(axis=others) @ np.arange(size)) / total
    return _Look(middle, spots(volume.max(axis=0)[None])[0])


def smoothed(shifts: FloatArray) -> FloatArray:
    """Returns (T, 3) drift: the running median, along z in whole planes; where nothing was told, what the nearest volumes say."""
    n_volumes, half = len(shifts), SMOOTH_VOLUMES // 2
    drift = np.zeros((n_volumes, 3))
    for axis in range(3):
        known = np.flatnonzero(np.isfinite(shifts[:, axis]))
        if not len(known):
            continue
        filled = np.interp(np.arange(n_volumes), known, shifts[known, axis])
        for t in range(n_volumes):
            reach = min(half, max(t, 2), max(n_volumes - 1 - t, 2))  # as far back as ahead: else a steady drift would lag at both ends
            drift[t, axis] = np.median(filled[max(t - reach, 0) : t + reach + 1])
    drift[:, 0] = np.round(drift[:, 0])
    return drift
