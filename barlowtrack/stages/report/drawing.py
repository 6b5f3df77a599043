"""How the page's figures are drawn: colours, sizes, and images whose bytes depend on nothing but their content.

No text of the user's (names of recordings or channels) goes into a figure: matplotlib would read a dollar sign as mathematics.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from barlowtrack.data import FloatArray, IntArray

INK, SOFT, LINE = "#16202c", "#66727f", "#dde2e8"
ACCENT, SECOND, WARN = "#0b63a5", "#c2571a", "#c0392b"
RED, GREEN = "#c0392b", "#1f8a4c"
"""The two channels."""
FLAGGED, ABSENT = "#d97a00", "#eef0f3"
MOST_POINTS = 1500
"""Points along time that a figure shows; more are averaged in blocks, as no page is wider."""

MOST_NAMED_ROWS, FEW_ROWS = 40, 12
ROW_NAME_INCHES = 0.085
"""That a name takes beside an image, at its size of letters."""

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "figure.facecolor": "white",
    "svg.hashsalt": "barlowtrack",
    "svg.fonttype": "path",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draws in the page's style, whatever the reader's own matplotlib settings are; leaves those as they were."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)  # type: ignore[arg-type]
        yield


def canvas(width: float, height: float) -> Figure:
    """Returns an empty figure; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def as_png(figure: Figure, dpi: int = 130) -> str:
    """Returns the figure as a data address, without date or version in it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def as_jpeg(figure: Figure, dpi: int = 130) -> str:
    """Returns a figure that is mostly a photograph as a data address: a quarter of the size."""
    stream = io.BytesIO()
    figure.savefig(stream, format="jpeg", dpi=dpi, pil_kwargs={"quality": 88, "subsampling": 0})
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def as_svg(figure: Figure) -> str:
    """Returns the figure as a data address, without date or version in it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()


def probability_colours() -> Colormap:
    """Returns orange for doubtful, blue for certain, light grey for absent: told apart by every eye."""
    colours = LinearSegmentedColormap.from_list("probability", ["#c8384f", "#ee9b2f", "#86bfae", "#3f8fc0", "#12507f"])
    return colours.with_extremes(bad=ABSENT)


def name_rows(axes: Axes, called: Sequence[str], height: float, *, pad: float = 1, along: str = "y") -> None:
    """Names the rows of an image of height rows, each 1 high: all, or every second, third ... as far as there is room.

    Args:
        axes: Row r of the image lies from r to r + 1.
        called: What the rows are called.
        height: Of the axes, in inches.
        pad: Space to leave beside the axes, in points.
        along: "x": the same for columns, names upright.
    """
    step = -(-len(called) // max(1, min(MOST_NAMED_ROWS, int(height / ROW_NAME_INCHES))))
    at = range(0, len(called), max(step, 1))
    axis = axes.yaxis if along == "y" else axes.xaxis
    axis.set_ticks([k + 0.5 for k in at], [called[k] for k in at])
    axis.set_tick_params(length=0, pad=pad, labelsize=5 if len(called) > FEW_ROWS else 6.5, labelrotation=0 if along == "y" else 90)


def in_blocks(values: FloatArray | IntArray, most: int = MOST_POINTS) -> FloatArray:
    """Averages along the last axis, so that at most so many points remain; a block without a number stays NaN."""
    n = values.shape[-1]
    size = -(-n // most)
    if size <= 1:
        return np.asarray(values, np.float64)
    starts = np.arange(0, n, size)
    finite = np.isfinite(values)
    total = np.add.reduceat(np.where(finite, values, 0.0), starts, axis=-1, dtype=np.float64)
    count = np.add.reduceat(finite, starts, axis=-1, dtype=np.int64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


class TimeAxis:
    """Where volumes lie on the x axis: in seconds where the rate is known, else by number."""

    def __init__(self, time_s: FloatArray):
        known = bool(np.isfinite(time_s).all()) and len(time_s) > 1
        self.at = np.asarray(time_s if known else np.arange(len(time_s)), np.float64)
        self.label = "time (s)" if known else "volume"
        self.step = float(self.at[1] - self.at[0]) if len(self.at) > 1 else 1.0
        self.bounds = (self.at[0] - self.step / 2, self.at[-1] + self.step / 2)

    def finish(self, axes: Axes, *, named: bool = True) -> None:
        axes.set_xlim(*self.bounds)
        if self.label == "volume":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1) if len(self.at) > 1 else FixedLocator([0]))
        if named:
            axes.set_xlabel(self.label)
