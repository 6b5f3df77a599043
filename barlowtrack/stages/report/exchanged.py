"""Neurons that may have carried each other's identity for a while."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.colors import to_hex

from barlowtrack.stages.report import page
from barlowtrack.stages.report.drawing import colour_of
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.words import counted

MOST_SWAPS = 40


def swaps_in_words(shown: Shown) -> Iterator[str]:
    """Yields the table of exchanges as HTML, surest first."""
    swaps, names = shown.swaps, shown.names
    yield page.subtitle("Neurons that may have been exchanged")
    if not len(swaps):
        yield page.paragraph("None: no trace goes on for a while where another one left off, and the other way round.")
        return
    yield page.paragraph(
        f"In {counted(len(swaps), 'stretch', 'stretches')} of time the light of two neurons goes on as if each carried the other's "
        "identity. The traces are left as they are, and flagged. If the two are neighbours, believe it: look at the volumes, then correct "
        "them."
    )
    order = np.lexsort((swaps.first, -np.round(swaps.evidence.astype(np.float64), 6)))
    rows, swatches = [], []
    for s in order:
        first, last = int(swaps.first[s]), int(swaps.last[s])
        one, other = (int(neuron) for neuron in swaps.neuron[s])
        volumes = str(first) if first == last else f"{first} {page.DASH} {last}"
        rows.append((f"{names.text(one)} and {names.text(other)}", volumes, f"{swaps.evidence[s]:.1f}"))
        swatches.append(to_hex(colour_of(one)))
    head = ("neurons", "volumes", "evidence (log likelihood ratio)")
    yield page.table(head, rows[:MOST_SWAPS], swatches[:MOST_SWAPS])
    if len(rows) > MOST_SWAPS:
        yield page.folded(f"{len(rows) - MOST_SWAPS} more", page.table(head, rows[MOST_SWAPS:], swatches[MOST_SWAPS:]))
