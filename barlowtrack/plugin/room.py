"""Which names have room beside their nuclei: pure functions of places on the screen."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import BoolArray, FloatArray

PX_A_PT = 96 / 72
WIDE, HIGH = 0.62, 1.15
"""Of a letter and of a line, in heights of the font: digits and capitals, with a little room about them."""


def size_px(texts: list[str], size_pt: float) -> FloatArray:
    """Returns (n, 2) how high and wide texts of a line are, about."""
    letters = np.array([len(text) for text in texts], np.float64)
    return np.stack([np.full(len(texts), HIGH), WIDE * letters], axis=1) * size_pt * PX_A_PT


def with_room(corner_px: FloatArray, size: FloatArray) -> BoolArray:
    """Returns (n,) which texts are written: those that lie over none of the more important ones that are.

    Args:
        corner_px: (n, 2) y and x of their corners, the most important text first.
        size: (n, 2) height and width; a text without width is not there, and takes no room.
    """
    there = size[:, 1] > 0
    apart = corner_px[:, None] - corner_px[None]  # (n, n, 2)
    over = ((apart < size[None]) & (-apart < size[:, None])).all(axis=2) & there
    written = np.zeros(len(size), bool)
    for i in np.flatnonzero(there):
        written[i] = not (over[i] & written).any()
    return written
