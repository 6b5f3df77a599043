"""How a volume is cut into tiles, each with what it must see around it, so that the least is computed twice."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from barlowtrack.nn.local import Span
from barlowtrack.nn.starconvex_spec import Triple


class Tile(NamedTuple):
    """A part of a volume.

    Attributes:
        core: What it answers for; the cores of all tiles fill the box and do not overlap.
        window: What it must see: the core and its surroundings, as far as there is volume.
    """

    core: Span
    window: Span


def tiles(box: Span, shape: Triple, unit: Triple, around: tuple[Triple, Triple], most: float) -> list[Tile]:
    """Cuts a box of a volume into tiles: of all even cuts whose windows are small enough the one that computes least, then has fewest.

    Long axes are cut before short ones, because that repeats less; a box that fits is one tile.

    Args:
        box: What shall be answered for, in voxels; its ends are multiples of unit, or the volume's.
        shape: Z, Y, X of the volume.
        unit: Cores begin at multiples of this from the box's beginning.
        around: What must be seen before and behind a core, in voxels.
        most: Voxels of the largest window.

    Returns:
        Tiles in the order of their voxels; none where no cut is fine enough.
    """
    axes = _axes(box, shape, unit, around)
    counts = _best(axes, most)
    if counts is None:
        return []
    z, y, x = (_parts(axis, n) for axis, n in zip(axes, counts, strict=True))
    return [Tile(*(Span(*np.array([a[i], b[i], c[i]]).T) for i in (0, 1))) for a in z for b in y for c in x]


def least(box: Span, shape: Triple, unit: Triple, around: tuple[Triple, Triple]) -> int:
    """Returns the voxels of the largest window of the finest cut."""
    return math.prod(int(_lengths(axis)[0].min()) for axis in _axes(box, shape, unit, around))


class _Axis(NamedTuple):
    low: int
    high: int
    size: int
    unit: int
    before: int
    behind: int


def _axes(box: Span, shape: Triple, unit: Triple, around: tuple[Triple, Triple]) -> tuple[_Axis, ...]:
    return tuple(map(_Axis, box.low.tolist(), box.high.tolist(), shape, unit, *around))


def _parts(axis: _Axis, n: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Cuts one axis into n parts: (first, end) of every core and of its window."""
    units = -(-(axis.high - axis.low) // axis.unit)
    ends = [min(axis.low + axis.unit * (units * i // n), axis.high) for i in range(n + 1)]
    return [((a, b), (max(a - axis.before, 0), min(b + axis.behind, axis.size))) for a, b in pairwise(ends)]


@lru_cache(maxsize=256)
def _lengths(axis: _Axis) -> NDArray[np.int64]:
    """Returns the longest window and the sum of all windows, (2, n), where an axis is cut into 1, 2, ... parts."""
    answer: list[tuple[int, int]] = []
    for n in range(1, -(-(axis.high - axis.low) // axis.unit) + 1):
        lengths = [b - a for _, (a, b) in _parts(axis, n)]
        answer.append((max(lengths), sum(lengths)))
    return np.array(answer).T


@lru_cache(maxsize=256)
def _best(axes: tuple[_Axis, ...], most: float) -> Triple | None:
    (long_z, sum_z), (long_y, sum_y), (long_x, sum_x) = map(_lengths, axes)
    fits = long_z[:, None, None] * long_y[:, None] * long_x <= most
    if not fits.any():
        return None
    work = sum_z[:, None, None] * sum_y[:, None] * sum_x
    work = np.where(fits, work, np.iinfo(np.int64).max)
    same = np.argwhere(work == work.min()) + 1
    z, y, x = same[same.prod(axis=1).argmin()].tolist()
    return z, y, x
