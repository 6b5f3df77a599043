"""What napari takes for arrays (T, Z, Y, X), while volumes lie on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from barlowtrack.data import AmendedVolume, IntArray, VoxelArray
from barlowtrack.plugin.layers.volumes import Volumes
from barlowtrack.plugin.solution import Solution

UNKNOWN_VALUE = 65535
"""A nucleus that is no known neuron."""


class _LazyArray:
    """Shape, type and slices of an array that is read a volume at a time.

    Attributes:
        blank_over_time: Says whether several volumes at once are zeros, and not read: a viewer that shows time as an axis of its picture
            asks for all of them, again and again, and nothing could stop it.
    """

    dtype: np.dtype[Any]

    def __init__(self, volumes: Volumes) -> None:
        self.volumes = volumes
        self.blank_over_time: Callable[[], bool] = lambda: False

    @property
    def shape(self) -> tuple[int, ...]:
        """T, Z, Y, X."""
        return (self.volumes.n_volumes, *self.volumes.shape[-3:])

    @property
    def ndim(self) -> int:
        return 4

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> VoxelArray:
        """Returns what is asked for as an array of its own, so that no volume outlives its place in memory."""
        key = key if isinstance(key, tuple) else (key,)
        key = (*key[: key.index(Ellipsis)], *[slice(None)] * (5 - len(key)), *key[key.index(Ellipsis) + 1 :]) if Ellipsis in key else key
        when, where = (key[0], key[1:]) if key else (slice(None), ())
        if isinstance(when, slice):
            if self.blank_over_time():
                n = len(range(*when.indices(len(self))))
                return np.zeros((n, *np.broadcast_to(np.zeros(1, bool), self.shape[1:])[where].shape), self.dtype)
            several = [self._part(t, where) for t in range(*when.indices(len(self)))]
            return np.stack(several) if several else np.empty((0, *self._part(0, where).shape), self.dtype)
        t = int(when)
        if not -len(self) <= t < len(self):
            raise IndexError(f"volume {t} of {len(self)}")
        return self._part(t % len(self), where)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> VoxelArray:
        """Reads everything: only what is small should be asked for it."""
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def _part(self, t: int, where: tuple[Any, ...]) -> VoxelArray:
        raise NotImplementedError


class ChannelArray(_LazyArray):
    """A channel of a recording.

    Args:
        volumes: Each (C, Z, Y, X); shared by the channels.
        channel: Which of them.
    """

    def __init__(self, volumes: Volumes, channel: int) -> None:
        super().__init__(volumes)
        self.channel, self.dtype = channel, volumes.dtype

    def _part(self, t: int, where: tuple[Any, ...]) -> VoxelArray:
        return np.array(self.volumes.get(t)[self.channel][where])


class NeuronArray(_LazyArray):
    """Who every voxel belongs to: 0 nobody, neuron + 1, UNKNOWN_VALUE a nucleus that is no known neuron.

    The labels of a volume mean nothing outside it; seen through a solution a neuron has one value in all of them. Another solution is
    another table only: no label is read again, as long as the nuclei are those that were found. What people divided and added comes from
    the solution, too, and goes with it.

    Args:
        volumes: Labels as they were found, each (Z, Y, X).
    """

    def __init__(self, volumes: Volumes) -> None:
        super().__init__(volumes)
        self.dtype = np.dtype(np.uint16)
        self._solution: Solution | None = None
        self._edited: dict[int, AmendedVolume] = {}

    def show(self, solution: Solution) -> None:
        """Takes another solution; labels that were kept go where its nuclei are others."""
        old, self._solution = self._solution, solution
        self._edited = {volume.t: volume for volume in solution.amendments.volumes}
        if old is not None and not _same_nuclei(old, solution):
            self.volumes.forget()

    def _part(self, t: int, where: tuple[Any, ...]) -> VoxelArray:
        labels, edited = self.volumes.get(t), self._edited.get(t)
        if edited is not None:
            labels = np.array(labels)
            labels.ravel()[edited.voxels] = edited.labels
        labels = labels[where]
        values: VoxelArray = np.take(_values(self._solution, t), labels, mode="clip")
        return values


def value_of(neuron: int) -> int:
    """Returns the voxel value of a neuron, or of UNKNOWN."""
    return min(neuron + 1, UNKNOWN_VALUE - 1) if neuron >= 0 else UNKNOWN_VALUE


def _values(solution: Solution | None, t: int) -> IntArray:
    """Returns what stands for each label of volume t; the last for labels beyond, which are no detection."""
    if solution is None or t >= solution.n_volumes:
        return np.array([0, UNKNOWN_VALUE], np.uint16)
    part = solution.detections.rows_of(t)
    labels, neurons = solution.detections.label[part], solution.tracks.neuron[part]
    values = np.full(int(labels.max(initial=0)) + 2, UNKNOWN_VALUE, np.uint16)
    values[0] = 0
    values[labels] = np.where(neurons >= 0, np.minimum(neurons + 1, UNKNOWN_VALUE - 1), UNKNOWN_VALUE)
    return values


def _same_nuclei(old: Solution, new: Solution) -> bool:
    """Says whether the nuclei are the same, but for volumes that people edited."""
    if old.detections is new.detections:
        return True
    edited = [volume.t for solution in (old, new) for volume in solution.amendments.volumes]
    one, other = (solution.detections.subset(np.flatnonzero(~np.isin(solution.detections.t, edited))) for solution in (old, new))
    same = (np.array_equal(getattr(one, name), getattr(other, name)) for name in ("t", "label", "volume_um3"))
    return all(same)
