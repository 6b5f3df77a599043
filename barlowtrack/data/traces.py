"""Activity over time, and what is known of the true neurons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from barlowtrack.data.arrays import FloatArray, IntArray, expect, expect_rows


@dataclass(frozen=True)
class Traces:
    """Activity of K neurons over T volumes; NaN where a neuron was not seen.

    Attributes:
        time_s: (T,) since the first volume; NaN where the rate is unknown.
        red: (K, T) reference channel, background subtracted, camera units.
        green: (K, T) signal channel, likewise.
        ratio: (K, T) green / red.
        dr_over_r0: (K, T) (ratio - R0) / R0.
        probability: (K, T) that the neuron is the one that was read; NaN where absent.
    """

    time_s: FloatArray
    red: FloatArray
    green: FloatArray
    ratio: FloatArray
    dr_over_r0: FloatArray
    probability: FloatArray

    def __post_init__(self) -> None:
        shape = self.red.shape
        expect(self.red.ndim == 2, "traces.red", "(neurons, volumes)", shape)
        expect(self.time_s.shape == shape[1:], "traces.time_s", f"({shape[1]},)", self.time_s.shape)
        for name in ("green", "ratio", "dr_over_r0", "probability"):
            expect(getattr(self, name).shape == shape, f"traces.{name}", f"shape {shape}", getattr(self, name).shape)


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
