"""What another person's table would bring, and where the two of them do not agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from barlowtrack.answers import put_together
from barlowtrack.data import UNKNOWN, Correction
from barlowtrack.data.corrections import is_id
from barlowtrack.plugin.review.words import in_words
from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.stops import Stop
from barlowtrack.storage import RunFolder

COLUMNS = ("Volume", "Said here", "Said there", "Stands")
HERE, THERE = "here", "there"


@dataclass(frozen=True)
class Disagreement:
    """Two lines that cannot both be true.

    Attributes:
        here: Line of the one that stands in this run's table, as the tables put together number it.
        there: Line of the other.
        stop: Where to look.
        why: In words.
    """

    here: int
    there: int
    stop: Stop
    why: str


@dataclass(frozen=True)
class Coming:
    """What another table would bring.

    Attributes:
        path: Of the other table, or its run folder.
        rows: That do not stand here yet.
        disagreements: To be settled before they come.
    """

    path: Path
    rows: tuple[Correction, ...]
    disagreements: tuple[Disagreement, ...]


def coming(solution: Solution, other: Path) -> Coming:
    """Looks at another person's table; writes nothing.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    ours, both, clashes = put_together(RunFolder(solution.path), other)
    rows = {row.line: row for row in both.rows}
    found = [
        Disagreement(clash.first, clash.second, _stop(solution, rows[clash.first], rows[clash.second]), clash.why) for clash in clashes
    ]
    return Coming(other, both.rows[len(ours) :], tuple(found))


def yielding(disagreements: tuple[Disagreement, ...], stands: list[str]) -> set[int]:
    """Returns the lines that are undone: of each disagreement the one that does not stand.

    Args:
        disagreements: All of them.
        stands: HERE or THERE for each.
    """
    return {found.there if side == HERE else found.here for found, side in zip(disagreements, stands, strict=True)}


def _stop(solution: Solution, here: Correction, there: Correction) -> Stop:
    neurons = dict.fromkeys(k for row in (here, there) for k in (_neuron(solution, row.neuron),) if k != UNKNOWN)
    placed = here if here.t is not None else there
    t = placed.t
    if t is None:  # of all volumes: the first that shows who it is about
        shown = [int(t) for k in neurons for t in (solution.row_of[k] >= 0).nonzero()[0][:1]]
        t = shown[0] if shown else 0
    position = here.position_um or there.position_um
    for k in neurons:
        if position is None and t < solution.n_volumes and solution.row_of[k, t] >= 0:
            z, y, x = (float(axis) for axis in solution.detections.position_um[solution.row_of[k, t]])
            position = (z, y, x)
    volume = "all" if placed.t is None else str(placed.t)
    return Stop(t, position, tuple(neurons), (volume, _spoken(here), _spoken(there), ""))


def _neuron(solution: Solution, called: str) -> int:
    if is_id(called):
        return int(called) if int(called) < solution.n_neurons else UNKNOWN
    return solution.names.given.index(called) if called and called in solution.names.given else UNKNOWN


def _spoken(row: Correction) -> str:
    return f"{row.who or 'somebody'}: {in_words(row)}"
