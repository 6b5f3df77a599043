"""The nouns of the pipeline. Frozen; each checks itself once, when it is made.

Row i of Detections, Embeddings and Tracks is the same nucleus. Axes are always T C Z Y X; positions are (z, y, x) in um,
and the centre of voxel (0, 0, 0) lies at 0 um. Volumes and neurons count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from barlowtrack.errors import InputError

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
VoxelArray = NDArray[np.number[Any]]

UNKNOWN = -1
"""The neuron id of a detection that belongs to no known neuron."""


class Progress(Protocol):
    """Told after every step of a long work how far it is."""

    def __call__(self, done: int, total: int) -> None: ...


def silent(done: int, total: int) -> None:
    """Progress for whoever does not want to hear it."""


class VolumeSource(Protocol):
    """Anything that can read one volume at a time; must be safe to call from several threads."""

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X) of a recording, (Z, Y, X) of labels."""
        ...


class CropSource(Protocol):
    """The crops that training uses, one volume a batch."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> CropBatch: ...


def _expect(good: bool, what: str, expected: str, got: object) -> None:
    if not good:
        raise InputError(f"{what}: expected {expected}, got {got}")


def _expect_rows(what: str, n: int, **columns: NDArray[Any]) -> None:
    for name, column in columns.items():
        _expect(len(column) == n, f"{what}.{name}", f"{n} rows", f"{len(column)}")


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
        fingerprint: Hash of content and geometry; two recordings with the same one are the same.
        assumptions: What no metadata said and nobody gave, in plain words, for the log and the report.
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

    def __post_init__(self) -> None:
        _expect(len(self.shape) == 5 and min(self.shape) >= 1, f"{self.name}: shape", "five sizes of at least 1 (T C Z Y X)", self.shape)
        good_size = len(self.voxel_size_um) == 3 and all(np.isfinite(s) and s > 0 for s in self.voxel_size_um)
        _expect(good_size, f"{self.name}: voxel size", "three positive numbers in um (z y x)", self.voxel_size_um)
        good_rate = self.rate_hz is None or (np.isfinite(self.rate_hz) and self.rate_hz > 0)
        _expect(good_rate, f"{self.name}: rate", "a positive number of volumes a second", self.rate_hz)
        n_channels = self.shape[1]
        _expect(len(self.channel_names) == n_channels, f"{self.name}: channel names", f"{n_channels} names", self.channel_names)
        _expect(0 <= self.reference < n_channels, f"{self.name}: reference channel", f"0 to {n_channels - 1}", self.reference)
        good_signal = self.signal is None or (0 <= self.signal < n_channels and self.signal != self.reference)
        _expect(good_signal, f"{self.name}: signal channel", "another channel than the reference", self.signal)

    @property
    def n_volumes(self) -> int:
        return self.shape[0]

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""
        return self.shape[2:]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X)."""
        _expect(0 <= t < self.n_volumes, f"{self.name}: volume", f"0 to {self.n_volumes - 1}", t)
        volume = self.source.read(t)
        _expect(volume.shape == self.shape[1:], f"{self.name}: volume {t}", f"shape {self.shape[1:]} (C Z Y X)", volume.shape)
        return volume


@dataclass(frozen=True)
class Labels:
    """Instance labels of a recording, read lazily; 0 is background, label k of volume t is one nucleus."""

    source: VolumeSource
    shape: tuple[int, int, int, int]  # T Z Y X

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (Z, Y, X)."""
        return self.source.read(t)


@dataclass(frozen=True)
class Detections:
    """N nuclei of T volumes, sorted by volume, then label.

    Attributes:
        n_volumes: T; a volume may have no detection.
        t: (N,) volume.
        label: (N,) label of its voxels in the volume's label image; from 1, unique in the volume.
        position_um: (N, 3) centroid z, y, x, weighted by reference intensity.
        volume_um3: (N,) size of the instance.
        red_mean: (N,) mean of the reference channel over the instance, camera units.
        red_peak: (N,) its maximum.
        green_mean: (N,) mean of the signal channel; NaN where there is none.
        green_peak: (N,) its maximum; NaN where there is none.
        quality: (N,) contrast in units of the volume's noise; larger is better.
        probability: (N,) that it is a nucleus, as the detector says; NaN where it says nothing.
    """

    n_volumes: int
    t: IntArray
    label: IntArray
    position_um: FloatArray
    volume_um3: FloatArray
    red_mean: FloatArray
    red_peak: FloatArray
    green_mean: FloatArray
    green_peak: FloatArray
    quality: FloatArray
    probability: FloatArray

    def __post_init__(self) -> None:
        n = len(self.t)
        _expect_rows(
            "detections",
            n,
            label=self.label,
            position_um=self.position_um,
            volume_um3=self.volume_um3,
            red_mean=self.red_mean,
            red_peak=self.red_peak,
            green_mean=self.green_mean,
            green_peak=self.green_peak,
            quality=self.quality,
            probability=self.probability,
        )
        _expect(self.position_um.shape == (n, 3), "detections.position_um", f"shape ({n}, 3)", self.position_um.shape)
        _expect(bool(np.isfinite(self.position_um).all()), "detections.position_um", "finite positions", "NaN or infinity")
        if n:
            _expect(self.t.min() >= 0 and self.t.max() < self.n_volumes, "detections.t", f"0 to {self.n_volumes - 1}", self.t.max())
            step_t, step_label = np.diff(self.t), np.diff(self.label)
            ordered = bool(np.all((step_t > 0) | ((step_t == 0) & (step_label > 0))))
            _expect(ordered, "detections", "rows sorted by t, then label, each pair once", "another order")

    def __len__(self) -> int:
        return len(self.t)

    def rows_of(self, t: int) -> slice:
        """Returns the rows of volume t."""
        start, stop = np.searchsorted(self.t, [t, t + 1])
        return slice(int(start), int(stop))

    @classmethod
    def empty(cls, n_volumes: int) -> Detections:
        """Returns no detections in n_volumes volumes."""
        none, whole = np.zeros(0, np.float32), np.zeros(0, np.int32)
        return cls(n_volumes, whole, whole, np.zeros((0, 3), np.float32), none, none, none, none, none, none, none)

    def subset(self, rows: IntArray) -> Detections:
        """Returns some rows, given in rising order; volumes keep their numbers."""
        columns = [name for name in self.__dataclass_fields__ if name != "n_volumes"]
        return Detections(self.n_volumes, **{name: getattr(self, name)[rows] for name in columns})

    @classmethod
    def concatenate(cls, parts: Sequence[Detections], n_volumes: int) -> Detections:
        """Joins the detections of successive volumes into those of a recording."""
        parts = [cls.empty(n_volumes), *parts]
        columns = [name for name in cls.__dataclass_fields__ if name != "n_volumes"]
        return cls(n_volumes, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in columns})


@dataclass(frozen=True)
class Segmentation:
    """One segmented volume.

    Attributes:
        t: Which.
        labels: (Z, Y, X) instance labels, 0 is background.
        detections: Its nuclei; rows of this volume only, n_volumes that of the recording.
        contrast: Median over its nuclei, in units of noise; 0 without any.
        sharpness: How steep light is in its nuclei over how much there is, 1/um; 0 without any.
    """

    t: int
    labels: IntArray
    detections: Detections
    contrast: float
    sharpness: float

    def __post_init__(self) -> None:
        _expect(bool(np.all(self.detections.t == self.t)), f"segmentation of volume {self.t}", "its own detections only", "others")


@dataclass(frozen=True)
class VolumeLooks:
    """How every volume of a recording looks.

    Attributes:
        count: (T,) nuclei found.
        contrast: (T,) median contrast of them, in units of noise; 0 without any.
        sharpness: (T,) how steep light is in them over how much there is, 1/um; 0 without any.
    """

    count: IntArray
    contrast: FloatArray
    sharpness: FloatArray

    def __post_init__(self) -> None:
        _expect_rows("volume looks", len(self.count), contrast=self.contrast, sharpness=self.sharpness)

    def __len__(self) -> int:
        return len(self.count)

    @property
    def is_junk(self) -> IntArray:
        """(T,) of bool: far fewer nuclei, far less contrast or far less sharp than is usual in this recording.

        Usual is the median over the volumes that show anything. Far is below LEAST_SHARE of it and further than the recording itself
        varies: bleaching makes no junk, nor does a worm that is half in and half out of the field all along. The volumes in which a worm
        that is whole otherwise has left the field for a while are junk: they show a part of it.
        """
        junk = self.count == 0
        for column in (self.count, self.contrast, self.sharpness):
            shown = column[self.count > 0]
            if len(shown):
                usual = float(np.median(shown))
                spread = 1.4826 * float(np.median(np.abs(shown - usual)))
                junk = junk | ((column < LEAST_SHARE * usual) & (column < usual - 3 * spread))
        return np.asarray(junk)


LEAST_SHARE = 0.7
"""Of what is usual in a recording: a volume with less is junk; see VolumeLooks."""


@dataclass(frozen=True)
class CropBatch:
    """Crops of all n nuclei of one volume.

    Attributes:
        t: Which volume.
        row: (n,) rows of Detections.
        values: (n, Z, Y, X) reference channel on a grid fixed in um, scaled per volume; float16 or float32.
    """

    t: int
    row: IntArray
    values: FloatArray

    def __post_init__(self) -> None:
        _expect(self.values.ndim == 4, f"crops of volume {self.t}", "(n, Z, Y, X)", self.values.shape)
        _expect_rows(f"crops of volume {self.t}", len(self.row), values=self.values)


@dataclass(frozen=True)
class Crops:
    """The training crops of a recording, read one volume at a time, and how they were cut.

    Attributes:
        source: One batch a training volume; (n, Z', Y', X') with an equal margin on both sides of the window.
        window: Z, Y, X of the middle that the encoder will see.
        size_um: Size of that window, z y x.
    """

    source: CropSource
    window: tuple[int, int, int]
    size_um: tuple[float, float, float]

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> CropBatch:
        """Returns the crops of the index-th training volume."""
        batch = self.source.read(index)
        shape = batch.values.shape[1:]
        good = all(have >= want and (have - want) % 2 == 0 for have, want in zip(shape, self.window, strict=True))
        _expect(good, f"crops of volume {batch.t}", f"the window {self.window} with an equal margin on both sides", shape)
        return batch


@dataclass(frozen=True)
class Embeddings:
    """(N, D) float32, unit length; row i describes detection i."""

    vectors: FloatArray

    def __post_init__(self) -> None:
        _expect(self.vectors.ndim == 2, "embeddings", "(N, D)", self.vectors.shape)
        _expect(bool(np.isfinite(self.vectors).all()), "embeddings", "finite numbers", "NaN or infinity")

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Tracks:
    """Who every detection is.

    Attributes:
        neuron: (N,) neuron id from 0, or UNKNOWN.
        probability: (N,) in [0, 1]. Of an id: that it is right, given that the detection is a nucleus; calibrated on the recording
            itself. Of UNKNOWN: how little even the best fitting neuron fits; not calibrated, and too high where a nucleus strayed.
        n_neurons: K; ids are below it.
    """

    neuron: IntArray
    probability: FloatArray
    n_neurons: int

    def __post_init__(self) -> None:
        _expect_rows("tracks", len(self.neuron), probability=self.probability)
        good_id = bool(np.all((self.neuron >= UNKNOWN) & (self.neuron < self.n_neurons)))
        _expect(good_id, "tracks.neuron", f"-1 to {self.n_neurons - 1}", "others")
        good_probability = bool(np.all((self.probability >= 0) & (self.probability <= 1)))
        _expect(good_probability, "tracks.probability", "numbers in [0, 1]", "others, or NaN")

    def __len__(self) -> int:
        return len(self.neuron)


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
        _expect(self.red.ndim == 2, "traces.red", "(neurons, volumes)", shape)
        _expect(self.time_s.shape == shape[1:], "traces.time_s", f"({shape[1]},)", self.time_s.shape)
        for name in ("green", "ratio", "dr_over_r0", "probability"):
            _expect(getattr(self, name).shape == shape, f"traces.{name}", f"shape {shape}", getattr(self, name).shape)


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
        _expect_rows("truth", m, neuron=self.neuron, position_um=self.position_um)
        _expect(self.position_um.shape == (m, 3), "truth.position_um", f"shape ({m}, 3)", self.position_um.shape)
        pairs = np.stack([self.t, self.neuron], axis=1)
        _expect(len(np.unique(pairs, axis=0)) == m, "truth", "every neuron once a volume", "a neuron twice in one volume")

    def __len__(self) -> int:
        return len(self.t)
