"""Points that another program found: a table of when and where, in any unit, and nothing else.

The table need not be sorted, volumes may be missing from their numbers, and a table without depth is a plane.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from barlowtrack.data import Candidates, Detections, Neurons, Tracks
from barlowtrack.errors import InputError
from barlowtrack.io.tables import absences_to_frame, candidates_to_frame, neurons_to_frame, read_columns

TIMES = ("t", "volume")
AXES = (("z", "y", "x"), ("z_um", "y_um", "x_um"))
FARTHEST = 1e30
"""Beyond, squares of squares are no numbers any more."""


@dataclass(frozen=True)
class Points:
    """N points of the T volumes that a table names.

    Attributes:
        frame: (N rows) the columns of time and place, as they were and in their order.
        time: Name of the column that tells the volume: t or volume.
        number: (T,) number of every volume, rising.
        row: (N,) row of the table that each detection is.
        detections: The points, sorted by volume, in the order of the table within; volumes counted from 0 without gaps, labels from 1;
            in um where a voxel size was given, else in the unit of the table.
        planar: Whether the table has no depth.
    """

    frame: pd.DataFrame
    time: str
    number: NDArray[np.int64]
    row: NDArray[np.int64]
    detections: Detections
    planar: bool

    def tracks_to_frame(self, tracks: Tracks) -> pd.DataFrame:
        """Returns the table of tracks, the rows as they were given: time, label, neuron, probability, place."""
        back = np.argsort(self.row)
        neuron = pd.array(tracks.neuron[back].astype(np.int32), dtype="Int32")
        neuron[tracks.neuron[back] < 0] = pd.NA
        added = {"label": self.detections.label[back], "neuron": neuron, "probability": tracks.probability[back]}
        place = {str(name): self.frame[name].to_numpy() for name in self.frame.columns if name != self.time}
        return pd.DataFrame({self.time: self.frame[self.time].to_numpy(), **added, **place})

    def candidates_to_frame(self, candidates: Candidates) -> pd.DataFrame:
        """Returns the table of candidates, volumes named as in the points."""
        return self._dated(candidates_to_frame(self.detections, candidates))

    def neurons_to_frame(self, tracks: Tracks, neurons: Neurons) -> pd.DataFrame:
        """Returns the table of neurons."""
        return neurons_to_frame(tracks, neurons)

    def absences_to_frame(self, neurons: Neurons) -> pd.DataFrame:
        """Returns the table of absences, volumes named as in the points."""
        return self._dated(absences_to_frame(neurons))

    def _dated(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(t=self.number[frame["t"].to_numpy()]).rename(columns={"t": self.time})


def read_points(path: Path, voxel_size_um: tuple[float, float, float] | None = None) -> Points:
    """Reads a table of points.

    Args:
        path: CSV or parquet with t or volume, and z, y, x or z_um, y_um, x_um; without depth, a plane. Other columns are ignored.
        voxel_size_um: z, y, x, where the table is in voxels that are not cubes.

    Raises:
        InputError: no such table, columns missing, no rows, or values that are none; names the row, counted from 1.
    """
    return points_from_frame(read_columns(path), voxel_size_um, where=str(path))


def points_from_frame(frame: pd.DataFrame, voxel_size_um: tuple[float, float, float] | None = None, *, where: str = "points") -> Points:
    """Makes Points of their table; see read_points."""
    time, axes = columns_of_points(frame, where)
    if not len(frame):
        raise InputError(f"{where}: expected at least one point, got a table without rows")
    when = _volumes(frame, time, where)
    place = place_of_points(frame, axes, where)
    number, t = np.unique(when, return_inverse=True)
    row = np.argsort(t, kind="stable")
    t, place = t[row], (place * (voxel_size_um or 1.0))[row]
    label = np.arange(len(t)) - np.searchsorted(t, t) + 1
    unseen, dark = np.ones(len(t), np.float32), np.full(len(t), np.nan, np.float32)
    found = Detections(len(number), t.astype(np.int32), label.astype(np.int32), place, unseen, unseen, unseen, dark, dark, unseen, dark)
    kept = frame[[name for name in frame.columns if name in (time, *axes)]].reset_index(drop=True)
    return Points(kept, time, number, row, found, planar=len(axes) == 2)


def columns_of_points(frame: pd.DataFrame, where: str) -> tuple[str, tuple[str, ...]]:
    """Finds the columns of time and of place (z, y, x, or y, x where there is no depth).

    Raises:
        InputError: one is missing; says which, and what comes nearest.
    """
    have = [str(name) for name in frame.columns]
    time = next((name for name in TIMES if name in have), None)
    axes = next((names for names in AXES if {*names[1:]} & {*have}), AXES[0])
    missing = [] if time else ["t or volume"]
    missing += [name for name in axes[1:] if name not in have]
    if missing:
        said = ", ".join(name + _nearest(name.split()[-1], have) for name in missing)
        raise InputError(f"{where}: columns missing: {said}; the table has {', '.join(have) or 'none'}")
    other = [name for names in AXES if names != axes for name in names if name in have]
    if other and axes[0] not in have:  # a depth under the other name would be lost
        raise InputError(f"{where}: expected {', '.join(AXES[0])} or {', '.join(AXES[1])}, got a mix: {', '.join([*axes[1:], *other])}")
    for name in (time, *axes):
        if have.count(str(name)) > 1:
            raise InputError(f"{where}: expected one column {name}, got {have.count(str(name))}")
    return str(time), axes if axes[0] in have else axes[1:]


def place_of_points(frame: pd.DataFrame, axes: Sequence[str], where: str) -> NDArray[np.float64]:
    """Returns (N, 3) z, y, x; z is 0 where there is no depth.

    Raises:
        InputError: a coordinate that is no finite number; names the row, counted from 1.
    """
    columns = [_numbers(frame, name) for name in axes]
    for name, values in zip(axes, columns, strict=True):
        _refuse(frame, name, ~(np.abs(values) < FARTHEST), where, "a finite number")
    return np.stack([np.zeros(len(frame))] * (3 - len(axes)) + columns, axis=1)


def _volumes(frame: pd.DataFrame, time: str, where: str) -> NDArray[np.int64]:
    when = _numbers(frame, time)
    _refuse(frame, time, ~((when >= 0) & (when == np.round(when)) & (when < 2**31)), where, "a whole number from 0")
    return when.astype(np.int64)


def _numbers(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """The column as numbers; NaN where it holds something else."""
    values: Any = pd.to_numeric(frame[name], errors="coerce")
    return np.asarray(values.astype("Float64").to_numpy(np.float64, na_value=np.nan))


def _refuse(frame: pd.DataFrame, name: str, bad: NDArray[np.bool_], where: str, expected: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        value = frame[name].iloc[first]
        raise InputError(f"{where}: row {first + 1}: {name}: expected {expected}, got {'nothing' if pd.isna(value) else value}")


def _nearest(name: str, have: Sequence[str]) -> str:
    """A remark on the column that may be meant: the same in capitals, or one that begins or ends alike."""
    lower = {column.lower().strip(): column for column in reversed(have)}
    found = [lower[name]] if name in lower else [lower[n] for n in difflib.get_close_matches(name, lower, n=1, cutoff=0.5)]
    found = found or [column for column in have if column.lower().replace("_", " ").replace("-", " ").split()[-1:] == [name]][:1]
    return f" (is it {found[0]}?)" if found else ""
