"""Many small bodies of one volume at once: those of about one size are cut out together, so that no step is taken a body at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from barlowtrack.data import BoolArray, FloatArray, IntArray

BATCH_VOXELS = 200_000
"""Of bodies that are worked on together: so few stay near the processor."""
OUTSIDE = -1
"""Label of what lies outside the volume."""


@dataclass(frozen=True)
class Bodies:
    """n bodies, cut out of a volume with a margin.

    Attributes:
        index: (n, z, y, x) where each voxel lies in the raveled volume; of those outside of it, somewhere.
        labels: (n, z, y, x) of these voxels; OUTSIDE outside.
        place: (n, z), (n, y) and (n, x), where they lie along each axis.
        body: (n, z, y, x) whether it belongs to the body.
        read: (n, z, y, x) whether it is read: it belongs to the body, and to no other nucleus.
    """

    index: IntArray
    labels: IntArray
    place: Sequence[IntArray]
    body: BoolArray
    read: BoolArray

    def touching(self, shape: tuple[int, ...]) -> BoolArray:
        """Returns (n,) whether each body reaches a border of a volume of this shape, or lies beyond it."""
        found = (self.body & (self.labels == OUTSIDE)).any((1, 2, 3))
        for axis, length in enumerate(shape):
            if length > 1:  # a plane has no border above and below
                at = self.place[axis]  # (n, extent)
                there = self.body.any(tuple(other + 1 for other in range(3) if other != axis))
                found |= (there & ((at == 0) | (at == length - 1))).any(1)
        return np.asarray(found)


def batches(first: IntArray, last: IntArray, margin: IntArray, shape: tuple[int, ...]) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Groups boxes, from first (n, 3) up to but without last, of about one size; the margin ends where the volume does.

    Yields:
        (m,) which, (m, 3) where their boxes begin, margin included, and the (3,) size of box that holds the largest of them.
    """
    low = np.minimum(np.maximum(first - margin, 0), first)
    extent = np.maximum(np.minimum(last + margin, shape), last) - low
    order = np.argsort(extent.prod(1), kind="stable")
    while len(order):
        largest = np.maximum.accumulate(extent[order], axis=0)
        most = int(np.searchsorted(largest.prod(1) * np.arange(1, len(order) + 1), BATCH_VOXELS, side="right"))
        some, order = order[: max(most, 1)], order[max(most, 1) :]
        yield some, low[some], largest[len(some) - 1]


def cut_out(labels: IntArray, start: IntArray, extent: IntArray) -> tuple[IntArray, IntArray, list[IntArray]]:
    """Cuts boxes out of a volume: see Bodies for the three that are returned."""
    place = [start[:, axis, None] + np.arange(extent[axis]) for axis in range(3)]
    inside = [(at >= 0) & (at < length) for at, length in zip(place, labels.shape, strict=True)]
    _, height, width = labels.shape
    z, y, x = (np.clip(at, 0, length - 1) for at, length in zip(place, labels.shape, strict=True))
    index = ((z * height)[:, :, None] + y[:, None, :])[..., None] * width + x[:, None, None, :]
    whole = inside[0][:, :, None, None] & inside[1][:, None, :, None] & inside[2][:, None, None, :]
    return index, np.where(whole, labels.ravel()[index], OUTSIDE), place


def balls(start: IntArray, extent: IntArray, where_um: FloatArray, radius_um: FloatArray, size: FloatArray) -> BoolArray:
    """(n, z, y, x) which voxels of a box lie within a radius of a place; the nearest one does, however small the radius."""
    far = [(((start[:, axis, None] + np.arange(extent[axis])) * size[axis]) - where_um[:, axis, None]) ** 2 for axis in range(3)]
    square = far[0][:, :, None, None] + far[1][:, None, :, None] + far[2][:, None, None, :]
    return np.asarray(square <= np.maximum(radius_um**2, square.min((1, 2, 3)))[:, None, None, None])


def grown(body: BoolArray, by_um: float, size: FloatArray) -> BoolArray:
    """(n, z, y, x) which voxels lie no further than a length from a voxel of the body (n, z, y, x): rows first, then rows beside rows."""
    _, depth, height, width = body.shape
    by_um *= 1 + 1e-9  # so that rounding does not shut out what lies just there
    far = np.minimum(np.floor(by_um / size), np.array([depth, height, width]) - 1).astype(np.intp)
    rows = [body]  # grown along x by 0, 1, 2, ... voxels
    for step in range(1, far[2] + 1):
        wider = rows[-1].copy()
        wider[..., step:] |= body[..., :-step]
        wider[..., :-step] |= body[..., step:]
        rows.append(wider)
    found = np.zeros_like(body)
    for z in range(-far[0], far[0] + 1):
        for y in range(-far[1], far[1] + 1):
            left = by_um**2 - (z * size[0]) ** 2 - (y * size[1]) ** 2
            if left >= 0:
                to = (slice(None), slice(max(z, 0), depth + min(z, 0)), slice(max(y, 0), height + min(y, 0)))
                by = (slice(None), slice(max(-z, 0), depth + min(-z, 0)), slice(max(-y, 0), height + min(-y, 0)))
                found[to] |= rows[min(int(np.sqrt(left) / size[2]), far[2])][by]
    return found


def square_distance(goal: BoolArray, reach: IntArray, size: FloatArray) -> FloatArray:
    """(n, z, y, x) squared distance in um from every voxel to the nearest one of the goal; infinite beyond the reach along an axis.

    One axis after the other, as the distance transform of Felzenszwalb & Huttenlocher 2012, for many boxes at a time.
    """
    found = np.where(goal, np.float32(0), np.float32(np.inf))
    for axis in (3, 2, 1):
        before, near = found.copy(), np.empty_like(found)
        for step in range(1, min(int(reach[axis - 1]), goal.shape[axis] - 1) + 1):
            np.add(before, np.float32((step * size[axis - 1]) ** 2), out=near)
            ahead, behind = [slice(None)] * 4, [slice(None)] * 4
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            np.minimum(found[*ahead], near[*behind], out=found[*ahead])
            np.minimum(found[*behind], near[*ahead], out=found[*behind])
    return found
