"""Measures found nuclei, and the volume they lie in."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from barlowtrack.data import Detections, FloatArray, IntArray, Recording, Segmentation, VoxelArray
from barlowtrack.detect.found import Found
from barlowtrack.detect.volume import background


def measure(volume: VoxelArray, red: FloatArray, found: Found, t: int, recording: Recording, largest_um: float) -> Segmentation:
    """Measures every nucleus: place by light above background, size, and raw camera units in both channels; and the volume's look.

    Args:
        volume: (C, Z, Y, X) raw.
        red: (Z, Y, X) reference channel, dark planes mended.
        found: What was found in it.
        t: Its number.
        recording: Says voxel size and channels; is not read.
        largest_um: Largest radius of a nucleus; background is looked for on several times that.
    """
    size = np.asarray(recording.voxel_size_um, np.float64)
    red = red - background(red, size, largest_um)
    labels, n = found.labels, len(found.score)
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside] - 1
    order = np.argsort(owner, kind="stable")
    inside, owner = inside[order], owner[order]
    starts = np.searchsorted(owner, np.arange(n))
    count = np.bincount(owner, minlength=n)
    above = red.ravel()[inside].astype(np.float64)
    # a little weight for every voxel, so that an instance at the background still has a middle
    light = np.clip(above, 0, None) + 1e-6 * (1 + np.abs(above).max(initial=0.0))
    weight = np.bincount(owner, light, minlength=n)
    axes = np.unravel_index(inside, labels.shape)
    centre = [np.bincount(owner, light * axis, minlength=n) / weight * step for axis, step in zip(axes, size, strict=True)]

    def camera(channel: int | None) -> tuple[FloatArray, FloatArray]:
        if channel is None or n == 0:
            return np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
        values = volume[channel].ravel()[inside].astype(np.float64)
        mean = np.bincount(owner, values, minlength=n) / count
        return mean.astype(np.float32), np.maximum.reduceat(values, starts).astype(np.float32)

    red_mean, red_peak = camera(recording.reference)
    green_mean, green_peak = camera(recording.signal)
    detections = Detections(
        n_volumes=recording.n_volumes,
        t=np.full(n, t, np.int32),
        label=np.arange(1, n + 1, dtype=np.int32),
        position_um=np.stack(centre, axis=1).astype(np.float32),
        volume_um3=(count * np.prod(size)).astype(np.float32),
        red_mean=red_mean,
        red_peak=red_peak,
        green_mean=green_mean,
        green_peak=green_peak,
        quality=found.quality.astype(np.float32),
        probability=found.probability.astype(np.float32),
    )
    return Segmentation(t, labels, detections, float(np.median(found.quality)) if n else 0.0, _sharpness(red, inside, size))


def _sharpness(red: FloatArray, inside: IntArray, size: FloatArray) -> float:
    """Returns how steep light is in the nuclei's planes, over how much light there is, 1/um; noise is smoothed away before."""
    if not len(inside):
        return 0.0
    smooth = ndimage.uniform_filter(red, (1, 3, 3), mode="nearest")
    steep = np.zeros(len(inside))
    for axis in (1, 2):
        if red.shape[axis] > 1:
            steep += np.gradient(smooth, float(size[axis]), axis=axis).ravel()[inside] ** 2
    light = float(np.clip(smooth.ravel()[inside], 0, None).mean())
    return float(np.sqrt(steep.mean())) / light if light > 0 else 0.0
