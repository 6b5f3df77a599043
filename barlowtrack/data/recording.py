"""What is read from disk a volume at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from barlowtrack.data.arrays import VoxelArray, expect


class VolumeSource(Protocol):
    """Anything that can read one volume at a time; must be safe to call from several threads."""

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X) of a recording, (Z, Y, X) of labels."""
        ...


@dataclass(frozen=True)
class Recording:
    """A film of volumes, read lazily; never whole in memory.

    Attributes:
        name: What the run folder and the report call it.
        source: Reads volume t as (C, Z, Y, X).
        shape: T, C, Z, Y, X.
        dtype: Of the voxels.
        voxel_size_um: Distance between voxel centres along z, y, x.
        rate_hz: Volumes a second; None where nobody knows.
        channel_names: One a channel.
        reference: Index of the channel that shows where the neurons are (red).
        signal: Index of the channel that shows what they do (green); None where there is none.
        fingerprint: Hash of content and geometry; two recordings with the same one are the same. "" where it was opened only to look at.
        assumptions: What no metadata said and nobody gave, in plain words, for the log and the report.
        recorded_dtype: Of the voxels on the disk, where what is read here was made of them and has another.
        taken_off: What was taken off every channel since the camera wrote it; empty where nothing was.
    """

    name: str
    source: VolumeSource
    shape: tuple[int, int, int, int, int]
    dtype: np.dtype[Any]
    voxel_size_um: tuple[float, float, float]
    rate_hz: float | None
    channel_names: tuple[str, ...]
    reference: int
    signal: int | None
    fingerprint: str
    assumptions: tuple[str, ...] = ()
    recorded_dtype: np.dtype[Any] | None = None
    taken_off: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        expect(len(self.shape) == 5 and min(self.shape) >= 1, f"{self.name}: shape", "five sizes of at least 1 (T C Z Y X)", self.shape)
        good_size = len(self.voxel_size_um) == 3 and all(np.isfinite(s) and s > 0 for s in self.voxel_size_um)
        expect(good_size, f"{self.name}: voxel size", "three positive numbers in um (z y x)", self.voxel_size_um)
        good_rate = self.rate_hz is None or (np.isfinite(self.rate_hz) and self.rate_hz > 0)
        expect(good_rate, f"{self.name}: rate", "a positive number of volumes a second", self.rate_hz)
        n_channels = self.shape[1]
        expect(len(self.channel_names) == n_channels, f"{self.name}: channel names", f"{n_channels} names", self.channel_names)
        expect(0 <= self.reference < n_channels, f"{self.name}: reference channel", f"0 to {n_channels - 1}", self.reference)
        good_signal = self.signal is None or (0 <= self.signal < n_channels and self.signal != self.reference)
        expect(good_signal, f"{self.name}: signal channel", "another channel than the reference", self.signal)

    @property
    def n_volumes(self) -> int:
        return self.shape[0]

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""
        return self.shape[2:]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X)."""
        expect(0 <= t < self.n_volumes, f"{self.name}: volume", f"0 to {self.n_volumes - 1}", t)
        volume = self.source.read(t)
        expect(volume.shape == self.shape[1:], f"{self.name}: volume {t}", f"shape {self.shape[1:]} (C Z Y X)", volume.shape)
        return volume


@dataclass(frozen=True)
class Labels:
    """Instance labels of a recording, read lazily; 0 is background, label k of volume t is one nucleus."""

    source: VolumeSource
    shape: tuple[int, int, int, int]  # T Z Y X

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (Z, Y, X)."""
        return self.source.read(t)
