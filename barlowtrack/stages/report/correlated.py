"""Correlation between neurons, and how it hangs on their distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Tracks
from barlowtrack.stages.report.clusters import FEWEST_COMMON, Clusters
from barlowtrack.stages.report.drawing import ACCENT, LINE, as_png, as_svg, canvas, name_rows
from barlowtrack.stages.report.heatmap import mark_groups
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.words import counted

FEWEST_PAIRS = 20  # in a class of distances
MOST_CLASSES = 16
ASKED_VOLUMES = 20
GREY = "#d5dae0"
SIDE = 3.2
"""Of the matrix, in inches."""


def correlation_pictures(shown: Shown, rows: IntArray, correlation: FloatArray, found: Clusters) -> Iterator[Picture]:
    """Draws the matrix in the order of the heatmap, and how it hangs on distance; yields nothing where no two can be compared.

    Args:
        shown: The run.
        rows: (K,) neurons.
        correlation: (K, K) of their activity, in the order of rows.
        found: Order and groups.
    """
    upper = np.triu_indices(len(rows), 1)
    pairs, apart_um = correlation[upper], distances_um(shown.detections, shown.tracks, rows)[upper]
    if np.isfinite(pairs).any():
        called = [shown.names.short(int(neuron)) for neuron in rows[found.order]]
        yield _matrix(correlation, float(np.median(pairs[np.isfinite(pairs)])), found, called)
    known = np.isfinite(pairs) & np.isfinite(apart_um)
    classes = by_distance(apart_um[known], pairs[known])
    if len(classes) > 1:
        yield _over_distance(classes)


def _matrix(correlation: FloatArray, usual: float, found: Clusters, called: Sequence[str]) -> Picture:
    figure = canvas(4.6, 4.2)
    axes = figure.subplots()
    ordered, k = correlation[np.ix_(found.order, found.order)], len(correlation)
    axes.set_facecolor(GREY)
    image = axes.imshow(np.ma.masked_invalid(ordered), cmap="RdBu_r", vmin=-1, vmax=1, extent=(0, k, k, 0), interpolation="nearest")
    axes.set(title="Neurons, as in the heatmap")
    name_rows(axes, called, SIDE, pad=7)
    name_rows(axes, called, SIDE, pad=7, along="x")
    for side in axes.spines.values():
        side.set_visible(False)
    mark_groups(axes, found, -0.018)
    mark_groups(axes, found, -0.018, along="x")
    figure.colorbar(image, ax=axes, label="correlation", pad=0.02, fraction=0.046)
    caption = (
        "Red: they rise and fall together; blue: one rises where the other falls; grey: seen together in fewer than "
        f"{FEWEST_COMMON} volumes. Only values that were seen count. The median is {usual:.2f}: if nearly all is red, something common to "
        "all (motion, focus, bleaching) is left in the traces."
    )
    alt = f"Matrix of the correlations between the traces of {counted(k, 'neuron')}, in the order of the heatmap: median {usual:.2f}."
    return Picture(as_png(figure), alt, caption)


def by_distance(apart_um: FloatArray, correlation: FloatArray) -> FloatArray:
    """Sorts pairs into classes of equal size by distance.

    Args:
        apart_um: (p,) distance of two neurons.
        correlation: (p,) of their activity.

    Returns:
        (c, 4) median distance, lower quartile, median and upper quartile of the correlation; nearest first, none of too few pairs.
    """
    n = min(MOST_CLASSES, len(apart_um) // FEWEST_PAIRS)
    parts = np.array_split(np.lexsort((correlation, apart_um)), n) if n else []
    return np.array([(np.median(apart_um[part]), *np.percentile(correlation[part], (25, 50, 75))) for part in parts]).reshape(-1, 4)


def _over_distance(classes: FloatArray) -> Picture:
    figure = canvas(4.6, 4.2)
    axes = figure.subplots()
    axes.axhline(0, color=LINE, linewidth=0.8)
    x, low, middle, high = classes.T
    axes.fill_between(x, low, high, color=ACCENT, alpha=0.18, linewidth=0, label="middle half of the pairs")
    axes.plot(x, middle, "o-", color=ACCENT, markersize=3, label="median")
    axes.legend(loc="lower right", fontsize=7.5)
    axes.set(xlabel="distance between two neurons (µm)", ylabel="correlation", ylim=(-1, 1), title="Over distance")
    axes.set_xlim(left=0)
    said = f"median {middle[0]:.2f} about {x[0]:.0f} µm apart, {middle[-1]:.2f} about {x[-1]:.0f} µm apart"
    caption = (
        f"The same pairs by distance: {said}. If the curve is high at the left and falls, light leaks between neighbours, or their "
        "identities are exchanged; flat is good."
    )
    return Picture(as_svg(figure), f"Correlation of pairs of neurons over the distance between them: {said}.", caption)


def distances_um(detections: Detections, tracks: Tracks, rows: IntArray) -> FloatArray:
    """Returns how far neurons are from each other: (K, K), mean over up to ASKED_VOLUMES volumes; infinite where never together."""
    k = len(rows)
    place = np.full(tracks.n_neurons, UNKNOWN)
    place[rows] = np.arange(k)
    total, count = np.zeros((k, k)), np.zeros((k, k))
    for t in np.unique(np.linspace(0, detections.n_volumes - 1, min(ASKED_VOLUMES, detections.n_volumes)).astype(int)):
        part = detections.rows_of(int(t))
        neuron = tracks.neuron[part]
        at = np.where(neuron == UNKNOWN, UNKNOWN, place[neuron])
        position = detections.position_um[part][at >= 0].astype(np.float64)
        who = np.ix_(at[at >= 0], at[at >= 0])
        total[who] += np.linalg.norm(position[:, None] - position[None], axis=2)
        count[who] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.inf)
