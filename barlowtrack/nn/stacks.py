"""From outlines in single planes to nuclei: link them along z, cut stacks of several nuclei at their waists, bridge a missing plane."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from barlowtrack.data import FloatArray, IntArray, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.nn.instances import Instances

# Two outlines, one above the other, may be one nucleus if they share at least NESTED of the smaller one: of a nucleus' cap and its middle
# the larger hides nearly all of the smaller, though both together cover much more. A plane between them counts as missing where it holds
# less than SPARSE of the outlines its neighbours hold; else the nucleus must shine there with GLOW of the light beside. A waist is a
# neck narrower, by WAIST, than the widest place on either side.
NESTED, SPARSE, GLOW, WAIST = 0.7, 0.25, 0.5, 0.15


class _Outlines(NamedTuple):
    """P outlines, sorted by plane; all (P,)."""

    plane: IntArray
    area: IntArray  # pixels
    light: FloatArray  # mean over the outline, above the background
    after: IntArray  # the outline of the same nucleus above; -1: none
    shared: IntArray  # pixels shared with it


def join_planes(
    planes: Instances,
    volume: FloatArray,
    *,
    voxel_size_um: tuple[float, float, float],
    max_diameter_um: float,
    min_planes: int = 1,
) -> Instances:
    """Joins the outlines of single planes to nuclei.

    Outlines of successive planes are paired so that the sum of their overlaps is greatest. A stack of more
    planes than the largest nucleus can touch is cut where it has a waist: where the area shared by two successive outlines, and that
    times brightness, is clearly less than the largest on either side. A stack without waist stays whole. At last, two stacks are bridged
    over one plane in which the nucleus was not found, if both lie one above the other, are no longer together than a nucleus, and the
    plane as a whole is missing or the nucleus can be seen there. The plane itself stays unlabelled.

    Args:
        planes: Every label lies in one plane alone.
        volume: (Z, Y, X), background near 0, as normalise() leaves it.
        voxel_size_um: Z, y, x.
        max_diameter_um: Of the largest nucleus, along z, as it looks: with the blur of the microscope.
        min_planes: Nuclei found in fewer planes are left out; 1 keeps all.

    Returns:
        The most probable nucleus first; its point is that of its largest outline, its probability the largest of its outlines.

    Raises:
        InputError: labels in several planes, arrays that do not fit each other, or sizes that cannot be.

    Reference:
        Crouse 2016, "On implementing 2D rectangular assignment algorithms", for the pairing (as SciPy has it, on sparse matrices).
    """
    dz = _check(planes, volume, voxel_size_um, max_diameter_um, min_planes)
    max_planes = int(max_diameter_um / dz + 1e-9) + 1
    labels = planes.labels
    outlines = _link(_measure(planes, volume), labels)
    outlines = _split(outlines, max_planes)
    outlines = _bridge(outlines, labels, volume, max_planes)
    return _merge(planes, outlines, min_planes)


def _check(
    planes: Instances, volume: FloatArray, voxel_size_um: tuple[float, float, float], max_diameter_um: float, min_planes: int
) -> float:
    labels, points, prob = planes
    n = len(points)
    if labels.ndim != 3 or labels.shape != volume.shape or points.shape != (n, 3) or prob.shape != (n,):
        raise InputError(
            f"outlines of planes: expected labels and volume (Z, Y, X), points (P, 3) and prob (P,), got {labels.shape}, {volume.shape},"
            f" {points.shape} and {prob.shape}"
        )
    if not np.isfinite(volume).all():
        raise InputError("volume: expected finite voxels, got NaN or infinity")
    held = [np.unique(plane[plane != 0]) for plane in labels]
    if not np.array_equal(np.sort(np.concatenate([np.zeros(0, np.int64), *held])), np.arange(1, n + 1)):
        raise InputError(f"outlines of planes: expected labels 1 to {n} (a point each), every one in one plane alone, got others")
    for name, value in (("voxel_size_um", voxel_size_um), ("max_diameter_um", (max_diameter_um,))):
        if len(value) != (3 if name == "voxel_size_um" else 1) or not all(np.isfinite(v) and v > 0 for v in value):
            raise InputError(f"{name}: expected a positive length (z y x for voxels) in um, got {value if len(value) > 1 else value[0]}")
    if min_planes < 1:
        raise InputError(f"min_planes: expected at least 1, got {min_planes}")
    return float(voxel_size_um[0])


def _measure(planes: Instances, volume: FloatArray) -> _Outlines:
    labels, n = planes.labels.ravel(), len(planes.points)
    area = np.bincount(labels, minlength=n + 1)[1:]
    light = np.bincount(labels, volume.ravel(), minlength=n + 1)[1:] / area
    plane = np.zeros(n + 1, np.int64)
    for z, held in enumerate(planes.labels):
        plane[held.ravel()] = z
    return _Outlines(plane[1:], area, np.maximum(light, 1e-6), np.full(n, -1), np.zeros(n, np.int64))


class _Overlaps(NamedTuple):
    """E pairs of outlines that lie one above the other in two planes, sorted by the lower one."""

    below: IntArray  # (E,) row of the lower one
    above: IntArray  # (E,) row of the upper one
    pixels: IntArray  # (E,) shared
    where: NDArray[np.bool_]  # (Y, X) pixels of any pair
    pair: IntArray  # of each of these pixels

    @classmethod
    def of(cls, below: IntArray, above: IntArray) -> _Overlaps:
        where = (below > 0) & (above > 0)
        base = int(above.max(initial=0)) + 1
        pairs, pair, pixels = np.unique(below[where].astype(np.int64) * base + above[where], return_inverse=True, return_counts=True)
        return cls(pairs // base - 1, pairs % base - 1, pixels, where, pair)

    def iou(self, area: IntArray) -> FloatArray:
        return np.asarray(self.pixels / (area[self.below] + area[self.above] - self.pixels))

    def nested(self, area: IntArray) -> FloatArray:
        """Returns which share of the smaller one both have in common, (E,)."""
        return np.asarray(self.pixels / np.minimum(area[self.below], area[self.above]))

    def mean(self, plane: VoxelArray) -> FloatArray:
        """Returns what a plane holds on average where the two overlap, (E,)."""
        return np.asarray(np.bincount(self.pair, plane[self.where], minlength=len(self.pixels)) / self.pixels)


def _pair(both: _Overlaps, area: IntArray, allowed: NDArray[np.bool_]) -> IntArray:
    """Returns which of the allowed pairs to take so that no outline has two partners and the sum of overlaps is greatest.

    The overlap is the mean of intersection over union and intersection over the smaller one.
    """
    good = np.flatnonzero(allowed)
    if not len(good):
        return good
    overlap = (both.iou(area) + both.nested(area))[good] / 2
    below, row = np.unique(both.below[good], return_inverse=True)
    above, column = np.unique(both.above[good], return_inverse=True)
    n, m = len(below), len(above)
    alone = np.arange(n)  # every one may stay alone: a column of its own, worth an overlap of 0
    cost = np.concatenate([2 - overlap, np.full(n, 2.0)])  # never 0, which a sparse matrix would take for no entry
    graph = coo_array((cost, (np.concatenate([row, alone]), np.concatenate([column, m + alone]))), shape=(n, m + n)).tocsr()
    rows, columns = min_weight_full_bipartite_matching(graph)
    partner = np.full(n, -1)
    partner[rows] = columns
    return np.asarray(good[partner[row] == column])


def _link(outlines: _Outlines, labels: IntArray) -> _Outlines:
    after, shared = outlines.after.copy(), outlines.shared.copy()
    for below, above in pairwise(labels):
        both = _Overlaps.of(below, above)
        taken = _pair(both, outlines.area, both.nested(outlines.area) >= NESTED)
        after[both.below[taken]], shared[both.below[taken]] = both.above[taken], both.pixels[taken]
    return outlines._replace(after=after, shared=shared)


def _stacks(outlines: _Outlines) -> IntArray:
    """Returns the number of the stack of every outline, (P,): the row of its lowest one."""
    stack = np.arange(len(outlines.plane))
    linked = np.flatnonzero(outlines.after >= 0)
    for z in np.unique(outlines.plane[linked]):
        rows = linked[outlines.plane[linked] == z]
        stack[outlines.after[rows]] = stack[rows]
    return stack


def _split(outlines: _Outlines, max_planes: int) -> _Outlines:
    stack = _stacks(outlines)
    order = np.lexsort((outlines.plane, stack))
    after = outlines.after.copy()
    for rows in np.split(order, np.flatnonzero(np.diff(stack[order])) + 1):
        todo = [rows]
        while todo:
            part = todo.pop()
            at = _waist(outlines, part) if len(part) > max_planes else -1
            if at >= 0:
                after[part[at]] = -1
                todo += [part[: at + 1], part[at + 1 :]]
    return outlines._replace(after=after)


def _waist(outlines: _Outlines, rows: IntArray) -> int:
    """Returns the outline of a stack above which it is to be cut; -1: it has no waist."""
    area, light = outlines.area[rows].astype(np.float64), outlines.light[rows]
    neck = outlines.shared[rows[:-1]].astype(np.float64)
    narrow = _narrow(area, neck)
    both = _narrow(area * light, neck * np.minimum(light[:-1], light[1:]))
    good = (narrow > 0) & (both > WAIST)
    if not good.any():
        return -1
    return int(np.argmax(np.where(good, both, -1.0)))


def _narrow(body: FloatArray, neck: FloatArray) -> FloatArray:
    """Returns by how much each of n - 1 necks is narrower than the widest place below it and above it, whichever is less; in [0, 1]."""
    below, above = np.maximum.accumulate(body)[:-1], np.maximum.accumulate(body[::-1])[::-1][1:]
    return 1 - neck / np.minimum(below, above)


def _bridge(outlines: _Outlines, labels: IntArray, volume: FloatArray, max_planes: int) -> _Outlines:
    n = len(outlines.plane)
    stack = _stacks(outlines)
    length = np.bincount(stack, minlength=n)[stack]
    ends = np.append(False, outlines.after < 0)  # by label
    starts = np.append(False, stack == np.arange(n))
    held = np.bincount(outlines.plane, minlength=len(labels))
    after = outlines.after.copy()
    for z in range(len(labels) - 2):
        below, between, above = labels[z : z + 3]
        both = _Overlaps.of(np.where(ends[below], below, 0), np.where(starts[above], above, 0))
        good = (both.nested(outlines.area) >= NESTED) & (length[both.below] + 1 + length[both.above] <= max_planes)
        good &= both.mean(between > 0) < 0.5  # else another nucleus lies between
        if held[z + 1] >= SPARSE * min(held[z], held[z + 2]):
            good &= both.mean(volume[z + 1]) >= GLOW * np.minimum(both.mean(volume[z]), both.mean(volume[z + 2]))
        taken = _pair(both, outlines.area, good)
        after[both.below[taken]] = both.above[taken]
    whole = _stacks(outlines._replace(after=after))
    top = np.zeros(n, np.int64)
    np.maximum.at(top, whole, outlines.plane)
    too_long = (top - outlines.plane)[whole] >= max_planes  # by two bridges, each good by itself: neither is believed
    return outlines._replace(after=np.where(too_long, outlines.after, after))


def _merge(planes: Instances, outlines: _Outlines, min_planes: int) -> Instances:
    stack, labels = _stacks(outlines), planes.labels
    if not len(stack):
        return Instances(np.zeros(labels.shape, np.int32), np.zeros((0, 3), np.int64), np.zeros(0, np.float32))
    _, nucleus = np.unique(stack, return_inverse=True)  # (P,)
    n = int(nucleus.max()) + 1
    prob = np.zeros(n, np.float32)
    np.maximum.at(prob, nucleus, planes.prob)
    by_area = np.lexsort((planes.prob, outlines.area, nucleus))  # the last one of every nucleus is its largest
    points = planes.points[by_area[np.searchsorted(nucleus[by_area], np.arange(n), side="right") - 1]]
    kept = np.flatnonzero(np.bincount(nucleus) >= min_planes)
    kept = kept[np.lexsort((*points[kept].T[::-1], -prob[kept]))]
    label = np.zeros(n + 1, np.int32)
    label[kept + 1] = np.arange(1, len(kept) + 1)
    return Instances(label[np.append(0, nucleus + 1)][labels], points[kept], prob[kept])
