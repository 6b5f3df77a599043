"""Posteriors of the few pairs of neuron and detection that may be one, for volumes whose table of all pairs would be too large.

K neurons, n detections, C candidates of each neuron, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array, hstack
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from barlowtrack.data import UNKNOWN

Float = NDArray[np.floating[Any]]
Int = NDArray[np.int64]

LARGE = 400 * 400
"""Pairs in a volume from which on only candidates are looked at; below it, a table of all pairs is faster."""
FORGOTTEN = 1e-4
SMALL_GROUP = 10_000


def is_large(n_neurons: int, n_detections: int) -> bool:
    """Whether a volume is solved by candidates."""
    return n_neurons * n_detections > LARGE


@dataclass(frozen=True)
class Pairs:
    """A posterior (K, n) that is zero but for P pairs, each named once.

    Attributes:
        neuron: (P,) from 0 to K - 1.
        detection: (P,) from 0 to n - 1.
        mass: (P,) in [0, 1]; sums to at most 1 over the pairs of a neuron, and of a detection.
        shape: K and n.
    """

    neuron: Int
    detection: Int
    mass: Float
    shape: tuple[int, int]

    @classmethod
    def of(cls, candidates: Int, mass: Float, n_detections: int) -> Pairs:
        """Keeps those pairs of neurons with their candidates (K, C) that have any mass (K, C) to speak of."""
        neuron, column = np.nonzero(mass > FORGOTTEN)
        return cls(neuron, candidates[neuron, column].astype(np.int64), mass[neuron, column], (len(mass), n_detections))

    def dense(self) -> Float:
        """Returns the table (K, n)."""
        return coo_array((self.mass, (self.neuron, self.detection)), shape=self.shape).toarray()

    def trust(self, neuron: Int) -> Float:
        """Returns (n,) the mass of the given neuron (n,) of each detection; of the best neuron where that is UNKNOWN."""
        best, own = np.zeros(self.shape[1]), np.zeros(self.shape[1])
        np.maximum.at(best, self.detection, self.mass)
        chosen = neuron[self.detection] == self.neuron
        own[self.detection[chosen]] = self.mass[chosen]
        return np.where(neuron >= 0, own, best)

    def renumbered(self, origin: Int) -> Pairs:
        """Returns the posterior of other neurons (K',), each of which was the given one of these, or is new where that is negative."""
        new_name = np.full(self.shape[0], UNKNOWN)
        new_name[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
        neuron = new_name[self.neuron]
        kept = neuron >= 0
        return Pairs(neuron[kept], self.detection[kept], self.mass[kept], (len(origin), self.shape[1]))

    def sum(self, axis: int) -> Float:
        """Returns the mass of each detection (n,), axis 0, or of each neuron (K,), axis 1: as of the table."""
        which = self.neuron if axis == 1 else self.detection
        return np.asarray(np.bincount(which, self.mass, minlength=self.shape[1 - axis]), np.float64)

    def best(self, most: int, first: Int | None = None) -> tuple[Int, NDArray[np.float64]]:
        """Returns the likeliest neurons of each detection, and their mass.

        Args:
            most: How many of each.
            first: (n,) the neuron that comes first whatever its mass, or UNKNOWN.

        Returns:
            (n, most) neurons, best first, UNKNOWN where there are no more; (n, most) mass.
        """
        rank_by = self.mass if first is None else self.mass + 2 * (first[self.detection] == self.neuron)
        order = np.lexsort([self.neuron, -rank_by, self.detection])
        detection = self.detection[order]
        rank = np.arange(len(order)) - np.searchsorted(detection, detection)
        good = rank < most
        neuron, mass = np.full((self.shape[1], most), UNKNOWN), np.zeros((self.shape[1], most))
        neuron[detection[good], rank[good]] = self.neuron[order[good]]
        mass[detection[good], rank[good]] = self.mass[order[good]]
        return neuron, mass


def soft_match_pairs(log_kernel: Float, candidates: Int, n_detections: int, slack: float, sweeps: int) -> Float:
    """Does what soft_match does, for candidates alone.

    Args:
        log_kernel: (K, C) log likelihood of each neuron's candidates.
        candidates: (K, C) detections; none twice for a neuron.
        n_detections: n.
        slack: As in soft_match.
        sweeps: As in soft_match.

    Returns:
        (K, C) posterior.
    """
    k, c = candidates.shape
    data = np.exp(np.minimum(log_kernel, 30.0)).astype(np.float32)
    kernel = csr_array((data.ravel(), candidates.ravel().astype(np.int32), np.arange(0, k * c + 1, c, dtype=np.int32)), (k, n_detections))
    transposed = kernel.T
    rows: Float = np.ones(k, np.float32)
    columns: Float = np.ones(n_detections, np.float32)
    for _ in range(sweeps):
        columns = 1 / (transposed @ rows + np.float32(slack))
        rows = 1 / (kernel @ columns + np.float32(slack))
    return np.asarray(data * rows[:, None] * columns[candidates])


def assign_pairs(pairs: Pairs, absent_cost: float) -> Int:
    """Does what assign does: (n,) neuron of each detection, or UNKNOWN, so that the sum of -log posterior is least.

    A pair worth more than the next best of its neuron and of its detection together is part of every best solution. Of the rest,
    neurons that compete for no common detection, directly or over others, are none of each other's business: each such group is
    assigned by itself.
    """
    found = np.full(pairs.shape[1], UNKNOWN)
    cost = -np.log(np.maximum(pairs.mass.astype(np.float64), 1e-12))
    worth = cost < absent_cost
    neuron, detection, cost = pairs.neuron[worth], pairs.detection[worth], cost[worth]
    while len(cost):
        sure = _undisputed(neuron, detection, absent_cost - cost)
        if not sure.any():
            break
        found[detection[sure]] = neuron[sure]
        left = ~np.isin(neuron, neuron[sure]) & ~np.isin(detection, detection[sure])
        neuron, detection, cost = neuron[left], detection[left], cost[left]
    for group in _groups(neuron, detection, pairs.shape):
        rows, i = np.unique(neuron[group], return_inverse=True)
        columns, j = np.unique(detection[group], return_inverse=True)
        size = (len(rows), len(columns))
        match = _match_table if size[0] * size[1] <= SMALL_GROUP else _match_sparse
        a, b = match(i, j, cost[group], size, absent_cost)
        found[columns[b]] = rows[a]
    return found


def _undisputed(neuron: Int, detection: Int, gain: Float) -> NDArray[np.bool_]:
    """Whether each pair gains more than the next best of its neuron and the next best of its detection together."""
    rival = np.zeros(len(gain))
    for who in (neuron, detection):
        order = np.lexsort([-gain, who])
        ranked, first = gain[order], np.r_[True, who[order][1:] != who[order][:-1]]
        best = np.flatnonzero(first)
        second = np.append(ranked, 0)[best + 1] * ~np.append(first, True)[best + 1]
        share = np.full(len(gain), np.inf)  # one that is not even the best is never sure
        share[order[best]] = second
        rival += share
    return gain > rival


def _groups(neuron: Int, detection: Int, shape: tuple[int, int]) -> list[Int]:
    """The pairs of every set of neurons and detections that hang together."""
    if len(neuron) == 0:
        return []
    size = sum(shape)
    graph = coo_array((np.ones(len(neuron), np.int8), (neuron, detection + shape[0])), shape=(size, size))
    of_pair = connected_components(graph, directed=False)[1][neuron]
    order = np.argsort(of_pair, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(of_pair[order])) + 1)


def _match_table(i: Int, j: Int, cost: Float, size: tuple[int, int], absent_cost: float) -> tuple[Int, Int]:
    """Pairs the rows and columns of one group; a pair that is none of those given is worth staying alone."""
    table = np.full(size, absent_cost)
    table[i, j] = cost
    a, b = linear_sum_assignment(table)
    good = table[a, b] < absent_cost
    return a[good], b[good]


def _match_sparse(i: Int, j: Int, cost: Float, size: tuple[int, int], absent_cost: float) -> tuple[Int, Int]:
    """Does what _match_table does for a group whose table would be large: every row has a column of its own that means "absent"."""
    # A cost of zero would be no pair at all; one more on everything changes no choice, since every row is matched once.
    pairs = csr_array((cost + 1, (i, j)), shape=size)
    absent = csr_array((np.full(size[0], absent_cost + 1), (np.arange(size[0]), np.arange(size[0]))), shape=(size[0], size[0]))
    a, b = min_weight_full_bipartite_matching(hstack([pairs, absent], format="csr"))
    good = b < size[1]
    return a[good].astype(np.int64), b[good].astype(np.int64)
