"""One brightness for a whole volume, in which nuclei of all volumes can be compared; without torch, for whoever only shows them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import FloatArray, VoxelArray

BRIGHT_PERCENTILE = 90.0
"""The percentile of a volume's nuclear peaks that becomes brightness 1: high, so that missed dim nuclei hardly move it, and below
the maximum, so that one hot nucleus or pixel does not set it."""

_BACKGROUND_SAMPLE = 500_000
_DIMMEST, _BRIGHTEST = -1.0, 4.0


def background(volume: VoxelArray) -> float:
    """Returns the background of a volume: its median, since nuclei fill less than half of it.

    Volumes of more than half a million voxels are sampled at a fixed odd stride, so that the result stays the same run for run.
    """
    stride = volume.size // _BACKGROUND_SAMPLE | 1
    return float(np.median(volume.reshape(-1)[::stride]))


def scale_volume(volume: VoxelArray, red_peak: FloatArray) -> NDArray[np.float32]:
    """Subtracts the volume's background and divides by one brightness for the whole volume.

    One scale a volume takes out bleaching and exposure and leaves the brightness of neurons relative to each other, which tells them
    apart. The scale is the 90th percentile of the nuclear peaks above background.

    Args:
        volume: (Z, Y, X) reference channel, camera units.
        red_peak: (n,) peaks of the nuclei of this volume, camera units.

    Returns:
        (Z, Y, X): 0 is background, 1 a bright nucleus; clipped to -1 ... 4 against hot pixels.
    """
    zero = background(volume)
    scale = float(np.percentile(red_peak, BRIGHT_PERCENTILE)) - zero if len(red_peak) else 0.0
    if not (math.isfinite(scale) and scale > 0):  # peaks below background: made by hand, or a dark volume
        scale = max(float(volume.max()) - zero, 1.0)
    scaled = (volume.astype(np.float32) - np.float32(zero)) / np.float32(scale)
    return np.clip(scaled, _DIMMEST, _BRIGHTEST, out=scaled)
