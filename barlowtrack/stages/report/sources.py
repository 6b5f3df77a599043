"""Where values come from, as colour: the same in the map of coverage and below single traces."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from barlowtrack.data import FloatArray, IntArray, Source
from barlowtrack.stages.report.drawing import ABSENT, in_blocks, probability_colours

PREDICTED, INTERPOLATED = "#b79bd8", "#dcc994"
WORDS = {Source.PREDICTED: "predicted", Source.INTERPOLATED: "interpolated", Source.NONE: "none"}
_COLOURS = {Source.PREDICTED: PREDICTED, Source.INTERPOLATED: INTERPOLATED, Source.NONE: ABSENT}


def source_image(probability: FloatArray, source: IntArray) -> FloatArray:
    """Returns (n, X, 3) colours of (n, T) values: what was seen by its probability, all else by where it comes from.

    Of a block of volumes that share a pixel, what most of them are is shown.
    """
    kinds = np.stack([in_blocks((source == kind).astype(np.float64)) for kind in Source])  # (4, n, X)
    most = np.array(list(Source))[np.argmax(kinds, axis=0)]
    shade = in_blocks(np.where(source == Source.SEEN, probability, np.nan))
    image: FloatArray = probability_colours()(np.nan_to_num(shade))[..., :3]
    for kind, colour in _COLOURS.items():
        image[most == kind] = to_rgb(colour)
    return image


def source_patches(source: IntArray) -> list[Patch]:
    """Returns what a legend says of the sources that occur."""
    return [Patch(color=_COLOURS[kind], label=word) for kind, word in WORDS.items() if np.any(source == kind)]
