"""Single traces: the values, where they come from, and how far to trust them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from barlowtrack.data import BoolArray, Flag, FloatArray, IntArray, Source
from barlowtrack.showing.colours import ink_of
from barlowtrack.stages.report.drawing import FLAGGED, INK, SOFT, WARN, as_png, in_blocks
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.sources import source_image, source_patches
from barlowtrack.stages.report.words import counted

TRACES_A_FIGURE = 10
MARKED = Flag.EDGE | Flag.SATURATED | Flag.CROWDED | Flag.DIM
"""Flags that a tick above the trace says; doubt stands in the strip, and exchanges are shaded."""


def single_traces(shown: Shown, neurons: IntArray, values: FloatArray, what: str) -> Iterator[Picture]:
    """Draws the traces of some neurons, with what is known of every point.

    Args:
        shown: The run.
        neurons: Which, in this order.
        values: (K, T) of all neurons.
        what: Name of the values.
    """
    for first in range(0, len(neurons), TRACES_A_FIGURE):
        chosen = neurons[first : first + TRACES_A_FIGURE]
        height = 0.85 + 0.52 * len(chosen)
        figure = Figure(figsize=(6.2, height))  # laid out by hand: twenty axes cost the layout engine half a second
        figure.subplots_adjust(left=0.155, right=0.985, top=1 - 0.32 / height, bottom=0.42 / height, hspace=0.25)
        rows = figure.subplots(2 * len(chosen), 1, sharex=True, squeeze=False, height_ratios=[5, 1] * len(chosen))[:, 0]
        for place, neuron in enumerate(chosen):
            _one_trace(rows[2 * place], rows[2 * place + 1], shown, int(neuron), values[neuron])
        rows[-1].spines["bottom"].set_visible(True)
        rows[-1].tick_params(bottom=True, labelbottom=True)
        shown.time.finish(rows[-1])
        handles = _legend(shown, chosen)
        figure.legend(handles=handles, ncols=len(handles), loc="upper right", bbox_to_anchor=(0.995, 1), fontsize=6.8, columnspacing=1.1)
        yield Picture(as_png(figure, dpi=120), _alt(shown, chosen, what))


def _one_trace(curve: Axes, strip: Axes, shown: Shown, neuron: int, values: FloatArray) -> None:
    traces, time = shown.traces, shown.time
    source = traces.source[neuron]
    x = in_blocks(time.at)
    for start, stop in _exchanged(shown, neuron):
        curve.axvspan(time.at[start] - time.step / 2, time.at[stop] + time.step / 2, color=WARN, alpha=0.16, linewidth=0)
    for kind, style in ((Source.PREDICTED, (0, (3, 1.2))), (Source.INTERPOLATED, (0, (1, 1)))):
        reach = _with_neighbours(source == kind)  # up to the points that were seen, or a single one has no line
        if (source == kind).any():
            curve.plot(x, in_blocks(np.where(reach, values, np.nan)), color=SOFT, linewidth=0.9, linestyle=style)
    y = in_blocks(np.where(source == Source.SEEN, values, np.nan))
    alone = np.isfinite(y) & ~np.isfinite(np.append(y[1:], np.nan)) & ~np.isfinite(np.append(np.nan, y[:-1]))
    curve.plot(x, y, color=ink_of(neuron), linewidth=1.0)
    curve.plot(x[alone], y[alone], ".", color=ink_of(neuron), markersize=2.5)  # a point between two gaps has no line
    flagged = in_blocks(_flagged(shown, neuron).astype(np.float64)) > 0
    curve.plot(
        x[flagged], np.full(int(flagged.sum()), 1.0), "|", color=FLAGGED, markersize=4, transform=curve.get_xaxis_transform(), clip_on=False
    )
    image = source_image(traces.probability[neuron][None], source[None])
    strip.imshow(image, aspect="auto", extent=(*time.bounds, 0, 1), interpolation="nearest")
    called = shown.names.short(neuron)
    curve.set_ylabel(called, rotation=0, ha="right", va="center", fontsize=8.5 if len(called) <= 4 else 6.5)
    curve.yaxis.set_label_coords(-0.072, 0.5)  # clear of the longest numbers, and the same for all
    curve.tick_params(labelsize=6.5, bottom=False, labelbottom=False)
    curve.locator_params(axis="y", nbins=2)
    curve.spines["bottom"].set_visible(False)
    strip.set_yticks([])
    strip.tick_params(bottom=False, labelbottom=False)
    for side in strip.spines.values():
        side.set_visible(False)


def _with_neighbours(where: BoolArray) -> BoolArray:
    wider = where.copy()
    wider[1:] |= where[:-1]
    wider[:-1] |= where[1:]
    return wider


def _flagged(shown: Shown, neuron: int) -> BoolArray:
    return np.asarray((shown.traces.flags[neuron] & MARKED) != 0)


def _exchanged(shown: Shown, neuron: int) -> list[tuple[int, int]]:
    """Returns the stretches in which the neuron may carry another's identity."""
    swaps = shown.swaps
    return [(int(swaps.first[s]), int(swaps.last[s])) for s in np.flatnonzero((swaps.neuron == neuron).any(axis=1))]


def _legend(shown: Shown, chosen: IntArray) -> list[Line2D | Patch]:
    source = shown.traces.source[chosen]
    handles: list[Line2D | Patch] = [Line2D([], [], color=INK, linewidth=1.2, label="seen")]
    handles += [patch for patch in source_patches(source) if patch.get_label() != "none"]
    if any(_flagged(shown, int(neuron)).any() for neuron in chosen):
        handles.append(Line2D([], [], color=FLAGGED, marker="|", linestyle="", markersize=5, label="edge, saturated, crowded or dim"))
    if any(_exchanged(shown, int(neuron)) for neuron in chosen):
        handles.append(Patch(color=WARN, alpha=0.3, label="exchanged?"))
    return handles


def _alt(shown: Shown, chosen: IntArray, what: str) -> str:
    exchanged = [int(neuron) for neuron in chosen if _exchanged(shown, int(neuron))]
    guessed = int(np.isin(shown.traces.source[chosen], (Source.PREDICTED, Source.INTERPOLATED)).sum())
    return (
        f"Traces ({what}) of neurons {shown.names.listed(chosen)}, each with its probability over time"
        + (f"; {counted(guessed, 'value')} predicted or interpolated" if guessed else "")
        + (f"; perhaps exchanged with another for a while: {shown.names.listed(exchanged)}" if exchanged else "")
        + "."
    )
