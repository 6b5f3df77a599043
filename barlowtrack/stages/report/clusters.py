"""Which neurons do the same: correlation of traces with gaps, and an order in which alike ones lie together.

Reference:
    Bar-Joseph, Gifford & Jaakkola 2001, "Fast optimal leaf ordering for hierarchical clustering".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform

from barlowtrack.data import FloatArray, IntArray

FEWEST_COMMON = 10
"""Volumes in which two neurons must have been seen both; a correlation over fewer says nothing."""
ALIKE = 0.5
"""Mean correlation from which on neurons count as one group."""
MOST_ORDERED = 300
"""Neurons up to which the order within the tree is the best one: finding it takes the square of their number, and more."""


@dataclass(frozen=True)
class Clusters:
    """An order of K neurons.

    Attributes:
        order: (K,) positions of the neurons, alike ones beside each other.
        group: (K,) group of each place in that order, from 0, rising; neurons of one group correlate by ALIKE on average.
    """

    order: IntArray
    group: IntArray

    def stretches(self, fewest: int = 2) -> list[tuple[int, int]]:
        """Returns where each group of at least so many neurons begins, and where the next one does."""
        starts = np.flatnonzero(np.diff(self.group, prepend=-1))
        stops = [*starts[1:], len(self.group)]
        return [(int(a), int(b)) for a, b in zip(starts, stops, strict=True) if b - a >= fewest]


def correlations(values: FloatArray) -> FloatArray:
    """Returns how alike rows are that have gaps.

    Args:
        values: (K, T); NaN where there is none.

    Returns:
        (K, K) Pearson correlation over the columns that two rows share; NaN where they share fewer than FEWEST_COMMON, or one of them
        does not change.
    """
    there = np.isfinite(values)
    mask = there.astype(np.float64)
    own = np.where(there, values, 0).sum(axis=1, keepdims=True) / np.maximum(mask.sum(axis=1, keepdims=True), 1)
    x = np.where(there, values - own, 0.0)  # about their own means, or large numbers would cancel
    n, sums, squares, products = mask @ mask.T, x @ mask.T, (x * x) @ mask.T, x @ x.T
    shared = np.maximum(n, 1)
    spread = np.maximum(squares - sums * sums / shared, 0)  # (K, K): of the row, where the column is there too
    both = np.sqrt(spread * spread.T)
    scale = np.sqrt(np.outer(squares.diagonal(), squares.diagonal()))
    known = (n >= FEWEST_COMMON) & (both > 1e-9 * np.maximum(scale, 1e-300))
    found = np.where(known, (products - sums * sums.T / shared) / np.where(known, both, 1), np.nan)
    return np.clip(found, -1, 1)


def clusters(correlation: FloatArray) -> Clusters:
    """Orders neurons by average linkage of 1 - correlation; two that cannot be compared count as uncorrelated."""
    k = len(correlation)
    if k < 3:
        return Clusters(np.arange(k), np.arange(k))
    distance = 1 - np.round(np.nan_to_num(correlation), 6)  # rounded: the last digits are the machine's
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=k <= MOST_ORDERED)
    order = leaves_list(tree)
    if order[0] > order[-1]:
        order = order[::-1]
    number = fcluster(tree, 1 - ALIKE, "distance")[order]
    return Clusters(order, np.cumsum(np.diff(number, prepend=number[0]) != 0))
