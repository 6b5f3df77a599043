"""What most parts of the page are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from barlowtrack.data import Corrections, Detections, FloatArray, IntArray, Recording, Swaps, Traces, Tracks
from barlowtrack.showing.names import Names
from barlowtrack.stages.report.clusters import Clusters, clusters, correlations
from barlowtrack.stages.report.drawing import TimeAxis, in_blocks
from barlowtrack.stages.report.verdict import Verdict

MOST_ROWS = 1000
"""Of a map of neurons: the most certain ones; more rows than pixels show nothing."""


HARDLY = 0.05
"""Share of the ratios with a dR/R0, up to which a page of dR/R0 would be empty."""


@dataclass(frozen=True)
class Shown:
    """A run, as the page shows it.

    Attributes:
        recording: What was tracked; only a few volumes of it are read.
        detections: N nuclei.
        tracks: Whose they are.
        traces: What the neurons do.
        swaps: Which of them may have been exchanged.
        verdict: The run in numbers.
        names: What the neurons are called.
        time: Where volumes lie on an axis.
        corrections: What people said.
    """

    recording: Recording
    detections: Detections
    tracks: Tracks
    traces: Traces
    swaps: Swaps
    verdict: Verdict
    names: Names
    time: TimeAxis
    corrections: Corrections = field(default_factory=Corrections)

    @property
    def neurons(self) -> IntArray:
        """Ids that somebody carries, most certain first."""
        return self.verdict.neurons.neuron

    @property
    def rows(self) -> IntArray:
        """Ids that maps of neurons show, by number."""
        rows: IntArray = self.neurons[:MOST_ROWS].copy()
        rows.sort()
        return rows

    @cached_property
    def activity(self) -> tuple[FloatArray, str]:
        """What is shown of the traces; see activity_of."""
        return activity_of(self.traces)

    @cached_property
    def correlation(self) -> FloatArray:
        """(R, R) of the activity of the rows, of what was seen."""
        return correlations(in_blocks(np.where(self.traces.seen, self.activity[0], np.nan)[self.rows]))

    @cached_property
    def alike(self) -> Clusters:
        """Order and groups of the rows by their activity."""
        return clusters(self.correlation)


def activity_of(traces: Traces) -> tuple[FloatArray, str]:
    """Returns what the page shows of the traces, (K, T), and what that is.

    dR/R0; where hardly any neuron has an R0, the ratio over its median; where there is no signal at all, red over its median.
    """
    there = np.isfinite(traces.ratio)
    if np.count_nonzero(np.isfinite(traces.dr_over_r0)) > HARDLY * np.count_nonzero(there):
        return traces.dr_over_r0, "dR/R0"
    values, what = (traces.ratio, "ratio / its median") if there.any() else (traces.red, "red / its median")
    usual = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in values]).reshape(-1, 1)
    return values / np.where(usual > 0, usual, np.nan), what
