"""Images of the page: volumes with coloured identities, the heatmap of traces, the map of coverage."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Recording, Traces, Tracks
from barlowtrack.stages.report.drawing import INK, TimeAxis, as_png, canvas, colour_of, in_blocks, probability_colours
from barlowtrack.stages.report.page import Picture

SHOWN_VOLUMES = 4
NUMBERED = 25
"""Neurons whose number stands beside them; more would hide the image."""
MARGIN_UM = 8.0
BRIGHTEST = 1.35  # above 1 no nucleus is white, so that every ring stands out
MOST_PIXELS = 1000
SCALE_BARS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def choose_volumes(detections: Detections) -> list[int]:
    """Returns volumes spread over the recording, first and last included, each with nuclei if any has."""
    some = np.unique(detections.t) if len(detections) else np.arange(detections.n_volumes)
    place = np.linspace(0, len(some) - 1, min(SHOWN_VOLUMES, len(some)))
    return [int(some[round(at)]) for at in place]


def projections(recording: Recording, detections: Detections, tracks: Tracks, neurons: IntArray) -> Iterator[Picture]:
    """Maximum projections of the reference channel with every nucleus ringed in its neuron's colour.

    Args:
        recording: Only the shown volumes are read, one at a time.
        detections: N nuclei.
        tracks: Whose they are.
        neurons: Ids, most certain first; the first of them are numbered in the image.
    """
    chosen = choose_volumes(detections)
    window = _window_um(recording, detections, chosen)
    for t in chosen:
        rows = detections.rows_of(t)
        figure = Figure(figsize=(5.2, 5.2 * max(0.25, min(1.6, (window[1] - window[0]) / (window[3] - window[2])))), facecolor="black")
        axes = figure.add_axes((0, 0, 1, 1), facecolor="black")
        _draw_volume(axes, recording, t, window)
        _draw_nuclei(axes, detections.position_um[rows], tracks.neuron[rows], neurons[:NUMBERED])
        found, known = rows.stop - rows.start, int(np.count_nonzero(tracks.neuron[rows] != UNKNOWN))
        alt = f"Maximum projection of volume {t} with {found} nuclei, {known} of them ringed in the colour of their neuron."
        yield Picture(as_png(figure, dpi=180), alt, f"Volume {t}: {found} nuclei, {known} identified.")


def _window_um(recording: Recording, detections: Detections, chosen: list[int]) -> tuple[float, float, float, float]:
    """Returns the part of the plane that the nuclei of the chosen volumes lie in: y from, y to, x from, x to."""
    (_, size_y, size_x), (_, height, width) = recording.voxel_size_um, recording.volume_shape
    whole = (0.0, (height - 1) * size_y, 0.0, (width - 1) * size_x)
    at = detections.position_um[np.isin(detections.t, chosen)][:, 1:]
    if not len(at):
        return whole[0] - size_y / 2, whole[1] + size_y / 2, whole[2] - size_x / 2, whole[3] + size_x / 2
    low, high = at.min(axis=0) - MARGIN_UM, at.max(axis=0) + MARGIN_UM
    bounds = (max(low[0], whole[0]), min(high[0], whole[1]), max(low[1], whole[2]), min(high[1], whole[3]))
    return bounds[0] - size_y / 2, bounds[1] + size_y / 2, bounds[2] - size_x / 2, bounds[3] + size_x / 2


def _draw_volume(axes: Axes, recording: Recording, t: int, window: tuple[float, float, float, float]) -> None:
    _, size_y, size_x = recording.voxel_size_um
    image = recording.read(t)[recording.reference].max(axis=0).astype(np.float64)
    step = max(1, -(-max(image.shape) // MOST_PIXELS))
    dark, bright = np.nanpercentile(image, [5, 99.7]) if np.isfinite(image).any() else (0.0, 1.0)
    shade = np.clip((image[::step, ::step] - dark) / max(bright - dark, 1e-12), 0, 1) ** 0.6
    rows, columns = shade.shape  # one in `step` voxels, and each stays where it was
    extent = (-step * size_x / 2, (columns - 0.5) * step * size_x, (rows - 0.5) * step * size_y, -step * size_y / 2)
    axes.imshow(np.nan_to_num(shade), cmap="gray", vmin=0, vmax=BRIGHTEST, extent=extent, interpolation="bilinear")
    axes.set(xlim=(window[2], window[3]), ylim=(window[1], window[0]), xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)
    _scale_bar(axes, window)


def _scale_bar(axes: Axes, window: tuple[float, float, float, float]) -> None:
    width, height = window[3] - window[2], window[1] - window[0]
    fitting = [length for length in SCALE_BARS_UM if length <= 0.3 * width]
    if not fitting:
        return
    right, low = window[3] - 0.03 * width, window[1] - 0.05 * height
    axes.plot([right - fitting[-1], right], [low, low], color="white", linewidth=2.5, solid_capstyle="butt")
    axes.text(right - fitting[-1] / 2, low - 0.02 * height, f"{fitting[-1]} µm", color="white", ha="center", va="bottom", fontsize=7.5)


def _draw_nuclei(axes: Axes, position_um: FloatArray, neuron: IntArray, numbered: IntArray) -> None:
    known = neuron != UNKNOWN
    y, x = position_um[:, 1], position_um[:, 2]
    axes.scatter(x[~known], y[~known], s=14, marker="x", color="#b9c2cc", linewidths=0.8)
    axes.scatter(x[known], y[known], s=44, facecolors="none", edgecolors=[colour_of(int(k)) for k in neuron[known]], linewidths=1.4)
    for row in np.flatnonzero(known & np.isin(neuron, numbered)):
        red, green, blue = (0.4 + 0.6 * part for part in colour_of(int(neuron[row])))
        number = axes.annotate(str(neuron[row]), (x[row], y[row]), (4, 4), textcoords="offset points", fontsize=7, clip_on=True)
        number.set(color=(red, green, blue), path_effects=[Stroke(linewidth=1.6, foreground="black"), Normal()])


def trace_heatmap(traces: Traces, neurons: IntArray, time: TimeAxis) -> Picture:
    """Activity of all neurons, alike ones beside each other."""
    has_signal = bool(np.isfinite(traces.dr_over_r0).any())
    values = in_blocks((traces.dr_over_r0 if has_signal else traces.red)[neurons])
    if not has_signal:
        values = values / np.maximum(np.array([[_median(row)] for row in values]), 1e-12)
    values = values[_order_by_likeness(values)]
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if len(finite) else (0.0, 1.0)
    colours = mpl.colormaps["magma"].with_extremes(bad="#c3c9d0")
    figure = canvas(9.4, 0.8 + min(6.5, max(1.2, 0.042 * len(values))))
    axes = figure.subplots()
    image = axes.imshow(
        values,
        cmap=colours,
        vmin=low,
        vmax=max(high, low + 1e-9),
        aspect="auto",
        extent=(*time.bounds, len(values), 0),
        interpolation="nearest",
    )
    axes.set_ylabel("neurons, alike ones together")
    axes.set_yticks([])
    time.finish(axes)
    what = "dR/R0" if has_signal else "red / its median"
    figure.colorbar(image, ax=axes, label=what, pad=0.01, fraction=0.025, extend="both")
    size = f"{len(values)} neurons over {traces.red.shape[1]} volumes"
    alt = f"Heatmap of {what} of {size}; 96 % of the values lie between {low:.2f} and {high:.2f}."
    missing = "the neuron was not seen, or has no positive R0 to divide by" if has_signal else "the neuron was not seen"
    note = "" if has_signal else " There is no activity channel: what changes here is focus, bleaching and identity, not calcium."
    return Picture(as_png(figure), alt, f"Grey: {missing}.{note}", wide=True)


def _median(row: FloatArray) -> float:
    return float(np.median(row[np.isfinite(row)])) if np.isfinite(row).any() else 1.0


def _order_by_likeness(values: FloatArray) -> IntArray:
    """Orders rows by angle in the plane of their two leading components, so that rows that rise together lie together."""
    if len(values) < 3:
        return np.arange(len(values))
    finite = np.isfinite(values)
    count = np.maximum(finite.sum(axis=1, keepdims=True), 1)
    centred = np.where(finite, values - np.where(finite, values, 0).sum(axis=1, keepdims=True) / count, 0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    strength, vectors = np.linalg.eigh(centred @ centred.T)
    leading = vectors[:, -2:] * np.sqrt(np.maximum(strength[-2:], 0))
    leading *= np.where(leading.sum(axis=0) < 0, -1, 1)  # eigenvectors come with either sign
    return np.lexsort((np.arange(len(values)), np.round(np.arctan2(leading[:, 0], leading[:, 1]), 6)))


def coverage_map(traces: Traces, neurons: IntArray, time: TimeAxis) -> Picture:
    """Where every neuron was seen, and how surely."""
    seen = np.isfinite(traces.probability[neurons])
    order = np.argsort(-seen.sum(axis=1), kind="stable")
    values = in_blocks(traces.probability[neurons][order])
    figure = canvas(9.4, 0.8 + min(5.5, max(1.2, 0.036 * len(values))))
    axes = figure.subplots()
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap=probability_colours(),
        vmin=0,
        vmax=1,
        aspect="auto",
        extent=(*time.bounds, len(values), 0),
        interpolation="nearest",
    )
    axes.set_ylabel("neurons, most seen first", color=INK)
    axes.set_yticks([])
    time.finish(axes)
    figure.colorbar(image, ax=axes, label="probability", pad=0.01, fraction=0.025)
    always = int(np.count_nonzero(seen.mean(axis=1) >= 0.95))
    alt = f"Map of {len(values)} neurons over {seen.shape[1]} volumes: {always} neurons were seen in at least 95 % of the volumes."
    return Picture(
        as_png(figure), alt, f"{always} of {len(values)} neurons were seen in at least 95 % of the volumes. Grey: not seen.", wide=True
    )
