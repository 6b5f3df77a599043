"""Who a nucleus looks like in other volumes, and whether the tracker says so too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, FloatArray, IntArray
from barlowtrack.embedding.sample import rows_of, spread

AGREES, DIFFERS, UNSURE = 1, 0, -1
_MOST_VOLUMES, _MOST_QUERIES = 24, 64  # of all volumes, and of each of them


@dataclass(frozen=True)
class Retrieval:
    """Some nuclei of one volume, and the nearest to each in some other volumes.

    Attributes:
        query: (Q,) rows.
        volume: (V,) other volumes, in their order.
        found: (Q, V) rows.
        similarity: (Q, V) cosine.
        agrees: (Q, V) AGREES or DIFFERS: whether the tracker gives both the same id; UNSURE where it does not say where the neuron is.
    """

    query: IntArray
    volume: IntArray
    found: IntArray
    similarity: FloatArray
    agrees: IntArray


@dataclass(frozen=True)
class Consistency:
    """How often looks alone and the tracker say the same.

    Attributes:
        share: Of the pairs, those where the nearest nucleus of another volume carries the id of the nucleus asked for; NaN without any.
        chance: What guessing would reach.
        n_pairs: Pairs of a nucleus and another volume in which the tracker sees its neuron.
    """

    share: float
    chance: float
    n_pairs: int


def nearest(vectors: FloatArray, t: IntArray, queries: IntArray, volumes: IntArray) -> tuple[IntArray, FloatArray]:
    """Finds for each query its nearest nucleus in each volume.

    Args:
        vectors: (N, D), unit length.
        t: (N,) volume, sorted.
        queries: (Q,) rows.
        volumes: (V,) each with at least one nucleus.

    Returns:
        (Q, V) rows and (Q, V) cosines.
    """
    asked = np.asarray(vectors[queries], np.float32)
    found = np.zeros((len(queries), len(volumes)), np.int64)
    similarity = np.zeros(found.shape, np.float32)
    for column, volume in enumerate(volumes):
        rows = rows_of(t, int(volume))
        alike = asked @ np.asarray(vectors[rows], np.float32).T  # (Q, n)
        best = alike.argmax(axis=1) if len(queries) else np.zeros(0, np.int64)
        found[:, column] = rows.start + best
        similarity[:, column] = alike[np.arange(len(queries)), best]
    return found, similarity


def retrieval(vectors: FloatArray, t: IntArray, neuron: IntArray, *, queries: int = 6, volumes: int = 7) -> Retrieval:
    """Asks for a few nuclei of one volume in others, spread over the recording.

    One answer a volume, and not the best of all volumes: those would be the neighbours in time, and hide an embedding that drifts.

    Args:
        vectors: (N, D), unit length.
        t: (N,) volume, sorted.
        neuron: (N,) ids or UNKNOWN.
        queries: Nuclei to ask for, spread over the neurons of their volume that the tracker sees in at least half of the others,
            whether they do well or not.
        volumes: Volumes in all, with that of the queries: among those chosen the one with most identities.

    Returns:
        Queries and answers; without rows where fewer than two volumes have nuclei.
    """
    some = np.unique(t)
    chosen = some[spread(len(some), volumes)]
    if len(chosen) < 2:
        none = np.zeros((0, 0), np.int64)
        return Retrieval(none.ravel(), none.ravel(), none, none.astype(np.float32), none)
    known = np.array([np.count_nonzero(neuron[rows_of(t, int(v))] != UNKNOWN) for v in chosen])
    middle = np.abs(np.arange(len(chosen)) - (len(chosen) - 1) / 2)
    own = chosen[np.lexsort([middle, -known])[0]]
    others = chosen[chosen != own]
    pool = _askable(t, neuron, int(own), others)
    asked = pool[spread(len(pool), queries)]
    found, similarity = nearest(vectors, t, asked, others)
    return Retrieval(asked, others, found, similarity, _agreement(t, neuron, asked, others, found))


def consistency(vectors: FloatArray, t: IntArray, neuron: IntArray) -> Consistency:
    """Measures how often the nearest nucleus of another volume is the one that the tracker chose.

    At most 64 nuclei of each of at most 24 volumes are asked for in all the other ones. It needs no truth and proves none: an
    embedding can be right where the tracker is wrong, and the other way round.
    """
    some = np.unique(t)
    chosen = some[spread(len(some), _MOST_VOLUMES)]
    agreed, chance, n = 0, 0.0, 0
    for own in chosen:
        rows = np.arange(len(t))[rows_of(t, int(own))]
        rows = rows[neuron[rows] != UNKNOWN]
        asked, others = rows[spread(len(rows), _MOST_QUERIES)], chosen[chosen != own]
        answers = _agreement(t, neuron, asked, others, nearest(vectors, t, asked, others)[0])
        size = np.searchsorted(t, others, "right") - np.searchsorted(t, others)
        asked_of = (answers != UNSURE).sum(axis=0)
        agreed += int(np.count_nonzero(answers == AGREES))
        chance += float(np.sum(asked_of / size))
        n += int(asked_of.sum())
    return Consistency(agreed / n, chance / n, n) if n else Consistency(float("nan"), float("nan"), 0)


def _askable(t: IntArray, neuron: IntArray, own: int, others: IntArray) -> IntArray:
    """Returns rows of a volume by neuron: those seen in at least half of the other volumes, else the identified ones, else all."""
    rows = np.arange(len(t))[rows_of(t, own)]
    identified = rows[neuron[rows] != UNKNOWN]
    if not len(identified):
        return rows
    identified = identified[np.argsort(neuron[identified])]
    seen = np.zeros(len(identified), np.int64)
    for volume in others:
        seen += np.isin(neuron[identified], neuron[rows_of(t, int(volume))])
    often: IntArray = identified[2 * seen >= len(others)]
    return often if len(often) else identified


def _agreement(t: IntArray, neuron: IntArray, queries: IntArray, volumes: IntArray, found: IntArray) -> IntArray:
    asked = neuron[queries]
    agrees = np.full(found.shape, UNSURE, np.int64)
    for column, volume in enumerate(volumes):
        there = (asked != UNKNOWN) & np.isin(asked, neuron[rows_of(t, int(volume))])
        agrees[there, column] = np.where(neuron[found[there, column]] == asked[there], AGREES, DIFFERS)
    return agrees
