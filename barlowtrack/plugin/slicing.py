"""Fewer slices, and so fewer pictures, than napari would make where it slices beside the window."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import napari


def slice_once(viewer: napari.Viewer) -> None:
    """Has a step of a slider ask for the slices of all layers once.

    napari 0.9 asks when the point changes, and again when the step does, which follows from it. Where it slices in the thread of the
    window, it sees that the second time is for nothing; where it slices beside it, all is read, made small and drawn twice. The second
    question stays for a point that changed without a word, as where a slider became shorter.

    Args:
        viewer: Where it asks otherwise, or was told so before, nothing changes.
    """
    dims, ask = viewer.dims, getattr(viewer, "_update_layers", None)
    if ask is None:
        return
    before = len(dims.events.current_step.callbacks)
    dims.events.current_step.disconnect(ask)
    if len(dims.events.current_step.callbacks) == before:
        return
    asked, weak = [dims.point], weakref.WeakMethod(ask)

    def note(_event: Any = None) -> None:
        asked[0] = dims.point

    def again(_event: Any = None) -> None:
        still = weak()
        if still is not None and asked[0] != dims.point:
            asked[0] = dims.point
            still()

    dims.events.point.connect(note)
    dims.events.current_step.connect(again)


def slice_now(viewer: napari.Viewer, layer: Any) -> None:
    """Shows what a small layer was just given, in the picture that is drawn next.

    Where napari slices beside the window, `layer.refresh` would ask for a slice that comes after that picture. To be called when no slice
    of the layer is on its way, which would be of what it held before.

    Args:
        viewer: That shows it.
        layer: Of points; where the viewer counts in other units than the layer, it has to be asked all the same.
    """
    units = viewer.dims.units
    if not layer.visible or units is None or tuple(units[-layer.ndim :]) != tuple(layer.units):
        layer.refresh()
        return
    layer.set_view_slice()
    layer.events.set_data()
