"""Makes names of entries as people want it: solves the volumes again that they speak of, and renames what they renamed everywhere."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import UNKNOWN, Candidates, Detections, FloatArray, Identities, IntArray
from barlowtrack.identity.claims import claims_of
from barlowtrack.identity.constraints import Constraints
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.rulings import Rulings, touched
from barlowtrack.identity.solve import sight

SUREST_CHANGE = 0.95
"""Most that is believed of an assignment which differs from the one that was calibrated."""

NOTHING_KNOWN = 0.5
"""How surely a neuron is absent from volumes in which no entry of the atlas stands for it."""


def heed(rulings: Rulings, detections: Detections, vectors: FloatArray, learned: Learned, identities: Identities) -> Identities:
    """Returns who every detection is, in neurons of the rulings instead of entries of the atlas.

    Args:
        rulings: What people said.
        detections: N of them.
        vectors: (N, D) embeddings.
        learned: The atlas, which stays as it is.
        identities: What it says of every detection; kept wherever nobody says otherwise.
    """
    identities = _solved_again(rulings, detections, vectors, learned, identities)
    neuron = rulings.meaning(detections.t, identities.neuron)
    candidates = _renamed(rulings, detections, identities.candidates)
    nobody = (identities.neuron >= 0) & (neuron < 0)
    probability = np.where(nobody, 1 - candidates.probability.sum(1), identities.probability).clip(0, 1)
    neuron[rulings.row], probability[rulings.row] = rulings.neuron, 1
    neuron, probability = once(detections.t, neuron, probability)
    candidates = _as_said(rulings, detections, candidates)
    absent = _absences(rulings, detections, neuron, identities.absent)
    return Identities(neuron.astype(np.int32), probability.astype(np.float32), candidates, absent, _places(rulings, identities))


def constraints_of(rulings: Rulings, t: int, rows: IntArray, assigned: IntArray) -> Constraints:
    """What people said of one volume, for the atlas.

    Args:
        rulings: Of the recording.
        t: The volume.
        rows: (n,) its detections.
        assigned: (n,) entries they are without corrections.
    """
    became = rulings.became[np.searchsorted(rulings.since, t, "right") - 1, :-1]  # (E,)
    column_of = {int(row): i for i, row in enumerate(rows)}
    entries, columns = [], []
    banned = [np.flatnonzero(became == neuron) for neuron in rulings.absent[rulings.absent[:, 0] == t, 1]]
    no_column = []
    for row, neuron in zip(rulings.row, rulings.neuron, strict=True):
        if int(row) not in column_of:
            continue
        column = column_of[int(row)]
        no_column.append(column)
        standing = np.flatnonzero(became == neuron) if neuron >= 0 else np.zeros(0, int)
        banned.append(standing)
        if len(standing):
            # Of several that are one neuron, the one that the atlas saw here.
            seen = [e for e in (assigned[column], *assigned) if e in standing]
            entries.append(int(seen[0]) if seen else int(standing[0]))
            columns.append(column)
    none = np.zeros(0, np.int64)
    return Constraints(
        np.array(entries, np.int64), np.array(columns, np.int64), np.concatenate([none, *banned]), np.array(no_column, np.int64)
    )


def _solved_again(rulings: Rulings, detections: Detections, vectors: FloatArray, learned: Learned, identities: Identities) -> Identities:
    """Lays the atlas anew over the volumes in which people say something else than it does; still in its entries."""
    neuron, probability = identities.neuron.copy(), identities.probability.copy()
    who, share = identities.candidates.neuron.copy(), identities.candidates.probability.copy()
    absent, calibration = identities.absent.copy(), learned.calibration
    if calibration is None:  # nothing was detected
        return identities
    fresh = np.zeros(len(neuron), bool) if identities.amended is None else identities.amended.fresh
    for t in touched(rulings, detections, identities):
        part = detections.rows_of(int(t))
        volume = learned.preparation.volume(np.arange(part.start, part.stop), detections.position_um[part], np.asarray(vectors[part]))
        found = sight(volume, learned.atlas, constraints=constraints_of(rulings, int(t), volume.rows, neuron[volume.rows]))
        claims = claims_of(found)
        sure = calibration.probability(claims).clip(0, SUREST_CHANGE)
        others, shares = calibration.candidates(claims, sure)
        changed = (found.neuron != neuron[volume.rows]) | fresh[volume.rows]
        rows = volume.rows[changed]
        neuron[rows], probability[rows] = found.neuron[changed], sure[changed]
        who[rows], share[rows] = others[changed], shares[changed]
        absent[t] = np.nan
        absent[t, claims.absent_neuron] = calibration.absence(claims)
    return Identities(neuron, probability, Candidates(who, share), absent, identities.place_um)


def _places(rulings: Rulings, identities: Identities) -> FloatArray:
    """(T, K, 3) where each neuron should lie: where the entry does that it has its id from; of one that people added nobody knows."""
    known = rulings.entry >= 0
    place_um = np.full((len(identities.absent), len(known), 3), np.nan, np.float32)
    place_um[:, known] = identities.place_um[:, rulings.entry[known]]
    return place_um


def _renamed(rulings: Rulings, detections: Detections, candidates: Candidates) -> Candidates:
    """Candidates in neurons; of entries that are one neuron the probabilities add up, and nobody stays who is none."""
    return added_up(rulings.meaning(detections.t[:, None], candidates.neuron), candidates.probability)


def added_up(neuron: IntArray, share: FloatArray) -> Candidates:
    """Makes candidates of neurons (n, C), of which one may stand there twice, and their probabilities (n, C)."""
    neuron, share = neuron.copy(), np.where(neuron >= 0, share, 0)
    for later in range(1, neuron.shape[1]):
        for earlier in range(later):
            same = (neuron[:, later] >= 0) & (neuron[:, later] == neuron[:, earlier])
            share[same, earlier] += share[same, later]
            neuron[same, later], share[same, later] = UNKNOWN, 0
    return _closed_up(neuron, share)


def _as_said(rulings: Rulings, detections: Detections, candidates: Candidates) -> Candidates:
    """Leaves no doubt where a person was asked: neither of that detection, nor of others that might have been that neuron."""
    neuron, share = candidates.neuron.copy(), candidates.probability.copy()
    taken = np.concatenate([np.stack([detections.t[rulings.row], rulings.neuron], axis=1), rulings.absent])
    for t, who in taken[taken[:, 1] >= 0]:
        rows = detections.rows_of(int(t))
        there = neuron[rows] == who
        neuron[rows][there], share[rows][there] = UNKNOWN, 0
    neuron[rulings.row], share[rulings.row] = UNKNOWN, 0
    if neuron.shape[1]:
        neuron[rulings.row, 0], share[rulings.row, 0] = rulings.neuron, rulings.neuron >= 0
    return _closed_up(neuron, share)


def _closed_up(neuron: IntArray, share: FloatArray) -> Candidates:
    """Puts candidates that are nobody any more behind the others."""
    order = np.argsort(neuron < 0, axis=1, kind="stable")
    return Candidates(np.take_along_axis(neuron, order, 1).astype(np.int32), np.take_along_axis(share, order, 1).astype(np.float32))


def once(t: IntArray, neuron: IntArray, probability: FloatArray) -> tuple[IntArray, FloatArray]:
    """Where two of what is one neuron now are in a volume, the surer stays, and the other is unknown."""
    order = np.lexsort([-probability, neuron, t])
    again = np.zeros(len(t), bool)
    again[order[1:]] = (np.diff(t[order]) == 0) & (np.diff(neuron[order]) == 0)
    again &= neuron >= 0
    return np.where(again, UNKNOWN, neuron), np.where(again, 1 - probability, probability)


def _absences(rulings: Rulings, detections: Detections, neuron: IntArray, absent: FloatArray) -> FloatArray:
    """(T, K) how surely each neuron is absent: as its entry is, of several the likeliest to be there; NaN where it was assigned."""
    found = np.full((len(absent), len(rulings.entry)), NOTHING_KNOWN, np.float32)
    volumes = np.searchsorted(rulings.since, np.arange(len(absent)), "right") - 1
    for i, became in enumerate(rulings.became[:, :-1]):
        entry, here = np.flatnonzero(became >= 0), volumes == i
        least = np.full((len(rulings.entry), int(here.sum())), np.inf, np.float32)
        np.minimum.at(least, became[entry], np.nan_to_num(absent[here][:, entry], nan=np.inf).T)
        stood = np.flatnonzero(np.isin(np.arange(len(rulings.entry)), became))
        found[np.ix_(here, stood)] = np.where(np.isfinite(least[stood]), least[stood], NOTHING_KNOWN).T
    found[:, rulings.gone] = 1
    found[rulings.absent[:, 0], rulings.absent[:, 1]] = 1
    known = neuron >= 0
    found[detections.t[known], neuron[known]] = np.nan
    return found
