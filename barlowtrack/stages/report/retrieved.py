"""Pictures of nuclei and of those that look most like them in other volumes."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from barlowtrack.data import UNKNOWN, Detections, FloatArray, Recording, Tracks
from barlowtrack.embedding.retrieval import AGREES, DIFFERS, UNSURE, Retrieval
from barlowtrack.nn.crops import crop_volume, scale_volume
from barlowtrack.stages.report.drawing import INK, SOFT, as_png, ink_of
from barlowtrack.stages.report.page import Picture

FRAMES = {AGREES: "#0a7d55", DIFFERS: "#c0392b", UNSURE: "#9aa5b1"}
SIGNS = {AGREES: "✓", DIFFERS: "✕", UNSURE: "?"}
SIDE = 8.0  # of a box, in radii of a usual nucleus: it and its neighbours
DEPTH = 3.0
PIXELS, PLANES = 48, 6
LARGEST_UM = 60.0
GAP = 0.12  # between crops, of their side


def retrieval_picture(recording: Recording, detections: Detections, tracks: Tracks, retrieval: Retrieval) -> Picture:
    """A row a nucleus: its crop, and the crop of the nearest to it in each of some other volumes.

    Args:
        recording: One volume after the other is read, each once.
        detections: N nuclei.
        tracks: Whose they are.
        retrieval: At least one query.
    """
    crops = _crops(recording, detections, retrieval)
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
        _crop(axes, crops[int(query)], 0.0, top, INK)
        for column, found in enumerate(retrieval.found[place]):
            agrees, left = int(retrieval.agrees[place, column]), (column + 1) * (1 + GAP)
            _crop(axes, crops[int(found)], left, top, FRAMES[agrees])
            said = f"{SIGNS[agrees]} {retrieval.similarity[place, column]:.2f}" + _who(int(tracks.neuron[found]), agrees)
            axes.text(left + 0.5, top + 1.05, said, ha="center", va="top", fontsize=8, color=FRAMES[agrees] if agrees != UNSURE else SOFT)
    right, wrong = (int(np.count_nonzero(retrieval.agrees == answer)) for answer in (AGREES, DIFFERS))
    alt = (
        f"Crops of {n_rows} nuclei of volume {own}, and of the nucleus most like each in {n_columns - 1} other volumes: the tracker agrees "
        f"with {right}, and not with {wrong}."
    )
    box = f"Boxes of {_side_um(detections):.0f} µm, maximum over {_depth_um(detections):.0f} µm of depth, reference channel."
    caption = (
        "On the left a nucleus, beside it the one that looks most like it in other volumes, by the embedding alone, with the cosine "
        "between them. Green ✓: the tracker says it is the same neuron. Red ✕: it says it is another one (its number; none if unknown). "
        f"Grey ?: it does not see the neuron there. {box}"
    )
    return Picture(as_png(figure, dpi=150), alt, caption, wide=True)


def _who(neuron: int, agrees: int) -> str:
    return f"  ({neuron})" if agrees == DIFFERS and neuron != UNKNOWN else ""


def _name(axes: Axes, neuron: int, top: float) -> None:
    said = "unknown" if neuron == UNKNOWN else f"neuron\n{neuron}"
    axes.text(-0.08, top + 0.5, said, ha="right", va="center", fontsize=8.5, color=SOFT if neuron == UNKNOWN else ink_of(neuron))


def _crop(axes: Axes, image: FloatArray, left: float, top: float, colour: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(left, left + 1, top + 1, top), interpolation="bilinear", aspect="auto")
    axes.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor=colour, linewidth=2.2))


def _crops(recording: Recording, detections: Detections, retrieval: Retrieval) -> dict[int, FloatArray]:
    """Returns an image (PIXELS, PIXELS) in 0 ... 1 for each nucleus of the picture."""
    wanted = np.unique(np.concatenate([retrieval.query, retrieval.found.ravel()]))
    side, depth = _side_um(detections), _depth_um(detections)
    images: dict[int, FloatArray] = {}
    for t in np.unique(detections.t[wanted]):
        rows = wanted[detections.t[wanted] == t]
        volume = np.nan_to_num(recording.read(int(t))[recording.reference], posinf=0.0, neginf=0.0)
        scaled = torch.from_numpy(scale_volume(volume, detections.red_peak[detections.rows_of(int(t))]))
        places = torch.as_tensor(np.asarray(detections.position_um[rows], np.float64))
        boxes = crop_volume(scaled, places, recording.voxel_size_um, (depth, side, side), (PLANES, PIXELS, PIXELS))
        shades = boxes.amax(dim=1).clamp(0, 1).sqrt().numpy()
        images |= {int(row): shade for row, shade in zip(rows, shades, strict=True)}
    return images


def _radius_um(detections: Detections) -> float:
    usual = float(np.median(detections.volume_um3))
    return (3 * usual / (4 * np.pi)) ** (1 / 3) if np.isfinite(usual) and usual > 0 else 1.5


def _side_um(detections: Detections) -> float:
    return min(SIDE * _radius_um(detections), LARGEST_UM)


def _depth_um(detections: Detections) -> float:
    return min(DEPTH * _radius_um(detections), LARGEST_UM)
