"""Content: all that a run says, in the form that every format takes it from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from barlowtrack.data import (
    UNKNOWN,
    Corrections,
    Detections,
    IntArray,
    Labels,
    Preparation,
    Recording,
    Swaps,
    Traces,
    Tracks,
    VolumeLooks,
)
from barlowtrack.data.arrays import expect, expect_rows
from barlowtrack.io.columns import TABLES


@dataclass(frozen=True)
class Content:
    """A run.

    Attributes:
        name: Of the recording.
        shape: T C Z Y X of the pictures in which nuclei were found: prepared ones, where the run prepares them.
        voxel_size_um: z, y, x.
        rate_hz: Volumes a second; None where nobody knows.
        channel_names: C of them.
        reference: Channel that shows where neurons are.
        signal: Channel that shows what they do; None where there is none.
        detections: N of them, as people left them.
        tracks: Whose they are.
        neurons: Table of K neurons.
        candidates: Table of who else each may be.
        absences: Table of neurons that volumes do not show.
        volumes: How volumes look.
        traces: (K, T) activity.
        swaps: Who may have been taken for whom.
        labels: Masks, read a volume at a time.
        recording: Images, where they were asked for; prepared, as the run sees them.
        preparation: How they are prepared. All places and masks hold in the prepared pictures.
        corrections: What people said.
        about: Where all this is from, for JSON: version, recording, keys and settings of the stages.
        settings: As TOML.
    """

    name: str
    shape: tuple[int, int, int, int, int]
    voxel_size_um: tuple[float, float, float]
    rate_hz: float | None
    channel_names: tuple[str, ...]
    reference: int
    signal: int | None
    detections: Detections
    tracks: Tracks
    neurons: pd.DataFrame
    candidates: pd.DataFrame
    absences: pd.DataFrame
    volumes: VolumeLooks
    traces: Traces
    swaps: Swaps
    labels: Labels
    recording: Recording | None
    preparation: Preparation
    corrections: Corrections
    about: Mapping[str, Any]
    settings: str

    def __post_init__(self) -> None:
        expect_rows("export", len(self.detections), tracks=self.tracks.neuron)
        expect(len(self.neurons) == self.tracks.n_neurons, "export: neurons", f"{self.tracks.n_neurons} rows", len(self.neurons))
        expect(self.traces.red.shape == (self.n_neurons, self.n_volumes), "export: traces", "a row a neuron", self.traces.red.shape)

    @property
    def n_volumes(self) -> int:
        return self.shape[0]

    @property
    def n_neurons(self) -> int:
        return self.tracks.n_neurons

    @cached_property
    def names(self) -> tuple[str, ...]:
        """K names that people gave; "" where none."""
        return tuple(name if isinstance(name, str) else "" for name in self.neurons["name"])

    @cached_property
    def called(self) -> tuple[str, ...]:
        """K names, the id where nobody gave one."""
        return tuple(name or str(k) for k, name in enumerate(self.names))

    @property
    def position_vox(self) -> NDArray[np.float64]:
        """(N, 3) z, y, x in voxels; 0 is the centre of the first one."""
        return self.detections.position_um / np.asarray(self.voxel_size_um, np.float64)

    @property
    def recorded_um(self) -> NDArray[np.float64]:
        """(N, 3) z, y, x of where the recording on the disk has what lies at position_um."""
        return np.asarray(self.preparation.recorded_um(self.detections.t, self.detections.position_um, self.voxel_size_um), np.float64)

    @property
    def where(self) -> str:
        """Says in which pictures places and masks hold; empty where these are those of the disk."""
        done = self.preparation
        if done.shape is None or not (done.displaces or done.planes):
            return ""
        steps = [
            *(["planes that jump are put back"] if done.jitter is not None else []),
            *(["drift is taken off"] if done.drift is not None else []),
            *([f"planes {done.kept[0]} to {done.kept[1] - 1} are kept"] if done.planes else []),
            *([f"mirrored along {done.mirror}"] if done.mirror else []),
        ]
        return f"Places, masks and images are those of the prepared recording, not of the one on the disk: {', '.join(steps)}."

    def matrix(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Lays values (N, ...) of detections out as (K, T, ...); NaN where a neuron was not found."""
        whole = np.full((self.n_neurons, self.n_volumes, *values.shape[1:]), np.nan)
        known = self.tracks.neuron != UNKNOWN
        whole[self.tracks.neuron[known], self.detections.t[known]] = values[known]
        return whole

    def masks(self, t: int, value: IntArray, dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
        """Returns the mask of volume t with another value for every nucleus.

        Args:
            t: Volume.
            value: (N,) of every detection.
            dtype: Of the mask.

        Returns:
            (Z, Y, X), 0 where there is no nucleus.
        """
        part, labels = self.detections.rows_of(t), self.labels.read(t)
        table = np.zeros(max(int(labels.max(initial=0)), int(self.detections.label[part].max(initial=0))) + 1, dtype)
        table[self.detections.label[part]] = value[part]
        found: NDArray[Any] = table[labels]
        return found

    @property
    def about_json(self) -> str:
        return json.dumps(self.about, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


_EXTRA = {
    "time_s": ("s", "Time since the first volume; empty where the rate of volumes is unknown."),
    "name": ("", "What people call the neuron; empty where nobody said."),
    **{f"{axis}_vox": ("voxel", f"The same along {axis} in voxels, counted from 0.") for axis in "zyx"},
    "nucleus_probability": TABLES["detections"]["probability"],
    **{
        f"recorded_{axis}_um": (
            "um",
            f"Where the recording on the disk has it, along {axis}; only where it lies elsewhere in prepared pictures.",
        )
        for axis in "zyx"
    },
}

COLUMNS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "detections": {
        name: {**TABLES["detections"], **TABLES["tracks"], **_EXTRA}[name]
        for name in (
            *("t", "time_s", "label", "neuron", "name", "probability", "z_um", "y_um", "x_um", "z_vox", "y_vox", "x_vox", "volume_um3"),
            *("red_mean", "red_peak", "green_mean", "green_peak", "quality", "nucleus_probability"),
            *("recorded_z_um", "recorded_y_um", "recorded_x_um"),
        )
    },
    **{name: TABLES[name] for name in ("neurons", "traces", "candidates", "absences", "volumes", "swaps")},
    "corrections": {
        "line": ("", "Line of corrections.csv."),
        "in_force": ("", "1: it counts; 0: it takes another line back, or was taken back."),
        **TABLES["corrections"],
    },
}
"""Table -> column -> (unit, meaning); those that are called recorded_ are there only where they differ."""


def detections_table(content: Content) -> pd.DataFrame:
    """Returns a row for every nucleus: where, who, how surely, how bright."""
    found, tracks = content.detections, content.tracks
    known = tracks.neuron != UNKNOWN
    neuron = pd.arrays.IntegerArray(np.where(known, tracks.neuron, 0).astype(np.int32), ~known)
    names = np.array([*content.names, ""], object)[tracks.neuron]
    time_s = content.traces.time_s[found.t]
    places = {
        f"{axis}_{unit}": where[:, i]
        for unit, where in (("um", found.position_um), ("vox", content.position_vox))
        for i, axis in enumerate("zyx")
    }
    values = {
        "t": found.t, "time_s": time_s, "label": found.label, "neuron": neuron, "name": pd.array(names, dtype="str"),
        "probability": tracks.probability, **places, "nucleus_probability": found.probability,
        **{name: getattr(found, name) for name in ("volume_um3", "red_mean", "red_peak", "green_mean", "green_peak", "quality")},
    }  # fmt: skip
    if content.preparation.displaces:
        values |= {f"recorded_{axis}_um": content.recorded_um[:, i] for i, axis in enumerate("zyx")}
    return pd.DataFrame({name: values[name] for name in COLUMNS["detections"] if name in values})


def corrections_table(corrections: Corrections) -> pd.DataFrame:
    """Returns a row for everything that people said, as text; numbers where there are any."""
    in_force = {row.line for row in corrections.in_force}
    rows = []
    for row in corrections.marked:
        place = row.position_um or (np.nan,) * 3
        cells = {name: getattr(row, name, None) for name in COLUMNS["corrections"]}
        rows.append(cells | dict(zip(("z_um", "y_um", "x_um"), place, strict=True)) | {"in_force": int(row.line in in_force)})
    frame = pd.DataFrame(rows, columns=list(COLUMNS["corrections"]))
    for name in ("line", "in_force", "t", "until", "label"):
        frame[name] = frame[name].astype("Int64")
    for name in ("z_um", "y_um", "x_um"):
        frame[name] = frame[name].astype(np.float64)
    for name in ("when", "who", "what", "neuron", "other", "atlas"):
        frame[name] = frame[name].fillna("").astype("str")
    return frame
