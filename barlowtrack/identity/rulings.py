"""What people's rows mean for the detections and the atlas at hand: which detection, which neuron, from which volume on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN, Clicks, Detections, FloatArray, Identities, IntArray
from barlowtrack.data.corrections import Correction, Corrections, Witnesses, is_id
from barlowtrack.identity.statements import Statements, state
from barlowtrack.identity.volumes import neighbour_distance_um

N_WITNESSES = 9


@dataclass(frozen=True)
class Rulings:
    """The K neurons that there are once people have been heard, and what they said of single detections.

    Attributes:
        entry: (K,) entry of the atlas that each neuron has its id from; UNKNOWN: of none, a person added it.
        name: K names; "" where nobody gave one.
        since: (I,) first volume of each stretch of time in which entries mean the same; rising from 0.
        became: (I, E + 1) neuron that each of E entries is in that stretch, UNKNOWN where none; the last is what UNKNOWN is.
        row: (P,) detections of which a person said who they are.
        neuron: (P,) who; UNKNOWN: none.
        absent: (A, 2) volume and neuron that is not there.
        gone: (G,) neurons that are none, or part of another.
    """

    entry: IntArray
    name: tuple[str, ...]
    since: IntArray
    became: IntArray
    row: IntArray
    neuron: IntArray
    absent: IntArray
    gone: IntArray

    def meaning(self, t: IntArray, entry: IntArray) -> IntArray:
        """Returns the neurons that entries are in volumes t, which is (...) of the shape of entry."""
        return np.asarray(self.became[np.searchsorted(self.since, t, "right") - 1, entry])


def number(detections: Detections, neuron: IntArray) -> IntArray:
    """Returns the K entries that were ever assigned, by mean position: neuron i is entry[i]."""
    known = neuron >= 0
    entries, index = np.unique(neuron[known], return_inverse=True)
    count = np.bincount(index, minlength=len(entries))
    position = detections.position_um[known].astype(np.float64)
    mean = np.stack([np.bincount(index, axis, minlength=len(entries)) for axis in position.T], axis=1) / np.maximum(count, 1)[:, None]
    return np.asarray(entries[np.lexsort(mean.T)])


def entries_of(detections: Detections, identities: Identities) -> IntArray:
    """Returns the entry that each id stands for: as `number` had them before people added or divided detections, for ids stay."""
    return number(detections, identities.neuron) if identities.amended is None else identities.amended.entry


def clicks_of(identities: Identities) -> Clicks:
    """Returns where people said that nuclei are."""
    return Clicks.none() if identities.amended is None else identities.amended.clicks


def place_of(at: int, detections: Detections, identities: Identities) -> tuple[float, float, float]:
    """Returns by what place rows are to speak of a detection: where it lies, or, of one that people made, where they clicked.

    Where light, or another row, puts it in the next run is not known yet; the click stays.
    """
    amended = identities.amended
    click = amended.clicks.of(at) if amended is not None and amended.fresh[at] else None
    z, y, x = detections.position_um[at].tolist() if click is None else click
    return round(z, 4), round(y, 4), round(x, 4)


def witnesses_of(detections: Detections, identities: Identities) -> Witnesses:
    """Chooses up to N_WITNESSES sure detections of every neuron, spread over the recording."""
    entry = entries_of(detections, identities)
    rows, neurons = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    order = np.lexsort([-identities.probability, identities.neuron])
    start = np.searchsorted(identities.neuron[order], entry)
    stop = np.searchsorted(identities.neuron[order], entry, "right")
    for neuron, (a, b) in enumerate(zip(start, stop, strict=True)):
        sure = np.sort(order[a : a + max((b - a + 1) // 2, min(N_WITNESSES, b - a))])
        rows.append(sure[np.unique(np.linspace(0, len(sure) - 1, min(N_WITNESSES, len(sure))).astype(int))])
        neurons.append(np.full(len(rows[-1]), neuron))
    row = np.concatenate(rows)
    return Witnesses(np.concatenate(neurons), detections.t[row].astype(np.int64), detections.position_um[row].astype(np.float64))


def rule(corrections: Corrections, detections: Detections, identities: Identities) -> Rulings:
    """Finds out what a table means for these detections and this atlas.

    Raises:
        InputError: a row speaks of a detection or a neuron that is not there, or of one of another atlas that is not found in this
            one; or two rows clash. Says which lines.
    """
    entry = entries_of(detections, identities)
    id_of = _inverse(entry, identities.n_neurons)
    reach_um = neighbour_distance_um(detections) / 2
    rows = _of_this_atlas(corrections, detections, id_of[identities.neuron], identities.mark, reach_um)
    clicks = clicks_of(identities)
    where = [None if _unmade(row, clicks) else locate(row, detections, reach_um, clicks) for row in rows]
    _refuse_strangers(rows, len(entry))
    about: list[Hashable] = [(row.t, row.position_um) if _unmade(row, clicks) else at for row, at in zip(rows, where, strict=True)]
    statements = state(rows, about)
    if statements.clashes:
        raise statements.clashes[0].error()
    added = _added(statements)
    ids = {str(i): i for i in range(len(entry))} | {called: len(entry) + i for i, called in enumerate(added)}
    since, became, gone = _meanings(statements, ids, entry, identities.n_neurons)
    said = [(at, UNKNOWN if row.what == "not-a-neuron" else ids[statements.neuron(row.neuron)])
            for row, at in zip(rows, where, strict=True) if at is not None]  # fmt: skip
    pins = np.array(sorted(set(said)), np.int64).reshape(-1, 2)
    absent = np.array(sorted({(row.t or 0, ids[statements.neuron(row.neuron)]) for row in statements.of("absent")}), np.int64).reshape(
        -1, 2
    )
    name = _names(statements, ids, added)
    entry = np.concatenate([entry, np.full(len(added), UNKNOWN)]).astype(np.int32)
    return Rulings(entry, name, since, became, pins[:, 0], pins[:, 1], absent, gone)


def _inverse(entry: IntArray, n_entries: int) -> IntArray:
    """(E + 1,) id of each entry; UNKNOWN of those that were never assigned, and, last, of UNKNOWN."""
    id_of = np.full(n_entries + 1, UNKNOWN, np.int64)
    id_of[entry] = np.arange(len(entry))
    return id_of


def _of_this_atlas(
    corrections: Corrections, detections: Detections, neuron: IntArray, mark: str, reach_um: float
) -> tuple[Correction, ...]:
    """The rows in force with the ids of the atlas at hand; neuron (N,) is who each detection is by it."""
    known: dict[str, dict[int, int]] = {}
    rows = []
    for row in corrections.in_force:
        called = [name for name in (row.neuron, row.other if row.what == "merge" else "") if is_id(name)]
        if called and row.atlas not in ("", mark):
            if row.atlas not in corrections.witnesses:
                raise row.refused(f"speaks of neurons of another atlas ({row.atlas}) of which nothing is known; undo it, and say it again")
            if row.atlas not in known:
                known[row.atlas] = _found_again(corrections.witnesses[row.atlas], detections, neuron, reach_um)
            for name in called:
                if int(name) not in known[row.atlas]:
                    raise row.refused(f"neuron {name} of another atlas ({row.atlas}) is not found in this one; undo it, and say it again")
            now = {name: str(known[row.atlas][int(name)]) for name in called}
            if row.what == "merge" and now.get(row.neuron, row.neuron) == now.get(row.other, row.other):
                continue  # this atlas knows already
            other = now.get(row.other, row.other) if row.what == "merge" else row.other
            row = replace(row, neuron=now.get(row.neuron, row.neuron), other=other)
        rows.append(row)
    return tuple(rows)


def _found_again(witnesses: Witnesses, detections: Detections, neuron: IntArray, reach_um: float) -> dict[int, int]:
    """Which neuron holds more than half of the witnesses of each neuron of another atlas."""
    votes: dict[int, list[int]] = {}
    for was, t, place in zip(witnesses.neuron, witnesses.t, witnesses.position_um, strict=True):
        at = _nearest(detections, int(t), place, reach_um)
        votes.setdefault(int(was), []).append(UNKNOWN if at is None else int(neuron[at]))
    found = {}
    for was, now in votes.items():
        values, counts = np.unique(now, return_counts=True)
        best = int(np.argmax(counts))
        if values[best] >= 0 and 2 * counts[best] > len(now):
            found[was] = int(values[best])
    return found


def _nearest(detections: Detections, t: int, place_um: FloatArray, reach_um: float) -> int | None:
    rows = detections.rows_of(t)
    if rows.stop <= rows.start:
        return None
    distance = np.linalg.norm(detections.position_um[rows].astype(np.float64) - place_um, axis=1)
    best = int(np.argmin(distance))
    return rows.start + best if distance[best] <= reach_um else None


def _unmade(row: Correction, clicks: Clicks) -> bool:
    """Whether a row speaks of a nucleus that people say is there, and that could not be made: it means no other one."""
    click = clicks.at(row.t, row.position_um) if row.about_detection else None
    return click is not None and int(clicks.row[click]) == UNKNOWN


def locate(row: Correction, detections: Detections, reach_um: float | None = None, clicks: Clicks | None = None) -> int | None:
    """Returns the detection that a correction speaks of.

    What people made is told by the very place where they clicked, whatever label it has and wherever it lies. All else is the one of the
    row's label, unless that lies elsewhere now; else the nearest one.

    Args:
        row: A correction; None comes back where it speaks of no detection.
        detections: N of them.
        reach_um: Farthest that it may lie from the position given; half the distance of neighbours where not given.
        clicks: Where people said that nuclei are.

    Raises:
        InputError: there is none.
    """
    clicks = Clicks.none() if clicks is None else clicks
    if row.t is not None and row.t >= detections.n_volumes:
        raise row.refused(f"t: expected a volume from 0 to {detections.n_volumes - 1}, got {row.t}")
    if row.t is None or not row.about_detection:
        return None
    click = clicks.at(row.t, row.position_um)
    if click is not None:
        if clicks.row[click] == UNKNOWN:
            raise row.refused(f"the nucleus that was to be there in volume {row.t} could not be made; see the warnings of the last run")
        return int(clicks.row[click])
    rows = detections.rows_of(row.t)
    same = np.flatnonzero(detections.label[rows] == row.label) + rows.start if row.label is not None else np.zeros(0, int)
    if row.position_um is None:
        if not len(same):
            raise row.refused(f"volume {row.t} has no detection of label {row.label}")
        return int(same[0])
    place = np.asarray(row.position_um)
    if reach_um is None:
        reach_um = neighbour_distance_um(detections) / 2
    if len(same) and np.linalg.norm(detections.position_um[same[0]] - place) <= reach_um:
        return int(same[0])
    found = _nearest(detections, row.t, place, reach_um)
    if found is None:
        at = ", ".join(f"{axis:g}" for axis in row.position_um)
        raise row.refused(f"volume {row.t} has no detection within {reach_um:.1f} um of z, y, x = {at}")
    return found


def _refuse_strangers(rows: Sequence[Correction], n_known: int) -> None:
    for row in rows:
        for called in (row.neuron, row.other if row.what == "merge" else ""):
            if is_id(called) and int(called) >= n_known:
                there = f"the atlas knows 0 to {n_known - 1}" if n_known else "the atlas knows none"
                raise row.refused(f"neuron {called}: {there}; call one that a person added by its name")


def _added(statements: Statements) -> list[str]:
    """Neurons that no entry of the atlas stands for, in the order in which they were first spoken of."""
    made = [statements.neuron(row.neuron if row.what == "is" else row.other) for row in statements.rows if row.what in ("is", "split")]
    added = list(dict.fromkeys(called for called in made if not is_id(called)))
    for row in statements.rows:
        called = statements.neuron(row.neuron)
        if row.neuron and not is_id(called) and called not in added:
            raise row.refused(f"nobody is called {row.neuron}")
    given = {row.other for row in statements.rows if row.what in ("name", "split")}
    given |= {row.neuron for row in statements.of("is")}
    for row in statements.of("merge"):  # which joins a name to an id, and does not give it
        for called in (row.neuron, row.other):
            if not is_id(called) and called not in given:
                raise row.refused(f"nobody is called {called}")
    return added


def _meanings(statements: Statements, ids: Mapping[str, int], entry: IntArray, n_entries: int) -> tuple[IntArray, IntArray, IntArray]:
    """Since when entries mean what, see Rulings; and the neurons that are gone."""
    splits = statements.of("split")
    since = sorted({0} | {row.t or 0 for row in splits} | {row.until + 1 for row in splits if row.until is not None})
    dead = {statements.neuron(row.neuron) for row in statements.rows if row.what == "not-a-neuron" and row.neuron}
    became = np.full((len(since), n_entries + 1), UNKNOWN, np.int64)
    for i, t in enumerate(since):
        moved = [statements.moved(statements.neuron(str(k)), t) for k in range(len(entry))]
        became[i, entry] = [UNKNOWN if called in dead else ids[called] for called in moved]
    gone = [k for called, k in ids.items() if statements.neuron(called) != called or called in dead]
    return np.array(since), became, np.array(gone, np.int64)


def _names(statements: Statements, ids: Mapping[str, int], added: Sequence[str]) -> tuple[str, ...]:
    name = [""] * len(ids)
    for called in added:
        name[ids[called]] = called
    for row in statements.of("name"):
        name[ids[statements.neuron(row.neuron)]] = row.other
    return tuple(name)


def touched(rulings: Rulings, detections: Detections, identities: Identities) -> NDArray[np.int64]:
    """Returns the volumes in which a person says something else than the atlas does, or made detections that it does not know."""
    says = rulings.meaning(detections.t[rulings.row], identities.neuron[rulings.row])
    volumes = set(detections.t[rulings.row][says != rulings.neuron].tolist())
    if identities.amended is not None:
        volumes |= set(detections.t[identities.amended.fresh].tolist())
    for t, neuron in rulings.absent:
        rows = detections.rows_of(int(t))
        here = rulings.meaning(detections.t[rows], identities.neuron[rows])
        if (here == neuron).any():
            volumes.add(int(t))
    return np.array(sorted(volumes), np.int64)
