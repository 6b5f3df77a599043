"""A path that somebody wants to see, as layers: a run folder or a recording."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from barlowtrack.api import prepare
from barlowtrack.config import RecordingConfig
from barlowtrack.errors import BarlowtrackError, InputError, StorageError
from barlowtrack.io import open_recording
from barlowtrack.io.location import is_there, shown, whole
from barlowtrack.io.readers import is_recording
from barlowtrack.io.tables import read_columns
from barlowtrack.pipeline import as_seen, preparation_of
from barlowtrack.plugin.layers.axes import LayerData
from barlowtrack.plugin.layers.dots import DotsOfRun, dots_layer
from barlowtrack.plugin.layers.images import LIGHT, image_layers
from barlowtrack.plugin.layers.labels import labels_layer
from barlowtrack.plugin.layers.tracks import tracks_layer
from barlowtrack.plugin.roles import Role
from barlowtrack.storage import ARTEFACTS, RunFolder

log = logging.getLogger(__name__)

Complain = Callable[[str], object]


@dataclass(frozen=True)
class Budgets:
    """Megabytes of volumes kept in memory."""

    recording_mb: float = 512.0
    labels_mb: float = 256.0


def kind_of(path: Path) -> str | None:
    """Says what lies at a path, by names alone: "run", "recording", or None where it is nothing of ours."""
    if (path / "run.json").is_file():
        return "run"
    return "recording" if is_recording(path) else None


def run_of(path: Path) -> Path | None:
    """Returns the run folder at a path, or that of the recording at a path; None where there is none yet."""
    folder = prepare(path).folder
    return folder if (folder / "run.json").is_file() else None


def recording_layers(
    path: Path,
    settings: RecordingConfig,
    *,
    run: Path | None = None,
    light: pd.DataFrame | None = None,
    complain: Complain = log.warning,
    budgets: Budgets = Budgets(),
) -> list[LayerData]:
    """Returns the channels of a recording.

    Args:
        path: Of the recording.
        settings: What its metadata do not say.
        run: Run folder that it belongs to: the channels are shown as that run sees them.
        light: Of the nuclei that the run found; see image_layers.
        complain: Hears what is wrong with a volume.
        budgets: Of memory.

    Raises:
        InputError: it cannot be opened; where only the voxel size is missing, says how to give it.
        StorageError: the run has found its nuclei in pictures that were prepared in another way.
    """
    try:
        recording = open_recording(path, settings, to_look=True)
    except InputError as error:
        if "no voxel size" not in str(error):
            raise
        raise InputError(f"{error}. From a terminal: barlowtrack open {shown(path)} --voxel-size Z Y X") from None
    if run is not None:
        recording = as_seen(recording, RunFolder(run))
    return image_layers(recording, run, path, light=light, budget_mb=budgets.recording_mb, complain=complain)


def run_layers(run: Path, *, complain: Complain = log.warning, budgets: Budgets = Budgets()) -> list[LayerData]:
    """Returns the channels of a run's recording, and its nuclei; these are grey, and neurons and tracks empty, until a solution is shown.

    Args:
        run: Run folder.
        complain: Hears where the recording was expected, if it is gone, and what is wrong with a volume.
        budgets: Of memory.

    Raises:
        StorageError: no run folder, or one that holds nothing to look at while its recording is gone.
    """
    run = run.absolute()
    job, card = prepare(run), RunFolder(run).about()["card"]
    location = whole(job.location)
    layers: list[LayerData] = []
    if not is_there(location):
        complain(
            f"The recording of this run is not at {shown(location)} any more: what was found in it is shown without images. "
            f"Put it back there, or say where it is now: barlowtrack run RECORDING --out {run}"
        )
    else:
        try:
            seen = job.config.recording.model_copy(update={"reference_channel": card["reference"], "signal_channel": card["signal"]})
            layers += recording_layers(location, seen, run=run, light=_light(run, complain), complain=complain, budgets=budgets)
        except BarlowtrackError as error:
            complain(f"The recording cannot be shown: {error}")
    layers += _nuclei(run, card, location, complain, budgets)
    if not layers:
        raise StorageError(f"{run}: nothing to look at yet; run 'barlowtrack run {run}' first")
    if layers[0][2] == "image" and tuple(layers[0][0].shape) != _shape(run, card):
        complain(
            f"{shown(location)}: its shape is not that of the recording that this run was made of; nuclei will not lie where they should."
        )
    return layers


def _shape(run: Path, card: dict[str, Any]) -> tuple[int, ...]:
    """Returns T, Z, Y, X of the recording as the run sees it."""
    first, stop = preparation_of(RunFolder(run)).planes or (0, card["shape"][2])
    return (card["shape"][0], stop - first, *card["shape"][3:])


def _light(run: Path, complain: Complain) -> pd.DataFrame | None:
    """Returns the light of all nuclei, and nothing else of their table: all of an hour's would hold up the window for a second."""
    try:
        light = read_columns(run / ARTEFACTS["detections"], LIGHT)
    except BarlowtrackError:
        return None  # none yet, or damaged: whoever reads the solution says so
    wrong = [str(name) for name in light if not pd.api.types.is_numeric_dtype(light[name])]
    if wrong:
        complain(f"{run / ARTEFACTS['detections']}: {', '.join(wrong)} should be numbers; contrast comes from a few volumes instead.")
    return None if wrong else light


def _nuclei(run: Path, card: dict[str, Any], location: Path, complain: Complain, budgets: Budgets) -> list[LayerData]:
    from barlowtrack.io.labels import open_labels

    if not (run / ARTEFACTS["detections"]).exists():
        return []
    z, y, x = (float(size) for size in card["voxel_size_um"])
    layers: list[LayerData] = []
    if (run / ARTEFACTS["labels"]).exists():
        try:
            labels = open_labels(run / ARTEFACTS["labels"])
            layers.append(labels_layer(labels, (z, y, x), run, location, budget_mb=budgets.labels_mb, complain=complain))
        except BarlowtrackError as error:
            complain(f"The nuclei cannot be shown, but as dots: {error}. barlowtrack run RECORDING --out {run} makes them again.")
    return [*layers, tracks_layer((z, y, x), run, location), dots_layer(DotsOfRun(), Role.NEURONS, (z, y, x), run, location)]
