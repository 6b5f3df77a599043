"""A volume before nuclei are looked for in it: dark planes mended, slow light taken away, its noise known."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from barlowtrack.data import FloatArray, IntArray


def mend_planes(red: FloatArray) -> FloatArray:
    """Replaces planes that are dark or saturated throughout, between two that are not, by what their neighbours suggest."""
    if len(red) < 3:
        return red
    sample = red[:, ::2, ::2].reshape(len(red), -1)
    middle = np.median(sample, axis=1)  # (Z,)
    spread = max(float(np.median(np.abs(sample - middle[:, None]))), 1e-6 * float(np.ptp(middle)))
    top = np.partition(sample, -max(sample.shape[1] // 2000, 1), axis=1)[:, -max(sample.shape[1] // 2000, 1)] - middle
    below, above = middle[1:-1] - middle[:-2], middle[1:-1] - middle[2:]
    beside = np.minimum(top[:-2], top[2:])
    odd = (np.sign(below) == np.sign(above)) & (np.minimum(np.abs(below), np.abs(above)) > spread)
    odd |= (top[1:-1] < 0.25 * beside) & (beside > 10 * spread)
    for z in np.flatnonzero(odd) + 1:
        # cubic where there are two planes on either side: the mean of two would cut a nucleus whose middle it is in halves
        red[z] = (red[z - 1] + red[z + 1]) / 2
        if 2 <= z < len(red) - 2:
            red[z] += (red[z - 1] + red[z + 1] - red[z - 2] - red[z + 2]) / 16
    return red


def background(red: FloatArray, size: FloatArray, largest_um: float) -> FloatArray:
    """Returns (Z, Y, X) slowly varying light: a low percentile over several nuclei, on a grid of blocks, smoothly enlarged."""
    block = np.clip(np.rint(2 * largest_um / size), 1, red.shape).astype(int)
    padded = np.pad(red, [(0, -n % b) for n, b in zip(red.shape, block, strict=True)], mode="edge")
    (z, y, x), (bz, by, bx) = np.array(padded.shape) // block, block
    coarse = padded.reshape(z, bz, y, by, x, bx).mean(axis=(1, 3, 5))
    low = ndimage.percentile_filter(coarse, 25, size=(3, 7, 7), mode="nearest")
    low = ndimage.gaussian_filter(low, 1.0, mode="nearest")
    for axis, (n, b) in enumerate(zip(red.shape, block, strict=True)):
        low = _enlarge(low, n, int(b), axis)
    return low


def _enlarge(coarse: FloatArray, n: int, block: int, axis: int) -> FloatArray:
    """Interpolates linearly between the middles of blocks along one axis."""
    place = np.clip((np.arange(n) + 0.5) / block - 0.5, 0, coarse.shape[axis] - 1)
    lower = np.minimum(place.astype(int), max(coarse.shape[axis] - 2, 0))
    shape = [1] * coarse.ndim
    shape[axis] = n
    share = (place - lower).astype(np.float32).reshape(shape)
    upper = np.minimum(lower + 1, coarse.shape[axis] - 1)
    enlarged: FloatArray = coarse.take(lower, axis) * (1 - share) + coarse.take(upper, axis) * share
    return enlarged


def grain(red: FloatArray) -> float:
    """Returns the standard deviation that rounding to whole camera units leaves; next to nothing for finer numbers."""
    values = np.unique(red[..., ::4, ::4])
    return float(np.diff(values).min()) / np.sqrt(12) if len(values) > 1 else 0.0


def noise(red: FloatArray, least: float) -> float:
    """Returns the standard deviation of a voxel's noise, from differences of neighbours along a line; at least that of rounding.

    Args:
        red: (Z, Y, X).
        least: What rounding leaves; see grain.
    """
    if red.shape[2] < 2:
        return max(least, 1e-6)
    steps = np.diff(red[:, ::2], axis=2)
    spread = 1.4826 * float(np.median(np.abs(steps))) / np.sqrt(2.0)
    return float(max(spread, least, 1e-6 * float(np.ptp(red)), 1e-12))


def contrast(above: FloatArray, labels: IntArray, n: int, grey: float) -> FloatArray:
    """Returns (n,) mean light of every instance above the background, in units of noise; at least 0.

    Args:
        above: (Z, Y, X) less its background.
        labels: (Z, Y, X), 1 to n.
        n: How many.
        grey: Noise of a voxel.
    """
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside] - 1
    light = np.bincount(owner, above.ravel()[inside].astype(np.float64), minlength=n)
    mean: FloatArray = np.clip(light / np.maximum(np.bincount(owner, minlength=n), 1) / grey, 0, None)
    return mean
