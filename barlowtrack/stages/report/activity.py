"""The part of the page about activity: all traces at once, who does the same as whom, and the most certain traces one by one."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import FloatArray, Source, Traces
from barlowtrack.stages.report import page
from barlowtrack.stages.report.clusters import clusters, correlations
from barlowtrack.stages.report.correlated import correlation_pictures
from barlowtrack.stages.report.drawing import in_blocks
from barlowtrack.stages.report.heatmap import trace_heatmap
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.traced import single_traces
from barlowtrack.stages.report.words import counted, percent

TITLE = "Activity"
SAID = {
    Source.PREDICTED: "were read where the neuron should be, but nobody was found",
    Source.INTERPOLATED: "are interpolated",
}


def activity_part(shown: Shown, max_traces: int) -> str:
    """Returns the part as HTML."""
    if not len(shown.neurons):
        return page.section("activity", TITLE, "", page.paragraph("No neuron was identified, so there is nothing to show."))
    rows, chosen = shown.rows, shown.neurons[:max_traces]
    values, what = activity_of(shown.traces)
    seen = np.where(shown.traces.seen, values, np.nan)[rows]
    correlation = correlations(in_blocks(seen))
    found = clusters(correlation)
    strip = (
        "Beside a trace its neuron, below it how far to trust each point: blue is surely this neuron, orange and red are doubtful; violet "
        "was read where the neuron should be, sand lies between two points that were seen, grey is nothing. A trace that is empty above a "
        "coloured strip was read, but has no positive R0 to divide by. If a trace jumps where its strip turns orange, doubt the trace."
    )
    content = [page.figure(trace_heatmap(values[rows], shown.traces.source[rows], found, shown.time, what))]
    alike = list(correlation_pictures(shown, rows, correlation, found))
    if alike:
        content += [page.subtitle("Who does the same as whom"), page.grid(alike, kept=True)]
    return page.section(
        "activity",
        TITLE,
        _intro(shown.traces, len(rows), len(shown.neurons)),
        *content,
        page.subtitle(f"The {counted(len(chosen), 'most certain neuron')}"),
        page.paragraph(strip),
        page.grid(single_traces(shown, chosen, values, what)),
    )


def activity_of(traces: Traces) -> tuple[FloatArray, str]:
    """Returns what the page shows of the traces, (K, T), and what that is: dR/R0, or red over its median where there is no signal."""
    if np.isfinite(traces.dr_over_r0).any():
        return traces.dr_over_r0, "dR/R0"
    usual = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else 1.0 for row in traces.red]).reshape(-1, 1)
    return traces.red / np.maximum(usual, 1e-12), "red / its median"


def _intro(traces: Traces, shown: int, n_neurons: int) -> str:
    there = np.isfinite(traces.red)
    text = "Ratio of green to red relative to its own base line (dR/R0), background subtracted."
    for source, said in SAID.items():
        if (traces.source[there] == source).any():
            text += f" {percent(float(np.mean(traces.source[there] == source)))} of all values {said}."
    return text + (f" The {shown} most certain of {n_neurons} neurons are shown." if shown < n_neurons else "")
