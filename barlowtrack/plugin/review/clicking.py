"""Clicks in the viewer that mean a place: where the halves of a nucleus are, or one that was not found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barlowtrack.data import FloatArray
from barlowtrack.plugin.attached import session_of
from barlowtrack.plugin.roles import KEY, Role, layers_of

if TYPE_CHECKING:
    import napari

Place = tuple[float, float, float]

CLICK_PX = 4
"""A press that moves farther than this on the screen is a drag."""


class Clicks:
    """Asks for clicks, one after the other, all in one volume; says in the viewer what is awaited.

    Args:
        viewer: Its last four axes are t, z, y, x; space is in um.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._prompts: tuple[str, ...] = ()
        self._places: list[Place] = []
        self._t = 0
        self._done: Callable[[int, list[Place]], None] | None = None
        self._said: Callable[[str], None] | None = None
        self._overlay: dict[str, Any] = {}

    @property
    def active(self) -> bool:
        """Whether a click is awaited."""
        return self._done is not None

    def ask(self, prompts: Sequence[str], done: Callable[[int, list[Place]], None], said: Callable[[str], None]) -> None:
        """Waits for clicks.

        Args:
            prompts: What each click means.
            done: Gets the volume and the places, z, y, x in um.
            said: Gets what is awaited now, or why a click did not count.
        """
        self.stop()
        self._prompts, self._places, self._done, self._said = tuple(prompts), [], done, said
        overlay = self._viewer.canvas.overlays.text
        self._overlay = {name: getattr(overlay, name) for name in ("text", "visible", "position", "font_size", "color")}
        overlay.position, overlay.font_size, overlay.color = "top_center", 16, "yellow"
        overlay.visible = True
        self._viewer.mouse_drag_callbacks.insert(0, self._pressed)  # before those who choose neurons by clicks
        self._say("")

    def stop(self) -> None:
        """Waits no more."""
        if self._done is None:
            return
        self._done = self._said = None
        self._viewer.mouse_drag_callbacks.remove(self._pressed)
        for name, value in self._overlay.items():
            setattr(self._viewer.canvas.overlays.text, name, value)

    def _say(self, before: str) -> None:
        text = f"{before}{self._prompts[len(self._places)]}  (Esc cancels)"
        self._viewer.canvas.overlays.text.text = text
        if self._said is not None:
            self._said(text)

    def _pressed(self, _viewer: Any, event: Any) -> Iterator[None]:
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            if np.abs(np.array(event.pos) - start).max() > CLICK_PX:
                return  # the view was moved
            yield
        event.handled = True  # this click chooses nobody
        self._clicked(event)

    def _clicked(self, event: Any) -> None:
        if self._done is None:
            return
        found = place_of(self._viewer, event, session_of(self._viewer).path)
        if isinstance(found, str):
            self._say(f"{found} ")
            return
        t, place = found
        if self._places and t != self._t:
            self._places = []
            self._say("That was another volume; begin again. ")
            return
        self._t = t
        self._places.append(place)
        if len(self._places) < len(self._prompts):
            self._say("")
            return
        done, places = self._done, self._places
        self.stop()
        done(t, places)


def place_of(viewer: napari.Viewer, event: Any, run: Path | None) -> tuple[int, Place] | str:
    """Returns volume and place, z, y, x in um, of a click; or why it has none.

    In a plane it is where the click is; in 3-D the brightest voxel of the run's reference channel along the line of sight.
    """
    position = np.asarray(event.position, np.float64)
    if len(position) < 4 or len(position) - 4 in event.dims_displayed:
        return "Show a recording, with time on a slider."
    t = round(float(position[-4]))
    if len(event.dims_displayed) == 2:
        z, y, x = (float(axis) for axis in position[-3:])
        return t, (z, y, x)
    images = [layer for layer in layers_of(viewer.layers, Role.IMAGE, run) if layer.visible and layer.ndim == 4]
    images.sort(key=lambda layer: not layer.metadata[KEY].get("reference", False))
    if not images:
        return "In 3-D a click has no depth where no channel of the recording is shown; show one, or go to 2-D."
    start, end = images[0].get_ray_intersections(event.position, event.view_direction, event.dims_displayed)
    if start is None or end is None:
        return "That was beside the recording."
    if not 0 <= t < len(images[0].data):
        return f"The recording has no volume {t}."
    volume = np.asarray(images[0].data[t])
    at = brightest_along(volume, np.asarray(start)[-3:], np.asarray(end)[-3:])
    world = np.asarray(images[0].data_to_world((t, *at)))[-3:]
    z, y, x = (float(axis) for axis in world)
    return t, (z, y, x)


def brightest_along(volume: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    """Returns the place of the brightest voxel on a line.

    Args:
        volume: (Z, Y, X).
        start: (3,) in voxels.
        end: (3,) in voxels.
    """
    n = max(int(2 * np.abs(end - start).max()), 1) + 1
    points = start + np.linspace(0, 1, n)[:, None] * (end - start)
    voxels = np.clip(np.round(points).astype(int), 0, np.array(volume.shape) - 1)
    return np.asarray(voxels[int(np.argmax(volume[tuple(voxels.T)]))], np.float64)
