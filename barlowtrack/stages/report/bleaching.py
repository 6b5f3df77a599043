"""How the light fades, and what was divided out."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import Bleaching
from barlowtrack.stages.report.drawing import GREEN, RED, TimeAxis, as_svg, canvas, in_blocks
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.words import percent

CHANNELS = (("red", RED), ("green", GREEN))
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
        name, colour = CHANNELS[channel]
        level, fit, kind = bleaching.level[channel], bleaching.fit[channel], bleaching.kind[channel]
        axes.plot(x, in_blocks(level), ".", color=colour, markersize=2.5, alpha=0.55)
        axes.plot(x, in_blocks(fit), color=colour, linewidth=1.6, linestyle="-" if kind != "none" else ":", label=f"{name}: {FITS[kind]}")
        fades = f"falls to {percent(float(fit[-1] / fit[0]))} of what it was" if kind != "none" else "is left as it was"
        said.append(f"{name} {fades} ({FITS[kind]})")
    axes.set(ylabel="light, relative")
    axes.set_ylim(0, 1.1 * max(1.0, float(np.nanpercentile(bleaching.level[known], 99)), float(bleaching.fit[known].max())))
    axes.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 0.98), borderaxespad=0, fontsize=7.5)
    time.finish(axes)
    alt = f"Light of the neurons over time, dots the median of all neurons, lines the fit: {'; '.join(said)}."
    caption = (
        f"Dots: median over the neurons of their light relative to their own usual light; lines: what was divided out: {'; '.join(said)}"
        ". If the dots leave the line for a while, that is focus or motion, not bleaching; if green leaves it and red does not, it may be "
        "activity of the whole brain."
    )
    return Picture(as_svg(figure), alt, caption, wide=True)
