"""Figures of the embedding: its layout in two dimensions, drift over time, and the two matrices of the loss."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from barlowtrack.data import UNKNOWN, FloatArray, Tracks
from barlowtrack.embedding.drift import Drift
from barlowtrack.embedding.layout import Layout
from barlowtrack.embedding.matrices import Pair, feature_similarity, object_similarity
from barlowtrack.embedding.sample import spread
from barlowtrack.showing.colours import colours_of
from barlowtrack.stages.report.drawing import ACCENT, LINE, SECOND, SOFT, TimeAxis, as_png, as_svg, canvas
from barlowtrack.stages.report.page import Picture

MOST_CELLS = 256  # of a matrix, along each side


def layout_chart(layout: Layout, tracks: Tracks) -> Picture:
    """The embedding in two dimensions, coloured by neuron."""
    n, neuron = len(tracks), tracks.neuron[layout.row]
    figure = canvas(4.6, 4.2)
    axes = figure.subplots()
    unknown = neuron == UNKNOWN
    x, y = layout.position.T
    axes.scatter(x[unknown], y[unknown], s=5, color=SOFT if unknown.all() else LINE, linewidths=0)
    axes.scatter(x[~unknown], y[~unknown], s=6, c=colours_of(neuron[~unknown]), linewidths=0)
    shown = f"{len(layout.row)} of {n} nuclei" if len(layout.row) < n else f"{n} nuclei"
    method = "no layout" if layout.method == "none" else layout.method
    axes.set(xticks=[], yticks=[], xlabel=f"{method}: {shown}, one colour a neuron")
    axes.spines[["left", "bottom"]].set_visible(False)
    alt = f"Embedding of {shown} in two dimensions ({method}), coloured by neuron."
    why = f" {method}, for {layout.reason}." if layout.reason else ""
    caption = (
        "Nuclei of one neuron should form one spot of one colour. Two spots of one colour are one neuron that looks different from time to "
        "time; two colours in one spot are neurons that looks alone do not tell apart. Distances between spots mean little." + why
    )
    return Picture(as_png(figure), alt, caption)


def drift_chart(drift: Drift, time: TimeAxis) -> Picture:
    """How alike a neuron remains, over the distance in time."""
    x = drift.lag * time.step
    figure = canvas(4.6, 4.2)
    axes = figure.subplots()
    axes.fill_between(x, drift.low, drift.same, color=ACCENT, alpha=0.18, linewidth=0, label="down to its 10th percentile")
    axes.plot(x, drift.same, "o-", color=ACCENT, markersize=3, label="a neuron and itself")
    axes.plot(x, drift.closest, "o--", color=SECOND, markersize=3, label="and the other most like it")
    axes.plot(x, drift.other, "o:", color=SOFT, markersize=3, label="and another, on average")
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, [f"{at:.2g}" if at < 10 else f"{at:.0f}" for at in x])
    axes.minorticks_off()
    unit = "s" if "(s)" in time.label else "volumes"
    axes.set(xlabel=f"time between the two sightings ({unit})", ylabel="similarity (cosine)")
    axes.set_ylim(min(0.0, float(np.nanmin(np.append(drift.other, drift.low)))), 1.02)
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, fontsize=7.5)
    ends = ", ".join(f"{drift.same[k]:.2f} after {drift.lag[k]}" for k in sorted({0, len(drift.lag) - 1}))
    closest = f"; the most alike other neuron: {drift.closest[0]:.2f}" if np.isfinite(drift.closest[0]) else ""
    alt = f"Similarity of a neuron with itself over time: {ends} volumes{closest}."
    caption = (
        "Blue should stay high: where it falls with time, the embedding drifts (bleaching, focus, posture). Where the orange line enters "
        "the blue band, roughly a tenth of the nuclei or more look no more like themselves than like somebody else."
    )
    return Picture(as_svg(figure), alt, caption)


def matrices_chart(vectors: FloatArray, pair: Pair) -> Picture:
    """The two matrices of the loss: objects with objects, features with features."""
    first, second = vectors[pair.first], vectors[pair.second]
    shown, dims = spread(len(first), MOST_CELLS), spread(vectors.shape[1], MOST_CELLS)
    objects = object_similarity(first[shown], second[shown])
    features = feature_similarity(first[:, dims], second[:, dims])
    twice = pair.volumes[0] != pair.volumes[1]
    where = f"volume {pair.volumes[0]} against {pair.volumes[1]}" if twice else f"volume {pair.volumes[0]} against itself"
    figure = canvas(9.4, 4.4)
    left, right = figure.subplots(1, 2)
    _heat(left, objects, f"{len(shown)} {'neurons, by id' if twice else 'nuclei'}")
    image = _heat(right, features, f"{len(dims)} features")
    left.set_title("Objects: correlation over features")
    right.set_title("Features: correlation over objects")
    figure.colorbar(image, ax=[left, right], label="correlation", pad=0.01, fraction=0.025)
    numbers = [_diagonal_and_rest(matrix) for matrix in (objects, features)]
    said = "; ".join(
        f"{name}: {on:.2f} on the diagonal, {off:.2f} off it" for name, (on, off) in zip(("objects", "features"), numbers, strict=True)
    )
    caption = (
        f"The two matrices of the loss, here of embeddings, {where}: {said} (mean, and mean size). Both should be a dark diagonal on "
        "white. Dark blue off the diagonal on the left are pairs of neurons that look alike; on the right, features that say the same "
        "twice, of which "
        f"{len(first)} objects alone make about {len(first) ** -0.5:.2f}."
        + ("" if twice else " No two volumes share two identified neurons, so the diagonals are 1 by construction.")
    )
    return Picture(as_png(figure), f"Two correlation matrices of {where}. Mean {said}.", caption, wide=True)


def _heat(axes: Axes, values: FloatArray, label: str) -> AxesImage:
    axes.set(xticks=[], yticks=[], xlabel=label)
    for side in axes.spines.values():
        side.set_visible(False)
    return axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")


def _diagonal_and_rest(matrix: FloatArray) -> tuple[float, float]:
    n = len(matrix)
    diagonal = matrix.diagonal()
    rest = (np.abs(matrix).sum() - np.abs(diagonal).sum()) / (n * (n - 1)) if n > 1 else 0.0
    return round(float(diagonal.mean()), 2) + 0.0, float(rest)  # + 0: never "-0.00"
