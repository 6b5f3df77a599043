"""One of the two runs: its tables, and what they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Swaps, Traces, Tracks
from barlowtrack.data.arrays import expect, expect_rows
from barlowtrack.identity.estimate import ErrorEstimate, estimate_error


@dataclass(frozen=True)
class Making:
    """What a stage made its part of a run from.

    Attributes:
        version: The stage's own version.
        seed: None where it draws nothing.
        settings: Its sections of the settings.
        recording: What it uses of the recording.
        given: Digest of what came from outside: a model, an encoder, corrections; "none" where there was none.
    """

    version: int
    seed: int | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    recording: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """What one run says.

    Attributes:
        name: What the page calls it.
        detections: N nuclei of T volumes.
        tracks: N identities.
        neuron_names: K names that people gave; "" where none.
        traces: (K, T); None where the run has none that belong to these tracks.
        swaps: Stretches in which two neurons seem to be exchanged; None where nobody looked.
        stages: Stage -> what it worked from.
    """

    name: str
    detections: Detections
    tracks: Tracks
    neuron_names: tuple[str, ...]
    traces: Traces | None = None
    swaps: Swaps | None = None
    stages: Mapping[str, Making] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect_rows(f"{self.name}: detections", len(self.detections), tracks=self.tracks.neuron)
        expect(len(self.neuron_names) == self.tracks.n_neurons, f"{self.name}: names", f"{self.tracks.n_neurons}", len(self.neuron_names))
        if self.traces is not None:
            shape = (self.tracks.n_neurons, self.detections.n_volumes)
            expect(self.traces.red.shape == shape, f"{self.name}: traces", f"shape {shape}", self.traces.red.shape)

    @cached_property
    def neurons(self) -> IntArray:
        """Ids that a detection carries, rising."""
        return np.unique(self.tracks.neuron[self.tracks.neuron != UNKNOWN])

    @property
    def coverage(self) -> float:
        """Filled share of neurons x volumes; NaN without neurons."""
        cells = len(self.neurons) * self.detections.n_volumes
        return float(np.count_nonzero(self.tracks.neuron != UNKNOWN)) / cells if cells else float("nan")

    @cached_property
    def error(self) -> ErrorEstimate:
        """Which share of its identities is expected to be wrong."""
        return estimate_error(self.detections.t, self.tracks.neuron, self.tracks.probability)

    def called(self, neuron: int) -> str:
        """Returns the number of a neuron and its name, or that it is nobody."""
        if neuron == UNKNOWN:
            return "nobody"
        name = self.neuron_names[neuron]
        return f"{neuron} ({name})" if name else str(neuron)

    def activity(self, signal: bool) -> FloatArray | None:
        """(K, T) what is compared of the traces: dR/R0, or red where there is no signal; None without traces."""
        return None if self.traces is None else (self.traces.dr_over_r0 if signal else self.traces.red)

    @property
    def has_signal(self) -> bool:
        return self.traces is not None and bool(np.isfinite(self.traces.dr_over_r0).any())
