"""The axes of a viewer as layers of ours need them: a slab in which dots are seen, and time on its slider."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info

from barlowtrack.plugin.layers.arrays import ChannelArray, NeuronArray
from barlowtrack.plugin.roles import said_of

if TYPE_CHECKING:
    import napari

SLAB_UM = 3.0
"""Depth of the slice in which points are shown in 2-D: a nucleus has its point in the planes that cut it."""


class KeptAxes:
    """Sets what our layers need when they come, once; somebody may set it otherwise. When all layers went, it is set anew.

    Args:
        viewer: Not kept alive by this.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._of = weakref.ref(viewer)
        self._slab_set = self._rolling_set = self._over_time = False
        viewer.dims.events.ndim.connect(self._changed)
        for event in (viewer.dims.events.order, viewer.dims.events.ndisplay):
            event.connect(self._turned)

    def look_after(self, layer: Any) -> None:
        """Sees to it that a layer of ours finds what it needs."""
        if "dots" in said_of(layer):
            self._set_slab()
        self._keep_time_off()
        if isinstance(layer.data, (ChannelArray, NeuronArray)):
            ask = weakref.WeakMethod(self._time_is_shown)
            layer.data.blank_over_time = lambda: (still := ask()) is not None and still()

    def _changed(self, _event: Any = None) -> None:
        """Begins anew where the last layer with depth went: napari has put slab and axes back by then, whoever had set them."""
        viewer = self._of()
        if viewer is None:
            return
        if viewer.dims.ndim < 3:
            self._slab_set = self._rolling_set = False
            return
        ours = self._ours()
        if any("dots" in said_of(layer) for layer in ours):
            self._set_slab()
        if ours:
            self._keep_time_off()

    def _ours(self) -> list[Any]:
        viewer = self._of()
        return [layer for layer in viewer.layers if said_of(layer)] if viewer is not None else []

    def _set_slab(self) -> None:
        """Shows points in a slice of some depth."""
        viewer = self._of()
        if viewer is None or self._slab_set or viewer.dims.ndim < 3 or any(viewer.dims.thickness):
            return
        margin = [0.0] * viewer.dims.ndim
        margin[-3] = SLAB_UM / 2
        viewer.dims.margin_left, viewer.dims.margin_right = tuple(margin), tuple(margin)
        self._slab_set = True

    def _keep_time_off(self) -> None:
        """Has napari's button roll space alone; whoever wants time on the screen ticks it there, and is told what comes of it."""
        viewer = self._of()
        if viewer is None or self._rolling_set or viewer.dims.ndim < 4:
            return
        rollable = list(viewer.dims.rollable)
        rollable[-4] = False
        viewer.dims.rollable = tuple(rollable)
        self._rolling_set = True

    def _time_is_shown(self) -> bool:
        viewer = self._of()
        return viewer is not None and viewer.dims.ndim >= 4 and viewer.dims.ndim - 4 in viewer.dims.displayed

    def _turned(self, _event: Any = None) -> None:
        """Says why nothing is seen where time is an axis of the picture: it would take all volumes of the recording for one."""
        before, self._over_time = self._over_time, self._time_is_shown() and bool(self._ours())
        if self._over_time and not before:
            show_info(
                "Time cannot be an axis of the picture: all volumes would have to be read. "
                "Roll the axes on (the button at the bottom left) until the picture is back."
            )
