"""From a posterior to one neuron a detection and one detection a neuron, with "absent" and "unknown" as outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.pairs import Pairs, assign_pairs

ABSENT_COST = 3.5


def pair_up(evidence: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Pairs neurons with detections so that the sum of evidence is most; where there is none, both stay alone.

    Args:
        evidence: (K, n) log likelihood that the two are one, against that the neuron is absent and the detection unknown.

    Returns:
        (n,) neuron of each detection, or UNKNOWN; no neuron twice.

    Reference:
        Kuhn 1955; Jonker & Volgenant 1987.
    """
    neuron = np.full(evidence.shape[1], UNKNOWN)
    # Raised to the price of staying alone, a pair at that price means just that: no extra rows or columns are needed.
    gain = np.maximum(evidence, 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    good = gain[rows, columns] > 0
    neuron[columns[good]] = rows[good]
    return neuron


def assign(posterior: NDArray[np.floating[Any]] | Pairs, absent_cost: float = ABSENT_COST) -> NDArray[np.int64]:
    """Pairs neurons with detections so that the sum of -log posterior is least; who costs more than absent_cost stays alone.

    Args:
        posterior: (K, n), in [0, 1]; a table, or the pairs that are not zero.
        absent_cost: Price of leaving a neuron absent and a detection unknown.

    Returns:
        (n,) neuron of each detection, or UNKNOWN; no neuron twice.
    """
    if isinstance(posterior, Pairs):
        return assign_pairs(posterior, absent_cost)
    return pair_up(np.log(np.maximum(posterior, 1e-12)) + absent_cost)
