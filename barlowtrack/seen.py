"""What a person who looks at a run speaks of: its detections, also those that they have just made, before a run has heeded them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from barlowtrack.data import (
    UNKNOWN,
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
    Recording,
)
from barlowtrack.data.corrections import edits_by_volume, edits_digest
from barlowtrack.detect.edits import edit, usual_radius_um
from barlowtrack.detect.volume import mend_planes
from barlowtrack.errors import ConfigError, InputError, StorageError
from barlowtrack.identity.rulings import clicks_of, locate, number, place_of
from barlowtrack.identity.volumes import neighbour_distance_um
from barlowtrack.io.location import is_there
from barlowtrack.pipeline import AMENDMENTS, UNAMENDED, as_seen, edition, read
from barlowtrack.storage import RunFolder


@dataclass(frozen=True)
class Made:
    """What edits make of a volume that no run has looked at yet.

    Attributes:
        volume: Without embeddings and readings of light; what people made has the voxels that it will have, or, where the recording is
            not at hand, about these. It lies in their middle.
        label: Line of each edit -> label that it adds, or divides.
        idle: Line of each edit that says what is so already -> in what way.
        refused: Line of each edit that a run will leave out -> why.
    """

    volume: AmendedVolume
    label: dict[int, int]
    idle: dict[int, str]
    refused: dict[int, InputError]


@dataclass(frozen=True)
class Edition:
    """The detections of a run as a table of corrections has them.

    Attributes:
        detections: N of them. Those of edits that no run has heeded were not measured yet.
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

    def locate(self, row: Correction) -> int | None:
        """Returns the detection that a row speaks of; see rulings.locate."""
        return locate(row, self.detections, self._reach_um, clicks_of(self.identities))

    @cached_property
    def _reach_um(self) -> float:
        return neighbour_distance_um(self.detections) / 2

    def known_by(self, at: int) -> int | tuple[float, float, float]:
        """Returns what stays of a detection from edition to edition: its row of those that were found, or where people clicked."""
        return int(self.origin[at]) if self.origin[at] != UNKNOWN else place_of(at, self.detections, self.identities)


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
        """Returns the detections with all edits of a table.

        Of volumes whose edits no run has heeded labels are read, and light, where the recording is at hand.

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
                edited[t] = _made(self._folder.path, self._key, t, rows, at_hand(self._folder) is not None)
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


def at_hand(folder: RunFolder) -> Recording | None:
    """Opens the recording whose nuclei a run found; None where it is away, or another one by now."""
    record = folder.record("segment")
    location = folder.location
    if record is None or not is_there(location):
        return None
    known = json.dumps(folder.about()["card"], sort_keys=True)
    recording = _opened(location, folder.path / "settings.toml", str(record.recording.get("content")), known)
    try:
        return None if recording is None else as_seen(recording, folder)
    except (InputError, StorageError):
        return None


@lru_cache(maxsize=2)
def _opened(location: Path, settings: Path, content: str, known: str) -> Recording | None:
    """Opens a recording once: that looks into all its files.

    Args:
        location: Where it lies.
        settings: File of those that say how to read it.
        content: Its hash: another one by now is none.
        known: What the run folder knows of it, as JSON: which channel is which is not decided anew.
    """
    from barlowtrack.config import load
    from barlowtrack.io import open_recording

    try:
        recording = open_recording(location, load(settings if settings.exists() else None, ()).recording, known=json.loads(known))
    except (InputError, StorageError, ConfigError):
        return None
    return recording if recording.fingerprint == content else None


@lru_cache(maxsize=512)
def _made(path: Path, key: str, t: int, rows: tuple[Correction, ...], shown: bool) -> Made:  # noqa: ARG001 - see key
    """Makes of an edited volume what a run will, but for readings and embeddings; kept, for of one run people give many answers.

    Args:
        path: Of the run folder.
        key: Of its segmentation: tells one from another.
        t: Volume.
        rows: Its edits.
        shown: Whether the recording is at hand.
    """
    folder = RunFolder(path)
    found: Detections = read("detections", folder, amended=False)
    labels: Labels = read("labels", folder, amended=False)
    part, size = found.rows_of(t), np.asarray(folder.about()["card"]["voxel_size_um"], np.float64)
    before = labels.read(t)
    edited = edit(before.astype(np.int32), rows, size.tolist(), usual_radius_um(found), _red(folder, t) if shown else None)
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
    volume = AmendedVolume(t, edits_digest(rows), origin, detections, unlike, dark, nowhere, changed, values, *edited.clicked)
    return Made(volume, edited.label, edited.idle, edited.refused)


def _red(folder: RunFolder, t: int) -> FloatArray | None:
    """(Z, Y, X) reference channel of a volume, as `amend` sees it; None where it cannot be read."""
    recording = at_hand(folder)
    try:
        return None if recording is None else mend_planes(recording.read(t)[recording.reference].astype(np.float32))
    except (InputError, StorageError, OSError):
        return None


def left_out(table: Corrections, before: Edition, after: Edition) -> InputError | None:
    """Returns why a run will leave an edit of a table out that it does not leave out as it is; None where there is none."""
    already = clicks_of(before.identities)
    for row in table.edits:
        made = after.edited.get(row.t or 0)
        click = already.at(row.t, row.position_um)
        if made is not None and row.line in made.refused and (click is None or already.row[click] != UNKNOWN):
            return made.refused[row.line]
    return None


def astray(table: Corrections, t: int, before: Edition, after: Edition) -> Correction | None:
    """Returns the first row in force that speaks of a detection of volume t, and would speak of another one; None where none would."""
    for row in table.in_force:
        if not row.about_detection or row.t != t:
            continue
        try:
            was = before.locate(row)
        except InputError:
            continue  # it does not stand as it is
        try:
            now = after.locate(row)
        except InputError:
            return row
        if was is not None and now is not None and before.known_by(was) != after.known_by(now):
            return row
    return None
