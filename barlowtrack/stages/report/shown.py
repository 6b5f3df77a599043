"""What most parts of the page are made of."""

from __future__ import annotations

from dataclasses import dataclass

from barlowtrack.data import Detections, IntArray, Recording, Swaps, Traces, Tracks
from barlowtrack.stages.report.drawing import TimeAxis
from barlowtrack.stages.report.names import Names
from barlowtrack.stages.report.verdict import Verdict

MOST_ROWS = 1000
"""Of a map of neurons: the most certain ones; more rows than pixels show nothing."""


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
    """

    recording: Recording
    detections: Detections
    tracks: Tracks
    traces: Traces
    swaps: Swaps
    verdict: Verdict
    names: Names
    time: TimeAxis

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
