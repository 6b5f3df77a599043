"""What is certain of one volume: pairs that are fixed, and pairs that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from barlowtrack.identity.pairs import Pairs

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

    @overload
    def enforced(self, evidence: Float, sure: float = 1.0) -> Float: ...

    @overload
    def enforced(self, evidence: Float | Pairs, sure: float = 1.0) -> Float | Pairs: ...

    def enforced(self, evidence: Float | Pairs, sure: float = 1.0) -> Float | Pairs:
        """Returns a posterior (K, n), or evidence, in which what is certain is so, however badly it fits.

        Args:
            evidence: A table, or the pairs that are not zero.
            sure: What stands for certainty; 0 for what cannot be.
        """
        if isinstance(evidence, Pairs):
            left = ~np.isin(evidence.neuron, self.no_entry) & ~np.isin(evidence.detection, self.no_column)
            neuron = np.concatenate([evidence.neuron[left], self.entry])
            detection = np.concatenate([evidence.detection[left], self.column])
            return Pairs(neuron, detection, np.concatenate([evidence.mass[left], np.full(len(self.entry), sure)]), evidence.shape)
        certain = evidence.copy()
        certain[self.no_entry] = 0
        certain[:, self.no_column] = 0
        certain[self.entry, self.column] = sure
        return certain
