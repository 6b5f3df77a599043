"""What a solution says otherwise than the one before it, as places to step through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from barlowtrack.data import UNKNOWN, Detections, IntArray
from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.stops import Stop

COLUMNS = ("Volume", "What changed", "Sure")

SAME_UM = 0.5
"""A nucleus that was measured anew lies within this of where it was; one that was divided or added does not."""

MANY = 4
"""The same change in so many volumes is told once."""


GONE, NEW = -2, -3
"""Who a nucleus is, or was, that is not there, or was not."""


@dataclass(frozen=True)
class _Change:
    """One nucleus: who it was, and who it is; its row in the new table, of one that is gone in the old."""

    t: int
    before: int
    after: int
    row: int
    probability: float


def changes(old: Solution, new: Solution) -> tuple[Stop, ...]:
    """Returns what changed: names, then what changed alike in many volumes, then the rest by volume, the surest first.

    Nuclei are the same where they lie in the same place: rows may have shifted, and labels may be others. Where ids were
    given anew, as after another atlas was learned, neurons are the same where most of their nuclei are.

    Args:
        old: What was shown.
        new: What is shown now.
    """
    was = matched(old.detections, new.detections)
    renamed = _ids(old, new, was)
    before = np.full(len(was), NEW)
    known = was != UNKNOWN
    before[known] = renamed[old.tracks.neuron[was[known]]]
    return (*_names(old, new, renamed), *_told(new, list(_changed(old, new, was, before))))


def matched(old: Detections, new: Detections) -> IntArray:
    """Returns (N of new,) the row of the old table that is the same nucleus; UNKNOWN where it is a new one."""
    if len(old) == len(new) and np.array_equal(old.t, new.t) and np.array_equal(old.position_um, new.position_um):
        return np.arange(len(new))
    found = np.full(len(new), UNKNOWN, np.int64)
    for t in range(min(old.n_volumes, new.n_volumes)):
        before, after = old.rows_of(t), new.rows_of(t)
        if before.stop == before.start or after.stop == after.start:
            continue
        apart, nearest = (np.atleast_1d(both) for both in cKDTree(old.position_um[before]).query(new.position_um[after]))
        back = np.atleast_1d(cKDTree(new.position_um[after]).query(old.position_um[before])[1])
        same = (apart <= SAME_UM) & (back[nearest] == np.arange(len(nearest)))
        found[np.arange(after.start, after.stop)[same]] = before.start + nearest[same]
    return found


def _ids(old: Solution, new: Solution, was: IntArray) -> IntArray:
    """(K + 1,) who each neuron of the old solution is in the new one; the last is UNKNOWN."""
    same = np.append(np.arange(old.n_neurons), UNKNOWN)
    rows = np.flatnonzero(was != UNKNOWN)
    before, after = old.tracks.neuron[was[rows]], new.tracks.neuron[rows]
    both = (before >= 0) & (after >= 0)
    if not both.any() or 2 * np.count_nonzero(before[both] == after[both]) >= np.count_nonzero(both):
        return same
    together = np.zeros((old.n_neurons, new.n_neurons), np.int64)
    np.add.at(together, (before[both], after[both]), 1)
    there, back = together.argmax(1), together.argmax(0)
    mutual = (back[there] == np.arange(old.n_neurons)) & (together.max(1) > 0)
    same[:-1] = np.where(mutual, there, UNKNOWN)
    return same


def _changed(old: Solution, new: Solution, was: IntArray, before: IntArray) -> Iterator[_Change]:
    after = new.tracks.neuron
    for row in np.flatnonzero(before != after).tolist():
        yield _Change(int(new.detections.t[row]), int(before[row]), int(after[row]), row, float(new.tracks.probability[row]))
    for row in np.setdiff1d(np.arange(len(old.detections)), was).tolist():
        yield _Change(int(old.detections.t[row]), int(old.tracks.neuron[row]), GONE, row, float(old.tracks.probability[row]))


def _told(new: Solution, found: list[_Change]) -> Iterator[Stop]:
    alike: dict[tuple[int, int], list[_Change]] = {}
    for change in found:
        alike.setdefault((change.before, change.after), []).append(change)
    many = [group for group in alike.values() if len(group) >= MANY]
    for group in sorted(many, key=len, reverse=True):
        group.sort(key=lambda change: change.t)
        yield _stop(new, max(group, key=lambda change: change.probability), f"{group[0].t} to {group[-1].t}", len(group))
    few = [change for group in alike.values() if len(group) < MANY for change in group]
    exchanged: set[tuple[int, int, int]] = set()
    there = {(change.t, change.before, change.after) for change in few}
    for change in sorted(few, key=lambda change: (change.t, -change.probability, change.row)):
        back = (change.t, change.after, change.before)
        if back in exchanged:
            continue  # told with the other one
        exchanged.add((change.t, change.before, change.after))
        yield _stop(new, change, str(change.t), 1, exchanged=back in there and min(change.before, change.after) >= 0)


def _stop(new: Solution, change: _Change, volumes: str, count: int, *, exchanged: bool = False) -> Stop:
    told = _exchange(new, change) if exchanged else _words(new, change) if count == 1 else _alike(new, change, count)
    place = None
    if change.after != GONE:
        z, y, x = (float(axis) for axis in new.detections.position_um[change.row])
        place = (z, y, x)
    concerned = tuple(neuron for neuron in (change.after, change.before) if 0 <= neuron < new.n_neurons)
    sure = "" if change.after == GONE else f"{100 * change.probability:.0f} %"
    return Stop(change.t, place, concerned, (volumes, told, sure))


def _words(new: Solution, change: _Change) -> str:
    before, after = _who(new, change.before), _who(new, change.after)
    if change.after == GONE:
        return f"a nucleus is gone; it was {before}"
    label = f"nucleus {new.detections.label[change.row]}"
    if change.before == NEW:
        return f"{label} is new; it is {after}"
    return f"{label} was {before}, is {after}"


def _alike(new: Solution, change: _Change, count: int) -> str:
    if change.after == GONE:
        return f"{count} nuclei are gone; they were {_who(new, change.before)}"
    if change.before == NEW:
        return f"{count} nuclei are new; they are {_who(new, change.after)}"
    return f"{_who(new, change.before)} is {_who(new, change.after)} now, in {count} volumes"


def _exchange(new: Solution, change: _Change) -> str:
    return f"{_who(new, change.before)} and {_who(new, change.after)} are exchanged"


def _who(new: Solution, neuron: int) -> str:
    return new.names.text(neuron) if 0 <= neuron < new.n_neurons else "nobody"


def _names(old: Solution, new: Solution, renamed: IntArray) -> Iterator[Stop]:
    had = {int(renamed[k]): name for k, name in enumerate(old.names.given) if renamed[k] != UNKNOWN}
    for k, name in enumerate(new.names.given):
        if name == had.get(k, ""):
            continue
        shown = np.flatnonzero(new.row_of[k] >= 0)
        t = int(shown[0]) if len(shown) else 0
        place = None
        if len(shown):
            z, y, x = (float(axis) for axis in new.detections.position_um[new.row_of[k, t]])
            place = (z, y, x)
        told = f"{k} is called {name}" if name else f"{k} is not called {had[k]} any more"
        yield Stop(t, place, (k,), ("all", told, ""))
