"""Which nucleus of one run is which of the other, which neuron is which, and whose identity moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Tracks
from barlowtrack.evaluate.matching import map_ids, match_points
from barlowtrack.identity.volumes import neighbour_distance_um

GATE_NEIGHBOURS = 0.5
"""Farthest that one nucleus may lie from itself in two segmentations, in distances of neighbours: nearer to itself than to any other."""


@dataclass(frozen=True)
class Moved:
    """A stretch of shared detections that one run takes for one neuron, and the other for another.

    Attributes:
        neuron_a: In A; UNKNOWN: nobody.
        neuron_b: In B; UNKNOWN: nobody. Never the neuron of B that neuron_a is, taken over the whole recording.
        first: Volume of the first such detection.
        last: Volume of the last; in between, neuron_a (neuron_b, where A says nobody) shows no shared detection that is anything else.
        detections: How many.
        probability_a: Mean over them, as A has it.
        probability_b: As B has it.
    """

    neuron_a: int
    neuron_b: int
    first: int
    last: int
    detections: int
    probability_a: float
    probability_b: float


def pair_detections(a: Detections, b: Detections) -> tuple[IntArray, IntArray]:
    """Finds the nuclei that both runs found: one to one in every volume, by distance.

    Args:
        a: Detections of one segmentation.
        b: Of another, of the same volumes; positions in the same unit.

    Returns:
        Rows of a and rows of b, (P,) each, rows of a rising.
    """
    if np.array_equal(a.t, b.t) and np.array_equal(a.position_um, b.position_um):
        rows = np.arange(len(a))
        return rows, rows
    gate_um = GATE_NEIGHBOURS * min(neighbour_distance_um(a), neighbour_distance_um(b))
    pairs = [np.zeros((2, 0), np.int64)]
    for t in range(min(a.n_volumes, b.n_volumes)):
        ours, theirs = a.rows_of(t), b.rows_of(t)
        i, j = match_points(a.position_um[ours], b.position_um[theirs], gate_um)
        pairs.append(np.stack([i + ours.start, j + theirs.start]))
    row_a, row_b = np.concatenate(pairs, axis=1)
    return row_a, row_b


def pair_neurons(a: IntArray, b: IntArray) -> dict[int, int]:
    """Maps the neurons of A to those of B, one to one, so that as many shared detections as possible keep theirs.

    Args:
        a: (P,) neuron of every shared detection in A; UNKNOWN does not count.
        b: (P,) in B.
    """
    known = (a != UNKNOWN) & (b != UNKNOWN)
    return map_ids(a[known], b[known])


def moves(t: IntArray, a: Tracks, b: Tracks, row_a: IntArray, row_b: IntArray, same: dict[int, int]) -> tuple[Moved, ...]:
    """Lists the stretches in which a detection is another neuron in B than in A.

    Args:
        t: (P,) volume of every shared detection.
        a: Identities of A.
        b: Identities of B.
        row_a: (P,) row of every shared detection in A.
        row_b: (P,) in B.
        same: Neuron of A -> neuron of B; see pair_neurons.

    Returns:
        Stretches, that of most detections first.
    """
    neuron_a, neuron_b = a.neuron[row_a], b.neuron[row_b]
    other = elsewhere(neuron_a, neuron_b, same)
    of_a = stretches(neuron_a, neuron_b, t, other & (neuron_a != UNKNOWN), neuron_a != UNKNOWN)
    of_b = stretches(neuron_b, neuron_a, t, other & (neuron_a == UNKNOWN), neuron_b != UNKNOWN)
    found = [_moved(rows, t, neuron_a, neuron_b, a.probability[row_a], b.probability[row_b]) for rows in (*of_a, *of_b)]
    return tuple(sorted(found, key=lambda move: (-move.detections, move.first, move.neuron_a, move.neuron_b)))


def elsewhere(neuron_a: IntArray, neuron_b: IntArray, same: dict[int, int]) -> IntArray:
    """(P,) of bool: whether a shared detection is another neuron in B than in A, or nobody in one of them."""
    lookup = np.full(int(neuron_a.max(initial=UNKNOWN)) + 2, UNKNOWN - 1)  # a neuron that B does not have is nobody's in B
    lookup[-1] = UNKNOWN
    for ours, theirs in same.items():
        lookup[ours] = theirs
    return np.asarray(lookup[neuron_a] != neuron_b)


def stretches(whose: IntArray, other: IntArray, t: IntArray, moved: IntArray, counted: IntArray) -> Iterator[IntArray]:
    """Yields shared detections in a row in time that belong to one neuron here and to one other there.

    Args:
        whose: (P,) neuron of every shared detection: a stretch is of one.
        other: (P,) who it is there.
        t: (P,) volume.
        moved: (P,) bool, what stretches are made of.
        counted: (P,) bool, what ends one; other volumes do not.

    Yields:
        Rows of 0 to P - 1 by volume.
    """
    rows = np.flatnonzero(counted)
    rows = rows[np.lexsort((t[rows], whose[rows]))]
    mark = np.stack([whose[rows], other[rows], moved[rows]])
    for run in np.split(rows, np.flatnonzero((mark[:, 1:] != mark[:, :-1]).any(axis=0)) + 1):
        if len(run) and moved[run[0]]:
            yield run


def _moved(
    rows: IntArray, t: IntArray, neuron_a: IntArray, neuron_b: IntArray, probability_a: FloatArray, probability_b: FloatArray
) -> Moved:
    first = int(rows[0])
    means = (float(np.mean(column[rows], dtype=np.float64)) for column in (probability_a, probability_b))
    return Moved(int(neuron_a[first]), int(neuron_b[first]), int(t[rows].min()), int(t[rows].max()), len(rows), *means)
