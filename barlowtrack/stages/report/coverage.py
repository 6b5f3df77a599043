"""The map of coverage: in which volumes each neuron was seen, and how surely."""

from __future__ import annotations

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from barlowtrack.data import IntArray, Source, Traces
from barlowtrack.showing.names import Names
from barlowtrack.stages.report.drawing import INK, TimeAxis, as_png, canvas, name_rows, probability_colours
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.sources import source_image, source_patches
from barlowtrack.stages.report.words import counted, percent


def coverage_map(traces: Traces, neurons: IntArray, time: TimeAxis, names: Names) -> Picture:
    """Draws for every neuron and volume whether it was seen, predicted, interpolated or nothing of it is there."""
    seen = traces.seen[neurons]
    order = np.argsort(-seen.sum(axis=1), kind="stable")
    probability, source = traces.probability[neurons][order], traces.source[neurons][order]
    height = min(5.5, max(1.2, 0.036 * len(neurons)))
    figure = canvas(9.4, 1.0 + height)
    axes = figure.subplots()
    axes.imshow(source_image(probability, source), aspect="auto", extent=(*time.bounds, len(neurons), 0), interpolation="nearest")
    axes.set_ylabel("neurons, most seen first", color=INK)
    name_rows(axes, [names.short(int(neuron)) for neuron in neurons[order]], height)
    time.finish(axes)
    figure.colorbar(ScalarMappable(Normalize(0, 1), probability_colours()), ax=axes, label="seen: probability", pad=0.01, fraction=0.025)
    patches = source_patches(source)
    if patches:
        axes.legend(handles=patches, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), fontsize=7.5)
    always = int(np.count_nonzero(seen.mean(axis=1) >= 0.95))
    said = f"{always} of {counted(len(neurons), 'neuron')} {'was' if always == 1 else 'were'} seen in at least 95 % of the volumes."
    kinds = [f"{percent(float(np.mean(source == kind)))} {word}" for kind, word in _SHARES.items() if kind == Source.SEEN or kind in source]
    alt = f"Map of {counted(len(neurons), 'neuron')} over {counted(seen.shape[1], 'volume')}: {', '.join(kinds)}. {said}"
    caption = (
        f"{said} Of all cells {', '.join(kinds)}. If a whole column is pale, that volume is bad; if one row breaks off where another "
        "begins, the two may be one neuron."
    )
    return Picture(as_png(figure), alt, caption, wide=True)


_SHARES = {Source.SEEN: "seen", Source.PREDICTED: "predicted", Source.INTERPOLATED: "interpolated", Source.NONE: "nothing"}
