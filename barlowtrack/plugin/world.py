"""The viewer in the run's words: volumes and um, whatever else it shows beside the run."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from barlowtrack.data import FloatArray

if TYPE_CHECKING:
    import napari

OURS = 4
"""t, z, y, x: the last four axes of the viewer, where others bring more."""
NEAR_PX = 60
"""So large on the screen a nucleus can be judged."""


class World:
    """Reads and moves sliders and camera of a viewer in which layers of a run lie."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer

    @property
    def t(self) -> int | None:
        """The volume at which the slider of time stands; None where there is no such slider."""
        dims = self._viewer.dims
        if dims.ndim < OURS or dims.ndim - OURS in dims.displayed:
            return None
        return round(float(dims.point[dims.ndim - OURS]))

    def go_to(self, t: int) -> None:
        """Moves the slider of time, if there is one."""
        if self.t not in (None, t):
            self._viewer.dims.set_point(self._viewer.dims.ndim - OURS, t)

    @property
    def can_be_pointed_at(self) -> bool:
        """Whether a click means a place in one volume: space is displayed, and no tool of a layer takes clicks for something else."""
        active = self._viewer.layers.selection.active
        return self.t is not None and str(getattr(active, "mode", "pan_zoom")) == "pan_zoom"

    @property
    def sliced(self) -> int | None:
        """The axis of space of which one plane is shown: 0, 1, 2 for z, y, x; None where the volume is shown whole."""
        dims = self._viewer.dims
        across = [axis for axis in range(3) if dims.ndim - 3 + axis not in dims.displayed]
        return across[0] if across else None

    @property
    def plane_um(self) -> float:
        """Where that plane lies."""
        dims, axis = self._viewer.dims, self.sliced
        assert axis is not None, "a plane is shown"
        return float(dims.point[dims.ndim - 3 + axis] / self._a_um[axis])

    @property
    def thickness_um(self) -> float:
        """How far beyond that plane is shown, too: the larger side."""
        dims, axis = self._viewer.dims, self.sliced
        assert axis is not None, "a plane is shown"
        there = dims.ndim - 3 + axis
        return float(max(dims.margin_left[there], dims.margin_right[there]) / self._a_um[axis])

    @property
    def um_a_pixel(self) -> float:
        """How much of the world a pixel of the screen shows."""
        zoom = float(self._viewer.scene.camera.zoom)
        return 1 / (zoom * float(self._a_um[-1])) if zoom > 0 else 0.0

    def um_of(self, position: FloatArray) -> FloatArray:
        """Returns a place of the viewer, of as many axes as it has, as z, y, x in um."""
        return np.asarray(position[-3:]) / self._a_um

    def look(self, place_um: tuple[float, float, float], *, centre: bool = True) -> None:
        """Moves plane and camera to a place; `centre`: the camera, too."""
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        if self.t is None:
            return
        place = np.asarray(place_um) * self._a_um
        shown = [axis for axis in dims.displayed if axis >= dims.ndim - 3]
        if self.sliced is not None:
            dims.set_point(dims.ndim - 3 + self.sliced, place[self.sliced])
        if centre:
            camera.center = tuple(float(place[axis - dims.ndim]) for axis in shown)

    def come_near(self, radius_um: float) -> None:
        """Brings a plane as near as it takes to judge a nucleus; whoever is nearer stays so, and a volume in 3-D stays as it is."""
        if self.t is None or self.sliced is None:
            return
        camera = self._viewer.scene.camera
        camera.zoom = max(float(camera.zoom), NEAR_PX / (2 * radius_um * float(self._a_um[-1])))

    @property
    def _a_um(self) -> FloatArray:
        """(3,) how much of the viewer's units a um is: 1, but where layers in other units of length have changed them."""
        units = self._viewer.dims.units
        if units is None or len(units) < 3:
            return np.ones(3)
        return np.array([_in_um(unit) for unit in units[-3:]])


@lru_cache
def _in_um(unit: Any) -> float:
    """Returns how many of a unit a um is, and 1 where it is none of length; asked for several times a step, and slow to reckon."""
    um = unit._REGISTRY.Quantity(1, "um")
    return float(um.to(unit).magnitude) if um.is_compatible_with(unit) else 1.0
