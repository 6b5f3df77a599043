"""The ways of neurons as tracks: as much of them as can be seen from the volume that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from barlowtrack.data import UNKNOWN, FloatArray
from barlowtrack.plugin.layers.axes import LayerData, grid, opaque
from barlowtrack.plugin.roles import Role, metadata_of
from barlowtrack.plugin.solution import Solution
from barlowtrack.showing.colours import colours_of

TAIL = 12
"""Volumes of the way behind a neuron."""
REACH = 40
"""Volumes before and after the shown one whose ways are in the layer; see tracks_around."""


@dataclass(frozen=True)
class Trails:
    """Ways of neurons, as a layer of tracks takes them.

    Attributes:
        vertices: (n, 5) neuron, t, then z, y, x in voxels; sorted by neuron, then t.
        colour: (n, 4).
    """

    vertices: FloatArray
    colour: FloatArray


def tracks_around(solution: Solution, t: int) -> Trails:
    """Returns the ways of all neurons from volume t - REACH - TAIL to t + REACH.

    napari draws every vertex of a layer for every frame, whatever part it shows: of 240,000 that took 0.4 s a frame without a graphics
    card. So the layer holds what can be seen from the volumes around the shown one, and is given others when these are left.
    """
    detections, tracks = solution.detections, solution.tracks
    first, last = np.searchsorted(detections.t, [t - REACH - TAIL, t + REACH + 1])
    rows = np.arange(first, last)
    rows = rows[tracks.neuron[rows] != UNKNOWN]
    rows = rows[np.lexsort((detections.t[rows], tracks.neuron[rows]))]
    neuron = tracks.neuron[rows]
    vertices = np.column_stack([neuron, detections.t[rows], detections.position_um[rows] / np.asarray(solution.voxel_size_um)]).astype(
        np.float64
    )
    palette = opaque(colours_of(np.arange(solution.n_neurons)))
    return Trails(vertices, palette[neuron])


def tracks_layer(voxel_size_um: tuple[float, float, float], run: Path, location: Path | None = None) -> LayerData:
    """Returns an empty, hidden layer of tracks; it is filled when somebody shows it."""
    keywords = {
        "name": "tracks",
        "metadata": metadata_of(Role.TRACKS, run, location),
        "tail_length": TAIL,
        "head_length": 0,
        "tail_width": 3,
        "blending": "translucent_no_depth",
        "visible": False,
        **grid(voxel_size_um),
    }
    return np.array([[0.0, 0.0, 0.0, 0.0, 0.0]]), keywords, "tracks"
