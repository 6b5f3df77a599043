"""Whether a neuron goes on looking like itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, FloatArray, IntArray
from barlowtrack.embedding.sample import rows_of, spread

_MOST_PAIRS = 48  # of volumes, a lag
_MOST_NEURONS = 400  # of a pair of volumes: similarities grow with their square


@dataclass(frozen=True)
class Drift:
    """Similarity (cosine) over distance in time; a row a lag.

    Attributes:
        lag: (L,) volumes between the two sightings, ascending.
        same: (L,) mean of a neuron with itself.
        low: (L,) 10th percentile of that.
        closest: (L,) mean of a neuron with the other neuron of the later volume that is most like it; NaN with a single neuron. Where
            it lies above `low`, some are mistaken by looks alone.
        other: (L,) mean with another neuron: the base line.
    """

    lag: IntArray
    same: FloatArray
    low: FloatArray
    closest: FloatArray
    other: FloatArray


def lags(n_volumes: int) -> IntArray:
    """Returns 1, 2, 4 ... below n_volumes."""
    return 2 ** np.arange(max(0, n_volumes - 1).bit_length())


def drift(vectors: FloatArray, t: IntArray, neuron: IntArray) -> Drift:
    """Measures how alike a neuron's vectors remain as time goes by.

    For every lag at most 48 pairs of volumes, evenly spread, are looked at; every neuron that both show counts once a pair.

    Args:
        vectors: (N, D), unit length.
        t: (N,) volume, sorted.
        neuron: (N,) ids or UNKNOWN, which is left out.

    Returns:
        Rows for the lags at which any neuron was seen twice; none where there is no such lag.
    """
    rows = []
    some = np.unique(t)
    span = int(some[-1] - some[0]) + 1 if len(some) else 0
    for lag in lags(span):
        starts = some[np.isin(some + lag, some)]
        parts = [_of_pair(vectors, t, neuron, int(a), int(a + lag)) for a in starts[spread(len(starts), _MOST_PAIRS)]]
        same, closest, other = (np.concatenate([part[k] for part in parts] or [np.zeros(0)]) for k in range(3))
        if len(same):
            rows.append((lag, same.mean(), np.percentile(same, 10), _mean(closest), _mean(other)))
    lag, *columns = np.array(rows, np.float64).reshape(-1, 5).T
    return Drift(lag.astype(np.int64), *columns)


def _of_pair(vectors: FloatArray, t: IntArray, neuron: IntArray, a: int, b: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns (n,) similarity of every common neuron with itself, with the most alike other, and with the mean other."""
    one, other = rows_of(t, a), rows_of(t, b)
    both, first, second = np.intersect1d(neuron[one], neuron[other], return_indices=True)
    keep = np.flatnonzero(both != UNKNOWN)
    keep = keep[spread(len(keep), _MOST_NEURONS)]
    before = np.asarray(vectors[one.start + first[keep]], np.float64)
    after = np.asarray(vectors[other.start + second[keep]], np.float64)
    alike = before @ after.T  # (n, n)
    same = alike.diagonal().copy()
    if len(same) < 2:
        return same, np.zeros(0), np.zeros(0)
    average = (alike.sum(axis=1) - same) / (len(same) - 1)
    np.fill_diagonal(alike, -np.inf)
    return same, alike.max(axis=1), average


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
