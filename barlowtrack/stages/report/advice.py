"""What to do next, from what a run shows without any truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from barlowtrack.data import Detections, Recording, Traces
from barlowtrack.embedding.health import Health, findings
from barlowtrack.identity.review import Question
from barlowtrack.showing.names import Names
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.verdict import MANY_JUMPS, UNCERTAIN, Verdict
from barlowtrack.stages.report.words import counted, percent

FRAGMENT, MANY_FRAGMENTS = 0.5, 0.1  # coverage of a neuron, and share of such neurons
MANY_DOUBTFUL = 0.1
TOO_KIND = 4.0  # jumps for every error that the tracker admits; an error makes at most two
BLEACHED = 0.5  # red at the end, of red at the start
FEWEST_VOLUMES = 8  # to speak of bleaching
SATURATED = 0.01  # of all nuclei
WORTH_ASKING = 5.0  # identities put right by all answers together
NO_CHANGE = 0.1  # of the points read in both channels, without dR/R0


def advice(shown: Shown, embedding: Sequence[str], asked: Sequence[Question]) -> Iterator[str]:
    """Yields what to do now, most important first; nothing where nothing stands out.

    Args:
        shown: The run.
        embedding: What to do about the embedding; see about_the_embedding and about_the_training.
        asked: What a person may be asked.
    """
    recording, detections, verdict = shown.recording, shown.detections, shown.verdict
    if any(not said.startswith("volumes a second") for said in recording.assumptions):  # of the rate the last line speaks
        yield "Check the assumptions below; if one is wrong, give the right value and run again: all that follows hangs on them."
    if not len(detections):
        yield (
            "No nucleus was found. Check the voxel size, whether the reference channel is the one that shows the nuclei, "
            "segment.radius_um, and lower segment.probability."
        )
    elif not len(verdict.neurons.neuron):
        yield "Nuclei were found, but none was identified: look at the detections first, then at the embedding."
    if recording.n_volumes == 1:
        yield "Give a recording of more volumes: one cannot be tracked, so nothing below says who is who."
    else:
        yield from embedding
        yield from _about_identities(recording.n_volumes, verdict, shown.names)
        yield from _about_answers(shown, asked)
    yield from _about_the_images(recording, detections, shown.traces)
    if recording.signal is None:
        yield "There is no signal channel, so there is no activity to read: the traces hold red only."
    if recording.rate_hz is None:
        yield "The volume rate is unknown, so time is counted in volumes; give it with --rate."


def about_the_embedding(health: Health, trained: bool) -> Iterator[str]:
    """Yields what is wrong with the embedding, and what to try; trained: whether its encoder was trained on this recording."""
    for finding in findings(health, trained=trained):
        if finding.grade != "good":
            yield f"{finding.said} {finding.remedy}"


def _about_identities(n_volumes: int, verdict: Verdict, names: Names) -> Iterator[str]:
    neurons, n_distrusted = verdict.neurons, int(verdict.distrusted.sum())
    if verdict.jumps > MANY_JUMPS:
        said = f"{percent(verdict.jumps)} of the steps between volumes go against the neighbours: identities change hands."
        too_kind = verdict.jumps > TOO_KIND * (1 - verdict.estimated_right)
        yield f"{said} The tracker's estimate is too kind; believe the jumps." if too_kind else said
    if verdict.doubtful > MANY_DOUBTFUL:
        share = percent(verdict.doubtful)
        yield f"{share} of the identities have a probability below .5; --set trace.min_probability=0.5 leaves them out of the traces."
    if n_distrusted:
        yield f"Look at the {counted(n_distrusted, 'distrusted volume')} listed below before using what was read there."
    if len(neurons.neuron) and neurons.probability.min() < UNCERTAIN:
        worst = neurons.neuron[np.argsort(neurons.probability, kind="stable")[:5]]
        yield f"Look at the least certain neurons first: {names.listed(worst)}."
    fragments = int(np.count_nonzero(neurons.seen < FRAGMENT * n_volumes))
    if fragments > MANY_FRAGMENTS * len(neurons.neuron):
        some = f"{counted(fragments, 'neuron')} of {len(neurons.neuron)} {'was' if fragments == 1 else 'were'}"
        yield f"{some} seen in less than half of the volumes: such may be one neuron under two names (see the map of coverage)."


def _about_answers(shown: Shown, asked: Sequence[Question]) -> Iterator[str]:
    if len(shown.swaps):
        pairs = {(int(one), int(other)) for one, other in shown.swaps.neuron}
        some = counted(len(pairs), "pair")
        yield f"The traces of {some} of neurons may be exchanged for a while: look at the volumes in the table of exchanges."
    gain = sum(question.gain for question in asked)
    if gain >= WORTH_ASKING:
        yield (
            f"Answer the {counted(len(asked), 'question')} below: they promise to put about {gain:.0f} identities right, and applying them "
            "takes seconds."
        )


def _about_the_images(recording: Recording, detections: Detections, traces: Traces) -> Iterator[str]:
    if recording.dtype.kind in "iu" and len(detections):
        share = float(np.mean(detections.red_peak >= np.iinfo(recording.dtype).max))
        if share > SATURATED:
            yield f"{percent(share)} of the nuclei are saturated in the reference channel: their brightness is a lower bound."
    read = np.isfinite(traces.green)
    without = float(np.mean(~np.isfinite(traces.dr_over_r0[read]))) if read.any() else 0.0
    if without > NO_CHANGE:
        yield (
            f"{percent(without)} of the points read have no dR/R0, for their neuron's R0 is of too few values, or not clearly above zero: "
            "its green does not stand out from what is around it. Use the columns green and ratio there, or raise trace.r0_percentile."
        )
    tenth = max(1, traces.red.shape[1] // 10)
    start, end = (part[np.isfinite(part)] for part in (traces.red[:, :tenth], traces.red[:, -tenth:]))
    if traces.red.shape[1] >= FEWEST_VOLUMES and len(start) and len(end) and np.median(end) < BLEACHED * np.median(start):
        yield f"Red falls to {percent(float(np.median(end) / np.median(start)))} of what it was: bleaching; late volumes are noisier."
