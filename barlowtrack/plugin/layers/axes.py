"""What all our layers have in common: axes (volumes, then um), and the colour of what nobody knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from barlowtrack.data import FloatArray

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keywords, kind."""
GREY = (0.62, 0.62, 0.62)
"""Of a nucleus that is no known neuron."""


def grid(voxel_size_um: tuple[float, float, float]) -> dict[str, Any]:
    """Returns the axes of voxels (T, Z, Y, X)."""
    return {"scale": (1.0, *voxel_size_um), "axis_labels": ("t", "z", "y", "x"), "units": ("pixel", "um", "um", "um")}


def space(voxel_size_um: tuple[float, float, float]) -> dict[str, Any]:
    """Returns the axes of places z, y, x in voxels: napari steps its sliders by the finest scale of all layers, which must be planes."""
    return {"scale": voxel_size_um, "axis_labels": ("z", "y", "x"), "units": ("um", "um", "um")}


def opaque(colour: FloatArray) -> FloatArray:
    """Returns colours (n, 3) as (n, 4)."""
    return np.column_stack([colour, np.ones(len(colour))])
