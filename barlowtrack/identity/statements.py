"""Which neurons people speak of, and where two of them, or one of them twice, say what cannot both be true.

Ids and names are nodes; a name given to a neuron, and a merge of two, join them. What is joined is one neuron. The order of the rows
does not matter, so that the tables of two people can be put together; but a name that a merge made an id's cannot then be given to
another id, where a merge may well join an id to a name that another id has.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from barlowtrack.data.corrections import Correction, Corrections, is_id
from barlowtrack.errors import InputError


@dataclass(frozen=True)
class Clash:
    """Two lines that cannot both be true.

    Attributes:
        first: Line of the one.
        second: Line of the other, further down.
        why: In words.
    """

    first: int
    second: int
    why: str

    @property
    def lines(self) -> tuple[int, int]:
        """Both."""
        return self.first, self.second

    def error(self) -> InputError:
        """Returns what is raised where this cannot stand."""
        return InputError(f"corrections.csv: lines {self.first} and {self.second} clash: {self.why}; undo one of them")


@dataclass(frozen=True)
class Statements:
    """What a table says, neurons being called by one of their ids or names each.

    Attributes:
        rows: In force.
        detections: The detection that each row speaks of, None where it speaks of none.
        clashes: What cannot stand, by line.
    """

    rows: tuple[Correction, ...]
    detections: tuple[Hashable, ...]
    clashes: tuple[Clash, ...]
    _above: Mapping[str, str] = field(repr=False)

    def neuron(self, called: str) -> str:
        """Returns what all calls of one neuron have in common: the id that stays, or a name where it has none."""
        return _top(self._above, called)

    def moved(self, neuron: str, t: int) -> str:
        """Returns who the neuron of that common name is in volume t, after all splits."""
        row = self.split_of(neuron, t)
        passed = {neuron}
        while row is not None and self.neuron(row.other) not in passed:
            neuron = self.neuron(row.other)
            passed.add(neuron)
            row = self.split_of(neuron, t)
        return neuron

    def split_of(self, neuron: str, t: int) -> Correction | None:
        """Returns the split that makes it another neuron in volume t; of several the one that begins last."""
        found = [row for row in self.of("split") if self.neuron(row.neuron) == neuron and _covers(row, t)]
        return max(found, key=lambda row: (row.t or 0, row.line), default=None)

    def of(self, what: str) -> list[Correction]:
        """Returns the rows that say this."""
        return [row for row in self.rows if row.what == what]


def state(rows: Sequence[Correction], detections: Sequence[Hashable] | None = None) -> Statements:
    """Finds out which neurons the rows speak of, and what clashes.

    Args:
        rows: In force, by line.
        detections: Which detection each row speaks of; where not known, detections are told apart by what the rows say of them.
    """
    said = tuple(detections) if detections is not None else tuple(_said_detection(row) for row in rows)
    above: dict[str, str] = {}
    owner: dict[str, Correction] = {}
    found: list[_Found] = []
    for i, row in enumerate(rows):
        if row.what == "merge":
            _join(above, row.neuron, row.other)
        elif row.what == "name" and row.other not in owner:
            neuron, other = _top(above, row.neuron), _top(above, row.other)
            if is_id(neuron) and is_id(other) and neuron != other:
                merges = [merge for merge in rows[:i] if merge.what == "merge" and _top(above, merge.neuron) == other]
                found.append((merges[-1], row, f"{row.other} is neuron {other}, which was merged with it, and {row.neuron}"))
                continue
            owner[row.other] = row
            _join(above, row.neuron, row.other)
    statements = Statements(tuple(rows), said, (), above)
    found += [*_names(statements, owner), *_splits(statements), *_detections(statements), *_existence(statements)]
    ordered = sorted({(min(a.line, b.line), max(a.line, b.line), why) for a, b, why in found})
    return Statements(statements.rows, said, tuple(Clash(*clash) for clash in ordered), above)


def merge_corrections(ours: Corrections, theirs: Corrections) -> tuple[Corrections, tuple[Clash, ...]]:
    """Puts the tables of two people together.

    Without the detections at hand, only rows of one atlas can be compared, and only detections that are named alike.

    Returns:
        All rows, ours first, each once; and what clashes among them, by the lines of the new table.
    """
    both = ours.followed_by(theirs)
    rows = both.in_force
    of_one_atlas = [state([row for row in rows if row.atlas == mark]).clashes for mark in sorted({row.atlas for row in rows})]
    return both, tuple(sorted((clash for clashes in of_one_atlas for clash in clashes), key=lambda clash: clash.lines))


_Found = tuple[Correction, Correction, str]


def _names(statements: Statements, owner: Mapping[str, Correction]) -> list[_Found]:
    """One name for two neurons, two names for one."""
    found: list[_Found] = []
    first: dict[str, Correction] = {}
    for row in statements.of("name"):
        neuron = statements.neuron(row.neuron)
        if row.other not in owner:
            continue  # refused already
        if neuron != statements.neuron(owner[row.other].neuron):
            found.append((owner[row.other], row, f"{row.other} is the name of two neurons, {owner[row.other].neuron} and {row.neuron}"))
        elif first.setdefault(neuron, row).other != row.other:
            found.append((first[neuron], row, f"neuron {row.neuron} has two names, {first[neuron].other} and {row.other}"))
    return found


def _splits(statements: Statements) -> list[_Found]:
    """A neuron that is split off from itself, from two neurons, or twice from one at the same place."""
    found: list[_Found] = []
    by_other: dict[str, Correction] = {}
    by_start: dict[tuple[str, int | None], Correction] = {}
    for row in statements.of("split"):
        neuron, other = statements.neuron(row.neuron), statements.neuron(row.other)
        if neuron == other:
            joins = [join for join in statements.rows if join.what in ("merge", "name") and statements.neuron(join.neuron) == neuron]
            found.append((row, joins[-1] if joins else row, f"{row.neuron} and {row.other} are one neuron and are two"))
        before = by_other.setdefault(other, row)
        if before is not row:
            found.append((before, row, f"{row.other} is split off twice"))
        before = by_start.setdefault((neuron, row.t), row)
        if before is not row and statements.neuron(before.other) != other:
            found.append((before, row, f"neuron {row.neuron} becomes two neurons from volume {row.t} on"))
    return found


def _detections(statements: Statements) -> list[_Found]:
    """A detection that is two neurons, or one and none; a neuron that is two detections, or one and absent; or that is split away."""
    found: list[_Found] = []
    whose: dict[Hashable, Correction] = {}
    where: dict[tuple[str, int | None], tuple[Correction, Hashable]] = {}
    spoken = list(zip(statements.rows, statements.detections, strict=True))
    nobody = {said: row for row, said in spoken if row.what == "not-a-neuron" and said is not None}
    absent = {(statements.neuron(row.neuron), row.t): row for row in statements.of("absent")}
    for row, said in spoken:
        if row.what != "is":
            continue
        neuron = statements.neuron(row.neuron)
        before = whose.setdefault(said, row)
        if statements.neuron(before.neuron) != neuron:
            found.append((before, row, f"one detection of volume {row.t} is {before.neuron} and {row.neuron}"))
        before, other = where.setdefault((neuron, row.t), (row, said))
        if other != said:
            same = "" if before.neuron == row.neuron else f" ({before.neuron} and {row.neuron} are one)"
            found.append((before, row, f"neuron {row.neuron} is two detections in volume {row.t}{same}"))
        if (neuron, row.t) in absent:
            found.append((absent[neuron, row.t], row, f"neuron {row.neuron} is absent from volume {row.t} and is there"))
        if said in nobody:
            found.append((nobody[said], row, f"a detection of volume {row.t} is no neuron and is {row.neuron}"))
        split = statements.split_of(neuron, row.t or 0)
        if split is not None:
            found.append((split, row, f"what was {row.neuron} is {split.other} in volume {row.t}"))
    return found


def _existence(statements: Statements) -> list[_Found]:
    """A neuron that is none, of which something else is said."""
    none = {
        statements.neuron(row.neuron): row
        for row, said in zip(statements.rows, statements.detections, strict=True)
        if _dead(row) and said is None
    }
    found: list[_Found] = []
    for row in statements.rows:
        dead = none.get(statements.neuron(row.neuron)) if row.what in ("is", "name", "merge") else None
        if dead is not None:
            found.append((dead, row, f"{dead.neuron} is no neuron and {_spoken(row)}"))
    return found


def _dead(row: Correction) -> bool:
    return row.what == "not-a-neuron" and bool(row.neuron)


def _spoken(row: Correction) -> str:
    match row.what:
        case "is":
            return f"is seen in volume {row.t}"
        case "name":
            return f"is called {row.other}"
        case _:
            return f"is merged: {row.neuron} and {row.other} are one"


def _said_detection(row: Correction) -> Hashable:
    if not row.about_detection:
        return None
    return (row.t, row.label) if row.label is not None else (row.t, row.position_um)


def _covers(row: Correction, t: int) -> bool:
    return (row.t or 0) <= t and (row.until is None or t <= row.until)


def _join(above: dict[str, str], stays: str, joins: str) -> None:
    """Makes one neuron of two: the id stays, of two ids the first."""
    a, b = _top(above, stays), _top(above, joins)
    if a == b:
        return
    if is_id(b) and not is_id(a):
        a, b = b, a
    above[b] = a


def _top(above: Mapping[str, str], called: str) -> str:
    while called in above:
        called = above[called]
    return called
