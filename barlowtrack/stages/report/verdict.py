"""What the page says in words: what was found, and what to distrust. No truth is needed, so nothing here is proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, IntArray, Traces, Tracks, VolumeLooks
from barlowtrack.identity.estimate import ErrorEstimate, estimate_error
from barlowtrack.stages.report.counts import NeuronCounts, VolumeCounts, count_by_neuron, count_by_volume
from barlowtrack.stages.report.words import counted, percent

FEW_NUCLEI, MANY_NUCLEI = 0.7, 1.4  # of the usual number
DULL = 0.6  # of the usual quality
UNCERTAIN_DROP, UNCERTAIN = 0.15, 0.5  # of the mean probability of a volume: below the usual, and altogether
GOOD, POOR = 0.9, 0.6  # estimated share of right identities
GOOD_COVERAGE = 0.8
MANY_JUMPS = 0.1  # of all steps
JUMPY = 0.3  # of the steps into one volume
FEWEST_TO_COMPARE = 4  # volumes, below which none is unusual
FEW_VOLUMES = 20  # below which what volumes say of each other is little, and an estimate rough
SURE, MANY_UNSURE = 0.9, 0.3  # probability from which on the tracker is sure, and share of all nuclei that it is not sure of
FOUND = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for the number of nuclei until stretches of volumes are known."""


@dataclass(frozen=True)
class Verdict:
    """The page in numbers and words.

    Attributes:
        grade: good, care or poor.
        headline: The verdict in a sentence.
        coverage: Filled share of neurons x volumes; 0 without neurons.
        estimated_right: Mean probability of the identities; NaN without any. An estimate by the tracker itself.
        wrong: Share of the identities that is expected to be wrong, with its interval.
        jumps: Share of all steps that go against the neighbours; NaN where nobody can say. A sign that the tracker was not asked for.
        doubtful: Share of the identities with a probability below one half; NaN without any.
        volumes: By volume.
        neurons: By neuron.
        distrusted: (T,) which volumes to distrust.
        distrust: First volume, last volume and why, a row a stretch of volumes.
    """

    grade: str
    headline: str
    coverage: float
    estimated_right: float
    wrong: ErrorEstimate
    jumps: float
    doubtful: float
    volumes: VolumeCounts
    neurons: NeuronCounts
    distrusted: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    distrust: list[tuple[int, int, str]]


def judge(detections: Detections, looks: VolumeLooks, tracks: Tracks, traces: Traces) -> Verdict:
    """Sums up a run; see Verdict."""
    volumes = count_by_volume(detections, tracks)
    neurons = count_by_neuron(tracks, traces)
    steps = int(volumes.steps.sum())
    n_neurons, n_volumes = len(neurons.neuron), detections.n_volumes
    identified = tracks.neuron != UNKNOWN
    probability = tracks.probability[identified]
    coverage = int(neurons.seen.sum()) / (n_neurons * n_volumes) if n_neurons else 0.0
    right = float(np.mean(probability, dtype=np.float64)) if len(probability) else float("nan")
    doubtful = float(np.mean(probability < UNCERTAIN)) if len(probability) else float("nan")
    wrong = estimate_error(detections.t, tracks.neuron, tracks.probability)
    jumping = int(volumes.jumped.sum()) / steps if steps else float("nan")
    reasons = _reasons(volumes, looks)
    distrusted = np.array([bool(why) for why in reasons], bool)
    return Verdict(
        grade=_grade(n_neurons, n_volumes, right, coverage, jumping),
        headline=_headline(n_neurons, n_volumes, coverage, wrong, int(distrusted.sum()), _unsure(tracks)),
        coverage=coverage,
        estimated_right=right,
        wrong=wrong,
        jumps=jumping,
        doubtful=doubtful,
        volumes=volumes,
        neurons=neurons,
        distrusted=distrusted,
        distrust=list(_stretches(reasons, volumes.detections)),
    )


def _reasons(volumes: VolumeCounts, looks: VolumeLooks) -> list[tuple[str, ...]]:
    """Returns for every volume why not to trust it; empty where nothing is unusual."""
    n = len(volumes.detections)
    some = volumes.detections > 0
    compare = n >= FEWEST_TO_COMPARE and bool(some.any())
    usual = float(np.median(volumes.detections[some])) if compare else 0.0
    usual_quality = float(np.nanmedian(volumes.quality[1])) if compare else 0.0
    sure = volumes.probability[np.isfinite(volumes.probability)]
    low = min(float(np.median(sure)) - UNCERTAIN_DROP, 1.0) if compare and len(sure) else 0.0
    junk = looks.is_junk
    reasons = []
    for t in range(n):
        why = []
        if not some[t]:
            why.append("no nucleus found")
        elif compare:
            if volumes.detections[t] < FEW_NUCLEI * usual:
                why.append(f"few nuclei ({FOUND}; {usual:.0f} are usual)")
            if volumes.detections[t] > MANY_NUCLEI * usual:
                why.append(f"many nuclei ({FOUND}; {usual:.0f} are usual), some of them surely noise")
            if volumes.quality[1, t] < DULL * usual_quality:
                why.append("dim or blurred")
        if junk[t] and not why:
            why.append("dim or blurred")
        if some[t] and not volumes.identified[t]:
            why.append("nobody identified")
        elif volumes.probability[t] < max(low, UNCERTAIN):
            why.append("identities uncertain")
        if volumes.jumps[t] > JUMPY:
            why.append("many neurons jump against their neighbours")
        reasons.append(tuple(why))
    return reasons


def _stretches(reasons: list[tuple[str, ...]], detections: IntArray) -> Iterator[tuple[int, int, str]]:
    """Yields runs of volumes with the same reasons; detections: (T,) how many were found."""
    start = 0
    for t in range(1, len(reasons) + 1):
        if t == len(reasons) or reasons[t] != reasons[start]:
            if reasons[start]:
                least, most = int(detections[start:t].min()), int(detections[start:t].max())
                yield start, t - 1, "; ".join(reasons[start]).replace(FOUND, str(least) if least == most else f"{least} to {most}")
            start = t


def _unsure(tracks: Tracks) -> float:
    """Returns the share of all nuclei that have no identity that the tracker is sure of; NaN without any."""
    sure = (tracks.neuron != UNKNOWN) & (tracks.probability >= SURE)
    return 1 - float(np.mean(sure)) if len(sure) else float("nan")


def _grade(n_neurons: int, n_volumes: int, right: float, coverage: float, jumping: float) -> str:
    if not n_neurons or n_volumes == 1 or right < POOR:
        return "poor"
    sound = n_volumes >= FEW_VOLUMES and right >= GOOD and coverage >= GOOD_COVERAGE and not jumping > MANY_JUMPS
    return "good" if sound else "care"


def _headline(n_neurons: int, n_volumes: int, coverage: float, wrong: ErrorEstimate, n_distrusted: int, unsure: float) -> str:
    if not n_neurons:
        return f"No neuron was identified in {counted(n_volumes, 'volume')}."
    if n_volumes == 1:
        return (
            f"{counted(n_neurons, 'neuron')} found in 1 volume, and one volume cannot be tracked: there is no other to find them again in. "
            "The identities and their probabilities on this page say nothing."
        )
    followed = (
        f"{counted(n_neurons, 'neuron')} found in {counted(n_volumes, 'volume')}, each seen in {percent(coverage)} of them on average."
    )
    share = percent(1 - wrong.share)
    roughly = share if share.startswith(("over", "under")) else f"about {share}"
    estimate = (
        f"By the tracker's own estimate {roughly} of the identities are right ({percent(1 - wrong.high)} to {percent(1 - wrong.low)})."
    )
    trust = "No volume stands out." if not n_distrusted else f"{counted(n_distrusted, 'volume')} should not be trusted blindly."
    return " ".join([followed, estimate, *_caveats(n_volumes, unsure), trust])


def _caveats(n_volumes: int, unsure: float) -> Iterator[str]:
    """Yields why the estimate may be worth little."""
    if n_volumes < FEW_VOLUMES:
        yield f"From so few volumes ({n_volumes}) such estimates are rough, and may be far too kind."
    if unsure > MANY_UNSURE:
        yield f"Of {percent(unsure)} of all nuclei the tracker is not sure (nobody we know, or a probability below {SURE:g})."
