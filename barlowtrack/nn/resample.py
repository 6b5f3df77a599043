"""Volumes on another voxel size: separable, exact about where voxel centres lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import IntArray, VoxelArray

Sizes = tuple[float, float, float]


def resampled_shape(shape: tuple[int, ...], from_um: Sizes, to_um: Sizes) -> tuple[int, int, int]:
    """Returns Z, Y, X of a volume on another voxel size: as many voxels as have their centre over the volume, at least 1."""
    # rounding must not take a voxel away, least of all where both sizes are the same
    z, y, x = (max(1, int(np.floor((n - 0.5) * (a / b) + 0.5 + 1e-9))) for n, a, b in zip(shape, from_um, to_um, strict=True))
    return z, y, x


def resample(volume: VoxelArray, from_um: Sizes, to_um: Sizes) -> NDArray[np.float32]:
    """Interpolates linearly; where voxels grow, each takes the mean of what it covers, weighted by a triangle.

    The centre of voxel (0, 0, 0) is the same place in both volumes.

    Args:
        volume: (Z, Y, X).
        from_um: Its voxel size, z y x.
        to_um: The wanted one.

    Returns:
        (Z', Y', X') float32; the volume itself, as float32, where the sizes are equal.
    """
    result = np.asarray(volume, np.float32)
    shape = resampled_shape(volume.shape, from_um, to_um)
    for axis in np.argsort([n / m for n, m in zip(shape, volume.shape, strict=True)], kind="stable"):  # what shrinks most comes first
        if from_um[axis] != to_um[axis]:
            weights = _weights(volume.shape[axis], shape[axis], to_um[axis] / from_um[axis])
            result = np.moveaxis(np.tensordot(weights, result, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(result, np.float32)


def resample_labels(labels: IntArray, from_um: Sizes, to_um: Sizes, shape: tuple[int, ...] | None = None) -> IntArray:
    """Takes the label of the nearest voxel; sizes as in resample, and the shape too where none is given."""
    index = [
        np.clip(np.rint(np.arange(m) * b / a).astype(np.intp), 0, n - 1)
        for m, n, a, b in zip(shape or resampled_shape(labels.shape, from_um, to_um), labels.shape, from_um, to_um, strict=True)
    ]
    return labels[np.ix_(*index)]


def _weights(n: int, m: int, step: float) -> NDArray[np.float32]:
    """Returns (m, n) weights of n voxels in each of m that are `step` voxels apart."""
    reach = max(step, 1.0)
    distance = np.abs(np.arange(m)[:, None] * step - np.arange(n))
    weights = np.maximum(0.0, 1.0 - distance / reach)
    weights[weights.sum(axis=1) == 0, -1] = 1.0  # a centre beyond the last one
    normed: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normed
