"""Figures of a comparison: A is blue, B is orange."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from barlowtrack.comparing.compared import ChangedTrace, Comparison
from barlowtrack.stages.report.drawing import ACCENT, INK, SECOND, TimeAxis, as_png, as_svg, canvas, in_blocks
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.words import percent

FEW_POINTS = 60
"""Up to so many are marked one by one."""


def agreement_chart(compared: Comparison, time: TimeAxis) -> Picture:
    """Share of identities that are the same, expected errors, and detections that only one run has, volume by volume."""
    figure = canvas(9.4, 4.4)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    x, agreement = in_blocks(time.at), compared.agreement
    style = "o-" if len(x) < FEW_POINTS else "-"
    top.plot(x, in_blocks(agreement), style, color=INK, markersize=3)
    top.set(ylim=(0, 1.04), ylabel="same identity")
    for side, only, colour, name in zip((compared.a, compared.b), compared.unshared, (ACCENT, SECOND), "AB", strict=True):
        wrong = np.full(compared.a.detections.n_volumes, np.nan)
        known = side.error.volume
        wrong[: len(known)] = known
        middle.plot(x, in_blocks(wrong), style, color=colour, markersize=3, label=name)
        bottom.plot(x, in_blocks(only), style, color=colour, markersize=3, label=f"only in {name}")
    middle.set(ylabel="expected wrong")
    bottom.set(ylabel="detections")
    bottom.set_ylim(0, max(1.0, 1.08 * max(float(only.max(initial=0)) for only in compared.unshared)))
    middle.set_ylim(bottom=0)
    for axes in (middle, bottom):
        axes.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 0.98), borderaxespad=0, fontsize=7.5)
    time.finish(bottom)
    finite = agreement[np.isfinite(agreement)]
    least = percent(float(finite.min())) if len(finite) else "unknown"
    whole = int(np.count_nonzero(finite == 1))
    alt = f"Share of shared identities that are the same, by volume: the least is {least}; {whole} of {len(finite)} volumes agree wholly."
    caption = (
        "Top: of the detections that both runs found and at least one named, the share that is the same neuron in both. Middle: the share "
        "of its identities that each run expects to be wrong. Bottom: detections that only one run has."
    )
    return Picture(as_svg(figure), alt, caption, wide=True)


def both_traces(compared: Comparison, chosen: Sequence[ChangedTrace], time: TimeAxis) -> Picture:
    """Traces of both runs drawn over each other, a row a neuron."""
    signal = compared.a.has_signal or compared.b.has_signal
    a, b = compared.a.activity(signal), compared.b.activity(signal)
    assert a is not None
    assert b is not None
    height = 0.6 + 0.75 * len(chosen)
    figure = Figure(figsize=(9.4, height))
    figure.subplots_adjust(left=0.09, right=0.985, top=1 - 0.08 / height, bottom=0.46 / height, hspace=0.25)
    rows = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    x = in_blocks(time.at)
    for axes, one in zip(rows, chosen, strict=True):
        axes.plot(x, in_blocks(a[one.neuron_a]), "-", color=ACCENT, linewidth=1.4)
        axes.plot(x, in_blocks(b[one.neuron_b]), "--", color=SECOND, linewidth=1.1)
        axes.set_ylabel(str(one.neuron_a), rotation=0, ha="right", va="center", labelpad=24)
        axes.locator_params(axis="y", nbins=2)
        axes.tick_params(labelsize=6.5, bottom=False)
    rows[-1].tick_params(bottom=True)
    time.finish(rows[-1])
    what = "dR/R0" if signal else "red"
    names = ", ".join(str(one.neuron_a) for one in chosen)
    return Picture(as_png(figure), f"Traces ({what}) of neurons {names} of A, with those of the same neurons in B over them.", wide=True)
