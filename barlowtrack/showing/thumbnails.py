"""Small pictures of single nuclei."""

from __future__ import annotations

import numpy as np
import torch

from barlowtrack.data import Detections, FloatArray, IntArray, Recording
from barlowtrack.nn.crops import crop_volume, scale_volume

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
    images: dict[int, FloatArray] = {}
    for t in np.unique(detections.t[wanted]):
        here = wanted[detections.t[wanted] == t]
        volume = np.nan_to_num(recording.read(int(t))[recording.reference], posinf=0.0, neginf=0.0)
        scaled = torch.from_numpy(scale_volume(volume, detections.red_peak[detections.rows_of(int(t))]))
        places = torch.as_tensor(np.asarray(detections.position_um[here], np.float64))
        boxes = crop_volume(scaled, places, recording.voxel_size_um, (depth, side, side), (PLANES, PIXELS, PIXELS))
        shades = boxes.amax(dim=1).clamp(0, 1).sqrt().numpy()
        images |= {int(row): shade for row, shade in zip(here, shades, strict=True)}
    return images


def side_um(detections: Detections) -> float:
    """Returns the side of a box."""
    return min(SIDE * _radius_um(detections), LARGEST_UM)


def depth_um(detections: Detections) -> float:
    """Returns its depth."""
    return min(DEPTH * _radius_um(detections), LARGEST_UM)


def _radius_um(detections: Detections) -> float:
    usual = float(np.median(detections.volume_um3))
    return (3 * usual / (4 * np.pi)) ** (1 / 3) if np.isfinite(usual) and usual > 0 else 1.5
