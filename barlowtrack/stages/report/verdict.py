"""What the page says in words: what was found, what to distrust, what to do next. No truth is needed, so nothing here is proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Recording, Traces, Tracks

FEW_NUCLEI, MANY_NUCLEI = 0.7, 1.4  # of the usual number
DULL = 0.6  # of the usual quality
UNCERTAIN_DROP, UNCERTAIN = 0.15, 0.5  # of the mean probability of a volume: below the usual, and altogether
GOOD, POOR = 0.9, 0.6  # estimated share of right identities
GOOD_COVERAGE = 0.8
BLEACHED = 0.5  # red at the end, of red at the start
SATURATED = 0.01  # of all nuclei
COLLAPSED_RANK = 2.0
FEWEST_TO_COMPARE = 4  # volumes, below which none is unusual


@dataclass(frozen=True)
class VolumeFigures:
    """One number a volume.

    Attributes:
        detections: (T,) nuclei found.
        identified: (T,) of them with an identity.
        probability: (T,) mean over those; NaN without any.
        quality: (3, T) 10th, 50th and 90th percentile of the nuclei's contrast; NaN without any.
    """

    detections: IntArray
    identified: IntArray
    probability: FloatArray
    quality: FloatArray


@dataclass(frozen=True)
class NeuronFigures:
    """One number a neuron, K of them; ids that nobody carries have no row.

    Attributes:
        neuron: (K,) id, most certain first.
        seen: (K,) volumes it was found in.
        probability: (K,) mean probability.
        red: (K,) median red, above background.
    """

    neuron: IntArray
    seen: IntArray
    probability: FloatArray
    red: FloatArray


@dataclass(frozen=True)
class Verdict:
    """The page in numbers and words.

    Attributes:
        grade: good, care or poor.
        headline: The verdict in a sentence.
        coverage: Filled share of neurons x volumes; 0 without neurons.
        estimated_right: Mean probability of the identities; NaN without any. An estimate by the tracker itself.
        doubtful: Share of the identities with a probability below one half; NaN without any.
        volumes: By volume.
        neurons: By neuron.
        distrusted: (T,) which volumes to distrust.
        distrust: First volume, last volume and why, a row a stretch of volumes.
        next_steps: What to do now, most important first.
    """

    grade: str
    headline: str
    coverage: float
    estimated_right: float
    doubtful: float
    volumes: VolumeFigures
    neurons: NeuronFigures
    distrusted: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    distrust: list[tuple[int, int, str]]
    next_steps: list[str]


def judge(recording: Recording, detections: Detections, tracks: Tracks, traces: Traces, history: Mapping[str, FloatArray]) -> Verdict:
    """Sums up a run; see Verdict."""
    volumes = _volume_figures(detections, tracks)
    neurons = _neuron_figures(tracks, traces)
    n_neurons, n_volumes = len(neurons.neuron), recording.n_volumes
    identified = tracks.neuron != UNKNOWN
    probability = tracks.probability[identified]
    coverage = int(neurons.seen.sum()) / (n_neurons * n_volumes) if n_neurons else 0.0
    right = float(np.mean(probability, dtype=np.float64)) if len(probability) else float("nan")
    doubtful = float(np.mean(probability < UNCERTAIN)) if len(probability) else float("nan")
    reasons = _reasons(volumes)
    distrusted = np.array([bool(why) for why in reasons], bool)
    return Verdict(
        grade=_grade(n_neurons, right, coverage),
        headline=_headline(n_neurons, n_volumes, coverage, right, int(distrusted.sum())),
        coverage=coverage,
        estimated_right=right,
        doubtful=doubtful,
        volumes=volumes,
        neurons=neurons,
        distrusted=distrusted,
        distrust=list(_stretches(reasons)),
        next_steps=list(_advice(recording, detections, traces, history, neurons, doubtful, int(distrusted.sum()))),
    )


def percent(share: float) -> str:
    """Returns a share as a text such as "87 %"; "unknown" where it is NaN."""
    return f"{100 * share:.0f} %" if np.isfinite(share) else "unknown"


def counted(n: int, noun: str, many: str | None = None) -> str:
    """Returns "1 neuron", "2 neurons"."""
    return f"{n} {noun}" if n == 1 else f"{n} {many or noun + 's'}"


def _volume_figures(detections: Detections, tracks: Tracks) -> VolumeFigures:
    n = detections.n_volumes
    identified = tracks.neuron != UNKNOWN
    count = np.bincount(detections.t[identified], minlength=n)
    total = np.bincount(detections.t[identified], tracks.probability[identified], minlength=n)
    quality = np.full((3, n), np.nan)
    for t in range(n):
        values = detections.quality[detections.rows_of(t)]
        if len(values):
            quality[:, t] = np.percentile(values, [10, 50, 90])
    probability = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return VolumeFigures(np.bincount(detections.t, minlength=n), count, probability, quality)


def _neuron_figures(tracks: Tracks, traces: Traces) -> NeuronFigures:
    identified = tracks.neuron != UNKNOWN
    seen = np.bincount(tracks.neuron[identified], minlength=tracks.n_neurons)
    total = np.bincount(tracks.neuron[identified], tracks.probability[identified], minlength=tracks.n_neurons)
    neuron = np.flatnonzero(seen)
    probability = total[neuron] / seen[neuron]
    # most certain: right often, and in many volumes
    order = np.lexsort((neuron, -np.round(probability * seen[neuron] / max(traces.red.shape[1], 1), 6)))
    neuron, probability = neuron[order], probability[order]
    red = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in traces.red[neuron]], np.float64)
    return NeuronFigures(neuron, seen[neuron], probability, red)


def _reasons(volumes: VolumeFigures) -> list[tuple[str, ...]]:
    """Returns for every volume why not to trust it; empty where nothing is unusual."""
    n = len(volumes.detections)
    some = volumes.detections > 0
    compare = n >= FEWEST_TO_COMPARE and bool(some.any())
    usual = float(np.median(volumes.detections[some])) if compare else 0.0
    usual_quality = float(np.nanmedian(volumes.quality[1])) if compare else 0.0
    sure = volumes.probability[np.isfinite(volumes.probability)]
    low = min(float(np.median(sure)) - UNCERTAIN_DROP, 1.0) if compare and len(sure) else 0.0
    reasons = []
    for t in range(n):
        why = []
        if not some[t]:
            why.append("no nucleus found")
        elif compare:
            if volumes.detections[t] < FEW_NUCLEI * usual:
                why.append(f"few nuclei ({usual:.0f} are usual)")
            if volumes.detections[t] > MANY_NUCLEI * usual:
                why.append(f"many nuclei ({usual:.0f} are usual), some of them surely noise")
            if volumes.quality[1, t] < DULL * usual_quality:
                why.append("dim or blurred")
        if some[t] and not volumes.identified[t]:
            why.append("nobody identified")
        elif volumes.probability[t] < max(low, UNCERTAIN):
            why.append("identities uncertain")
        reasons.append(tuple(why))
    return reasons


def _stretches(reasons: list[tuple[str, ...]]) -> Iterator[tuple[int, int, str]]:
    """Yields runs of volumes with the same reasons."""
    start = 0
    for t in range(1, len(reasons) + 1):
        if t == len(reasons) or reasons[t] != reasons[start]:
            if reasons[start]:
                yield start, t - 1, "; ".join(reasons[start])
            start = t


def _grade(n_neurons: int, right: float, coverage: float) -> str:
    if not n_neurons or right < POOR:
        return "poor"
    return "good" if right >= GOOD and coverage >= GOOD_COVERAGE else "care"


def _headline(n_neurons: int, n_volumes: int, coverage: float, right: float, n_distrusted: int) -> str:
    if not n_neurons:
        return f"No neuron was identified in {counted(n_volumes, 'volume')}."
    followed = (
        f"{counted(n_neurons, 'neuron')} found in {counted(n_volumes, 'volume')}, each seen in {percent(coverage)} of them on average."
    )
    estimate = f"About {percent(right)} of the identities are right, by the tracker's own estimate."
    trust = "No volume stands out." if not n_distrusted else f"{counted(n_distrusted, 'volume')} should not be trusted blindly."
    return f"{followed} {estimate} {trust}"


def _advice(
    recording: Recording,
    detections: Detections,
    traces: Traces,
    history: Mapping[str, FloatArray],
    neurons: NeuronFigures,
    doubtful: float,
    n_distrusted: int,
) -> Iterator[str]:
    if recording.assumptions:
        yield "Check the assumptions below; if one is wrong, give the right value and run again: every length hangs on them."
    if not len(detections):
        yield (
            "No nucleus was found. Check the voxel size, whether the reference channel is the one that shows the nuclei, "
            "segment.radius_um, and lower segment.min_quality."
        )
    elif not len(neurons.neuron):
        yield "Nuclei were found, but none was identified: look at the detections first, then at the embedding."
    if doubtful > 0.1:
        yield f"{percent(doubtful)} of the identities have a probability below .5; trace.min_probability=0.5 leaves them out of the traces."
    if n_distrusted:
        yield "Look at the distrusted volumes listed below before using what was read in them."
    if len(neurons.neuron) and neurons.probability.min() < UNCERTAIN:
        worst = neurons.neuron[np.argsort(neurons.probability, kind="stable")[:5]]
        yield f"Correct the least certain neurons first: {', '.join(str(k) for k in worst)}."
    yield from _about_the_images(recording, detections, traces)
    rank = np.asarray(history.get("effective_rank", []), np.float64)
    if len(rank) and rank[-1] < COLLAPSED_RANK:
        yield f"The embedding has collapsed (effective rank {rank[-1]:.1f}): lower train.learning_rate or train longer."
    if recording.signal is None:
        yield "There is no signal channel, so there is no activity to read: the traces hold red only."
    if recording.rate_hz is None:
        yield "The volume rate is unknown, so time is counted in volumes; give it with --rate."


def _about_the_images(recording: Recording, detections: Detections, traces: Traces) -> Iterator[str]:
    if recording.dtype.kind in "iu" and len(detections):
        share = float(np.mean(detections.red_peak >= np.iinfo(recording.dtype).max))
        if share > SATURATED:
            yield f"{percent(share)} of the nuclei are saturated in the reference channel: their brightness is a lower bound."
    tenth = max(1, traces.red.shape[1] // 10)
    start, end = (part[np.isfinite(part)] for part in (traces.red[:, :tenth], traces.red[:, -tenth:]))
    if traces.red.shape[1] >= 2 * FEWEST_TO_COMPARE and len(start) and len(end) and np.median(end) < BLEACHED * np.median(start):
        yield f"Red falls to {percent(float(np.median(end) / np.median(start)))} of what it was: bleaching; late volumes are noisier."
