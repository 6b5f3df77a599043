"""As much of a long trace as the screen can show: the same picture, of some thousand points instead of a hundred thousand.

A column of pixels that many values fall into shows from where to where they reach, and nothing else. So for each column and each piece of
line four values stand for all: the first, the lowest, the highest and the last. Pieces that lie within one column share it: where two
overlap they are one. A break that is narrower than a pixel is seen, as it would be if all were drawn, only where another one lies beside it
in height.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from barlowtrack.data import FloatArray, IntArray
from barlowtrack.plugin.neurons.lines import flag_strip, shade

CROWDED = 4
"""So many points a column of pixels are drawn as they are."""
PALEST = 0.4
"""How much of the ground a flag covers that holds in few of the volumes of a column: it shall be seen."""


@dataclass(frozen=True)
class View:
    """What is seen of the plot.

    Attributes:
        low: Where the axis of time begins.
        high: Where it ends.
        columns: Pixels between the two.
        rows_a_unit: Pixels of one unit of height.
    """

    low: float
    high: float
    columns: int
    rows_a_unit: float

    def column_of(self, x: FloatArray) -> IntArray:
        """Returns the columns of pixels in which times lie; those out of sight have numbers, too."""
        columns: IntArray = np.floor((x - self.low) / (self.high - self.low) * self.columns).astype(np.int64)
        return columns

    def part_of(self, x: FloatArray) -> slice:
        """Returns which of ascending times (T,) are seen, and one more on either side."""
        first, stop = np.searchsorted(x, [self.low, self.high])
        return slice(max(int(first) - 1, 0), min(int(stop) + 1, len(x)))


def thin_line(at: IntArray, x: FloatArray, y: FloatArray, view: View) -> tuple[FloatArray, FloatArray]:
    """Returns the points, x and y, that draw pieces of line as they look in a view; NaN between two pieces.

    Args:
        at: Indices of their points, -1 between two pieces; see lines.pieces.
        x: (T,) times, ascending.
        y: (T,) heights.
        view: What is seen.
    """
    seen = view.part_of(x)
    at = at[slice(*np.searchsorted(np.maximum.accumulate(at), [seen.start, seen.stop]))] if len(at) else at
    if len(at) <= CROWDED * view.columns:
        return np.where(at < 0, np.nan, x[at]), np.where(at < 0, np.nan, y[at])
    piece, point = np.cumsum(at < 0)[at >= 0], at[at >= 0]
    column = view.column_of(x[point])
    new = np.concatenate([[True], (np.diff(piece) != 0) | (np.diff(column) != 0)])
    start = np.flatnonzero(new)  # of the points of a piece in a column
    stop = np.append(start[1:], len(point)) - 1
    piece, column = piece[start], column[start]
    begins = np.concatenate([[True], np.diff(piece) != 0])
    ends = np.append(begins[1:], True)
    height = y[point]
    low, high = np.minimum.reduceat(height, start), np.maximum.reduceat(height, start)
    first, last = x[point[start]], x[point[stop]]
    within = begins & ends
    middle = (first + last) / 2
    wide_x = np.stack([first, middle, middle, last, np.full(len(start), np.nan)], axis=1)
    wide_y = np.stack([height[start], low, high, height[stop], np.full(len(start), np.nan)], axis=1)
    kept = np.ones(wide_x.shape, bool)
    kept[:, 4] = ends
    kept[within] = False
    short_x, short_y = _together(column[within], first[within], last[within], (low[within], high[within]), view)
    return np.concatenate([wide_x[kept], short_x]), np.concatenate([wide_y[kept], short_y])


def _together(
    column: IntArray, first: FloatArray, last: FloatArray, reach: tuple[FloatArray, FloatArray], view: View
) -> tuple[FloatArray, FloatArray]:
    """Returns strokes for pieces that lie within a column each: one for those that overlap, or have no pixel between them."""
    low, high = reach
    if not len(column):
        return np.zeros(0), np.zeros(0)
    order = np.lexsort((low, column))
    column = column[order]
    first, last, low, high = (part[order] for part in (first, last, low, high))
    beyond = (high.max() - low.min()) + 2 / view.rows_a_unit  # a column's heights lie above all of the one before
    floor = (column - column[0]) * beyond
    covered = np.maximum.accumulate(high + floor)
    new = np.concatenate([[True], low[1:] + floor[1:] > covered[:-1] + 1 / view.rows_a_unit])
    start = np.flatnonzero(new)
    low, high = low[start], np.maximum.reduceat(high, start)
    first, last, gap = np.minimum.reduceat(first, start), np.maximum.reduceat(last, start), np.full(len(start), np.nan)
    return np.stack([first, last, gap], axis=1).ravel(), np.stack([low, high, gap], axis=1).ravel()


def thin_dots(at: IntArray, x: FloatArray, y: FloatArray, view: View) -> tuple[FloatArray, FloatArray]:
    """Returns the points, x and y, of single values: one where several fall on a pixel."""
    seen = view.part_of(x)
    at = at[slice(*np.searchsorted(at, [seen.start, seen.stop]))]
    if len(at) > view.columns:
        row = np.floor(y[at] * view.rows_a_unit).astype(np.int64)
        at = at[np.sort(np.unique(np.stack([view.column_of(x[at]), row]), axis=1, return_index=True)[1])]
    return x[at], y[at]


def cells(n: int, part: slice, columns: int) -> tuple[IntArray, int]:
    """Returns where cells of as many volumes each begin, so that all that are seen have a pixel, and how many volumes a cell has.

    Args:
        n: Volumes.
        part: Those that are seen; cells lie alike whatever part that is, or they would flicker when it moves.
        columns: Pixels.
    """
    each = max(1, -(-(part.stop - part.start) // max(columns - 1, 1)))
    return np.arange(part.start // each * each, min(part.stop, n), each), each


def thin_shade(probability: FloatArray, start: IntArray, each: int) -> FloatArray:
    """Returns (n, cells, 4) the ground behind cells of traces (n, T): as much of it as behind their volumes on average."""
    ground = shade(probability[:, start[0] : start[-1] + each])
    counts = np.diff(start - start[0], append=ground.shape[1])
    mean: FloatArray = np.add.reduceat(ground, start - start[0], axis=1) / counts[:, None]
    return mean.astype(np.float32)


def thin_flags(flags: IntArray, start: IntArray, each: int) -> FloatArray:
    """Returns (n, cells, 4) the gravest flag of each cell of flags (n, T); the fewer of its volumes have one the paler."""
    flags = flags[:, start[0] : start[-1] + each]
    strip = flag_strip(np.bitwise_or.reduceat(flags, start - start[0], axis=1))
    counts = np.diff(start - start[0], append=flags.shape[1])
    share = np.add.reduceat(flag_strip(flags)[..., 3], start - start[0], axis=1) / counts
    strip[..., 3] *= np.maximum(share, PALEST)
    return strip


class ThinLine(Line2D):
    """Pieces of line that are thinned out for what is seen whenever they are drawn.

    Args:
        at: Indices of their points, -1 between two pieces; of single points where there is a marker.
        x: (T,) times, ascending.
        y: (T,) heights.
        style: As matplotlib has it.
    """

    def __init__(self, at: IntArray, x: FloatArray, y: FloatArray, style: dict[str, Any]) -> None:
        super().__init__([], [], **style)
        self._of, self._thin = (at, x, y), thin_dots if "marker" in style else thin_line

    def draw(self, renderer: Any) -> None:
        """Draws what the screen can show."""
        self.set_data(*self._thin(*self._of, view_of(self.axes)))
        super().draw(renderer)


class ThinGround(AxesImage):
    """Colours of volumes, over a part of the height, put together for what is seen whenever they are drawn.

    Args:
        axes: In which they lie.
        x: (T,) times, ascending, at even distances.
        values: (n, T) that they stand for.
        thin: Makes colours of them: thin_shade, thin_flags.
        height: From where to where.
    """

    def __init__(
        self, axes: Axes, x: FloatArray, values: FloatArray | IntArray, thin: Callable[..., FloatArray], height: tuple[float, float]
    ) -> None:
        super().__init__(axes, origin="lower", interpolation="nearest")
        self._x, self._values, self._thin, self._height = x, values, thin, height
        self._lay()

    def _lay(self) -> None:
        view, x = view_of(self.axes), self._x
        start, each = cells(len(x), view.part_of(x), view.columns)
        half = float(x[-1] - x[0]) / (len(x) - 1) / 2 if len(x) > 1 else 0.5
        self.set_data(self._thin(self._values, start, each))
        self.set_extent((x[start[0]] - half, x[start[0]] + (2 * each * len(start) - 1) * half, *self._height))

    def draw(self, renderer: Any) -> None:
        """Draws what the screen can show."""
        self._lay()
        super().draw(renderer)


def view_of(axes: Any) -> View:
    """Returns what axes show, at their size on the screen."""
    (low, high), (bottom, top), box = axes.get_xlim(), axes.get_ylim(), axes.bbox
    return View(float(low), float(high), max(round(box.width), 1), max(float(box.height), 1.0) / float(top - bottom))
