"""Opens a run, or a recording, in a viewer with the panels beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.layers import Layer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QCoreApplication, QEventLoop, QTimer

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import BarlowtrackError, InputError
from barlowtrack.io.location import shown, whole
from barlowtrack.plugin.attached import pointing_of, session_of
from barlowtrack.plugin.background import WindowGoneError, meanwhile, say
from barlowtrack.plugin.layers.axes import LayerData
from barlowtrack.plugin.layers.opened import kind_of, recording_layers, run_layers, run_of
from barlowtrack.plugin.parts import is_there
from barlowtrack.plugin.slicing import slice_once

if TYPE_CHECKING:
    import napari

PANELS = {"Neurons": "barlowtrack.plugin.neurons.panel", "Review": "barlowtrack.plugin.review.panel"}
"""Docked when a run is opened: their names in napari.yaml, and where they are."""
WINDOW = (1500, 950)
"""Pixels of a window that we open."""
SETTLING_S = 5.0
"""So long after the layers came the canvas may get its size."""
_WAITING: WeakKeyDictionary[Any, dict[Path, Callable[[], object]]] = WeakKeyDictionary()
"""By viewer that is opening something: that first, then what is to be opened after it."""


def open_run(viewer: napari.Viewer, path: Path | str, settings: RecordingConfig | None = None) -> Path | None:
    """Shows a run in a viewer, and docks the panels; its neurons follow as soon as they are read.

    What touches no widget is done beside the window, and the rest in pieces, between which the window is drawn: it never stands still for
    longer than a layer or the panels take. Keys and clicks wait until all is there. Where the window is closed meanwhile, that is all.

    Args:
        viewer: Where to show it. While it opens something, what is asked for next comes after that, and lies on top.
        path: A run folder, or a recording; of a recording that has a run beside it, the run.
        settings: What the metadata of a recording without a run do not say.

    Returns:
        The run folder; None for a recording that has none, and where the window is gone.

    Raises:
        InputError, StorageError: neither, or it cannot be opened.
    """
    path = whole(Path(path))
    if kind_of(path) is None:
        raise InputError(f"{shown(path)}: expected a run folder, or a recording (a folder of TIFFs, a TIFF, an OME-Zarr)")
    if comes_later(viewer, path, lambda: open_run(viewer, path, settings)):
        return run_of(path)
    _WAITING[viewer] = {path: lambda: None}
    there = _watch(viewer)
    try:
        return _open(viewer, path, settings or RecordingConfig(), there)
    except WindowGoneError:
        return None
    finally:
        for later in list(_WAITING.pop(viewer).values())[1:]:
            QTimer.singleShot(0, partial(_open_next, later, there))


def comes_later(viewer: napari.Viewer, path: Path, later: Callable[[], object]) -> bool:
    """Keeps what somebody wants to see for later, where a viewer is just opening something; says whether it is.

    Args:
        viewer: Where it is to be shown.
        path: Of a run, or of a recording; what is being opened, or waits, already is not opened twice.
        later: Opens it.
    """
    waiting = _WAITING.get(viewer)
    if waiting is None:
        return False
    if not {path, run_of(path)} & {known for other in waiting for known in (other, run_of(other)) if known is not None}:
        waiting[path] = later
    return True


def _open_next(later: Callable[[], object], there: Callable[[], bool]) -> None:
    if not there():
        return
    try:
        later()
    except BarlowtrackError as error:
        say(error)


def _watch(viewer: napari.Viewer) -> Callable[[], bool]:
    """Returns what says whether the window of a viewer is still there."""
    window = viewer.window._qt_window
    seen = window.isVisible()  # one may open a run in a window that is not shown yet
    return lambda: is_there(window) and (window.isVisible() or not seen)


def _open(viewer: napari.Viewer, path: Path, settings: RecordingConfig, there: Callable[[], bool]) -> Path | None:
    session_of(viewer)
    slice_once(viewer)
    run, layers = meanwhile(lambda: _found_at(path, settings), there)
    for data, keywords, kind in layers:
        layer = Layer.create(data, keywords, kind)
        _breathe(there)
        viewer.add_layer(layer)
        _breathe(there)
    if viewer.dims.ndim >= 4:
        viewer.dims.set_current_step(viewer.dims.ndim - 4, 0)
    if run is not None:
        pointing_of(viewer).overview = True
        dock(viewer)
    _keep_whole(viewer)
    return run


def _found_at(path: Path, settings: RecordingConfig) -> tuple[Path | None, list[LayerData]]:
    """Returns the run at a path, if there is one, and what is shown of it, or of the recording."""
    run = run_of(path)
    if run is not None:
        for module in PANELS.values():
            import_module(module)  # what they calculate with takes longer to load than a layer to show
        return run, run_layers(run, complain=show_warning)
    return None, recording_layers(path, settings, complain=show_warning)


def show_alone(path: Path, settings: RecordingConfig) -> None:
    """Shows a run or a recording in a window of its own, until it is closed.

    It is opened once napari runs, so that Ctrl+C and whatever else ends napari does so from the beginning.

    Args:
        path: A run folder, or a recording.
        settings: What the metadata of a recording without a run do not say.

    Raises:
        InputError, StorageError: see open_run.
    """
    import napari

    viewer = napari.Viewer(title=f"barlowtrack: {path.absolute().name}")
    make_room(viewer)
    failed: list[BaseException] = []

    def begin() -> None:
        try:
            open_run(viewer, path, settings)
        except Exception as error:  # goes on from where napari was started, as it would without a window
            failed.append(error)
            viewer.close()

    QTimer.singleShot(0, begin)
    napari.run()
    if failed:
        raise failed[0]


def make_room(viewer: napari.Viewer) -> None:
    """Gives a window that we opened the size that it takes to see a recording beside the panels, as far as the screen has it."""
    window = viewer.window._qt_window
    room = window.screen().availableGeometry()
    if room.width() <= WINDOW[0] or room.height() <= WINDOW[1]:
        window.showMaximized()
    else:
        window.resize(*WINDOW)


def _breathe(there: Callable[[], bool]) -> None:
    """Lets the window draw itself.

    Raises:
        WindowGoneError: it is not there any more.
    """
    QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    if not there():
        raise WindowGoneError


def _keep_whole(viewer: napari.Viewer) -> None:
    """Shows the whole picture as long as the canvas still changes its size; napari fits it to the size that it has with the first layer."""
    viewer.reset_view()
    end, camera = time.monotonic() + SETTLING_S, viewer.scene.camera
    fitted, events = [camera.zoom], viewer.window._qt_viewer.canvas._scene_canvas.events.resize

    def fit(_event: Any = None) -> None:
        if time.monotonic() > end or camera.zoom != fitted[0]:  # somebody has begun to look around
            events.disconnect(fit)
            return
        viewer.reset_view()
        fitted[0] = camera.zoom

    events.connect(fit, position="last")


def dock(viewer: napari.Viewer) -> list[Any]:
    """Docks the panels that are there; returns their widgets."""
    from npe2 import PluginManager

    there = {widget.display_name for widget in PluginManager.instance().iter_widgets() if widget.plugin_name == "barlowtrack"}
    names = [name for name in PANELS if name in there]
    docked = [viewer.window.add_plugin_dock_widget("barlowtrack", name, tabify=i > 0) for i, name in enumerate(names)]
    if docked:
        first = docked[0][0]  # one looks before one answers; later, as napari brings the last one to the front by itself
        QTimer.singleShot(0, lambda: first.raise_() if is_there(first) else None)
    return [widget for _, widget in docked]
