"""How brightly nuclei shine, before anything is made of it: raw camera units, a number a way of reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from barlowtrack.data.arrays import BoolArray, FloatArray, IntArray, expect, expect_rows

N_CHANNELS = 2
"""Red (the reference) and green (the signal); a recording without a signal channel has NaN for green."""
READINGS = ("mean", "soft", "brightest", "background", "shell", "shell_spread")
"""What is read of each channel."""


@dataclass(frozen=True)
class Light:
    """Light of N nuclei, or of N places where one should be; camera units, as they came, unless said otherwise.

    Attributes:
        mean: (2, N) over the voxels of the nucleus; NaN where there is nothing to read.
        soft: (2, N) the same, each voxel weighted by its distance to the rim over the largest such distance: what a star-convex
            network is taught as the probability of being a nucleus (Weigert et al. 2020); its middle counts most.
        brightest: (2, N) over its k brightest voxels, see MeasureConfig.
        background: (2, N) percentile of the shell around it, without the voxels of any nucleus; of the whole volume where it is too small.
        shell: (2, N) median of the same voxels: where nothing shines, a nucleus is as bright; a percentile below the median is darker.
        shell_spread: (2, N) how far the darker half of them lies below that median, as the standard deviation of a normal distribution:
            the noise of one voxel, whatever shines nearby.
        voxels: (N,) how many voxels were read.
        crowding: (N,) share of that shell that other nuclei fill, 0 to 1.
        edge: (N,) whether it touches the border of the volume: part of it was not filmed.
        saturated: (N,) share of its voxels at which the camera was at its end, in either channel.
    """

    mean: FloatArray
    soft: FloatArray
    brightest: FloatArray
    background: FloatArray
    shell: FloatArray
    shell_spread: FloatArray
    voxels: IntArray
    crowding: FloatArray
    edge: BoolArray
    saturated: FloatArray

    def __post_init__(self) -> None:
        n = len(self.voxels)
        for name in READINGS:
            expect(getattr(self, name).shape == (N_CHANNELS, n), f"light.{name}", f"shape {(N_CHANNELS, n)}", getattr(self, name).shape)
        expect_rows("light", n, crowding=self.crowding, edge=self.edge, saturated=self.saturated)

    def __len__(self) -> int:
        return len(self.voxels)

    @classmethod
    def dark(cls, n: int) -> Light:
        """Returns n of which nothing was read."""
        readings = {name: np.full((N_CHANNELS, n), np.nan, np.float32) for name in READINGS}
        crowding, saturated = (np.full(n, np.nan, np.float32) for _ in range(2))
        return cls(**readings, voxels=np.zeros(n, np.int32), crowding=crowding, edge=np.zeros(n, bool), saturated=saturated)

    @classmethod
    def concatenate(cls, parts: Sequence[Light]) -> Light:
        """Joins parts in their order."""
        parts = [cls.dark(0), *parts]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in cls.__dataclass_fields__})

    def subset(self, rows: IntArray) -> Light:
        """Returns some rows."""
        return Light(**{name: getattr(self, name)[..., rows] for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class Places:
    """Where the atlas expects neurons that no detection is, and the light there.

    Attributes:
        t: (M,) volume, rising.
        entry: (M,) entry of the atlas.
        position_um: (M, 3) z, y, x where it should be.
        light: Of the M places; voxels of any nucleus are left out.
    """

    t: IntArray
    entry: IntArray
    position_um: FloatArray
    light: Light

    def __post_init__(self) -> None:
        m = len(self.t)
        expect_rows("places", m, entry=self.entry, position_um=self.position_um)
        expect(self.position_um.shape == (m, 3), "places.position_um", f"shape ({m}, 3)", self.position_um.shape)
        expect(len(self.light) == m, "places.light", f"{m} rows", len(self.light))

    def __len__(self) -> int:
        return len(self.t)

    def subset(self, rows: IntArray) -> Places:
        """Returns some rows, given in rising order."""
        return Places(self.t[rows], self.entry[rows], self.position_um[rows], self.light.subset(rows))

    @classmethod
    def concatenate(cls, parts: Sequence[Places]) -> Places:
        """Joins the places of successive volumes."""
        whole = np.zeros(0, np.int32)
        parts = [cls(whole, whole, np.zeros((0, 3), np.float32), Light.dark(0)), *parts]
        t, entry, position_um = (np.concatenate([getattr(part, name) for part in parts]) for name in ("t", "entry", "position_um"))
        return cls(t, entry, position_um, Light.concatenate([part.light for part in parts]))


@dataclass(frozen=True)
class MeasuredVolume:
    """One volume of which the light was measured.

    Attributes:
        t: Which.
        light: Of its detections, in their order.
        places: In it; rows of this volume only.
    """

    t: int
    light: Light
    places: Places

    def __post_init__(self) -> None:
        expect(bool(np.all(self.places.t == self.t)), f"light of volume {self.t}", "its own places only", "others")
