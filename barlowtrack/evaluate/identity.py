"""Identity accuracy: one global one-to-one mapping of our neurons to the true ones, then count."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Tracks, Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate.matching import map_ids, match_points
from barlowtrack.evaluate.standard import standard_metrics

log = logging.getLogger(__name__)

GATE_UM = 3.0
"""Farthest a detection may be from its true neuron, where nobody says otherwise."""
STRANGE_RECALL = 0.3
"""Fewer true detections than this with a detection nearby: rather another recording's truth, or other units, than a poor detector."""
RIGHT_NEURON = 0.95
"""A neuron counts as recovered from this accuracy on."""


class Outcome(IntEnum):
    """What became of a detection of ours."""

    UNSCORED = 0
    """Nobody knows the truth of its volume."""
    CORRECT = 1
    MISMATCHED = 2
    """A true neuron, under another neuron's id."""
    UNIDENTIFIED = 3
    """A true neuron, without an id."""
    UNMATCHED = 4
    """No true neuron near: a false detection, or one nobody annotated."""


@dataclass(frozen=True)
class Scores:
    """Counts of true detections, one row a neuron or one a volume.

    Attributes:
        key: (R,) true neuron id, or volume.
        n_true: (R,) true detections; the sum of the four below.
        correct: (R,) right identity.
        mismatched: (R,) another neuron's identity.
        unidentified: (R,) detected, without identity.
        undetected: (R,) not detected.
    """

    key: IntArray
    n_true: IntArray
    correct: IntArray
    mismatched: IntArray
    unidentified: IntArray
    undetected: IntArray

    @property
    def accuracy(self) -> FloatArray:
        """(R,) correct / n_true."""
        return self.correct / np.maximum(self.n_true, 1)


@dataclass(frozen=True)
class Evaluation:
    """Identities held against the truth, at the volumes that have one.

    Attributes:
        gate_um: Largest distance between a detection and its true neuron.
        n_volumes: Volumes scored.
        n_detections: Our detections in them.
        neurons: One row a true neuron.
        volumes: One row a scored volume.
        mapping: Our neuron id -> true neuron id, one to one.
        outcome: (N,) Outcome of every detection of ours.
        matched: (N,) row of the truth that every detection of ours is; UNKNOWN where none.
        scored: (M,) rows of the truth that are scored.
        standard: Standard tracking scores by name; a text says why one is missing.
    """

    gate_um: float
    n_volumes: int
    n_detections: int
    neurons: Scores
    volumes: Scores
    mapping: dict[int, int]
    outcome: IntArray
    matched: IntArray
    scored: IntArray
    standard: dict[str, float | str]

    @property
    def n_true(self) -> int:
        """True detections in the scored volumes."""
        return int(self.neurons.n_true.sum())

    @property
    def identity_accuracy(self) -> float:
        """Correct / all true detections."""
        return self._share(self.neurons.correct)

    @property
    def mismatch_rate(self) -> float:
        """Under another neuron's id / all true detections."""
        return self._share(self.neurons.mismatched)

    @property
    def undetected_rate(self) -> float:
        """Without a detection / all true detections."""
        return self._share(self.neurons.undetected)

    @property
    def unidentified_rate(self) -> float:
        """Detected, but without an id / all true detections."""
        return self._share(self.neurons.unidentified)

    @property
    def coverage(self) -> float:
        """With an id, right or wrong / all true detections."""
        return self._share(self.neurons.correct + self.neurons.mismatched)

    @property
    def neurons_recovered(self) -> float:
        """Share of true neurons that are at least 95 % correct."""
        return float(np.mean(self.neurons.accuracy >= RIGHT_NEURON)) if len(self.neurons.key) else 0.0

    @property
    def precision(self) -> float:
        """Matched detections / our detections; a lower bound where not every nucleus is annotated."""
        return self._matched / self.n_detections if self.n_detections else 0.0

    @property
    def recall(self) -> float:
        """Matched detections / true detections."""
        return self._matched / self.n_true if self.n_true else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of detection precision and recall."""
        both = self.n_detections + self.n_true
        return 2 * self._matched / both if both else 0.0

    @property
    def _matched(self) -> int:
        return self.n_true - int(self.neurons.undetected.sum())

    def _share(self, counts: IntArray) -> float:
        return int(counts.sum()) / self.n_true if self.n_true else 0.0

    def summary(self) -> list[tuple[str, float | int | str]]:
        """Returns every figure with its name, the most telling first; TRA, which flatters, last."""
        return [
            ("identity accuracy", self.identity_accuracy),
            ("mismatched", self.mismatch_rate),
            ("missed, not detected", self.undetected_rate),
            ("missed, not identified", self.unidentified_rate),
            ("coverage", self.coverage),
            ("neurons at least 95 % correct", self.neurons_recovered),
            ("true neurons", len(self.neurons.key)),
            ("our neurons mapped to them", len(self.mapping)),
            ("true detections", self.n_true),
            ("volumes scored", self.n_volumes),
            ("detection precision", self.precision),
            ("detection recall", self.recall),
            ("detection F1", self.f1),
            *self.standard.items(),
        ]

    def __str__(self) -> str:
        """The summary as text, for a terminal."""
        return as_text(self.summary())


def as_text(rows: Sequence[tuple[str, float | int | str]]) -> str:
    """Returns figures with their names as aligned lines."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value:.3f}" if isinstance(value, float) else f"{name:<{width}}  {value}" for name, value in rows)


def evaluate(detections: Detections, tracks: Tracks, truth: Truth, *, gate_um: float = GATE_UM) -> Evaluation:
    """Holds identities against the truth.

    Args:
        detections: N detections.
        tracks: Their N identities.
        truth: Who is where; volumes without any true neuron are not scored.
        gate_um: Largest distance between a detection and its true neuron.

    Raises:
        InputError: if detections and tracks disagree on N, or the gate is no positive length.
    """
    return evaluate_points(detections.t, detections.position_um, tracks.neuron, truth, n_volumes=detections.n_volumes, gate_um=gate_um)


def evaluate_points(
    t: IntArray, position_um: FloatArray, neuron: IntArray, truth: Truth, *, n_volumes: int | None = None, gate_um: float = GATE_UM
) -> Evaluation:
    """Holds stored identities, ours or another program's, against the truth.

    Per volume, detections and true neurons are paired by Hungarian assignment on distance; then one mapping of our ids to
    the true ids holds for the whole recording.

    Args:
        t: (N,) volume; in any order.
        position_um: (N, 3) z, y, x; a row with NaN is a detection that matches nothing.
        neuron: (N,) id, or UNKNOWN.
        truth: Who is where; a neuron whose position is not finite counts as nobody's.
        n_volumes: Volumes of the recording; truth beyond them is not scored. None: up to the last volume with a detection.
        gate_um: Largest distance of a pair.

    Raises:
        InputError: if the columns disagree on N, or the gate is no positive length.
    """
    if not len(t) == len(position_um) == len(neuron):
        raise InputError(f"evaluate: expected as many volumes, positions and ids, got {len(t)}, {len(position_um)} and {len(neuron)}")
    if not (np.isfinite(gate_um) and gate_um > 0):
        raise InputError(f"evaluate: gate: expected a positive length in um, got {gate_um}")
    if n_volumes is None:
        n_volumes = int(t.max()) + 1 if len(t) else int(truth.t.max(initial=-1)) + 1
    truth_row = _scored_truth(truth, n_volumes)
    volumes = np.unique(truth.t[truth_row])
    matched = _match(t, position_um, truth, truth_row, volumes, gate_um)

    pair = np.flatnonzero(matched >= 0)
    identified = pair[neuron[pair] != UNKNOWN]
    mapping = map_ids(neuron[identified], truth.neuron[matched[identified]])
    outcome = np.zeros(len(t), np.int8)
    outcome[np.isin(t, volumes)] = Outcome.UNMATCHED
    outcome[pair] = Outcome.UNIDENTIFIED
    outcome[identified] = Outcome.MISMATCHED
    right = [mapping.get(int(ours)) == int(true) for ours, true in zip(neuron[identified], truth.neuron[matched[identified]], strict=True)]
    outcome[identified[np.asarray(right, bool)]] = Outcome.CORRECT

    fate = np.zeros(len(truth), np.int8)  # of every true detection
    fate[matched[pair]] = outcome[pair]
    fate = fate[truth_row]
    return Evaluation(
        gate_um=gate_um,
        n_volumes=len(volumes),
        n_detections=int(np.count_nonzero(outcome)),
        neurons=_scores(truth.neuron[truth_row], fate),
        volumes=_scores(truth.t[truth_row], fate),
        mapping=mapping,
        outcome=outcome,
        matched=matched,
        scored=truth_row,
        standard=standard_metrics(t, neuron, truth.t, truth.neuron, truth_row, matched),
    )


def _scored_truth(truth: Truth, n_volumes: int) -> IntArray:
    """Returns the rows of truth that lie in the recording and have a position."""
    inside = (truth.t >= 0) & (truth.t < n_volumes)
    finite = np.isfinite(truth.position_um).all(axis=1)
    if not finite.all():
        log.warning("%d of %d true positions are not finite and are left out", np.count_nonzero(~finite), len(truth))
    if not inside.all():
        log.info("%d of %d true detections lie outside the recording's %d volumes", np.count_nonzero(~inside), len(truth), n_volumes)
    return np.flatnonzero(inside & finite)


def _match(t: IntArray, position_um: FloatArray, truth: Truth, truth_row: IntArray, volumes: IntArray, gate_um: float) -> IntArray:
    """Returns the row of truth that every detection is, or -1: (N,)."""
    matched = np.full(len(t), UNKNOWN, np.intp)
    order = np.argsort(t, kind="stable")
    true_order = truth_row[np.argsort(truth.t[truth_row], kind="stable")]
    bounds = np.searchsorted(t[order], [volumes, volumes + 1])  # (2, V)
    true_bounds = np.searchsorted(truth.t[true_order], [volumes, volumes + 1])
    for volume in range(len(volumes)):
        ours = order[slice(*bounds[:, volume])]
        true = true_order[slice(*true_bounds[:, volume])]
        i, j = match_points(position_um[ours], truth.position_um[true], gate_um)
        matched[ours[i]] = true[j]
    return matched


def _scores(key: IntArray, fate: IntArray) -> Scores:
    keys, row = np.unique(key, return_inverse=True)
    counts = np.zeros((len(keys), len(Outcome)), np.int64)
    np.add.at(counts, (row, fate), 1)
    return Scores(
        key=keys,
        n_true=counts.sum(axis=1),
        correct=counts[:, Outcome.CORRECT],
        mismatched=counts[:, Outcome.MISMATCHED],
        unidentified=counts[:, Outcome.UNIDENTIFIED],
        undetected=counts[:, 0],  # no detection of ours points at it
    )
