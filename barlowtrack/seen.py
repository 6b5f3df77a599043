"""What a person who looks at a run speaks of: its detections, also those that they have just made, before a run has heeded them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from barlowtrack.data import (
    AmendedVolume,
    Amendments,
    Correction,
    Corrections,
    Detections,
    Embeddings,
    FloatArray,
    Identities,
    IntArray,
    Labels,
    Light,
    Places,
)
from barlowtrack.data.corrections import edits_by_volume, edits_digest
from barlowtrack.detect.edits import edit, usual_radius_um
from barlowtrack.errors import InputError, StorageError
from barlowtrack.identity.rulings import locate, number
from barlowtrack.pipeline import AMENDMENTS, UNAMENDED, edition, read
from barlowtrack.storage import RunFolder


@dataclass(frozen=True)
class Made:
    """What edits make of a volume that no run has looked at yet.

    Attributes:
        volume: Without light and embeddings; what people made lies about where it will.
        label: Line of each edit -> label that it adds, or divides.
        idle: Line of each edit that says what is so already -> in what way.
    """

    volume: AmendedVolume
    label: dict[int, int]
    idle: dict[int, str]


@dataclass(frozen=True)
class Edition:
    """The detections of a run as a table of corrections has them.

    Attributes:
        detections: N of them. Those of edits that no run has heeded lie about where they will, and were not measured.
        identities: What the atlas says of them.
        origin: (N,) row of the found detections that each is; UNKNOWN of those that people made.
        amendments: What all edits make of the found detections.
        edited: Volume -> what its edits make of it, of those whose edits have changed since the last run.
        pending: These volumes, and those of which all edits were taken back.
    """

    detections: Detections
    identities: Identities
    origin: IntArray
    amendments: Amendments
    edited: dict[int, Made]
    pending: frozenset[int]


class Seen:
    """What a run folder shows.

    Args:
        folder: A run folder whose tracks are not older than what they were made of.

    Raises:
        StorageError: there are no tracks, or they are older.
    """

    def __init__(self, folder: RunFolder) -> None:
        track, identify, segment = (folder.record(stage) for stage in ("track", "identify", "segment"))
        if track is None or identify is None or segment is None:
            raise StorageError(f"{folder.path}: has no tracks to correct yet; run 'barlowtrack run'")
        amended = edition(folder)
        older = track.inputs.get("identities") != identify.key or identify.inputs.get("detections") != segment.key
        if older or track.inputs.get(AMENDMENTS, UNAMENDED) != amended:
            what = "the atlas" if older else "the detections"
            raise StorageError(f"{folder.path}: tracks are older than {what}; run 'barlowtrack run' first, and look at them again")
        self._folder, self._key = folder, segment.key
        self._found: Detections = read("detections", folder, amended=False)
        self._said: Identities = read("identities", folder, amended=False)
        self._heeded: Amendments = Amendments() if amended == UNAMENDED else read(AMENDMENTS, folder)

    def edition(self, table: Corrections) -> Edition:
        """Returns the detections with all edits of a table; reads the labels of volumes whose edits no run has heeded.

        Raises:
            InputError: an edit that cannot be, by its line.
        """
        heeded = {volume.t: volume for volume in self._heeded.volumes}
        wanted = edits_by_volume(table.edits)
        volumes: list[AmendedVolume] = []
        edited: dict[int, Made] = {}
        for t, rows in wanted.items():
            locate(rows[0], self._found)  # refuses a volume that is not there
            if t in heeded and heeded[t].said == edits_digest(rows):
                volumes.append(heeded[t])
            else:
                edited[t] = _made(self._folder.path, self._key, t, rows)
                volumes.append(edited[t].volume)
        amendments = Amendments(tuple(volumes))
        identities = self._said
        if volumes:
            identities = amendments.identities(self._found, self._said, number(self._found, self._said.neuron))
        return Edition(
            amendments.detections(self._found),
            identities,
            amendments.origin(self._found),
            amendments,
            edited,
            frozenset(edited) | (frozenset(heeded) - frozenset(wanted)),
        )

    def vectors(self, now: Edition) -> FloatArray:
        """Returns (N, D) embeddings of an edition; 0 in volumes whose edits no run has heeded."""
        found: Embeddings = read("embeddings", self._folder, amended=False)
        dims = found.vectors.shape[1]
        volumes = [
            replace(volume, vectors=np.zeros((len(volume.detections), dims), np.float32)) if volume.t in now.edited else volume
            for volume in now.amendments.volumes
        ]
        return Amendments(tuple(volumes)).embeddings(self._found, found).vectors


@lru_cache(maxsize=512)
def _made(path: Path, key: str, t: int, rows: tuple[Correction, ...]) -> Made:  # noqa: ARG001 - the key tells one segmentation from another
    """Makes what can be known of an edited volume without its light; kept, for who gives many answers gives them before the next run.

    Args:
        path: Of the run folder.
        key: Of its segmentation.
        t: Volume.
        rows: Its edits.
    """
    folder = RunFolder(path)
    found: Detections = read("detections", folder, amended=False)
    labels: Labels = read("labels", folder, amended=False)
    part, size = found.rows_of(t), np.asarray(folder.about()["card"]["voxel_size_um"], np.float64)
    before = labels.read(t)
    edited = edit(before.astype(np.int32), rows, size.tolist(), usual_radius_um(found))
    fresh = np.array(sorted(edited.made), np.int32)
    stays = np.arange(part.start, part.stop)[~np.isin(found.label[part], fresh)]
    where = [np.argwhere(edited.labels == one) for one in fresh]
    middle = np.array([at.mean(0) * size for at in where], np.float32).reshape(-1, 3)
    unknown = dict.fromkeys(("red_mean", "red_peak", "green_mean", "green_peak", "quality", "probability"), np.full(len(fresh), np.nan))
    people = Detections(
        found.n_volumes,
        t=np.full(len(fresh), t, np.int32),
        label=fresh,
        position_um=middle,
        volume_um3=np.array([len(at) * size.prod() for at in where], np.float32),
        **unknown,
    )
    detections, origin = found.subset(stays).joined(people, stays)
    changed, n = np.flatnonzero(edited.labels != before), len(detections)
    dark, nowhere, unlike = Light.dark(n), Places.concatenate([]), np.zeros((n, 0), np.float32)
    values = edited.labels.ravel()[changed]
    volume = AmendedVolume(t, edits_digest(rows), origin, detections, unlike, dark, nowhere, changed, values)
    return Made(volume, edited.label, edited.idle)


def astray(table: Corrections, t: int, before: Edition, after: Edition) -> Correction | None:
    """Returns the first row in force that speaks of a detection of volume t, and would speak of another one; None where none would."""
    for row in table.in_force:
        if not row.about_detection or row.t != t:
            continue
        try:
            was = locate(row, before.detections)
        except InputError:
            continue  # it does not stand as it is
        try:
            now = locate(row, after.detections)
        except InputError:
            return row
        if was is not None and now is not None and before.origin[was] != after.origin[now]:
            return row
    return None
