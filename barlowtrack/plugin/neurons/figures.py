"""What the table of neurons says: figures from which one sees which neurons to trust."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from barlowtrack.data import BoolArray, Flag, FloatArray, IntArray, Traces
from barlowtrack.plugin.solution import Solution

NEIGHBOURS = 3
FEWEST_COMMON = 10
"""In fewer volumes that show both, a correlation is chance."""


@dataclass(frozen=True)
class Figures:
    """Figures of n neurons; NaN where nobody can say.

    Attributes:
        neuron: (n,) ids, rising; those of which no volume shows anything and whom nobody named are left out.
        name: n names; "" where nobody gave one.
        coverage: (n,) share of the volumes in which it was found.
        probability: (n,) that it is right there, on average.
        r: (n,) median correlation (Pearson) of its ratio with that of its three nearest neighbours, over the volumes in which both were
            found: near 1 where both are read from the same light.
        swaps: (n,) stretches of time in which its light may be another neuron's.
    """

    neuron: IntArray
    name: tuple[str, ...]
    coverage: FloatArray
    probability: FloatArray
    r: FloatArray
    swaps: FloatArray

    def __len__(self) -> int:
        return len(self.neuron)

    @classmethod
    def none(cls) -> Figures:
        """Returns those of no neurons."""
        nothing = np.zeros(0)
        return cls(np.zeros(0, np.int64), (), nothing, nothing, nothing, nothing)


def figures_of(solution: Solution) -> Figures:
    """Computes the figures of a solution; takes a moment where there are many volumes, and touches no widget."""
    k, tracks = solution.n_neurons, solution.tracks
    known = tracks.neuron >= 0
    count = np.bincount(tracks.neuron[known], minlength=k)
    with np.errstate(invalid="ignore", divide="ignore"):
        probability = np.bincount(tracks.neuron[known], tracks.probability[known], minlength=k) / count
    r, swaps = np.full(k, np.nan), np.full(k, np.nan)
    if solution.traces is not None:
        r = r_to_neighbours(solution.traces.ratio, solution.traces.seen, median_places_um(solution))
        swaps = stretches(solution.traces, Flag.SWAPPED)
    given = solution.names.given
    shown = np.flatnonzero((count > 0) | np.array([bool(name) for name in given], bool))
    return Figures(
        neuron=shown,
        name=tuple(given[neuron] for neuron in shown),
        coverage=count[shown] / max(solution.n_volumes, 1),
        probability=probability[shown],
        r=r[shown],
        swaps=swaps[shown],
    )


def median_places_um(solution: Solution) -> FloatArray:
    """Returns (K, 3) median position of each neuron; NaN of one that was never found."""
    places = np.full((solution.n_neurons, 3), np.nan)
    for neuron, rows in enumerate(solution.row_of):
        found = rows[rows >= 0]
        if len(found):
            places[neuron] = np.median(solution.detections.position_um[found], axis=0)
    return places


def r_to_neighbours(values: FloatArray, seen: BoolArray, places_um: FloatArray, n: int = NEIGHBOURS) -> FloatArray:
    """Returns (K,) median correlation of each neuron's values with those of its n nearest neighbours; NaN where there is none.

    Args:
        values: (K, T); NaN where there is none.
        seen: (K, T) bool: which of them count.
        places_um: (K, 3); NaN: nowhere, has no neighbours and is none.
        n: How many neighbours.
    """
    r = np.full(len(values), np.nan)
    there = np.flatnonzero(np.isfinite(places_um).all(axis=1))
    n = min(n, len(there) - 1)
    if n < 1:
        return r
    nearest = np.asarray(cKDTree(places_um[there]).query(places_um[there], k=n + 1)[1])
    here = np.arange(len(there))
    # a neuron is its own nearest neighbour, but where two lie in one place, either may come first
    others = np.stack([row[row != i][:n] for i, row in zip(here, nearest, strict=True)])
    counted = np.where(seen[there], values[there], np.nan)
    each = np.stack([_pearson(counted, counted[others[:, j]]) for j in range(n)], axis=1)
    some = np.isfinite(each).any(axis=1)
    r[there[some]] = np.nanmedian(each[some], axis=1)
    return r


def stretches(traces: Traces, flag: Flag) -> FloatArray:
    """Returns (K,) in how many stretches of volumes one after the other a flag holds."""
    holds = (np.asarray(traces.flags) & flag) != 0
    begins = holds.copy()
    begins[:, 1:] &= ~holds[:, :-1]
    return np.asarray(begins.sum(axis=1), np.float64)


def _pearson(one: FloatArray, other: FloatArray) -> FloatArray:
    """Returns (m,) correlation of each row (m, T) with the same row of the other, where both have values."""
    both = np.isfinite(one) & np.isfinite(other)
    n = both.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (np.where(both, values, 0).astype(np.float64) for values in (one, other))
        left -= np.where(both, (left.sum(axis=1) / n)[:, None], 0)
        right -= np.where(both, (right.sum(axis=1) / n)[:, None], 0)
        squares = np.einsum("kt,kt->k", left, left) * np.einsum("kt,kt->k", right, right)
        r = np.einsum("kt,kt->k", left, right) / np.sqrt(squares)
    return np.asarray(np.where((n >= FEWEST_COMMON) & (squares > 0), r, np.nan))
