"""How the light fades, and what was divided out."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import Bleaching
from barlowtrack.stages.report.drawing import GREEN, RED, TimeAxis, as_svg, canvas, in_blocks
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.words import percent

CHANNELS = (("red", RED, "o", "-"), ("green", GREEN, "^", "--"))
"""Name, colour, marker and line: told apart without colour, too."""
FEW_POINTS = 60
FITS = {"none": "nothing divided out", "mono": "one exponential divided out", "bi": "two exponentials divided out"}


def bleaching_chart(bleaching: Bleaching, time: TimeAxis) -> Picture | None:
    """Draws level and fit of both channels; None where nobody was seen."""
    known = [c for c in range(2) if np.isfinite(bleaching.level[c]).any()]
    if not known:
        return None
    figure = canvas(9.4, 2.6)
    axes = figure.subplots()
    x, said = in_blocks(time.at), []
    for channel in known:
        name, colour, marker, line = CHANNELS[channel]
        level, fit, kind = bleaching.level[channel], bleaching.fit[channel], bleaching.kind[channel]
        size, empty = (4.5, "none") if len(x) < FEW_POINTS else (2.5, colour)
        axes.plot(x, in_blocks(level), marker, color=colour, markersize=size, markerfacecolor=empty, alpha=0.7)
        width = 1.6 if kind != "none" else 0.9
        axes.plot(x, in_blocks(fit), color=colour, linewidth=width, linestyle=line)
        axes.plot([], [], color=colour, linewidth=width, linestyle=line, marker=marker, markersize=4, label=f"{name}: {FITS[kind]}")
        fades = f"falls to {percent(float(fit[-1] / fit[0]))} of what it was" if kind != "none" else "is left as it was"
        said.append(f"{name} {fades} ({FITS[kind]})")
    axes.set(ylabel="light, relative")
    axes.set_ylim(0, 1.1 * max(1.0, float(np.nanpercentile(bleaching.level[known], 99)), float(bleaching.fit[known].max())))
    axes.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 0.98), borderaxespad=0, fontsize=7.5)
    time.finish(axes)
    alt = f"Light of the neurons over time, marks the median of all neurons, lines the fit: {'; '.join(said)}."
    caption = (
        "Marks (red circles, green triangles): median over the neurons of their light relative to their own usual light; lines (red whole, "
        f"green dashed): what was divided out: {'; '.join(said)}. If the marks leave the line for a while, "
        "that is focus or motion, not bleaching; if green leaves it and red does not, it may be activity of the whole brain."
    )
    return Picture(as_svg(figure), alt, caption, wide=True)
