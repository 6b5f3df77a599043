"""Lines of corrections.csv that were said in one stroke, as the table itself shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from barlowtrack.data import Correction, Corrections

Lines = tuple[int, ...]


def strokes(corrections: Corrections) -> tuple[Lines, ...]:
    """Returns the lines that belong together: two neurons of a volume that were exchanged, written by one person in one second."""
    return tuple((a.line, b.line) for a, b in pairwise(corrections.rows) if _exchange(a, b))


def stroke_of(line: int, known: Corrections, remembered: Iterable[Lines]) -> Lines:
    """Returns the lines in force that are taken back with one of them, the last first.

    Args:
        line: Of the table.
        known: The table.
        remembered: Lines that were said in one stroke as whoever wrote them knows; these are not looked at again.
    """
    standing = {row.line for row in known.in_force}
    stroke = next((lines for lines in (*remembered, *strokes(known)) if line in lines), (line,))
    return tuple(sorted((other for other in stroke if other in standing or other == line), reverse=True))


def in_sight(known: Corrections, seen: Sequence[int] | set[int]) -> Corrections:
    """Returns the table without lines that nobody has seen yet; where such a line takes another one back, that one stays taken back."""
    lines = set(seen)
    rows = [row for row in known.rows if (int(row.other) in lines if row.what == "undo" else row.line in lines)]
    return Corrections(tuple(rows), known.witnesses)


def _exchange(a: Correction, b: Correction) -> bool:
    one_breath = (a.what, a.who, a.when, a.t, a.line + 1) == ("is", b.who, b.when, b.t, b.line)
    return one_breath and b.what == "is" and bool(a.when) and a.position_um != b.position_um and a.neuron != b.neuron
