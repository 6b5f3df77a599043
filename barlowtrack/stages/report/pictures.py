"""Images of volumes, with coloured identities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Recording, Tracks
from barlowtrack.showing.colours import colour_of
from barlowtrack.showing.names import Names
from barlowtrack.stages.report.drawing import as_jpeg
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


def projections(recording: Recording, detections: Detections, tracks: Tracks, neurons: IntArray, names: Names) -> Iterator[Picture]:
    """Maximum projections of the reference channel with every nucleus ringed in its neuron's colour.

    Args:
        recording: Only the shown volumes are read, one at a time.
        detections: N nuclei.
        tracks: Whose they are.
        neurons: Ids, most certain first; the first of them are numbered in the image.
        names: What they are called.
    """
    chosen = choose_volumes(detections)
    window = _window_um(recording, detections, chosen)
    for t in chosen:
        rows = detections.rows_of(t)
        figure = Figure(figsize=(5.2, 5.2 * max(0.25, min(1.6, (window[1] - window[0]) / (window[3] - window[2])))), facecolor="black")
        axes = figure.add_axes((0, 0, 1, 1), facecolor="black")
        _draw_volume(axes, recording, t, window)
        _draw_nuclei(axes, detections.position_um[rows], tracks.neuron[rows], neurons[:NUMBERED], names)
        found, known = rows.stop - rows.start, int(np.count_nonzero(tracks.neuron[rows] != UNKNOWN))
        alt = f"Maximum projection of volume {t} with {found} nuclei, {known} of them ringed in the colour of their neuron."
        yield Picture(as_jpeg(figure, dpi=180), alt, f"Volume {t}: {found} nuclei, {known} identified.")


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


def _draw_nuclei(axes: Axes, position_um: FloatArray, neuron: IntArray, numbered: IntArray, names: Names) -> None:
    known = neuron != UNKNOWN
    y, x = position_um[:, 1], position_um[:, 2]
    axes.scatter(x[~known], y[~known], s=14, marker="x", color="#b9c2cc", linewidths=0.8)
    axes.scatter(x[known], y[known], s=44, facecolors="none", edgecolors=[colour_of(int(k)) for k in neuron[known]], linewidths=1.4)
    for row in np.flatnonzero(known & np.isin(neuron, numbered)):
        red, green, blue = (0.4 + 0.6 * part for part in colour_of(int(neuron[row])))
        number = axes.annotate(
            names.short(int(neuron[row])), (x[row], y[row]), (4, 4), textcoords="offset points", fontsize=7, clip_on=True
        )
        number.set(color=(red, green, blue), path_effects=[Stroke(linewidth=1.6, foreground="black"), Normal()])
