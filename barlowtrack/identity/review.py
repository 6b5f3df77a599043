"""What to ask a person next: the answers that promise to put most assignments right.

An answer is worth what is known to be doubtful: the detection itself and, where the answer is news, those nearby that are doubtful too,
for an atlas that slipped in one place slipped there for all. Two questions are never put about one volume before it is solved again,
unless they are about a neuron in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from barlowtrack.data import UNKNOWN, Detections, FloatArray, Identities, medians_by
from barlowtrack.identity.rulings import Rulings
from barlowtrack.identity.volumes import neighbour_distance_um

REACH = 2.0
"""How far an answer moves others, in neighbour distances (standard deviation)."""

LEAST_DOUBT = 0.02
RARELY = 0.1
"""Two ids of one neuron are together in a volume at most so often, as a share of the volumes of the rarer one."""

RARE_TWINS = 0.02
"""Prior probability that two neurons that are candidates for each other's detections are one."""


LEAST_NOBODY = 0.07
"""Whether a neuron is one at all is asked from this probability of its being none on; nearly all true ones stay far below."""

MOST_EVIDENCE = 6.0
"""In favour of one neuron: volumes follow each other, so many of them are not as many proofs."""


@dataclass(frozen=True)
class Question:
    """One thing that a person may look at.

    Attributes:
        kind: who: whose is this detection; anchor: likewise, where a whole part of a volume is in doubt; same: are two neurons one;
            nobody: is the neuron one at all, or a granule that is there in every volume.
        t: Volume to look at.
        label: Detection in it.
        position_um: z, y, x of that.
        neuron: Who it is now, UNKNOWN where nobody; of same, the neuron that would stay.
        other: Of same, the neuron that would become it; UNKNOWN else.
        candidates: Who it may be, and how likely; what they leave is that it is nobody we know.
        gain: Expected number of assignments that the answer puts right.
    """

    kind: str
    t: int
    label: int
    position_um: tuple[float, float, float]
    neuron: int
    other: int
    candidates: tuple[tuple[int, float], ...]
    gain: float

    @property
    def text(self) -> str:
        """In words."""
        if self.kind == "same":
            return f"are neurons {self.neuron} and {self.other} one?"
        if self.kind == "nobody":
            return f"is {self.neuron} a neuron at all? if so, name it; if not, --not-a-neuron --neuron {self.neuron} settles all volumes"
        said = f"it is {self.neuron} now" if self.neuron >= 0 else "it is nobody now"
        return f"who is it? {said}" + (", and its part of the volume is in doubt" if self.kind == "anchor" else "")


def review(detections: Detections, identities: Identities, rulings: Rulings, n: int = 20) -> tuple[Question, ...]:
    """Chooses the n questions whose answers promise most, best first; fewer where less is in doubt.

    Args:
        detections: N of them.
        identities: Who each is, in neurons; what people said is certain there.
        rulings: What people said already.
        n: How many.
    """
    doubt = doubts(detections, identities)
    doubt[rulings.row] = 0
    left = np.clip(np.minimum(1 - identities.probability, 1 - identities.candidates.probability.sum(1)), 0, 1)
    none = np.append(
        np.nan_to_num(medians_by(left, identities.neuron, identities.n_neurons)), 0.0
    )  # (K + 1,) the last is of whom we do not know
    nobodies = list(_nobodies(detections, identities, rulings, left, none))
    # Doubt that a neuron has everywhere is no doubt about a volume; one answer about the neuron settles all of it.
    doubt = np.maximum(doubt - none[identities.neuron], 0)
    doubt[np.isin(identities.neuron, [question.neuron for question in nobodies])] = 0
    reach_um = REACH * neighbour_distance_um(detections)
    best = [found for t in range(detections.n_volumes) if (found := _best_of(t, detections, identities, doubt, reach_um))]
    ranked = sorted([*best, *nobodies, *_twins(detections, identities)], key=lambda question: (-question.gain, question.t, question.label))
    return tuple(_spread(ranked))[:n]


def doubts(detections: Detections, identities: Identities) -> FloatArray:
    """Returns (N,) how likely each detection is not what we say: an assigned one by its probability, an unknown one by its volume.

    Some detections are unknown and some neurons absent in every volume. Where both are many more than usual, the atlas slipped, and the
    surplus of unknown ones are neurons that it missed.
    """
    known = identities.neuron >= 0
    unknown = np.bincount(detections.t[~known], minlength=detections.n_volumes)
    shown = np.bincount(detections.t, minlength=detections.n_volumes) > 0
    absent = np.isfinite(identities.absent).sum(1)
    surplus = np.minimum(_above_usual(unknown, shown), _above_usual(absent, shown))
    missed = surplus / np.maximum(unknown, 1)
    doubt = np.where(known, 1 - identities.probability, missed[detections.t])
    return np.asarray(doubt, dtype=np.float64)


def _above_usual(count: NDArray[np.int64], shown: NDArray[np.bool_]) -> FloatArray:
    usual = float(np.median(count[shown])) if shown.any() else 0.0
    return np.where(shown, np.maximum(count - usual, 0), 0.0)


def _best_of(t: int, detections: Detections, identities: Identities, doubt: FloatArray, reach_um: float) -> Question | None:
    """The question about one volume that promises most."""
    part = detections.rows_of(t)
    here = doubt[part]
    asked = np.flatnonzero(here > LEAST_DOUBT)
    if not len(asked):
        return None
    place = detections.position_um[part].astype(np.float64)
    doubtful = cKDTree(place[asked])
    near = doubtful.sparse_distance_matrix(doubtful, 3 * reach_um, output_type="ndarray")
    weight = here[asked][near["j"]] * np.exp(-0.5 * (near["v"] / reach_um) ** 2)
    around = np.bincount(near["i"], weight, minlength=len(asked)) - here[asked]
    gain = here[asked] * (1 + around)
    best = int(np.argmax(gain))
    row = part.start + int(asked[best])
    return _question("anchor" if gain[best] > 2 * here[asked[best]] else "who", row, detections, identities, float(gain[best]))


def _nobodies(detections: Detections, identities: Identities, rulings: Rulings, left: FloatArray, none: FloatArray) -> Iterator[Question]:
    """Neurons that may be none: in most of their volumes it is likely that the detection is nobody we know.

    Being no nucleus is a matter of the whole neuron, not of a volume: the median over its volumes is how likely it is, and an answer
    settles all of them. Who was named, or pinned to a detection by a person, is one.

    Args:
        detections: N of them.
        identities: Who each is.
        rulings: What people said.
        left: (N,) how likely each detection is nobody we know.
        none: (K + 1,) median of that over each neuron's detections.
    """
    said = set(rulings.neuron.tolist()) | {neuron for neuron, name in enumerate(rulings.name) if name}
    for neuron in np.flatnonzero(none >= LEAST_NOBODY).tolist():
        if neuron not in said:
            rows = np.flatnonzero(identities.neuron == neuron)
            typical = int(rows[np.argsort(left[rows], kind="stable")[len(rows) // 2]])
            yield _question("nobody", typical, detections, identities, float(none[neuron]) * len(rows))


def _twins(detections: Detections, identities: Identities) -> Iterator[Question]:
    """Neurons that may be one: each is a candidate where the other is, and they are hardly ever together."""
    shown = len(np.unique(detections.t))
    there = np.isnan(identities.absent)  # (T, K)
    volumes = there.sum(0)
    for (a, b), times in _mentioned(identities).items():
        rare, often = sorted((a, b), key=lambda neuron: (volumes[neuron], -neuron))
        if times < RARELY * volumes[rare] or volumes[rare] == 0:
            continue
        together = int((there[:, a] & there[:, b]).sum())
        if_two, if_one = volumes[a] * volumes[b] / shown, RARELY * volumes[rare]
        if if_two <= if_one:
            continue
        evidence = together * np.log(if_one / if_two) + if_two - if_one  # of two Poisson counts
        odds = RARE_TWINS / (1 - RARE_TWINS) * np.exp(np.clip(evidence, -30, MOST_EVIDENCE))
        gain = float(odds / (1 + odds) * volumes[rare])
        if gain > LEAST_DOUBT:
            of_rare = np.flatnonzero(identities.neuron == rare)
            row = int(of_rare[np.argmax(identities.probability[of_rare])])
            yield _question("same", row, detections, identities, gain, neuron=int(often), other=int(rare))


def _mentioned(identities: Identities) -> dict[tuple[int, int], int]:
    """How often one of two neurons is a candidate for a detection of the other."""
    candidates, share = identities.candidates.neuron, identities.candidates.probability
    row, rank = np.nonzero((candidates >= 0) & (candidates != identities.neuron[:, None]) & (share > 0) & (identities.neuron >= 0)[:, None])
    pairs = np.sort(np.stack([identities.neuron[row], candidates[row, rank]], axis=1), axis=1)
    found, times = np.unique(pairs, axis=0, return_counts=True)
    return {(int(a), int(b)): int(count) for (a, b), count in zip(found, times, strict=True)}


def _question(
    kind: str, row: int, detections: Detections, identities: Identities, gain: float, *, neuron: int | None = None, other: int = UNKNOWN
) -> Question:
    who, share = identities.candidates.neuron[row], identities.candidates.probability[row]
    candidates = tuple((int(k), float(p)) for k, p in zip(who, share, strict=True) if k >= 0)
    z, y, x = (float(axis) for axis in detections.position_um[row])
    now = int(identities.neuron[row]) if neuron is None else neuron
    return Question(kind, int(detections.t[row]), int(detections.label[row]), (z, y, x), now, other, candidates, gain)


def _spread(ranked: list[Question]) -> Iterator[Question]:
    """One question a volume, and one a neuron that may be another; whether a neuron is one is no question about a volume."""
    volumes: set[int] = set()
    neurons: set[int] = set()
    for question in ranked:
        if question.kind == "nobody":
            yield question
        elif question.kind == "same":
            if not {question.neuron, question.other} & neurons:
                neurons |= {question.neuron, question.other}
                yield question
        elif question.t not in volumes:
            volumes.add(question.t)
            yield question
