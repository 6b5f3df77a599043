"""How brightly the nuclei of one volume shine, and places where nuclei should be: sums over the voxels of many small bodies at once.

A body is cut out with a margin; bodies of about the same size are worked on together, so that no step is taken a nucleus at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from barlowtrack.config import MeasureConfig
from barlowtrack.data import BoolArray, FloatArray, IntArray, Light, VoxelArray

FEWEST_SHELL_VOXELS = 10
"""A background from fewer voxels is noise; then that of the whole volume stands in."""
LEAST_FREE = 0.5
"""Share of a place's voxels that no nucleus has, below which nothing is read there: the light would be that of another neuron."""
BATCH_VOXELS = 200_000
"""Of bodies that are worked on together: so few stay near the processor."""
OUTSIDE = -1
"""Label of what lies outside the volume."""


@dataclass(frozen=True)
class Volume:
    """What one volume shows.

    Attributes:
        channels: (C, Z, Y, X) camera units; red, and green where there is a signal channel.
        labels: (Z, Y, X) instance labels; 0 is background.
        size_um: Of a voxel along z, y, x.
        saturated_at: Value at which the camera is at its end.
    """

    channels: VoxelArray
    labels: IntArray
    size_um: tuple[float, float, float]
    saturated_at: float


@dataclass(frozen=True)
class _Bodies:
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


def nuclei_light(volume: Volume, labels: IntArray, config: MeasureConfig) -> Light:
    """Reads nuclei.

    Args:
        volume: They lie in.
        labels: (n,) theirs.
        config: Shell, percentile, number of brightest voxels.

    Returns:
        Of the n nuclei; of a label without voxels, none were read.
    """
    boxes = ndimage.find_objects(volume.labels)
    rows = np.array([row for row, label in enumerate(labels.tolist()) if label <= len(boxes) and boxes[label - 1] is not None], np.intp)
    sides = [[(side.start, side.stop) for side in boxes[label - 1]] for label in labels[rows].tolist()]
    bounds = np.array(sides, np.intp).reshape(-1, 3, 2)
    light, meter = Light.dark(len(labels)), _Meter(volume, config)
    for some, start, extent in _batches(bounds[:, :, 0], bounds[:, :, 1], meter.margin):
        index, cut, place = _cut(volume.labels, start, extent)
        body = cut == labels[rows[some], None, None, None]
        meter.read(_Bodies(index, cut, place, body, body), rows[some], light)
    return light


def places_light(volume: Volume, place_um: FloatArray, radius_um: FloatArray, config: MeasureConfig) -> tuple[IntArray, Light]:
    """Reads balls where nuclei should be, without the voxels of any nucleus.

    Args:
        volume: They lie in.
        place_um: (k, 3) z, y, x of their middles; NaN where nobody knows.
        radius_um: (k,) theirs.
        config: As for nuclei.

    Returns:
        (m,) which of them can be read, rising: at least half of their voxels lie in the volume and belong to no nucleus; and their light.
    """
    size = np.asarray(volume.size_um)
    size = np.asarray(volume.size_um)
    within = (place_um > -1e6).all(1) & (place_um < 1e6).all(1) & np.isfinite(radius_um)  # neither is NaN, nor overflows
    known = np.flatnonzero(within)
    where, radius = place_um[known].astype(np.float64), radius_um[known].astype(np.float64)
    middle, reach = np.rint(where / size).astype(np.intp), np.floor(radius[:, None] / size).astype(np.intp) + 1
    first, last = middle - reach, middle + reach + 1
    free = [np.zeros(0, np.intp)]
    for some, start, extent in _batches(first, last, np.zeros(3, np.intp)):
        ball = _balls(start, extent, where[some], radius[some], size)
        open_to = ball & (_cut(volume.labels, start, extent)[1] == 0)
        free.append(some[open_to.sum((1, 2, 3)) >= LEAST_FREE * ball.sum((1, 2, 3))])
    rows = np.sort(np.concatenate(free))
    known, where, radius, first, last = known[rows], where[rows], radius[rows], first[rows], last[rows]
    light, meter = Light.dark(len(rows)), _Meter(volume, config)
    for some, start, extent in _batches(first, last, meter.margin):
        index, cut, place = _cut(volume.labels, start, extent)
        ball = _balls(start, extent, where[some], radius[some], size)
        meter.read(_Bodies(index, cut, place, ball, ball & (cut == 0)), some, light)
    return known, light


class _Meter:
    """Reads bodies of one volume into a Light.

    Attributes:
        margin: (3,) voxels that a body is to be cut out with.
    """

    def __init__(self, volume: Volume, config: MeasureConfig) -> None:
        self.volume, self.config, self.size = volume, config, np.asarray(volume.size_um)
        self.values = volume.channels.reshape(len(volume.channels), -1)  # (C, Z Y X)
        # A shell that is wider than the volume is no larger than the volume.
        shell = np.floor(config.shell_um * (1 + 1e-9) / self.size)
        self.margin = np.maximum(np.minimum(shell, volume.labels.shape), 1).astype(np.intp)
        self._elsewhere: FloatArray | None = None

    def read(self, bodies: _Bodies, rows: IntArray, light: Light) -> None:
        """Fills some rows of a Light with what n bodies show."""
        n, c = len(rows), len(self.values)
        owner, z, y, x = np.nonzero(bodies.read)
        values = self.values[:, bodies.index[owner, z, y, x]]  # (C, V)
        count = np.bincount(owner, minlength=n)
        weight = self._depth(bodies)[owner, z, y, x]
        light.voxels[rows] = count
        light.saturated[rows] = _per(np.bincount(owner, (values >= self.volume.saturated_at).any(0), minlength=n), count)
        light.edge[rows] = self._touches(bodies)
        shell = _grown(bodies.body, self.config.shell_um, self.size) & ~bodies.body & (bodies.labels != OUTSIDE)
        light.crowding[rows] = _per((shell & (bodies.labels > 0)).sum((1, 2, 3)), shell.sum((1, 2, 3)))
        for channel, raw in enumerate(values.astype(np.float64)):
            light.mean[channel, rows] = _per(np.bincount(owner, raw, minlength=n), count)
            light.soft[channel, rows] = _per(np.bincount(owner, raw * weight, minlength=n), np.bincount(owner, weight, minlength=n))
            light.brightest[channel, rows] = _mean_of_most(raw, owner, count, self.config.brightest_voxels)
        light.background[:c, rows] = self._background(bodies, shell & (bodies.labels == 0))

    def _depth(self, bodies: _Bodies) -> FloatArray:
        """(n, z, y, x) distance of every voxel of a body to its rim, over the largest such distance; the volume's border is no rim."""
        tight = (slice(None), *(slice(by - 1, length - by + 1) for by, length in zip(self.margin, bodies.body.shape[1:], strict=True)))
        body = bodies.body[tight]
        extent = np.array(body.shape[1:])
        # From the middle of a nucleus no rim is further than half its length, unless one side of it lies beyond the border.
        reach = extent if self._touches(bodies).any() else extent // 2 + 1
        depth = np.sqrt(_square_distance(~body & (bodies.labels[tight] != OUTSIDE), reach, self.size))
        depth = np.where(body, np.where(np.isfinite(depth), depth, 1), 0)
        found = np.zeros(bodies.body.shape, np.float32)
        found[tight] = depth / np.maximum(depth.max((1, 2, 3)), 1e-9)[:, None, None, None]
        return found

    def _background(self, bodies: _Bodies, free: BoolArray) -> FloatArray:
        """(C, n) percentile of the free voxels of each shell."""
        owner, z, y, x = np.nonzero(free)
        values = self.values[:, bodies.index[owner, z, y, x]]
        bounds = np.searchsorted(owner, np.arange(len(free) + 1))
        background = np.empty((len(values), len(free)))
        for i, (start, stop) in enumerate(pairwise(bounds)):
            enough = stop - start >= FEWEST_SHELL_VOXELS
            background[:, i] = _percentile(values[:, start:stop], self.config.background_percentile) if enough else self.elsewhere
        return background

    @property
    def elsewhere(self) -> FloatArray:
        """(C,) background of the whole volume, outside of nuclei; NaN where nuclei fill it."""
        if self._elsewhere is None:
            outside = self.values[:, self.volume.labels.ravel() == 0]
            self._elsewhere = _percentile(outside, self.config.background_percentile) if outside.size else np.full(len(outside), np.nan)
        return self._elsewhere

    def _touches(self, bodies: _Bodies) -> BoolArray:
        """(n,) whether each body reaches a border of the volume, or beyond it."""
        found = (bodies.body & (bodies.labels == OUTSIDE)).any((1, 2, 3))
        for axis, length in enumerate(self.volume.labels.shape):
            if length > 1:  # a plane has no border above and below
                at = bodies.place[axis]  # (n, extent)
                there = bodies.body.any(tuple(other + 1 for other in range(3) if other != axis))
                found |= (there & ((at == 0) | (at == length - 1))).any(1)
        return np.asarray(found)


def _batches(first: IntArray, last: IntArray, margin: IntArray) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Groups boxes, from first (n, 3) up to but without last, of about one size.

    Yields:
        (m,) which, (m, 3) where their boxes begin, margin included, and the (3,) size of box that holds the largest of them.
    """
    extent = last - first + 2 * margin
    order = np.argsort(extent.prod(1), kind="stable")
    while len(order):
        grown = np.maximum.accumulate(extent[order], axis=0)
        most = int(np.searchsorted(grown.prod(1) * np.arange(1, len(order) + 1), BATCH_VOXELS, side="right"))
        some, order = order[: max(most, 1)], order[max(most, 1) :]
        yield some, first[some] - margin, grown[len(some) - 1]


def _cut(labels: IntArray, start: IntArray, extent: IntArray) -> tuple[IntArray, IntArray, list[IntArray]]:
    """Cuts boxes out of a volume: see _Bodies for the three that are returned."""
    place = [start[:, axis, None] + np.arange(extent[axis]) for axis in range(3)]
    inside = [(at >= 0) & (at < length) for at, length in zip(place, labels.shape, strict=True)]
    _, height, width = labels.shape
    z, y, x = (np.clip(at, 0, length - 1) for at, length in zip(place, labels.shape, strict=True))
    index = ((z * height)[:, :, None] + y[:, None, :])[..., None] * width + x[:, None, None, :]
    whole = inside[0][:, :, None, None] & inside[1][:, None, :, None] & inside[2][:, None, None, :]
    return index, np.where(whole, labels.ravel()[index], OUTSIDE), place


def _balls(start: IntArray, extent: IntArray, where_um: FloatArray, radius_um: FloatArray, size: FloatArray) -> BoolArray:
    """(n, z, y, x) which voxels of a box lie within a radius of a place; the nearest one does, however small the radius."""
    far = [(((start[:, axis, None] + np.arange(extent[axis])) * size[axis]) - where_um[:, axis, None]) ** 2 for axis in range(3)]
    square = far[0][:, :, None, None] + far[1][:, None, :, None] + far[2][:, None, None, :]
    return np.asarray(square <= np.maximum(radius_um**2, square.min((1, 2, 3)))[:, None, None, None])


def _grown(body: BoolArray, by_um: float, size: FloatArray) -> BoolArray:
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


def _square_distance(goal: BoolArray, reach: IntArray, size: FloatArray) -> FloatArray:
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


def _percentile(values: VoxelArray, percentile: float) -> FloatArray:
    """(C,) percentile of values (C, V), V >= 1: as np.percentile says, without sorting."""
    rank = percentile / 100 * (values.shape[1] - 1)
    low, high = int(np.floor(rank)), int(np.ceil(rank))
    ordered = np.partition(values, (low, high), axis=1)
    below, above = ordered[:, low].astype(np.float64), ordered[:, high].astype(np.float64)
    return np.asarray(below + (above - below) * (rank - low))


def _mean_of_most(values: FloatArray, owner: IntArray, count: IntArray, k: int) -> FloatArray:
    """(n,) mean of the k largest values (V,) of each of n bodies, whose count (n,) follow each other; of all, where there are fewer."""
    slot = np.arange(len(values)) - (np.cumsum(count) - count)[owner]
    table = np.full((len(count), int(count.max(initial=0))), -np.inf)
    table[owner, slot] = values
    if table.shape[1] > k:
        table = np.partition(table, table.shape[1] - k, axis=1)[:, -k:]
    return _per(np.where(np.isfinite(table), table, 0).sum(1), np.isfinite(table).sum(1))


def _per(total: NDArray[Any], count: NDArray[Any]) -> FloatArray:
    """Returns total / count; NaN where there are none."""
    found: FloatArray = np.divide(total, count, out=np.full(len(total), np.nan), where=np.asarray(count) > 0)
    return found
