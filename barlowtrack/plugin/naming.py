"""Names in the picture: of neighbours whose names would lie over each other, the more important one's is written."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers.utils.string_encoding import ManualStringEncoding

from barlowtrack.data import FloatArray
from barlowtrack.plugin.roles import KEY, Role
from barlowtrack.plugin.room import size_px, with_room
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.world import World

if TYPE_CHECKING:
    import napari

_COLUMN = {Role.MARKS: "said", Role.NEURONS: "index", Role.TRUTH: "index"}
"""Of a layer's features: what is written beside its points where there is room."""


class Naming:
    """Writes the texts of the layers of a viewer anew whenever points, camera or choice are others.

    First come rings, then chosen neurons, then those that are surely found most often, then those of a truth. Who has no room has it as
    soon as somebody comes nearer, and is named in the status line under the mouse. Whoever writes something else beside the points of a
    layer keeps it.

    Args:
        viewer: Not kept alive by this.
        session: Knows who is chosen.
    """

    def __init__(self, viewer: napari.Viewer, session: Session) -> None:
        self._of, self._session = weakref.ref(viewer), session
        self._written: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        viewer.layers.events.inserted.connect(self._inserted)
        camera = viewer.scene.camera
        camera.events.zoom.connect(self._turned)
        camera.events.angles.connect(self._turned)
        session.chosen_changed.connect(self._turned)
        for layer in viewer.layers:
            self._look_after(layer)

    def _inserted(self, event: Any) -> None:
        self._look_after(event.value)

    def _look_after(self, layer: Any) -> None:
        if not _nameable(layer):
            return
        self._written[layer] = layer.text.string
        for event in (layer.events.set_data, layer.events.visible, layer.text.events.visible, layer.text.events.size):
            event.connect(self._turned)
        self.write()

    def _turned(self, _event: Any = None) -> None:
        self.write()

    def write(self) -> None:
        """Writes what has room."""
        self._fit()
        viewer = self._of()
        if viewer is None or World(viewer).t is None:  # with time on the screen, nothing says what lies beside what
            return
        layers = [layer for layer in viewer.layers if layer in self._written and layer.text.string is self._written[layer]]
        layers = [layer for layer in layers if layer.visible and layer.text.visible and layer.loaded and _nameable(layer)]
        world, parts = World(viewer), [self._wanted(layer) for layer in layers]
        if not layers or world.um_a_pixel <= 0:
            return
        corner = np.concatenate([_corners(layer, rows, viewer) for layer, (rows, _, _) in zip(layers, parts, strict=True)])
        corner /= world.um_a_pixel
        size = np.concatenate([size_px(texts, layer.text.size) for layer, (_, texts, _) in zip(layers, parts, strict=True)])
        order = np.argsort(-np.concatenate([weight for _, _, weight in parts]), kind="stable")
        fits = np.zeros(len(order), bool)
        fits[order] = with_room(corner[order], size[order])
        for layer, (rows, texts, _) in zip(layers, parts, strict=True):
            kept, fits = fits[: len(rows)], fits[len(rows) :]
            strings = np.full(len(layer.data), "", dtype=object)
            strings[rows[kept]] = np.array(texts, dtype=object)[kept]
            self._put(layer, strings.astype(str))

    def _fit(self) -> None:
        """Has as many texts as points in layers that show none for now: napari takes them by row as soon as they are shown again."""
        for layer, written in list(self._written.items()):
            if layer.text.string is written and isinstance(written, ManualStringEncoding) and len(written.array) < len(layer.data):
                more = np.full(len(layer.data) - len(written.array), "", dtype=written.array.dtype)
                self._put(layer, np.concatenate([written.array, more]))

    def _wanted(self, layer: Any) -> tuple[Any, list[str], FloatArray]:
        """Returns the rows of a layer that are in view, what should be written there, and how important that is."""
        role, rows = _role(layer), np.asarray(layer._view_indices, np.int64)
        texts = layer.features[_COLUMN[role]].to_numpy()[rows].tolist()
        if role == Role.NEURONS:
            sure = np.zeros(len(layer.data))
            known = layer.metadata[KEY]["dots"].sure if "dots" in layer.metadata[KEY] else sure[:0]
            sure[: len(known)] = known[: len(sure)]
            chosen = np.array([neuron for neuron in self._session.chosen if neuron < len(sure)], np.int64)
            sure[chosen] += 1
            return rows, texts, sure[rows]
        return rows, texts, np.full(len(rows), 3.0 if role == Role.MARKS else -1.0)

    def _put(self, layer: Any, strings: Any) -> None:
        now = layer.text.string
        if isinstance(now, ManualStringEncoding) and np.array_equal(now.array, strings):
            return
        layer.text.string = ManualStringEncoding(array=strings)
        self._written[layer] = layer.text.string


def _role(layer: Any) -> Any:
    said = layer.metadata.get(KEY)
    return said.get("role") if isinstance(said, dict) else None


def _nameable(layer: Any) -> bool:
    """Says whether a layer is one of ours with texts for its points; others may have made it in another way."""
    column = _COLUMN.get(_role(layer))
    return column is not None and column in layer.features


def _corners(layer: Any, rows: Any, viewer: napari.Viewer) -> FloatArray:
    """Returns (n, 2) where texts begin, down and to the right, in um."""
    scale, dims = np.asarray(layer.scale)[-3:], viewer.dims
    place: FloatArray = layer.data[rows][:, -3:] * scale
    by = np.broadcast_to(np.asarray(layer.text.translation, np.float64), layer.data.shape[1:])[-3:] * scale
    if dims.ndisplay == 2:
        axes = [axis - dims.ndim for axis in dims.displayed]
        return np.asarray((place + by)[:, axes])
    camera = viewer.scene.camera
    down = -np.asarray(camera.up_direction, np.float64)[-3:]
    right = np.cross(np.asarray(camera.view_direction, np.float64)[-3:], down)
    return np.asarray((place + by) @ np.stack([down, right], axis=1))
