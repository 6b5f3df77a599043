"""Nuclei and truth as points: those of the volume that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from barlowtrack.data import UNKNOWN, BoolArray, FloatArray, IntArray, Truth
from barlowtrack.plugin.layers.axes import GREY, LayerData, opaque, space
from barlowtrack.plugin.roles import KEY, Role, metadata_of
from barlowtrack.plugin.solution import Solution
from barlowtrack.showing.colours import colours_of

POINT_UM = 0.9


@dataclass(frozen=True)
class Dots:
    """Points of one volume, as a layer of points takes them.

    Attributes:
        position_um: (n, 3) z, y, x.
        colour: (n, 3).
        features: n rows; "index" is written beside each point: the status line of napari leaves a column of that name out.
        shown: (n,) False for neurons that are not seen, and for rows that only fill up; see filled_up.
    """

    position_um: FloatArray
    colour: FloatArray
    features: pd.DataFrame
    shown: BoolArray

    def filled_up(self, n: int) -> Dots:
        """Returns at least n points, those that are too many not shown.

        Where napari slices beside the window, it draws a layer with what it found in the last slice: a layer that had become shorter
        meanwhile would be asked for points that it has not. So layers of points never become shorter.
        """
        more = n - len(self.position_um)
        if more <= 0:
            return self
        place = self.position_um[:1] if len(self.position_um) else np.zeros((1, 3))  # where it does not change the extent of the layer
        return Dots(
            np.concatenate([self.position_um, np.repeat(place, more, axis=0)]),
            np.concatenate([self.colour, np.tile(np.asarray(GREY), (more, 1))]),
            pd.concat([self.features, _nothing(self.features, more)], ignore_index=True),
            np.concatenate([self.shown, np.zeros(more, bool)]),
        )


class DotsOfRun:
    """The nuclei of a run, volume by volume.

    napari looks through all points of a layer whenever the volume changes: of 240,000 (2000 volumes of 120 neurons) that takes longer
    than reading an image. So the layer holds those of the volume that is shown, and whoever moves on gives it others.

    Attributes:
        sure: (K,) how surely each neuron is found, on average over all volumes: whose name is written where there is not room for all.
    """

    def __init__(self, solution: Solution | None = None) -> None:
        self.solution = solution
        self._short: list[str] = []
        self._text: list[str] = []
        self.sure: FloatArray = np.zeros(0)
        if solution is not None:
            known = solution.tracks.neuron >= 0
            there, probability = solution.tracks.neuron[known], solution.tracks.probability[known]
            self.sure = np.bincount(there, probability, minlength=solution.n_neurons) / max(solution.n_volumes, 1)
            n_nobody = int(np.bincount(solution.detections.t[~known], minlength=1).max())
            self._short = [*map(solution.names.short, range(solution.n_neurons)), *[""] * n_nobody]
            self._text = [*map(solution.names.text, range(solution.n_neurons)), *["nobody"] * n_nobody]

    def at(self, t: int) -> Dots:
        """Returns the nuclei of volume t: a row a neuron, be it seen or not, so that names and colours stay; then those of no neuron."""
        solution, n = self.solution, len(self._short)
        part = slice(0, 0) if solution is None or not 0 <= t < solution.n_volumes else solution.detections.rows_of(t)
        if solution is None or part.start == part.stop:
            return _dots(np.zeros((0, 3)), np.zeros(0, np.int64), [], [], probability=np.zeros(0), label=np.zeros(0, np.int64))
        who = np.asarray(solution.tracks.neuron[part], np.int64)
        row = np.full(n, part.start)  # what is not shown lies where it does not change the extent of the layer
        places = np.where(who >= 0, who, solution.n_neurons - 1 + np.cumsum(who < 0))
        row[places] = np.arange(part.start, part.stop)
        shown = np.isin(np.arange(n), places)
        neuron = np.where(np.arange(n) < solution.n_neurons, np.arange(n), UNKNOWN)
        said = {"probability": np.round(solution.tracks.probability[row], 3), "label": solution.detections.label[row]}
        return _dots(solution.detections.position_um[row], neuron, self._short, self._text, shown, **said)


class DotsOfTruth:
    """Points of somebody's truth, volume by volume.

    Args:
        t: (M,) volume.
        neuron: (M,) identity, any whole number.
        position_um: (M, 3) z, y, x.
    """

    def __init__(self, t: IntArray, neuron: IntArray, position_um: FloatArray) -> None:
        order = np.argsort(t, kind="stable")
        self._t, self._neuron, self._position_um = t[order], neuron[order], position_um[order]

    def at(self, t: int) -> Dots:
        """Returns the points of volume t."""
        first, last = np.searchsorted(self._t, [t, t + 1])
        neuron = self._neuron[first:last]
        called = [str(k) for k in neuron]
        return _dots(self._position_um[first:last], neuron, called, called)


def dots_layer(
    dots: DotsOfRun | DotsOfTruth,
    role: Role,
    voxel_size_um: tuple[float, float, float],
    run: Path | None,
    location: Path | None = None,
    *,
    t: int = 0,
) -> LayerData:
    """Returns points of volume t, (z, y, x): napari shows them at every volume, so ShownLayers gives the layer others when it moves on.

    Args:
        dots: What is shown; stands in the layer's metadata, whence ShownLayers takes it.
        role: NEURONS: small, in the colours of the neurons. TRUTH: white crosses.
        voxel_size_um: z, y, x.
        run: Run folder that they are of.
        location: Of the recording.
        t: Volume that is shown first.
    """
    now, truth = dots.at(t), role is Role.TRUTH
    _, y, x = voxel_size_um
    metadata = metadata_of(role, run, location)
    metadata[KEY]["dots"] = dots
    keywords = {
        "name": "truth" if truth else "neurons",
        "ndim": 3,
        "metadata": metadata,
        "features": now.features,
        "symbol": "cross" if truth else "disc",
        "size": (2 * POINT_UM if truth else POINT_UM) / x,
        "face_color": "white" if truth or not len(now.colour) else opaque(now.colour),
        "border_color": "black",
        "border_width": 0.15,
        "blending": "translucent_no_depth",
        "projection_mode": "all",
        "text": {
            "string": "{index}",
            "size": 8,
            "translation": (0.0, -0.6 / y, 0.6 / x),
            "color": "white",
            "anchor": "lower_left" if truth else "upper_left",
            "visible": not truth,
        },
        **space(voxel_size_um),
    }
    return now.position_um / np.asarray(voxel_size_um), keywords, "points"


def truth_layer(truth: Truth, voxel_size_um: tuple[float, float, float], run: Path | None, location: Path | None = None) -> LayerData:
    """Returns the points of a truth (io.tables.read_truth), of the run that it is laid beside."""
    return dots_layer(DotsOfTruth(truth.t, truth.neuron, truth.position_um), Role.TRUTH, voxel_size_um, run, location)


def _dots(
    position_um: FloatArray, neuron: IntArray, short: list[str], text: list[str], shown: BoolArray | None = None, **features: Any
) -> Dots:
    colour = np.tile(np.asarray(GREY), (len(neuron), 1))
    known = neuron >= 0
    colour[known] = colours_of(neuron[known])
    table = pd.DataFrame({"index": np.array(short, dtype=object), "neuron": np.array(text, dtype=object), **features})
    return Dots(np.asarray(position_um, np.float64), colour, table, np.ones(len(neuron), bool) if shown is None else shown)


def _nothing(features: pd.DataFrame, n: int) -> pd.DataFrame:
    """Returns n rows of the same columns that say nothing."""
    return pd.DataFrame({name: [UNKNOWN if pd.api.types.is_numeric_dtype(features[name]) else ""] * n for name in features})
