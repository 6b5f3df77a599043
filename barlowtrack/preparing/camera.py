"""What the cameras themselves do wrong: a level without light, pixels that are stuck."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from barlowtrack.data import FloatArray, IntArray, Recording, VoxelArray

SAMPLED_VOLUMES = 16
MOST_PLANES, LEAST_PLANES = 64, 8
SAMPLE_BYTES = 200e6
BLOCK_VOX = 8
DARK_PERCENTILE = 10.0
"""Of blocks of a plane: where there is neither a worm nor an accident."""
STUCK = 8.0
"""A pixel is stuck that differs from those around it by so many standard deviations of what others do."""
UNSTEADY = 6.0
"""And by more than this times its own spread over planes, over the root of their number: where nuclei come and go, much is chance."""


def sampled_times(n_volumes: int) -> list[int]:
    """Returns volumes spread over the recording, first and last included."""
    chosen: list[int] = np.unique(np.linspace(0, n_volumes - 1, SAMPLED_VOLUMES).round().astype(int)).tolist()
    return chosen


def sample_planes(recording: Recording) -> VoxelArray:
    """Returns (C, n, Y, X) planes spread over time and depth, as many as fit some 200 MB."""
    _, n_channels, n_planes, height, width = recording.shape
    times = sampled_times(recording.n_volumes)
    room = int(SAMPLE_BYTES / (n_channels * height * width * recording.dtype.itemsize))
    each = max(1, min(max(room, LEAST_PLANES), MOST_PLANES) // len(times))
    chosen = []
    for i, t in enumerate(times):
        depths = np.unique((np.arange(each) * n_planes / each + i * n_planes / (each * len(times))).astype(int) % n_planes)
        chosen.append(recording.read(t)[:, depths])
    return np.concatenate(chosen, axis=1)


def dark_level(planes: VoxelArray) -> float:
    """Returns what a channel shows where there is no light, from planes (n, Y, X): a low percentile of the medians of small blocks."""
    n, height, width = planes.shape
    block = min(BLOCK_VOX, height, width)
    rows, columns = height // block, width // block
    tiles = planes[:, : rows * block, : columns * block].reshape(n, rows, block, columns, block).swapaxes(2, 3)
    middle = np.median(tiles.reshape(n, rows, columns, -1), axis=3)
    return float(np.percentile(middle, DARK_PERCENTILE))


def stuck_pixels(planes: VoxelArray) -> IntArray:
    """Returns (H, 2) y, x of pixels of one camera that are brighter or darker than those around them in nearly all planes (n, Y, X).

    A nucleus moves, lies in some planes, and is wider than a pixel; a stuck pixel is none of that.
    """
    if min(planes.shape[1:]) < 3:
        return np.zeros((0, 2), np.int64)
    low, high = (_percentile(planes, share) for share in (25, 75))
    chance = UNSTEADY * (high - low) / np.sqrt(len(planes))
    return np.argwhere(np.logical_or(_stand_out(low, chance), _stand_out(-high, chance)))


def _percentile(planes: VoxelArray, share: float) -> FloatArray:
    """Returns (Y, X) float32 percentile of every pixel over planes; in strips, for a partition copies what it works on."""
    strips = [np.percentile(planes[:, y : y + 64], share, axis=0) for y in range(0, planes.shape[1], 64)]
    return np.concatenate(strips).astype(np.float32)


def _stand_out(picture: FloatArray, chance: FloatArray) -> FloatArray:
    """Says of every pixel (Y, X) whether it is brighter than its surroundings by more than chance, while few of its neighbours are."""
    around = ndimage.median_filter(picture, size=5, mode="reflect")
    above = picture - around
    steps = np.diff(np.unique(picture[::4, ::4]))
    grain = float(steps.min()) if len(steps) else 0.0  # whole numbers: most pixels are what those around them are, exactly
    spread = max(float(np.percentile(np.abs(above), 90)) / 1.645, grain / 2, 1e-6 * float(np.ptp(picture)), 1e-12)
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    third = ndimage.rank_filter(picture, rank=-3, footprint=ring, mode="reflect") - around  # two neighbours may be stuck themselves
    return np.asarray((above > np.maximum(STUCK * spread, chance)) & (above > 3 * third))
