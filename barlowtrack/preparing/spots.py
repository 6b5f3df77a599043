"""Volumes made ready to be laid over each other: what is as large as a nucleus stands out, bright ones not more than others."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from barlowtrack.data import FloatArray, VoxelArray

FINE_VOX, COARSE_VOX = 1.0, 3.0
"""Spread of the Gaussians in the plane: what is smaller than the first is noise, what is larger than the second is slow light."""


def spots(planes: VoxelArray, fine: float = FINE_VOX, coarse: float = COARSE_VOX) -> FloatArray:
    """Returns planes (n, Y, X), each less its slow light; their root, since light and its noise grow together."""
    light = planes.astype(np.float32)
    light -= np.median(light[:, ::2, ::2])
    steps = np.abs(np.diff(light[:, ::2], axis=2))
    light /= max(1.4826 * float(np.median(steps)) / np.sqrt(2) if steps.size else 0.0, 1e-3 * float(np.ptp(light)), 1e-12)
    light = np.sqrt(np.maximum(light, 0) + 1)
    blurred = [ndimage.gaussian_filter(light, (0, sigma, sigma), mode="nearest") for sigma in (fine, coarse)]
    return np.asarray(blurred[0] - blurred[1], np.float32)


class Spectrum(NamedTuple):
    """A picture, transformed."""

    values: NDArray[np.complexfloating[Any, Any]]
    length: float
    """Of the picture as a vector."""


class Pictures:
    """Pictures of one size, of which any two can be laid over each other.

    Args:
        shape: Y, X.
        reach: Largest shift that is looked for along y and x, in voxels.
    """

    def __init__(self, shape: tuple[int, int], reach: tuple[int, int]) -> None:
        self.reach = (min(reach[0], max(shape[0] // 2, 1)), min(reach[1], max(shape[1] // 2, 1)))
        # room at the edges: what leaves on one side must not meet what is on the other
        self._size = tuple(fft.next_fast_len(n + r, real=True) for n, r in zip(shape, self.reach, strict=True))

    def transformed(self, picture: FloatArray) -> Spectrum:
        """Returns the transform of a picture (Y, X)."""
        return Spectrum(fft.rfft2(picture, s=self._size), float(np.linalg.norm(picture)))

    def overlay(self, one: Spectrum, other: Spectrum) -> FloatArray:
        """Returns (2 ry + 1, 2 rx + 1) correlation of two pictures, the second shifted by -ry ... ry and -rx ... rx against the first."""
        length = one.length * other.length
        if length <= 0:
            return np.zeros((2 * self.reach[0] + 1, 2 * self.reach[1] + 1))
        found = fft.irfft2(np.conj(one.values) * other.values, s=self._size)
        for axis, reach in enumerate(self.reach):
            found = np.take(found, np.arange(-reach, reach + 1), axis=axis)
        return np.asarray(found / length)


def peak(surface: FloatArray) -> tuple[FloatArray, float]:
    """Returns where a correlation is largest, as a shift from its middle, finer than a voxel, and how large it is there.

    A parabola through the three values along each axis; NaN where the largest one lies on the rim: then the true one lies beyond.
    """
    at = np.unravel_index(int(np.argmax(surface)), surface.shape)
    top, shift = float(surface[at]), np.full(2, np.nan)
    if any(not 0 < place < size - 1 for place, size in zip(at, surface.shape, strict=True)):
        return shift, top
    for axis in (0, 1):
        before, after = (float(surface[tuple(int(p) + step * (i == axis) for i, p in enumerate(at))]) for step in (-1, 1))
        bend = before - 2 * top + after
        shift[axis] = at[axis] - surface.shape[axis] // 2 + (0.5 * (before - after) / bend if bend < 0 else 0.0)
    return shift, top
