"""How far probabilities and traces can be believed, where the truth is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from barlowtrack.data import FloatArray, IntArray, Source, Traces, Tracks, Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate.identity import Evaluation, Outcome

FEWEST_POINTS = 3
"""A correlation of fewer points says nothing."""


@dataclass(frozen=True)
class Calibration:
    """Do identities of probability p come true in a share p of cases?

    Attributes:
        edges: (B + 1,) bounds of the bins of probability.
        count: (B,) assignments in a bin.
        mean_probability: (B,) what was promised; NaN in an empty bin.
        share_correct: (B,) what came true; NaN in an empty bin.
        ece: Expected calibration error: mean gap between the two, weighted by count; NaN without assignments.
        brier: Mean squared difference of probability and truth; NaN without assignments.
    """

    edges: FloatArray
    count: IntArray
    mean_probability: FloatArray
    share_correct: FloatArray
    ece: float
    brier: float


def calibration(evaluation: Evaluation, tracks: Tracks, *, n_bins: int = 10, unmatched_are_wrong: bool = True) -> Calibration:
    """Compares the probability of every assignment with whether it was right.

    Args:
        evaluation: Of these tracks; only detections with an id in a scored volume take part.
        tracks: N ids and probabilities.
        n_bins: Bins of equal width.
        unmatched_are_wrong: Whether an id on a detection that is no true neuron is an error; false where the truth does
            not name every nucleus: then such detections are left out.

    Raises:
        InputError: if the evaluation is of other tracks, or there is no bin.

    Reference:
        Guo et al. 2017, "On calibration of modern neural networks"; Brier 1950.
    """
    if len(evaluation.outcome) != len(tracks):
        raise InputError(f"calibration: expected an evaluation of {len(tracks)} detections, got {len(evaluation.outcome)}")
    if n_bins < 1:
        raise InputError(f"calibration: expected at least one bin, got {n_bins}")
    counted = [Outcome.CORRECT, Outcome.MISMATCHED, *([Outcome.UNMATCHED] if unmatched_are_wrong else [])]
    use = np.isin(evaluation.outcome, counted) & (tracks.neuron >= 0)
    probability = np.asarray(tracks.probability[use], np.float64)
    correct = (evaluation.outcome[use] == Outcome.CORRECT).astype(np.float64)
    edges = np.linspace(0, 1, n_bins + 1)
    which = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, n_bins - 1)
    count = np.bincount(which, minlength=n_bins)
    some = np.where(count > 0, count, np.nan)
    promised = np.bincount(which, probability, n_bins) / some
    came_true = np.bincount(which, correct, n_bins) / some
    n = count.sum()
    ece = float(np.nansum(np.abs(promised - came_true) * count) / n) if n else float("nan")
    brier = float(np.mean((probability - correct) ** 2)) if n else float("nan")
    return Calibration(edges, count, promised, came_true, ece, brier)


def trace_correlation(
    traces: Traces,
    truth: Truth,
    mapping: Mapping[int, int],
    *,
    values: Literal["ratio", "dr_over_r0", "df_over_f0", "red", "green"] = "dr_over_r0",
    sources: Collection[Source] = tuple(Source),
) -> FloatArray:
    """Correlates the trace of every neuron with the true activity of the neuron it is mapped to.

    Args:
        traces: Of K neurons.
        truth: With activity.
        mapping: Our neuron id -> true neuron id, such as Evaluation.mapping.
        values: Which of its traces.
        sources: Where values come from that count; all do where not given, as they do for whoever uses the traces.

    Returns:
        (K,) Pearson r over the volumes where both are known; NaN without a mapping, with fewer than three volumes, or where
        either is constant. The median of the finite ones is the usual summary.

    Raises:
        InputError: if the truth has no activity.
    """
    if truth.activity is None:
        raise InputError("trace correlation: expected a truth with activity, got none")
    counted = np.where(np.isin(traces.source, [int(source) for source in sources]), getattr(traces, values), np.nan)
    n_neurons, n_volumes = counted.shape
    expected = np.full((n_neurons, n_volumes), np.nan)
    ours_of = {true: ours for ours, true in mapping.items() if 0 <= ours < n_neurons}
    ours = np.array([ours_of.get(int(true), -1) for true in truth.neuron], np.intp)
    use = (ours >= 0) & (truth.t >= 0) & (truth.t < n_volumes)
    expected[ours[use], truth.t[use]] = truth.activity[use]
    return np.array([_pearson(a, b) for a, b in zip(counted, expected, strict=True)], np.float64)


def _pearson(a: FloatArray, b: FloatArray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if np.count_nonzero(both) < FEWEST_POINTS:
        return float("nan")
    x, y = a[both] - a[both].mean(dtype=np.float64), b[both] - b[both].mean(dtype=np.float64)
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else float("nan")
