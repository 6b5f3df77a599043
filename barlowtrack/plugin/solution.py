"""What a run says at one moment, all in memory: panels and layers show this and nothing else, so that two moments are never mixed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from barlowtrack.api import Run
from barlowtrack.data import UNKNOWN, Amendments, Detections, IntArray, Traces, Tracks
from barlowtrack.errors import StorageError
from barlowtrack.pipeline import AMENDMENTS, UNAMENDED, edition
from barlowtrack.showing.names import Names


@dataclass(frozen=True)
class Solution:
    """Who is who, and what they do.

    Attributes:
        path: The run folder, whole.
        detections: N nuclei.
        tracks: Whose they are.
        neurons: Table of K neurons: neuron, name, volumes, probability, entry; the names that people gave.
        candidates: Table of who else each nucleus may be: t, label, rank, neuron, probability.
        absences: Table of the neurons that volumes do not show: t, neuron, probability.
        traces: (K, T) what the neurons do; None where they have not been made of these tracks yet.
        voxel_size_um: z, y, x.
        rate_hz: Volumes a second; None where nobody knows.
        amendments: What people divided and added: the voxels of these nuclei are not in the label image that was made first.
    """

    path: Path
    detections: Detections
    tracks: Tracks
    neurons: pd.DataFrame
    candidates: pd.DataFrame
    absences: pd.DataFrame
    traces: Traces | None
    voxel_size_um: tuple[float, float, float]
    rate_hz: float | None
    amendments: Amendments = field(default_factory=Amendments)

    @classmethod
    def read(cls, path: Path | str) -> Solution:
        """Reads what a run folder says now.

        Raises:
            StorageError: it is none, or has no tracks that go with its detections.
            InputError: a table is damaged.
        """
        run = Run(Path(path).absolute())
        track = run.folder.record("track")
        if track is None:
            raise StorageError(f"{run.path}: has no tracks to look at yet; run 'barlowtrack run {run.path}' first")
        detections, tracks = run.detections, run.tracks
        if len(detections) != len(tracks) or track.inputs.get(AMENDMENTS, UNAMENDED) != edition(run.folder):
            raise StorageError(f"{run.path}: its tracks are older than its detections; run 'barlowtrack run {run.path}' first")
        card = run.folder.about()["card"]
        z, y, x = card["voxel_size_um"]
        return cls(
            path=run.path,
            detections=detections,
            tracks=tracks,
            neurons=run.neurons,
            candidates=run.candidates,
            absences=run.absences,
            traces=_traces(run, track.key),
            voxel_size_um=(float(z), float(y), float(x)),
            rate_hz=card.get("rate_hz"),
            amendments=run.amendments,
        )

    @property
    def n_volumes(self) -> int:
        return self.detections.n_volumes

    @property
    def n_neurons(self) -> int:
        """K, with the ids that are free because their neuron is none or part of another."""
        return self.tracks.n_neurons

    @cached_property
    def names(self) -> Names:
        """What the neurons are called."""
        return Names([name if isinstance(name, str) else "" for name in self.neurons["name"]])

    @cached_property
    def row_of(self) -> IntArray:
        """(K, T) row of the detection that is a neuron in a volume; UNKNOWN where none is."""
        rows = np.full((self.n_neurons, self.n_volumes), UNKNOWN, np.int64)
        known = np.flatnonzero(self.tracks.neuron >= 0)
        rows[self.tracks.neuron[known], self.detections.t[known]] = known
        return rows

    def row_at(self, t: int, label: int) -> int | None:
        """Returns the row of the detection with a label in volume t; None where there is none."""
        part = self.detections.rows_of(t)
        found = np.flatnonzero(self.detections.label[part] == label)
        return part.start + int(found[0]) if len(found) else None

    def neuron_at(self, t: int, label: int) -> int:
        """Returns who the detection with a label in volume t is; UNKNOWN where nobody, or where there is none."""
        row = self.row_at(t, label)
        return UNKNOWN if row is None else int(self.tracks.neuron[row])

    def nearest(self, t: int, position_um: tuple[float, float, float], within_um: float) -> int | None:
        """Returns the row of the detection of volume t that lies nearest a place, z, y, x in um; None where none is within reach."""
        part = self.detections.rows_of(t)
        if part.stop == part.start:
            return None
        distance = np.linalg.norm(self.detections.position_um[part] - np.asarray(position_um), axis=1)
        best = int(np.argmin(distance))
        return part.start + best if distance[best] <= within_um else None


def _traces(run: Run, track_key: str) -> Traces | None:
    record = run.folder.record("trace")
    if record is None or record.inputs.get("tracks") != track_key:
        return None
    return run.traces
