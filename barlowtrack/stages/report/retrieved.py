"""Pictures of nuclei and of those that look most like them in other volumes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from barlowtrack.data import UNKNOWN, Detections, Recording, Tracks
from barlowtrack.embedding.retrieval import AGREES, DIFFERS, UNSURE, Retrieval
from barlowtrack.showing.colours import ink_of
from barlowtrack.showing.thumbnails import thumbnails
from barlowtrack.stages.report.drawing import INK, SOFT, as_jpeg
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.thumbnails import draw, in_words

FRAMES = {AGREES: "#0a7d55", DIFFERS: "#c0392b", UNSURE: "#9aa5b1"}
SIGNS = {AGREES: "✓", DIFFERS: "✕", UNSURE: "?"}
GAP = 0.12  # between crops, of their side


def retrieval_picture(recording: Recording, detections: Detections, tracks: Tracks, retrieval: Retrieval) -> Picture:
    """A row a nucleus: its crop, and the crop of the nearest to it in each of some other volumes.

    Args:
        recording: One volume after the other is read, each once.
        detections: N nuclei.
        tracks: Whose they are.
        retrieval: At least one query.
    """
    crops = thumbnails(recording, detections, np.concatenate([retrieval.query, retrieval.found.ravel()]))
    n_rows, n_columns = len(retrieval.query), 1 + len(retrieval.volume)
    width, across, down = 9.4, n_columns * (1 + GAP) + 0.75, n_rows * 1.32 + 0.3
    figure = Figure(figsize=(width, width * down / across))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.75, across - 0.75), ylim=(down - 0.3, -0.3))
    axes.axis("off")
    own = int(detections.t[retrieval.query[0]])
    for column, volume in enumerate([own, *retrieval.volume]):
        said = f"asked, in {volume}" if column == 0 else f"volume {volume}"
        axes.text(column * (1 + GAP) + 0.5, -0.06, said, ha="center", va="bottom", fontsize=8.5, color=INK)
    for place, query in enumerate(retrieval.query):
        top = 1.32 * place
        _name(axes, int(tracks.neuron[query]), top)
        draw(axes, crops[int(query)], 0.0, top, INK)
        for column, found in enumerate(retrieval.found[place]):
            agrees, left = int(retrieval.agrees[place, column]), (column + 1) * (1 + GAP)
            draw(axes, crops[int(found)], left, top, FRAMES[agrees])
            said = f"{SIGNS[agrees]} {retrieval.similarity[place, column]:.2f}" + _who(int(tracks.neuron[found]), agrees)
            axes.text(left + 0.5, top + 1.05, said, ha="center", va="top", fontsize=8, color=FRAMES[agrees] if agrees != UNSURE else SOFT)
    right, wrong = (int(np.count_nonzero(retrieval.agrees == answer)) for answer in (AGREES, DIFFERS))
    alt = (
        f"Crops of {n_rows} nuclei of volume {own}, and of the nucleus most like each in {n_columns - 1} other volumes: the tracker agrees "
        f"with {right}, and not with {wrong}."
    )
    caption = (
        "On the left a nucleus, beside it the one that looks most like it in other volumes, by the embedding alone, with the cosine "
        "between them. Green ✓: the tracker says it is the same neuron. Red ✕: it says it is another one (its number; none if unknown). "
        f"Grey ?: it does not see the neuron there. {in_words(detections)}"
    )
    return Picture(as_jpeg(figure, dpi=130), alt, caption, wide=True)


def _who(neuron: int, agrees: int) -> str:
    return f"  ({neuron})" if agrees == DIFFERS and neuron != UNKNOWN else ""


def _name(axes: Axes, neuron: int, top: float) -> None:
    said = "unknown" if neuron == UNKNOWN else f"neuron\n{neuron}"
    axes.text(-0.08, top + 0.5, said, ha="right", va="center", fontsize=8.5, color=SOFT if neuron == UNKNOWN else ink_of(neuron))
