"""Puts the points of the truth, or of another run, into the viewer, and keeps them there in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from barlowtrack.plugin.comparing.against import Against
from barlowtrack.plugin.comparing.listed import Words, their_points
from barlowtrack.plugin.roles import KEY, Role, layers_of, metadata_of
from barlowtrack.plugin.solution import Solution

if TYPE_CHECKING:
    import napari

SIZE_UM = 2.5
MARK = "compared"
"""In our metadata of the layer: there may be other layers with true points."""


def take_points_away(viewer: napari.Viewer) -> None:
    """Nothing is compared any more."""
    for layer in _mine(viewer):
        viewer.layers.remove(layer)


def show_points(viewer: napari.Viewer, solution: Solution, against: Against) -> None:
    """Shows their points, coloured by how ours agree with them."""
    mine = _mine(viewer)
    points = their_points(against.nuclei, Words(solution.names, against.truth), solution.voxel_size_um)
    name = "truth" if against.truth else "other run"
    if mine and len(points.data) < len(mine[0].data):
        take_points_away(viewer)  # where napari slices beside the window, a layer that becomes shorter is asked for points it has no more
    elif mine:
        layer = mine[0]
        layer.data = points.data
        layer.features, layer.name = points.features, name
        layer.border_color = points.colour
        layer.metadata = _metadata(solution)
        return
    active = viewer.layers.selection.active
    viewer.add_points(
        points.data,
        name=name,
        features=points.features,
        scale=(1.0, *solution.voxel_size_um),
        axis_labels=("t", "z", "y", "x"),
        units=("pixel", "um", "um", "um"),
        size=SIZE_UM / solution.voxel_size_um[2],
        face_color="transparent",
        border_color=points.colour,
        border_width=0.15,
        metadata=_metadata(solution),
    )
    viewer.layers.selection.active = active  # what is clicked on stays what it was


def _mine(viewer: napari.Viewer) -> list[Any]:
    return [layer for layer in layers_of(viewer.layers, Role.TRUTH) if layer.metadata[KEY].get(MARK)]


def _metadata(solution: Solution) -> dict[str, dict[str, object]]:
    said = metadata_of(Role.TRUTH, solution.path)
    return {KEY: {**said[KEY], MARK: True}}
