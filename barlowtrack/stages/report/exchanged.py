"""Neurons that may have carried each other's identity for a while."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.colors import to_hex

from barlowtrack.identity.volumes import neighbour_distance_um
from barlowtrack.showing.colours import colour_of
from barlowtrack.stages.report import page
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.words import counted

MOST_SWAPS = 40
HEAD = ("neurons", "volumes", "both seen in", "probability there", "apart there", "evidence")


def swaps_in_words(shown: Shown) -> Iterator[str]:
    """Yields the table of exchanges as HTML, surest first."""
    swaps = shown.swaps
    yield page.subtitle("Neurons that may have been exchanged")
    if not len(swaps):
        yield page.paragraph("None: no trace goes on for a while where another one left off, and the other way round.")
        return
    unit = neighbour_distance_um(shown.detections)
    yield page.paragraph(
        f"In {counted(len(swaps), 'stretch', 'stretches')} of time the light of two neurons goes on as if each carried the other's "
        "identity. A row is a hint to look, and no finding: chance alone makes about one in two recordings. The traces are left as they "
        f"are, and flagged. It weighs more if the two lie close (here neighbours are {unit:.1f} µm apart), both were seen in most of the "
        "volumes, and the tracker doubts them there (mean probability of each); where one was hardly seen, or has hardly any "
        "probability, somebody else may be there, or one nucleus was found as two. The evidence is a log likelihood ratio. Look at the "
        "volumes before you correct anything."
    )
    order = np.lexsort((swaps.first, -np.round(swaps.evidence.astype(np.float64), 6)))
    rows = [_row(shown, int(s)) for s in order]
    swatches = [tuple(to_hex(colour_of(int(neuron))) for neuron in swaps.neuron[s]) for s in order]
    yield page.table(HEAD, rows[:MOST_SWAPS], swatches[:MOST_SWAPS])
    if len(rows) > MOST_SWAPS:
        yield page.folded(f"{len(rows) - MOST_SWAPS} more", page.table(HEAD, rows[MOST_SWAPS:], swatches[MOST_SWAPS:]))


def _row(shown: Shown, swap: int) -> tuple[str, ...]:
    swaps, detections, tracks = shown.swaps, shown.detections, shown.tracks
    first, last = int(swaps.first[swap]), int(swaps.last[swap])
    one, other = (int(neuron) for neuron in swaps.neuron[swap])
    found = [np.flatnonzero((tracks.neuron == neuron) & (detections.t >= first) & (detections.t <= last)) for neuron in (one, other)]
    sure = [f"{float(np.mean(tracks.probability[rows])):.2f}" if len(rows) else page.DASH for rows in found]
    both, at_one, at_other = np.intersect1d(detections.t[found[0]], detections.t[found[1]], return_indices=True)
    apart_um = np.linalg.norm(detections.position_um[found[0][at_one]] - detections.position_um[found[1][at_other]], axis=1)
    return (
        f"{shown.names.text(one)} and {shown.names.text(other)}",
        str(first) if first == last else f"{first} {page.DASH} {last}",
        f"{len(both)} of {last - first + 1}",
        f"{sure[0]} and {sure[1]}",
        f"{float(np.median(apart_um)):.1f} µm" if len(both) else page.DASH,
        f"{swaps.evidence[swap]:.1f}",
    )
