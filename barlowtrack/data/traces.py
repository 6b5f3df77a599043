"""Activity over time, and what is known of the true neurons."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

import numpy as np

from barlowtrack.data.arrays import BoolArray, FloatArray, IntArray, expect, expect_rows


class Source(IntEnum):
    """Where a value of a trace comes from."""

    NONE = 0
    """There is no value."""
    SEEN = 1
    """The voxels of a detection that is this neuron."""
    PREDICTED = 2
    """The place where the shape model expects the neuron, in a volume in which no detection is it."""
    INTERPOLATED = 3
    """The values before and after a short gap."""


class Flag(IntFlag):
    """What to think of when a value looks strange; several may hold."""

    EDGE = 1
    """The nucleus touches the border of the volume."""
    SATURATED = 2
    """The camera was at its end on some of its voxels."""
    CROWDED = 4
    """Other nuclei fill much of the shell around it: light leaks over, and its background comes from few voxels."""
    DOUBTFUL = 8
    """More likely another neuron than this one: a probability below one half."""
    SWAPPED = 16
    """From here to there its light is that of another neuron, whose light is this one's."""
    DIM = 32
    """Its red light does not stand out from its background; ratios are mostly noise."""


@dataclass(frozen=True)
class Traces:
    """Activity of K neurons over T volumes; NaN where there is no value.

    Attributes:
        time_s: (T,) since the first volume; NaN where the rate is unknown.
        red: (K, T) reference channel, background subtracted and bleaching undone, camera units.
        green: (K, T) signal channel, likewise.
        ratio: (K, T) green / red, bridged and smoothed by itself.
        dr_over_r0: (K, T) (ratio - R0) / R0.
        df_over_f0: (K, T) (green - F0) / F0, after what moves alike in red was taken out, if that was asked for.
        probability: (K, T) that the value is this neuron's: of a detection, that it is the neuron; of a predicted place, that the neuron
            is who it is, is no detection and lies there; of an interpolated value, the lesser of both ends. NaN where there is no value.
        source: (K, T) uint8, a Source.
        flags: (K, T) uint8, Flags.
    """

    time_s: FloatArray
    red: FloatArray
    green: FloatArray
    ratio: FloatArray
    dr_over_r0: FloatArray
    df_over_f0: FloatArray
    probability: FloatArray
    source: IntArray
    flags: IntArray

    def __post_init__(self) -> None:
        shape = self.red.shape
        expect(self.red.ndim == 2, "traces.red", "(neurons, volumes)", shape)
        expect(self.time_s.shape == shape[1:], "traces.time_s", f"({shape[1]},)", self.time_s.shape)
        for name in ("green", "ratio", "dr_over_r0", "df_over_f0", "probability", "source", "flags"):
            expect(getattr(self, name).shape == shape, f"traces.{name}", f"shape {shape}", getattr(self, name).shape)

    @classmethod
    def of_seen(
        cls, time_s: FloatArray, red: FloatArray, green: FloatArray, ratio: FloatArray, dr_over_r0: FloatArray, probability: FloatArray
    ) -> Traces:
        """Makes traces of what was read from detections alone: nothing predicted, bridged or flagged; no dF/F0."""
        source = np.where(np.isfinite(probability), Source.SEEN, Source.NONE).astype(np.uint8)
        nothing = np.full(red.shape, np.nan, np.float32)
        return cls(time_s, red, green, ratio, dr_over_r0, nothing, probability, source, np.zeros(red.shape, np.uint8))

    @property
    def seen(self) -> BoolArray:
        """(K, T) whether a detection is the neuron."""
        return np.asarray(self.source == Source.SEEN)


@dataclass(frozen=True)
class Bleaching:
    """How the light of a recording fades, by channel: red first, then green.

    Attributes:
        level: (2, T) median over the neurons of their light relative to their own usual light; NaN where nobody was seen.
        fit: (2, T) the curve that was divided out, 1 at the first volume; 1 throughout where nothing was.
        kind: What was fitted to each: "none", "mono" or "bi".
    """

    level: FloatArray
    fit: FloatArray
    kind: tuple[str, str]

    def __post_init__(self) -> None:
        expect(self.level.ndim == 2 and len(self.level) == 2, "bleaching.level", "(2, volumes)", self.level.shape)
        expect(self.fit.shape == self.level.shape, "bleaching.fit", f"shape {self.level.shape}", self.fit.shape)


@dataclass(frozen=True)
class Swaps:
    """Stretches in which two neurons seem to carry each other's identity.

    Attributes:
        first: (S,) volume from which on.
        last: (S,) volume up to which, included.
        neuron: (S, 2) the two, the smaller id first.
        evidence: (S,) log likelihood ratio of the swap against none; larger is surer.
    """

    first: IntArray
    last: IntArray
    neuron: IntArray
    evidence: FloatArray

    def __post_init__(self) -> None:
        n = len(self.first)
        expect_rows("swaps", n, last=self.last, neuron=self.neuron, evidence=self.evidence)
        expect(self.neuron.shape == (n, 2), "swaps.neuron", f"shape ({n}, 2)", self.neuron.shape)

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class Traced:
    """All that trace says.

    Attributes:
        traces: What the neurons do.
        bleaching: How the light fades.
        swaps: Who may have been taken for whom.
    """

    traces: Traces
    bleaching: Bleaching
    swaps: Swaps


@dataclass(frozen=True)
class Truth:
    """What is known of the true neurons: positions and identities, at the volumes where somebody (or the simulation) looked.

    Attributes:
        t: (M,) volume.
        neuron: (M,) identity; any whole number, the same in every volume.
        position_um: (M, 3) z, y, x.
        activity: Optional (M,) true activity, for the correlation of traces.
    """

    t: IntArray
    neuron: IntArray
    position_um: FloatArray
    activity: FloatArray | None = field(default=None)

    def __post_init__(self) -> None:
        m = len(self.t)
        expect_rows("truth", m, neuron=self.neuron, position_um=self.position_um)
        expect(self.position_um.shape == (m, 3), "truth.position_um", f"shape ({m}, 3)", self.position_um.shape)
        pairs = np.stack([self.t, self.neuron], axis=1)
        expect(len(np.unique(pairs, axis=0)) == m, "truth", "every neuron once a volume", "a neuron twice in one volume")

    def __len__(self) -> int:
        return len(self.t)
