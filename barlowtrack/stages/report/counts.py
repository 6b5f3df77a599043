"""What the page counts: a few numbers for every volume and for every neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Traces, Tracks
from barlowtrack.stages.report.coherence import Steps, steps


@dataclass(frozen=True)
class VolumeCounts:
    """One number a volume.

    Attributes:
        detections: (T,) nuclei found.
        identified: (T,) of them with an identity.
        probability: (T,) mean over those; NaN without any.
        quality: (3, T) 10th, 50th and 90th percentile of the nuclei's contrast; NaN without any.
        steps: (T,) neurons seen here and in the volume before, as far as their neighbours can be asked.
        jumped: (T,) of them against their neighbours; see coherence.
        step: Those steps, one by one.
    """

    detections: IntArray
    identified: IntArray
    probability: FloatArray
    quality: FloatArray
    steps: IntArray
    jumped: IntArray
    step: Steps

    @property
    def jumps(self) -> FloatArray:
        """(T,) share of the steps that go against the neighbours; NaN where nobody can say."""
        return np.where(self.steps > 0, self.jumped / np.maximum(self.steps, 1), np.nan)


@dataclass(frozen=True)
class NeuronCounts:
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


def count_by_volume(detections: Detections, tracks: Tracks) -> VolumeCounts:
    """Returns the numbers of every volume."""
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
    found = steps(detections, tracks)
    looked, jumped = np.bincount(found.t, minlength=n), np.bincount(found.t[found.jumps], minlength=n)
    return VolumeCounts(np.bincount(detections.t, minlength=n), count, probability, quality, looked, jumped, found)


def count_by_neuron(tracks: Tracks, traces: Traces) -> NeuronCounts:
    """Returns the numbers of every neuron."""
    identified = tracks.neuron != UNKNOWN
    seen = np.bincount(tracks.neuron[identified], minlength=tracks.n_neurons)
    total = np.bincount(tracks.neuron[identified], tracks.probability[identified], minlength=tracks.n_neurons)
    neuron = np.flatnonzero(seen)
    probability = total[neuron] / seen[neuron]
    # most certain: right often, and in many volumes
    order = np.lexsort((neuron, -np.round(probability * seen[neuron] / max(traces.red.shape[1], 1), 6)))
    neuron, probability = neuron[order], probability[order]
    red = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in traces.red[neuron]], np.float64)
    return NeuronCounts(neuron, seen[neuron], probability, red)
