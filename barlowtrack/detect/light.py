"""How brightly the nuclei of one volume shine, and places where nuclei should be: sums over the voxels of many small bodies at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from barlowtrack.config import MeasureConfig
from barlowtrack.data import BoolArray, FloatArray, IntArray, Light, VoxelArray
from barlowtrack.detect.bodies import OUTSIDE, Bodies, balls, batches, cut_out, grown, square_distance

FEWEST_SHELL_VOXELS = 10
"""A background from fewer voxels is noise; then that of the whole volume stands in."""
LEAST_FREE = 0.5
"""Share of a place's voxels that no nucleus has, below which nothing is read there: the light would be that of another neuron."""


@dataclass(frozen=True)
class Volume:
    """What one volume shows.

    Attributes:
        channels: (C, Z, Y, X) camera units; red, and green where there is a signal channel.
        labels: (Z, Y, X) instance labels; 0 is background.
        size_um: Of a voxel along z, y, x.
        saturated_at: (C,) value at which the camera of each channel is at its end.
    """

    channels: VoxelArray
    labels: IntArray
    size_um: tuple[float, float, float]
    saturated_at: FloatArray


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
    for some, start, extent in batches(bounds[:, :, 0], bounds[:, :, 1], meter.margin, volume.labels.shape):
        index, cut, place = cut_out(volume.labels, start, extent)
        body = cut == labels[rows[some], None, None, None]
        meter.read(Bodies(index, cut, place, body, body), rows[some], light)
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
    for some, start, extent in batches(first, last, np.zeros(3, np.intp), volume.labels.shape):
        ball = balls(start, extent, where[some], radius[some], size)
        open_to = ball & (cut_out(volume.labels, start, extent)[1] == 0)
        free.append(some[open_to.sum((1, 2, 3)) >= LEAST_FREE * ball.sum((1, 2, 3))])
    rows = np.sort(np.concatenate(free))
    known, where, radius, first, last = known[rows], where[rows], radius[rows], first[rows], last[rows]
    light, meter = Light.dark(len(rows)), _Meter(volume, config)
    for some, start, extent in batches(first, last, meter.margin, volume.labels.shape):
        index, cut, place = cut_out(volume.labels, start, extent)
        ball = balls(start, extent, where[some], radius[some], size)
        meter.read(Bodies(index, cut, place, ball, ball & (cut == 0)), some, light)
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

    def read(self, bodies: Bodies, rows: IntArray, light: Light) -> None:
        """Fills some rows of a Light with what n bodies show."""
        n, c = len(rows), len(self.values)
        owner, z, y, x = np.nonzero(bodies.read)
        values = self.values[:, bodies.index[owner, z, y, x]]  # (C, V)
        count = np.bincount(owner, minlength=n)
        weight = self._depth(bodies)[owner, z, y, x]
        light.voxels[rows] = count
        light.saturated[rows] = _per(np.bincount(owner, (values >= self.volume.saturated_at[:, None]).any(0), minlength=n), count)
        light.edge[rows] = bodies.touching(self.volume.labels.shape)
        shell = grown(bodies.body, self.config.shell_um, self.size) & ~bodies.body & (bodies.labels != OUTSIDE)
        light.crowding[rows] = _per((shell & (bodies.labels > 0)).sum((1, 2, 3)), shell.sum((1, 2, 3)))
        for channel, raw in enumerate(values.astype(np.float64)):
            light.mean[channel, rows] = _per(np.bincount(owner, raw, minlength=n), count)
            light.soft[channel, rows] = _per(np.bincount(owner, raw * weight, minlength=n), np.bincount(owner, weight, minlength=n))
            light.brightest[channel, rows] = _mean_of_most(raw, owner, count, self.config.brightest_voxels)
        light.background[:c, rows], light.shell[:c, rows], light.shell_spread[:c, rows] = self._around(bodies, shell & (bodies.labels == 0))

    def _depth(self, bodies: Bodies) -> FloatArray:
        """(n, z, y, x) distance of every voxel of a body to its rim, over the largest such distance; the volume's border is no rim."""
        along = (np.asarray(bodies.body.any(tuple(other for other in range(4) if other != axis))) for axis in (1, 2, 3))
        tight = (slice(None), *(_around(there) for there in along))
        body = bodies.body[tight]
        extent = np.array(body.shape[1:])
        # From the middle of a nucleus no rim is further than half its length, unless one side of it lies beyond the border.
        reach = extent if bodies.touching(self.volume.labels.shape).any() else extent // 2 + 1
        depth = np.sqrt(square_distance(~body & (bodies.labels[tight] != OUTSIDE), reach, self.size))
        depth = np.where(body, np.where(np.isfinite(depth), depth, 1), 0)
        found = np.zeros(bodies.body.shape, np.float32)
        found[tight] = depth / np.maximum(depth.max((1, 2, 3)), 1e-9)[:, None, None, None]
        return found

    def _around(self, bodies: Bodies, free: BoolArray) -> FloatArray:
        """(3, C, n) percentile, median and spread of the free voxels of each shell."""
        owner, z, y, x = np.nonzero(free)
        values = self.values[:, bodies.index[owner, z, y, x]]
        bounds = np.searchsorted(owner, np.arange(len(free) + 1))
        found = np.empty((3, len(values), len(free)))
        for i, (start, stop) in enumerate(pairwise(bounds)):
            enough = stop - start >= FEWEST_SHELL_VOXELS
            found[:, :, i] = _levels(values[:, start:stop], self.config.background_percentile) if enough else self.elsewhere
        return found

    @property
    def elsewhere(self) -> FloatArray:
        """(3, C) the same of the whole volume, outside of nuclei; NaN where nuclei fill it."""
        if self._elsewhere is None:
            outside = self.values[:, self.volume.labels.ravel() == 0]
            nothing = np.full((3, len(outside)), np.nan)
            self._elsewhere = _levels(outside, self.config.background_percentile) if outside.size else nothing
        return self._elsewhere


def _around(there: BoolArray) -> slice:
    """The stretch of an axis in which there is something, and one voxel more on either side."""
    at = np.flatnonzero(there)
    return slice(max(int(at[0]) - 1, 0), int(at[-1]) + 2)


def _levels(values: VoxelArray, percentile: float) -> FloatArray:
    """(3, C) percentile and median of values (C, V), V >= 1, as np.percentile says, without sorting; and their spread below the median.

    The spread is the mean distance from the median of what lies below it, for a normal distribution the standard deviation. A mean, unlike
    a percentile, is no whole number where camera units are; and what shines nearby lies above the median.
    """
    ranks = [of / 100 * (values.shape[1] - 1) for of in (percentile, 50.0)]
    ordered = np.partition(values, sorted({end for rank in ranks for end in (int(np.floor(rank)), int(np.ceil(rank)))}), axis=1)
    found = []
    for rank in ranks:
        low, high = int(np.floor(rank)), int(np.ceil(rank))
        below, above = ordered[:, low].astype(np.float64), ordered[:, high].astype(np.float64)
        found.append(below + (above - below) * (rank - low))
    off = found[1][:, None] - values
    weight = (off > 0) + 0.5 * (off == 0)  # what lies at the median lies on both sides of it
    return np.array([*found, np.sqrt(np.pi / 2) * np.maximum(off, 0).sum(1) / weight.sum(1)])


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
