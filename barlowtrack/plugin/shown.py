"""The layers of a viewer, kept in step with what the session shows and with the volume that is looked at."""

from __future__ import annotations

import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Layer
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer

from barlowtrack.errors import StorageError
from barlowtrack.plugin.background import in_background, say
from barlowtrack.plugin.kept_axes import KeptAxes
from barlowtrack.plugin.layers.arrays import ChannelArray, NeuronArray
from barlowtrack.plugin.layers.axes import LayerData
from barlowtrack.plugin.layers.dots import DotsOfRun, DotsOfTruth
from barlowtrack.plugin.layers.labels import colours_of_values, features_of_values
from barlowtrack.plugin.layers.opened import run_layers
from barlowtrack.plugin.layers.tracks import REACH, tracks_around
from barlowtrack.plugin.naming import Naming
from barlowtrack.plugin.roles import Role, said_of
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.slicing import slice_now
from barlowtrack.plugin.solution import Solution

if TYPE_CHECKING:
    import napari

OUTLINE = 1
"""Pixels of the outline of a nucleus in 2-D, so that its light is seen; in 3-D nuclei are bodies."""
_READ = (Role.IMAGE, Role.LABELS)
_OF_A_RUN = (Role.IMAGE, Role.LABELS, Role.NEURONS, Role.TRACKS)


class ShownLayers:
    """Puts a run's layers into a viewer, and what is new into layers that are there; a layer that somebody removed stays away.

    Layers say by their metadata what they are (roles.py), so those that a reader brought are looked after like any other; where they
    are of a run that is not open, the session opens it.

    Args:
        viewer: Not kept alive by this.
        session: Says which solution is shown.
    """

    def __init__(self, viewer: napari.Viewer, session: Session) -> None:
        self._of, self._session = weakref.ref(viewer), session
        self._opening: Path | None = None
        self._unnamed: weakref.WeakSet[Any] = weakref.WeakSet()
        self._filled: weakref.WeakKeyDictionary[Any, tuple[Any, int]] = weakref.WeakKeyDictionary()
        session.solved.connect(self._solved)
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._removed)
        viewer.dims.events.current_step.connect(self.follow, position="last")  # after the images have been asked for
        viewer.dims.events.ndisplay.connect(self._turned)
        self._axes = KeptAxes(viewer)
        self._naming = Naming(viewer, session)
        # napari would say so at every volume that is shown in 3-D, and asks nobody who could take the outlines away in time
        warnings.filterwarnings("ignore", message="Contours are not displayed during 3D rendering")
        for layer in viewer.layers:
            self._look_after(layer)

    @property
    def t(self) -> int:
        """The volume that the viewer shows."""
        viewer = self._of()
        return round(viewer.dims.point[-4]) if viewer is not None and viewer.dims.ndim >= 4 else self._session.t

    def add(self, layers: list[LayerData]) -> None:
        """Puts layers into the viewer."""
        viewer = self._of()
        if viewer is not None:
            for data, keywords, kind in layers:
                viewer.add_layer(Layer.create(data, keywords, kind))

    def follow(self, event: Any = None) -> None:
        """Shows points and tracks of the volume that is looked at, as soon as its images are there, in the same picture."""
        layers = self._layers()
        if any(said_of(layer)["role"] in _READ and layer.visible and not layer.loaded for layer in layers):
            return  # comes again when they are
        for layer in layers:
            if layer.visible and layer.loaded and "dots" in said_of(layer):
                self._put_dots(layer)
            elif layer.visible and said_of(layer)["role"] == Role.TRACKS:
                self._put_tracks(layer)

    def _turned(self, _event: Any = None) -> None:
        """Takes names away in 3-D, where all of them would lie over each other; in 2-D they are as they were before."""
        viewer = self._of()
        if viewer is None:
            return
        for layer in self._layers():
            if "dots" not in said_of(layer):
                continue
            if viewer.dims.ndisplay == 3 and layer.text.visible:
                self._unnamed.add(layer)
                layer.text.visible = False
            elif viewer.dims.ndisplay == 2 and layer in self._unnamed:
                self._unnamed.discard(layer)
                layer.refresh_text()  # in 3-D, where none was drawn, it may have fallen behind the points
                layer.text.visible = True

    def read_again(self) -> None:
        """Shows what the run that is open says now, and reads its volumes anew."""
        run = self._session.path
        if run is None or self._opening is not None:
            return
        self._opening = run
        in_background(lambda: Solution.read(run), self._opened, lambda error: self._failed(run, error))
        for layer in self._layers(run):
            if isinstance(layer.data, (ChannelArray, NeuronArray)):
                layer.data.volumes.forget()
                layer.refresh()

    def _layers(self, run: Path | None = None) -> list[Any]:
        viewer = self._of()
        ours = [layer for layer in viewer.layers if said_of(layer)] if viewer is not None else []
        return [layer for layer in ours if run is None or _is_of(layer, run)]

    def _solved(self, new: Solution | None, old: Solution | None) -> None:
        if new is None:
            return
        if old is None:
            self._hide_others(new.path)
        if old is None and not self._layers(new.path):
            in_background(lambda: run_layers(new.path, complain=show_warning), self.add)
            return
        for layer in self._layers(new.path):
            self._show(layer, new)
        self.follow()

    def _hide_others(self, run: Path) -> None:
        """Two worms in one picture would have the same numbers, and clicks mean one of them only; whoever wants both shows them again."""
        for layer in self._layers():
            if said_of(layer).get("run") not in (None, str(run)):
                layer.visible = False

    def _inserted(self, event: Any) -> None:
        self._look_after(event.value)

    def _look_after(self, layer: Any) -> None:
        said = said_of(layer)
        if not said:
            return
        layer.events.visible.connect(self.follow)
        if said["role"] in _READ or "dots" in said:
            layer.events.set_data.connect(self.follow)  # it has its slice: where napari slices beside the window, later than asked for
        if "contrast_range" in said:
            layer.contrast_limits_range = said["contrast_range"]
        if said["role"] == Role.LABELS:
            layer.editable = False
            layer.contour = OUTLINE
        self._axes.look_after(layer)
        if "dots" in said:
            self._turned()
        if said.get("run") and said["role"] in _OF_A_RUN:
            self._open_for(layer, Path(said["run"]))
        self.follow()

    def _open_for(self, layer: Any, run: Path) -> None:
        solution = self._session.solution
        if solution is not None and solution.path == run:
            self._show(layer, solution)
        elif self._opening != run:
            self._opening = run
            in_background(lambda: Solution.read(run), self._opened, lambda error: self._failed(run, error))

    def _opened(self, solution: Solution) -> None:
        if self._opening == solution.path:  # not where another run was dropped meanwhile
            self._opening = None
            if self._layers(solution.path):
                self._session.take(solution)

    def _failed(self, run: Path, error: BaseException) -> None:
        if self._opening == run:
            self._opening = None
        if self._session.solution is None:
            self._session.take(None, why_none=f"{run.name} cannot be reviewed: {error}")
        if isinstance(error, StorageError):  # a run that is not done shows what it has
            show_info(str(error))
        else:
            say(error)

    def _show(self, layer: Any, solution: Solution) -> None:
        """Has a layer of the run say what a solution says."""
        role = said_of(layer)["role"]
        if role == Role.LABELS and isinstance(layer.data, NeuronArray):
            layer.data.show(solution)
            layer.colormap = colours_of_values(solution.n_neurons)
            layer.features = features_of_values(solution)
            layer.refresh()
        elif role == Role.NEURONS and "dots" in said_of(layer):  # else somebody made it who fills it otherwise
            said_of(layer)["dots"] = DotsOfRun(solution)

    def _put_dots(self, layer: Any) -> None:
        dots: DotsOfRun | DotsOfTruth = said_of(layer)["dots"]
        if self._filled.get(layer) == (dots, self.t):
            return
        self._filled[layer] = (dots, self.t)
        now = dots.at(self.t).filled_up(len(layer.data))
        if len(now.shown):
            with layer.events.blocker_all():  # or each of the four would be drawn
                layer.data = now.position_um / layer.scale[-3:]
                _put_features(layer, now.features)
                if not np.array_equal(layer.shown, now.shown):
                    layer.shown = now.shown
                if said_of(layer)["role"] == Role.NEURONS and not np.array_equal(layer.face_color[:, :3], now.colour.astype(np.float32)):
                    layer.face_color = now.colour
            viewer = self._of()
            if viewer is not None:
                slice_now(viewer, layer)

    def _put_tracks(self, layer: Any) -> None:
        solution = self._session.solution
        if solution is None or said_of(layer).get("run") != str(solution.path):
            return
        of, middle = self._filled.get(layer, (None, 0))
        if of is solution and abs(self.t - middle) <= REACH:
            return
        self._filled[layer] = (solution, self.t)
        tracks = tracks_around(solution, self.t)
        if len(tracks.vertices):
            layer.data = tracks.vertices
            layer.track_colors = tracks.colour

    def _removed(self, event: Any) -> None:
        """Gives the memory of a layer back that is shown no more; with its last layer a run is closed, and one still shown is opened."""
        run = self._session.path
        if run is not None and _is_of(event.value, run) and not self._layers(run):
            self._session.take(None)
            QTimer.singleShot(0, self._open_left)  # not now: where all layers go, as with the window, that one goes next
        data = event.value.data
        if isinstance(data, (ChannelArray, NeuronArray)):
            shown = [layer.data.volumes for layer in self._layers() if isinstance(layer.data, (ChannelArray, NeuronArray))]
            if data.volumes not in shown:
                data.volumes.forget()

    def _open_left(self) -> None:
        """Opens the run of a layer that is still shown where none is open."""
        if self._session.path is not None or self._opening is not None:
            return
        left = [layer for layer in self._layers() if said_of(layer).get("run") and said_of(layer)["role"] in _OF_A_RUN]
        if left:
            self._open_for(left[-1], Path(said_of(left[-1])["run"]))


def _is_of(layer: Any, run: Path) -> bool:
    """Says whether a layer shows something of a run."""
    said = said_of(layer)
    return bool(said) and said.get("run") == str(run) and said["role"] in _OF_A_RUN


def _put_features(layer: Any, features: pd.DataFrame) -> None:
    """Fills a layer's table; where its texts are as before they are not made anew, which takes longer than all else."""
    now = layer.features
    if list(now) == list(features) and now["index"].to_numpy().tolist() == features["index"].to_numpy().tolist():
        for name in features:
            now[name] = features[name].to_numpy()
    else:
        layer.features = features
