"""How many assignments are wrong, and which to keep, from their probabilities alone: no truth is needed.

Reference:
    Owen 2007, "The pigeonhole bootstrap", for intervals of data that are grouped two ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]

DRAWS = 200


@dataclass(frozen=True)
class ErrorEstimate:
    """The share of assignments that is expected to be wrong.

    Attributes:
        share: Of the whole recording; NaN without assignments.
        low: Lower end of the interval.
        high: Its upper end.
        volume: (T,) share of each volume; NaN where nothing is assigned.
        neuron: (K,) share of each neuron; NaN where it is never assigned.
    """

    share: float
    low: float
    high: float
    volume: Float
    neuron: Float


def estimate_error(t: Int, neuron: Int, probability: Float, *, seed: int = 0, level: float = 0.9) -> ErrorEstimate:
    """Estimates how many assignments are wrong.

    Errors come in groups: a neuron that is mistaken is mistaken in many volumes, and a volume that is laid wrongly is wrong for many
    neurons. So the interval comes from drawing neurons and volumes anew, and all errors of a neuron together.

    Args:
        t: (N,) volume of each detection, from 0.
        neuron: (N,) from 0; below 0 is not assigned and does not count.
        probability: (N,) that the neuron is right.
        seed: Of the draws; the same numbers give the same interval.
        level: Of the interval.
    """
    use, n_volumes = neuron >= 0, int(t.max(initial=-1)) + 1
    when, who, wrong = t[use], neuron[use], 1 - probability[use].astype(np.float64)
    if len(wrong) == 0:
        nothing = float("nan")
        return ErrorEstimate(nothing, nothing, nothing, np.full(n_volumes, np.nan), np.zeros(0))
    n_neurons = int(who.max()) + 1
    rng = np.random.default_rng(seed)
    shares = []
    for _ in range(DRAWS):
        weight = rng.multinomial(n_volumes, np.full(n_volumes, 1 / n_volumes))[when].astype(np.float64)
        weight *= rng.multinomial(n_neurons, np.full(n_neurons, 1 / n_neurons))[who]
        if weight.sum():
            shares.append(float(weight @ (rng.random(n_neurons)[who] < wrong)) / float(weight.sum()))
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    return ErrorEstimate(float(wrong.mean()), float(low), float(high), _means(when, wrong, n_volumes), _means(who, wrong, n_neurons))


def keep_at_most(neuron: Int, probability: Float, max_error: float) -> tuple[NDArray[np.bool_], float]:
    """Chooses as many assignments as can be kept such that the expected share of wrong ones among them is at most max_error.

    Args:
        neuron: (N,) from 0; below 0 is not assigned and never kept.
        probability: (N,) that the neuron is right.
        max_error: In [0, 1].

    Returns:
        (N,) which to keep, and the least probability of those; infinity where none can be. Equally sure ones are kept or not together.
    """
    rows = np.flatnonzero(neuron >= 0)
    sure = probability[rows].astype(np.float64)
    order = np.argsort(-sure, kind="stable")
    falling = sure[order]
    expected = np.cumsum(1 - falling) / np.arange(1, len(rows) + 1)
    last_of_its_kind = np.append(falling[1:] < falling[:-1], True)[: len(rows)]
    good = np.flatnonzero((expected <= max_error + 1e-12) & last_of_its_kind)
    keep = np.zeros(len(neuron), bool)
    if len(good) == 0:
        return keep, float("inf")
    keep[rows[order[: good[-1] + 1]]] = True
    return keep, float(falling[good[-1]])


def _means(group: Int, value: Float, n: int) -> Float:
    count = np.bincount(group, minlength=n)
    return np.where(count > 0, np.bincount(group, value, minlength=n) / np.maximum(count, 1), np.nan)
