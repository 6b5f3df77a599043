"""How well found nuclei cover true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from barlowtrack.data import FloatArray, IntArray


@dataclass(frozen=True)
class Agreement:
    """Counts over any number of volumes.

    Attributes:
        n_true: True nuclei.
        n_found: Found ones.
        iou: (n_true,) intersection over union of every true nucleus with the found one it is paired with; 0 where with none.
    """

    n_true: int
    n_found: int
    iou: FloatArray

    @classmethod
    def nothing(cls) -> Agreement:
        """Returns counts of no volume."""
        return cls(0, 0, np.zeros(0))

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.n_true + other.n_true, self.n_found + other.n_found, np.concatenate([self.iou, other.iou]))

    @property
    def mean_iou(self) -> float:
        """Mean over the true nuclei; 0 without any."""
        return float(self.iou.mean()) if self.n_true else 0.0

    @property
    def f1(self) -> float:
        """F1 at an intersection over union of one half."""
        return self.f1_at(0.5)

    def f1_at(self, least_iou: float) -> float:
        """Returns F1 where a pair counts from this intersection over union."""
        return float(2 * (self.iou >= least_iou).sum() / max(self.n_true + self.n_found, 1))


def overlaps(true: IntArray, found: IntArray) -> FloatArray:
    """Returns (n_true, n_found) intersections over unions, both in the order of their labels."""
    names_true, row = np.unique(true, return_inverse=True)
    names_found, column = np.unique(found, return_inverse=True)
    shared = np.zeros((len(names_true), len(names_found)), np.int64)
    np.add.at(shared, (row.ravel(), column.ravel()), 1)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    iou: FloatArray = (shared / np.maximum(union, 1))[np.ix_(names_true > 0, names_found > 0)]
    return iou


def agreement(true: IntArray, found: IntArray) -> Agreement:
    """Pairs true and found nuclei one to one for the largest sum of intersections over unions.

    Args:
        true: (Z, Y, X) labels; voxels below 0 are left out of both.
        found: (Z, Y, X) labels.
    """
    known = true >= 0
    iou = overlaps(true[known], found[known])
    best = np.zeros(iou.shape[0])
    row, column = linear_sum_assignment(iou, maximize=True)
    best[row] = iou[row, column]
    return Agreement(iou.shape[0], iou.shape[1], best)
