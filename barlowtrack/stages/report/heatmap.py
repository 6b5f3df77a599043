"""All traces at once: neurons that do the same beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.patches import Patch

from barlowtrack.data import FloatArray, IntArray, Source
from barlowtrack.stages.report.clusters import Clusters
from barlowtrack.stages.report.drawing import INK, SOFT, TimeAxis, as_png, canvas, in_blocks, name_rows
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.words import counted

EMPTY = "#ffffff"
VEIL, VEILED = "#2fa89b", 0.6
"""Colour that lies over what was not seen itself, and how densely."""


def trace_heatmap(values: FloatArray, source: IntArray, found: Clusters, time: TimeAxis, what: str, called: Sequence[str]) -> Picture:
    """Draws activity as colour.

    Args:
        values: (K, T) activity, NaN where there is none.
        source: (K, T) where each value comes from.
        found: In which order, and which belong together.
        time: Of the T volumes.
        what: Name of the values.
        called: K names or numbers, short.
    """
    shades = in_blocks(values[found.order])
    there = np.isfinite(values)
    guessed = in_blocks(np.where(there, source != Source.SEEN, np.nan)[found.order])
    finite = shades[np.isfinite(shades)]
    low, high = np.percentile(finite, [2, 98]) if len(finite) else (0.0, 1.0)
    if not high > low:  # all alike: a scale of its own for the last digits would say otherwise
        low, high = low - 0.5, high + 0.5
    norm, colours = Normalize(low, high), mpl.colormaps["magma"]
    image = colours(norm(np.nan_to_num(shades)))[..., :3]
    veil = VEILED * np.nan_to_num(guessed)[..., None]
    image = np.where(np.isfinite(shades)[..., None], image * (1 - veil) + np.array(to_rgb(VEIL)) * veil, to_rgb(EMPTY))
    height = min(6.5, max(1.2, 0.042 * len(shades)))
    figure = canvas(9.4, 1.0 + height)
    axes = figure.subplots()
    axes.imshow(image, aspect="auto", extent=(*time.bounds, len(shades), 0), interpolation="nearest")
    axes.set_ylabel("neurons, alike ones together", labelpad=10)
    name_rows(axes, [called[k] for k in found.order], height, pad=7)
    mark_groups(axes, found, -0.008)
    time.finish(axes)
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=what, pad=0.01, fraction=0.025, extend="both")
    some_guessed = bool(np.nan_to_num(guessed).any())
    if some_guessed:
        axes.legend(handles=[Patch(color=VEIL, label="tinted: not seen itself")], loc="lower right", bbox_to_anchor=(1, 1), fontsize=7.5)
    n_groups = len(found.stretches())
    alt = (
        f"Heatmap of {what} of {counted(len(shades), 'neuron')} over {counted(values.shape[1], 'volume')}; 96 % of the values lie between "
        f"{low:.2f} and {high:.2f}; {counted(n_groups, 'group')} of neurons that do the same."
    )
    return Picture(as_png(figure), alt, _caption(n_groups, some_guessed, what), wide=True)


def mark_groups(axes: Axes, found: Clusters, at: float, *, along: str = "y") -> None:
    """Draws a bar beside each group of neurons, in turns dark and light; at: where, in widths of the axes."""
    for number, (start, stop) in enumerate(found.stretches()):
        ends, side = [start + 0.1, stop - 0.1], [at, at]
        x, y, transform = (side, ends, axes.get_yaxis_transform()) if along == "y" else (ends, side, axes.get_xaxis_transform())
        axes.plot(x, y, color=(INK, SOFT)[number % 2], linewidth=3, solid_capstyle="butt", transform=transform, clip_on=False)


def _caption(n_groups: int, some_guessed: bool, what: str) -> str:
    bars = f" A bar on the left marks each of {counted(n_groups, 'group')} that rise and fall together, numbered from the top."
    grouped = (bars if n_groups else "") + " Rows are named as far as there is room; the table of neurons gives the row and group of each."
    tinted = " Tinted green: read where the neuron should be, or interpolated." if some_guessed else ""
    if what == "dR/R0":
        missing = "the neuron was not seen, or has no positive R0 to divide by"
        look = "If all neurons change at one moment, suspect motion or focus before you think of the brain."
    elif what.startswith("ratio"):
        missing = "the neuron was not seen, or its ratio is mostly not positive"
        look = "If all neurons change at one moment, suspect motion or focus before you think of the brain."
    else:
        missing = "the neuron was not seen"
        look = "There is no activity channel: what changes here is focus, bleaching and identity, not calcium."
    return f"{look}{grouped}{tinted} White: {missing}."
