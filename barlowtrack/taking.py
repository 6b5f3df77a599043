"""From identities that somebody wrote down elsewhere to rows of corrections.csv: only what our tracks say otherwise is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from barlowtrack.answers import Answer, SaidAlreadyError, give_all
from barlowtrack.data import UNKNOWN, Correction, Detections, Tracks
from barlowtrack.errors import InputError, StorageError
from barlowtrack.identity.volumes import neighbour_distance_um
from barlowtrack.imports import Identified, Space, read_identities
from barlowtrack.imports.matching import Matched, match
from barlowtrack.pipeline import older_than, preparation_of, read
from barlowtrack.preparing.truth import prepared_places
from barlowtrack.storage import RunFolder


@dataclass(frozen=True)
class Taken:
    """What came of it.

    Attributes:
        rows: Lines that were added to corrections.csv.
        points: In the file.
        matched: Points that are a detection.
        agreed: Of these, how many our tracks call alike.
        lost: Points without a detection within reach, or in volumes that the run does not have.
        neurons: Of the file's neurons, how many are one of ours.
        fresh: Names of neurons that our tracks do not know.
        within_um: How far a detection could be.
        told: What was left out, or assumed, a sentence each.
    """

    rows: tuple[Correction, ...]
    points: int
    matched: int
    agreed: int
    lost: int
    neurons: int
    fresh: tuple[str, ...]
    within_um: float
    told: tuple[str, ...]


def take_identities(
    folder: RunFolder,
    path: Path,
    *,
    voxel_size_um: tuple[float, float, float] | None = None,
    within_um: float | None = None,
    who: str | None = None,
) -> Taken:
    """Writes down where a file of identities and the tracks differ, all of it or nothing; the next run heeds it.

    The file speaks of the recording as it lies on the disk; where the run prepares its pictures, points are taken there first, as a truth
    is. Points and detections are paired within each volume; their neurons and ours by how often they meet. A detection that the file calls
    otherwise becomes a row `is`, and a neuron that has a name there and none here a row `name`. Points without a detection are left.

    Args:
        folder: A run folder.
        path: One of imports.LAYOUTS.
        voxel_size_um: z, y, x of a file that counts in voxels; that of the recording where not given.
        within_um: Farthest a detection may be; half the distance of neighbours where not given.
        who: Says it; whoever is logged in, where not given.

    Raises:
        InputError: the file cannot be read, none of its points is a detection, or it contradicts what people said.
        StorageError: there are no tracks, or they are older than the detections.
    """
    older = older_than("tracks", folder)
    if folder.record("track") is None or older is not None:
        raise StorageError(f"{folder.path}: has no tracks that are up to date; run 'barlowtrack run {folder.path}' first")
    detections, tracks, names = read("detections", folder), read("tracks", folder), read("neurons", folder)["name"].fillna("").tolist()
    card = folder.about()["card"]
    theirs = read_identities(path, Space(voxel_size_um or tuple(card["voxel_size_um"]), tuple(card["shape"][2:]), folder.location))
    theirs, unseen = _prepared(theirs, folder)
    reach = neighbour_distance_um(detections) / 2 if within_um is None else within_um
    found = match(theirs, detections, tracks, reach)
    if not len(found.point):
        raise InputError(f"{path}: none of its {len(theirs)} points has a detection within {reach:.2f} um; is it this recording's?")
    answers, told = _names(theirs, found, names)
    rows, fresh = _identities(theirs, found, detections, tracks)
    answers += rows
    if unseen:
        told.append(f"{unseen} points lie outside the prepared pictures: in planes that are left out, or beyond their edge")
    agreed = len(found.point) - len(rows)
    written: tuple[Correction, ...] = ()
    if answers:
        try:
            written = give_all(folder, answers, who)
        except SaidAlreadyError:
            told.append("all of it stands in corrections.csv already")
    return Taken(
        written,
        len(theirs) + unseen,
        len(found.point),
        agreed,
        len(found.lost) + found.beyond + unseen,
        len(found.mapping),
        fresh,
        reach,
        (*theirs.told, *told),
    )


def _prepared(theirs: Identified, folder: RunFolder) -> tuple[Identified, int]:
    """Takes points to the pictures that the run looks at; how many are not in these."""
    card, done = folder.about()["card"], preparation_of(folder)
    z, y, x = (float(size) for size in card["voxel_size_um"])
    place, shown = prepared_places(theirs.t, theirs.position_um, done, int(card["shape"][0]), (z, y, x))
    seen = replace(theirs, t=theirs.t[shown], neuron=theirs.neuron[shown], position_um=place[shown], activity=None)
    return seen, int((~shown).sum())


def _names(theirs: Identified, found: Matched, names: list[str]) -> tuple[list[Answer], list[str]]:
    """Names for those of ours that have none; what clashes with a name that stands is told."""
    answers: list[Answer] = []
    told: list[str] = []
    used = set(names)
    for true, ours in sorted(found.mapping.items()):
        name = theirs.names.get(true, "")
        if not name or name == names[ours] or _is_number(name):
            continue
        if names[ours] or name in used:
            told.append(f"the file calls neuron {ours} {name}; " + (f"it is {names[ours]}" if names[ours] else f"another is called {name}"))
            continue
        used.add(name)
        answers.append(Answer("name", neuron=ours, other=name))
    return answers, told


def _identities(theirs: Identified, found: Matched, detections: Detections, tracks: Tracks) -> tuple[list[Answer], tuple[str, ...]]:
    """A row for every detection that the file calls otherwise; neurons that we do not know get its name."""
    rows: list[Answer] = []
    fresh: set[str] = set()
    for point, at in zip(found.point.tolist(), found.detection.tolist(), strict=True):
        true = int(theirs.neuron[point])
        ours = found.mapping.get(true, UNKNOWN)
        if ours != UNKNOWN and ours == tracks.neuron[at]:
            continue
        name = theirs.names.get(true, "")
        called: int | str = ours
        if ours == UNKNOWN:
            called = name if name and not _is_number(name) else f"imported-{true}"
            fresh.add(called)
        place = tuple(np.asarray(detections.position_um[at], np.float64).tolist())
        rows.append(
            Answer("is", t=int(detections.t[at]), label=int(detections.label[at]), position_um=place, neuron=called, new=ours == UNKNOWN)
        )
    return rows, tuple(sorted(fresh))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
