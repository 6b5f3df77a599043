"""Curves of the page: training, detections, probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from barlowtrack.data import UNKNOWN, FloatArray, Tracks
from barlowtrack.stages.report.drawing import (
    ACCENT,
    INK,
    LINE,
    SECOND,
    SOFT,
    WARN,
    TimeAxis,
    as_svg,
    canvas,
    in_blocks,
)
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.verdict import Verdict
from barlowtrack.stages.report.words import counted, percent

OUTLIER = 3.0
"""The axis of contrast ends at so many times what is usual: one odd volume must not press all others flat."""


def detections_chart(verdict: Verdict, time: TimeAxis) -> Picture:
    """Nuclei found and identified, and their quality, volume by volume."""
    volumes = verdict.volumes
    figure = canvas(9.4, 4.6)
    top, sure, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    x = in_blocks(time.at)
    found, known = in_blocks(volumes.detections), in_blocks(volumes.identified)
    top.fill_between(x, known, color=ACCENT, alpha=0.18, linewidth=0)
    style = "o-" if len(x) < 60 else "-"
    top.plot(x, found, style, color=INK, markersize=3, label="found")
    top.plot(x, known, style, color=ACCENT, markersize=3, label="identified")
    ceiling = max(1.0, float(volumes.detections.max())) * 1.12
    top.set(ylim=(0, ceiling), ylabel="nuclei")
    _mark_distrusted(top, verdict, time, ceiling)
    _legend_above(top)
    sure.plot(x, in_blocks(volumes.probability), style, color=ACCENT, markersize=3, label="mean probability")
    sure.plot(x, in_blocks(volumes.jumps), style, color=SECOND, markersize=3, label="share that jumps")
    sure.set(ylim=(0, 1.02), ylabel="identities")
    _legend_above(sure)
    low, middle, high = (in_blocks(row) for row in volumes.quality)
    bottom.fill_between(x, low, high, color=SOFT, alpha=0.25, linewidth=0, label="middle 80 % of nuclei")
    bottom.plot(x, middle, style, color=SOFT, markersize=3, label="median")
    bottom.set(ylabel="contrast / noise")
    highest, usual = (
        float(np.nanmax(high)) if np.isfinite(high).any() else 1.0,
        float(np.nanmedian(high)) if np.isfinite(high).any() else 1.0,
    )
    bottom.set_ylim(0, max(min(1.08 * highest, OUTLIER * usual), 1e-3))
    beyond = np.flatnonzero(volumes.quality[2] > OUTLIER * usual)
    _legend_above(bottom)
    time.finish(bottom)
    alt = (
        f"Nuclei per volume: {volumes.detections.min()} to {volumes.detections.max()}, median {np.median(volumes.detections):.0f}; "
        f"identified: median {np.median(volumes.identified):.0f}. Below: their mean probability, jumps, and contrast."
    )
    caption = (
        "A sudden drop in number, probability or contrast is a blurred, dropped or displaced volume; red ticks mark the volumes to "
        "distrust. A neuron jumps where it moves against its neighbours by more than the distance between nuclei. Tissue does not do "
        "that, so its identity changed hands: one wrong volume makes two jumps, and an exchange with the next neighbour may make none."
        + (
            f" The contrast of {counted(len(beyond), 'volume')} goes beyond its axis (the first is volume {beyond[0]})."
            if len(beyond)
            else ""
        )
    )
    return Picture(as_svg(figure), alt, caption, wide=True)


def _legend_above(axes: Axes) -> None:
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 0.98), borderaxespad=0, fontsize=7.5)


def _mark_distrusted(axes: Axes, verdict: Verdict, time: TimeAxis, ceiling: float) -> None:
    if verdict.distrusted.any():
        at = time.at[verdict.distrusted]
        axes.plot(at, np.full(len(at), 0.97 * ceiling), "|", color=WARN, markersize=7, label="distrusted")


def probability_histogram(tracks: Tracks) -> Picture:
    """How sure the tracker is."""
    figure = canvas(9.4, 2.2)
    axes = figure.subplots()
    known = tracks.neuron != UNKNOWN
    edges = np.linspace(0, 1, 21).tolist()
    stacks = [tracks.probability[known], tracks.probability[~known]]
    axes.hist(stacks, edges, stacked=True, color=[ACCENT, LINE], edgecolor="white", linewidth=0.5, label=["identified", "unknown"])
    axes.set(xlabel="probability", ylabel="detections", xlim=(0, 1), yscale="log")
    axes.legend(loc="upper left", fontsize=7.5)
    high = float(np.mean(tracks.probability[known] >= 0.9)) if known.any() else float("nan")
    alt = f"Histogram of assignment probabilities: {percent(high)} of the identified detections are at .9 or above."
    caption = (
        f"{percent(high)} of the identities have a probability of .9 or more. Each step of the scale is ten times as many. If much lies in "
        "the middle, the tracker is undecided: answer questions, or leave doubtful ones out."
    )
    return Picture(as_svg(figure), alt, caption, wide=True)


def training_chart(history: Mapping[str, FloatArray], best: int) -> Picture:
    """Loss, how well nuclei of volumes that training never saw are found again, and how many directions the embedding uses."""
    epoch, trips = np.asarray(history["epoch"], np.float64), np.asarray(history["round_trips"], np.float64)
    agreement, has_trips = np.asarray(history["held_out_agreement"], np.float64), bool(np.isfinite(trips).all())
    figure = canvas(9.4, 2.5)
    left, middle, right = panels = figure.subplots(1, 3)
    marker = "o-" if len(epoch) < 40 else "-"
    for name, colour, label in (("loss", INK, "loss"), ("feature_term", ACCENT, "feature term"), ("object_term", SECOND, "object term")):
        if name in history and np.max(history[name]) > 0.01 * np.max(
            history["loss"]
        ):  # Barlow's terms beside the loss of another objective
            left.plot(epoch, history[name], marker, color=colour, markersize=2.5, label=label)
    left.legend(loc="upper right", fontsize=7.5)  # "best" looks for a place, and warns where that takes long
    if has_trips:
        middle.plot(epoch, trips, marker, color=ACCENT, markersize=2.5, label="round trips")
    middle.plot(epoch, agreement, marker, color=SECOND, markersize=2.5, label="agreement")
    middle.legend(loc="lower right", fontsize=7.5)
    right.plot(epoch, history["effective_rank"], marker, color=ACCENT, markersize=2.5)
    for panel, title in zip(panels, ("Loss", "Held-out volumes", "Effective rank of the embedding"), strict=True):
        panel.axvline(epoch[best], color=SOFT, linestyle=":", linewidth=0.9)
        panel.set(title=title, xlabel="epoch")
    middle.set_ylim(0, 1.02)
    right.set_ylim(0, max(1.0, 1.08 * float(np.max(history["effective_rank"]))))
    closed = f"round trips from {trips[0]:.2f} to {trips[-1]:.2f}, " if has_trips else ""
    alt = (
        f"Training over {counted(len(epoch) - 1, 'epoch')}: {closed}held-out agreement from {agreement[0]:.2f} to {agreement[-1]:.2f}, "
        f"effective rank {float(history['effective_rank'][-1]):.1f}; epoch {epoch[best]:.0f} is used."
    )
    caption = (
        "Epoch 0 is the start; the dotted line is the epoch that is used. Round trips: how often the way from a nucleus to the one most "
        "like it in a second volume, from there to a third and back ends where it began. Agreement: how often two views of a nucleus find "
        "each other among all nuclei of a volume that training did not see. An effective rank near 1 would mean that all nuclei look "
        "alike to the encoder."
    )
    return Picture(as_svg(figure), alt, caption, wide=True)
