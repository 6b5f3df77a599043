"""What is certain of one volume: pairs that are fixed, and pairs that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]

CERTAIN = 300.0
"""Log likelihood ratio of what is certain: beyond any misfit that a wrong alignment causes, and finite, so that the misfit of a fixed
pair still tells a wrong alignment from the right one."""

STARTS = 6
"""Alignments followed to the end where something is certain: one that looks poor may be the one that keeps to it."""


@dataclass(frozen=True)
class Constraints:
    """Certainties about the n detections of a volume and the K entries of the atlas.

    Attributes:
        entry: (P,) entries that are fixed to a detection.
        column: (P,) the detection of each.
        no_entry: (A,) entries that are not among the detections, or fixed.
        no_column: (B,) detections that are no entry, or fixed.
    """

    entry: NDArray[np.int64]
    column: NDArray[np.int64]
    no_entry: NDArray[np.int64]
    no_column: NDArray[np.int64]

    def log_prior(self, n_neurons: int, n: int) -> Float:
        """Returns (K, n), added to how much pairs look alike: it turns and bends the atlas as looks do."""
        prior = np.zeros((n_neurons, n), np.float32)
        prior[self.no_entry] = -CERTAIN
        prior[:, self.no_column] = -CERTAIN
        prior[self.entry, self.column] = CERTAIN
        return prior

    def enforced(self, posterior: Float) -> Float:
        """Returns a posterior (K, n) in which what is certain is so, however badly it fits."""
        certain = posterior.copy()
        certain[self.no_entry] = 0
        certain[:, self.no_column] = 0
        certain[self.entry, self.column] = 1
        return certain
