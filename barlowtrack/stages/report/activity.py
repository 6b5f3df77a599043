"""The part of the page about activity: all traces at once, who does the same as whom, and the most certain traces one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from barlowtrack.data import BoolArray, Source, Traces
from barlowtrack.stages.report import page
from barlowtrack.stages.report.clusters import FEWEST_COMMON
from barlowtrack.stages.report.correlated import correlation_pictures
from barlowtrack.stages.report.heatmap import trace_heatmap
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.traced import single_traces
from barlowtrack.stages.report.words import counted, percent

TITLE = "Activity"
SIGNAL = "dR/R0"
MOST_NAMED = 8
NONE_ALIKE = f"Not shown: no two neurons have values in {FEWEST_COMMON} common volumes or more, and correlations of fewer say nothing."
SAID = {
    Source.PREDICTED: "were read where the neuron should be, but nobody was found",
    Source.INTERPOLATED: "are interpolated",
}


def activity_part(shown: Shown, max_traces: int) -> str:
    """Returns the part as HTML."""
    if not len(shown.neurons):
        return page.section("activity", TITLE, "", page.paragraph("No neuron was identified, so there is nothing to show."))
    if shown.recording.n_volumes == 1:
        return page.section("activity", TITLE, "", page.paragraph("One volume is one point in time: there is no trace to show."))
    rows, (values, what) = shown.rows, shown.activity
    has_signal = what == SIGNAL
    called = [shown.names.short(int(neuron)) for neuron in rows]
    content = [page.figure(trace_heatmap(values[rows], shown.traces.source[rows], shown.alike, shown.time, what, called))]
    content.append(page.subtitle("Who does the same as whom"))
    alike = list(correlation_pictures(shown, rows, shown.correlation, shown.alike))
    content.append(page.grid(alike, kept=True) if alike else page.paragraph(NONE_ALIKE))
    intro = _intro(shown.traces, len(rows), len(shown.neurons), what)
    return page.section("activity", TITLE, intro, *content, *_single(shown, max_traces, has_signal))


def _single(shown: Shown, max_traces: int, has_signal: bool) -> Iterator[str]:
    """Yields the most certain traces, of neurons that have any value to show."""
    values, what = shown.activity
    there: BoolArray = np.asarray(np.isfinite(values[shown.neurons]).any(axis=1))
    chosen = shown.neurons[there][:max_traces]
    yield page.subtitle(f"The {counted(len(chosen), 'most certain neuron')}" if len(chosen) else "Single traces")
    passed = shown.neurons[~there]
    if len(chosen):
        last = int(np.flatnonzero(shown.neurons == chosen[-1])[0])
        passed = shown.neurons[:last][~there[:last]]
    if len(passed):
        have = "has" if len(passed) == 1 else "have"
        yield page.paragraph(
            f"Left out: {counted(len(passed), 'neuron')} that {have} no {what} anywhere ({shown.names.listed(passed[:MOST_NAMED])}"
            + (" and others)." if len(passed) > MOST_NAMED else ").")
        )
    if len(chosen):
        yield page.paragraph(_strip(has_signal))
        yield page.grid(single_traces(shown, chosen, values, what))


def _strip(has_signal: bool) -> str:
    empty = " A trace that is empty above a coloured strip was read, but has no positive R0 to divide by." if has_signal else ""
    return (
        "Beside a trace its neuron, below it how far to trust each point: blue is surely this neuron, orange and red are doubtful; violet "
        f"was read where the neuron should be, sand lies between two points that were seen, grey is nothing.{empty} If a trace jumps where "
        "its strip turns orange, doubt the trace."
    )


def _intro(traces: Traces, shown: int, n_neurons: int, what: str) -> str:
    there = np.isfinite(traces.red)
    if what == SIGNAL:
        text = "Ratio of green to red relative to its own base line (dR/R0), background subtracted."
    elif np.isfinite(traces.ratio).any():
        text = (
            "Hardly any neuron has an R0 to divide by: too few values, or green that does not stand out from its surroundings. Shown is "
            "the ratio of green to red over its own median, background subtracted; part of what changes in it is noise."
        )
    elif np.isfinite(traces.green).any():
        text = "No neuron has a ratio, so red is shown instead, over its own median: it tells of focus, not of activity."
    else:
        text = (
            "There is no signal channel, so there is no activity to show: this is the red light of each neuron over its own median, "
            "background subtracted. What changes in it is focus, bleaching and identity."
        )
    for source, said in SAID.items():
        if (traces.source[there] == source).any():
            text += f" {percent(float(np.mean(traces.source[there] == source)))} of all values {said}."
    return text + (f" The {shown} most certain of {n_neurons} neurons are shown." if shown < n_neurons else "")
