"""The nuclei that were found, and how the volumes look in which they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from barlowtrack.data.arrays import UNKNOWN, FloatArray, IntArray, expect, expect_rows

LEAST_SHARE = 0.7
"""Of what is usual in a recording: a volume with less is junk; see VolumeLooks."""


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
        expect_rows(
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
        expect(self.position_um.shape == (n, 3), "detections.position_um", f"shape ({n}, 3)", self.position_um.shape)
        expect(bool(np.isfinite(self.position_um).all()), "detections.position_um", "finite positions", "NaN or infinity")
        if n:
            expect(self.t.min() >= 0 and self.t.max() < self.n_volumes, "detections.t", f"0 to {self.n_volumes - 1}", self.t.max())
            step_t, step_label = np.diff(self.t), np.diff(self.label)
            ordered = bool(np.all((step_t > 0) | ((step_t == 0) & (step_label > 0))))
            expect(ordered, "detections", "rows sorted by t, then label, each pair once", "another order")

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

    def joined(self, others: Detections, row: IntArray) -> tuple[Detections, IntArray]:
        """Puts detections of the same volumes among these.

        Args:
            others: With other labels.
            row: (N,) rows that these were.

        Returns:
            All of them in their order, and which row each was; UNKNOWN of the others.
        """
        order = np.lexsort([np.concatenate([self.label, others.label]), np.concatenate([self.t, others.t])])
        columns = {
            name: np.concatenate([getattr(self, name), np.asarray(getattr(others, name), getattr(self, name).dtype)])[order]
            for name in self.__dataclass_fields__
            if name != "n_volumes"
        }
        return Detections(self.n_volumes, **columns), np.concatenate([row, np.full(len(others), UNKNOWN)])[order]

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
        expect(bool(np.all(self.detections.t == self.t)), f"segmentation of volume {self.t}", "its own detections only", "others")


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
        expect_rows("volume looks", len(self.count), contrast=self.contrast, sharpness=self.sharpness)

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
