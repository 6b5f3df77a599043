"""Small pictures of single nuclei, drawn."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from barlowtrack.data import Detections, FloatArray
from barlowtrack.showing.thumbnails import depth_um, side_um

TICK = 0.09  # of the side


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
