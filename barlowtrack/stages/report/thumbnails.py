"""Small pictures of single nuclei."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from barlowtrack.data import Detections, FloatArray, IntArray, Recording
from barlowtrack.nn.crops import crop_volume, scale_volume

SIDE = 8.0  # of a box, in radii of a usual nucleus: it and its neighbours
DEPTH = 3.0
PIXELS, PLANES = 48, 6
LARGEST_UM = 60.0
TICK = 0.09  # of the side


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


def draw(axes: Axes, image: FloatArray, left: float, top: float, colour: str | tuple[float, float, float]) -> None:
    """Draws a nucleus into a square of side 1, with a frame, and ticks that point at it: it lies in the middle."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(left, left + 1, top + 1, top), interpolation="bilinear", aspect="auto")
    axes.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor=colour, linewidth=2.2))
    gap, half = float("nan"), 0.5
    x = [half, half, gap, half, half, gap, 0, TICK, gap, 1, 1 - TICK]
    y = [0, TICK, gap, 1, 1 - TICK, gap, half, half, gap, half, half]
    axes.plot(left + np.array(x), top + np.array(y), color="white", linewidth=1.2, solid_capstyle="butt")


def in_words(detections: Detections) -> str:
    """Says what an image shows."""
    box = f"Boxes of {side_um(detections):.0f} µm, maximum over {depth_um(detections):.0f} µm of depth, reference channel"
    return f"{box}; ticks at the rim point at the nucleus that is meant."


def side_um(detections: Detections) -> float:
    """Returns the side of a box."""
    return min(SIDE * _radius_um(detections), LARGEST_UM)


def depth_um(detections: Detections) -> float:
    """Returns its depth."""
    return min(DEPTH * _radius_um(detections), LARGEST_UM)


def _radius_um(detections: Detections) -> float:
    usual = float(np.median(detections.volume_um3))
    return (3 * usual / (4 * np.pi)) ** (1 / 3) if np.isfinite(usual) and usual > 0 else 1.5
