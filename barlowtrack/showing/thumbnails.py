"""Small pictures of single nuclei; without torch, whose import takes seconds, while somebody waits for them in a window."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from barlowtrack.data import Detections, FloatArray, IntArray, Recording
from barlowtrack.nn.scale import scale_volume

SIDE = 8.0  # of a box, in radii of a usual nucleus: it and its neighbours
DEPTH = 3.0
PIXELS, PLANES = 48, 6
LARGEST_UM = 60.0


def thumbnails(recording: Recording, detections: Detections, rows: IntArray) -> dict[int, FloatArray]:
    """Returns an image of each nucleus asked for: (PIXELS, PIXELS) in 0 ... 1, a maximum over some depth.

    Args:
        recording: Each volume that holds one of them is read once, one after the other.
        detections: N nuclei.
        rows: Which of them.
    """
    wanted = np.unique(rows)
    side, depth = side_um(detections), depth_um(detections)
    grid, images = _box(depth, side, recording.voxel_size_um), dict[int, FloatArray]()
    for t in np.unique(detections.t[wanted]):
        here = wanted[detections.t[wanted] == t]
        volume = np.nan_to_num(recording.read(int(t))[recording.reference], posinf=0.0, neginf=0.0)
        scaled = scale_volume(volume, detections.red_peak[detections.rows_of(int(t))])
        for row in here:
            middle = np.asarray(detections.position_um[row], np.float64) / recording.voxel_size_um
            box = map_coordinates(scaled, grid + middle[:, None, None, None], order=1, mode="constant")  # outside is background
            images[int(row)] = np.sqrt(box.max(axis=0).clip(0, 1))
    return images


def _box(depth_um: float, side_um: float, voxel_size_um: tuple[float, float, float]) -> FloatArray:
    """Returns the places of a box, (3, PLANES, PIXELS, PIXELS), in voxels from its middle."""
    axes = [
        (np.arange(n) - (n - 1) / 2) * size / n / voxel
        for size, n, voxel in zip((depth_um, side_um, side_um), (PLANES, PIXELS, PIXELS), voxel_size_um, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def side_um(detections: Detections) -> float:
    """Returns the side of a box."""
    return min(SIDE * _radius_um(detections), LARGEST_UM)


def depth_um(detections: Detections) -> float:
    """Returns its depth."""
    return min(DEPTH * _radius_um(detections), LARGEST_UM)


def _radius_um(detections: Detections) -> float:
    usual = float(np.median(detections.volume_um3))
    return (3 * usual / (4 * np.pi)) ** (1 / 3) if np.isfinite(usual) and usual > 0 else 1.5
