"""From what a person says to a row of corrections.csv: what cannot stand is refused before it is written."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from barlowtrack.data import UNKNOWN, Correction, Corrections, Detections, Identities
from barlowtrack.data.corrections import FIRST_LINE, LONGEST, cleaned, is_id, place_text
from barlowtrack.errors import InputError, StorageError
from barlowtrack.identity.heed import heed
from barlowtrack.identity.review import Question, review
from barlowtrack.identity.rulings import Rulings, place_of, rule, witnesses_of
from barlowtrack.identity.statements import Clash, merge_corrections
from barlowtrack.pipeline import preparation_of, read
from barlowtrack.seen import Edition, Seen, astray, left_out
from barlowtrack.storage import RunFolder, append_corrections, read_corrections
from barlowtrack.storage.corrections import NAME as TABLE
from barlowtrack.storage.corrections import read_table

SURELY_FOLLOWED = 0.9


@dataclass(frozen=True)
class Answer:
    """What a person says; see data.Correction.

    Attributes:
        what: is, not-a-neuron, absent, name, merge, split, add or divide.
        t: Volume.
        until: Last volume of a split.
        label: Of the detection.
        position_um: z, y, x; the nearest detection is meant. Of add, where the nucleus lies; of divide, where the first of two does.
        neuron: Id as tracks show it, or name.
        other: Name, or the other neuron.
        new: Whether a name that nobody has may begin a new neuron.
        other_um: Of divide, where the second nucleus lies.
    """

    what: str
    t: int | None = None
    until: int | None = None
    label: int | None = None
    position_um: Sequence[float] | None = None
    neuron: int | str | None = None
    other: int | str | None = None
    new: bool = False
    other_um: Sequence[float] | None = None


class SaidAlreadyError(InputError):
    """The very same stands in the table, and is in force."""


def give(folder: RunFolder, answer: Answer, who: str | None = None) -> Correction:
    """Writes an answer down; the next run heeds it. Of an edit of detections, the labels of its volume are read.

    Args:
        folder: A run folder whose tracks are not older than its atlas.
        answer: What is said.
        who: Says it; whoever is logged in, where not given.

    Returns:
        The row that was written.

    Raises:
        InputError: it speaks of what is not there, or contradicts an earlier line; nothing was written.
        SaidAlreadyError: a line in force says it; nothing was written.
        StorageError: there are no tracks to correct.
    """
    return give_all(folder, (answer,), who)[0]


def give_all(folder: RunFolder, answers: Sequence[Answer], who: str | None = None) -> tuple[Correction, ...]:
    """Writes several answers down, all of them or none, as where two neurons are exchanged; see give."""
    preparation_of(folder)  # refused where the pictures are not those any more in which somebody saw what they say
    seen, known = Seen(folder), read_corrections(folder.path)
    before = seen.edition(known)
    detections, identities = before.detections, before.identities
    rulings = rule(known, detections, identities)
    rows = [_placed(answer, rulings, seen, known, before, who, line) for line, answer in enumerate(answers, known.next_line)]
    standing = {_bare(row): row.line for row in known.in_force}
    if rows and all(_bare(row) in standing for row in rows):
        said = [str(standing[_bare(row)]) for row in rows]
        who_says = f"lines {', '.join(said)} of corrections.csv say" if len(said) > 1 else f"line {said[0]} of corrections.csv says"
        raise SaidAlreadyError(f"{who_says} so already; nothing was written")

    def check(table: Corrections) -> None:
        earlier, said = table.rows[: -len(rows)], table.rows[-len(rows) :]
        try:
            now = seen.edition(table)
            rule(table, now.detections, now.identities)
        except InputError as error:
            raise _unwritten(error, said[0].line) from None
        for answer, row in zip(answers, said, strict=True):
            if row.what == "is" and not is_id(row.neuron) and not answer.new and not _is_known(row.neuron, Corrections(earlier)):
                raise InputError(_nobody_yet(row, rulings, detections, identities, now.locate(row)))

    witnesses = {identities.mark: witnesses_of(detections, identities)}
    return append_corrections(folder.path, lambda _: rows, witnesses, check)


def _bare(row: Correction) -> Correction:
    """What a row says, without who said it, when and where."""
    return replace(row, who="", when="", line=FIRST_LINE)


def _placed(answer: Answer, rulings: Rulings, seen: Seen, known: Corrections, before: Edition, who: str | None, line: int) -> Correction:
    """The row of an answer, with label and place of the detection that it speaks of."""
    detections = before.detections
    try:
        row = _row(answer, rulings, before.identities, who, line)
        at = before.locate(row)
        if at is not None:
            row = replace(row, label=int(detections.label[at]), position_um=place_of(at, detections, before.identities))
        if row.is_edit:
            row = _stands(row, known, seen, before)
    except InputError as error:
        raise _unwritten(error, line) from None
    if row.what == "is" and answer.new and is_id(row.neuron):
        raise InputError(f"a new neuron: expected a name, got the number {row.neuron}; 'track' numbers it (nothing was written)")
    return row


def _stands(row: Correction, known: Corrections, seen: Seen, before: Edition) -> Correction:
    """Returns an edit with the label that it divides.

    Raises:
        InputError: it cannot be, says what is so already, or takes a detection away of which something was said.
    """
    after = seen.edition(Corrections((*known.rows, row), known.witnesses))
    t = row.t or 0
    edited = after.edited.get(t)
    if edited is None:  # the last run heeds it; where it was taken back since, it is said again
        if any((said.what, said.t, said.position_um, said.other) == (row.what, row.t, row.position_um, row.other) for said in known.edits):
            raise row.refused("this was said already")
        return row
    lost = edited.refused.get(row.line) or left_out(known, before, after)
    if lost is not None:
        raise lost
    if row.line in edited.idle:
        raise row.refused(edited.idle[row.line])
    label = edited.label[row.line]
    if row.label is not None and row.label != label:
        raise row.refused(f"label {row.label} of volume {t} does not hold both places; label {label} does")
    spoken = astray(known, t, before, after)
    if spoken is not None:
        who = f"is {spoken.neuron}" if spoken.what == "is" else "is no neuron"
        raise InputError(
            f"corrections.csv: lines {spoken.line} and {row.line} clash: one detection of volume {t} {who} and is two; undo one of them"
        )
    return replace(row, label=label) if row.what == "divide" else row


def whole_neuron(folder: RunFolder, row: Correction) -> int | None:
    """Returns the neuron that a detection which is none was surely followed as: likely none either, in all volumes."""
    if row.what != "not-a-neuron":
        return None
    now = Seen(folder).edition(read_corrections(folder.path))
    detections, identities = now.detections, now.identities
    at = now.locate(row)
    if at is None or identities.neuron[at] < 0 or identities.probability[at] < SURELY_FOLLOWED:
        return None
    found = int(rule(Corrections(), detections, identities).meaning(detections.t[at : at + 1], identities.neuron[at : at + 1])[0])
    return found


def take_back(folder: RunFolder, line: int, who: str | None = None) -> Correction:
    """Undoes a line of the table, by another line.

    Raises:
        InputError: there is no such line, it is undone already, or another one that could stand cannot do without it.
    """
    return take_all_back(folder, (line,), who)[0]


def take_all_back(folder: RunFolder, lines: Sequence[int], who: str | None = None) -> tuple[Correction, ...]:
    """Undoes several lines that were said together, all of them or none; see take_back."""
    known = read_corrections(folder.path)
    who, when = _signed(who)
    rows = [Correction("undo", other=str(line), who=who, when=when, line=at) for at, line in enumerate(lines, known.next_line)]

    def check(table: Corrections) -> None:
        before = Corrections(table.rows[: -len(rows)], table.witnesses)
        for line in lines:
            if any(row.what == "undo" and row.other == str(line) for row in before.rows):
                raise InputError(f"corrections.csv: line {line} is undone already")
        was, now = _standing(folder, before), _standing(folder, table)
        if isinstance(was, InputError) or was is None:
            return
        if isinstance(now, InputError):
            said = f"line {lines[0]} is undone" if len(lines) == 1 else f"lines {', '.join(map(str, lines))} are undone"
            raise InputError(f"{now} once {said}; undo that one first (nothing was written)")
        lost = left_out(table, was, now) if now is not None else None
        if lost is not None:
            raise InputError(f"{lost}, once line {lines[0]} is undone; undo that one first (nothing was written)")
        for undone in (row for row in before.rows if row.line in lines and row.is_edit):
            spoken = astray(table, undone.t or 0, was, now) if now is not None else None
            if spoken is not None:
                what = f"line {spoken.line} speaks of a detection that line {undone.line} made"
                raise InputError(f"corrections.csv: {what}; undo that one first (nothing was written)")

    return append_corrections(folder.path, lambda _: rows, {}, check)


def _standing(folder: RunFolder, table: Corrections) -> Edition | InputError | None:
    """What a table makes of the detections, or why it cannot stand; None where there is nothing to hold it against: undoing must always be
    possible.
    """
    try:
        now = Seen(folder).edition(table)
        rule(table, now.detections, now.identities)
    except InputError as error:
        return error
    except StorageError:
        return None
    return now


def _unwritten(error: InputError, line: int) -> InputError:
    return InputError(f"{error} (line {line} is the new one; nothing was written)")


def take_over(folder: RunFolder, other: Path, *, yielding: Collection[int] = (), who: str | None = None) -> int:
    """Appends the rows of another run folder's table that this one does not have.

    Args:
        folder: Whose table grows.
        other: The other run folder, or a table of it that somebody sent.
        yielding: Of two lines that clash the one that is undone in the same stroke, as put_together numbers them.
        who: Undoes those; whoever is logged in, where not given.

    Returns:
        How many came over.

    Raises:
        InputError: there is no other table, or the two clash, or the pictures were prepared so that nuclei lie elsewhere there; nothing
            was written. Or somebody else wrote meanwhile.
        StorageError: the pictures have been prepared in another way since nuclei were found in them.
    """
    if (other / "run.json").is_file() and not preparation_of(folder).places_as(preparation_of(RunFolder(other))):
        raise InputError(f"{other}: its pictures are prepared in another way: nuclei lie elsewhere there (nothing was written)")
    ours, both, clashes = put_together(folder, other)
    left = [clash for clash in clashes if not set(clash.lines) & set(yielding)]
    if left:
        rows = {row.line: row for row in both.rows}
        speakers = [f"{rows[line].who or 'somebody'}'s {rows[line].what} of {rows[line].when or 'some time'}" for line in left[0].lines]
        raise InputError(f"{other}: {speakers[0]} and {speakers[1]} clash: {left[0].why}; undo one of them (nothing was written)")
    by, when = _signed(who)
    undone = [Correction("undo", other=str(line), who=by, when=when, line=at) for at, line in enumerate(sorted(yielding), both.next_line)]
    whole = Corrections((*both.rows, *undone), both.witnesses)
    try:
        seen = Seen(folder)
        now = seen.edition(whole)
        rule(whole, now.detections, now.identities)
        lost = left_out(whole, seen.edition(ours), now)
        if lost is not None:
            raise lost
    except InputError as error:
        raise InputError(f"{other}: {error} (lines of both tables, ours first; nothing was written)") from None
    coming = whole.rows[len(ours) :]
    if not coming:
        return 0

    def numbered(first: int) -> list[Correction]:
        line_of = {i: row.line for i, row in enumerate(ours.rows, FIRST_LINE)}
        line_of |= {row.line: line for line, row in enumerate(coming, first)}
        return [replace(row, other=str(line_of[int(row.other)])) if row.what == "undo" else row for row in coming]

    def check(table: Corrections) -> None:
        if [row.line for row in table.rows[: -len(coming)]] != [row.line for row in ours.rows]:
            raise InputError(f"{folder.path}: somebody else wrote an answer meanwhile; take the rows over again")

    append_corrections(folder.path, numbered, both.witnesses, check)
    return len(both) - len(ours)


def put_together(folder: RunFolder, other: Path) -> tuple[Corrections, Corrections, tuple[Clash, ...]]:
    """Says what another person's table would bring, and writes nothing.

    Args:
        folder: Whose table would grow.
        other: The other run folder, or a table of it that somebody sent.

    Returns:
        The rows that stand here; all rows, those first; and what clashes among them, by the lines of all.

    Raises:
        InputError: there is no other table, or one cannot be read.
    """
    table = other / TABLE if other.is_dir() else other
    if not table.is_file():
        raise InputError(f"{other}: expected a run folder with a {TABLE}, got none")
    ours = read_corrections(folder.path)
    return ours, *merge_corrections(ours, read_table(table))


def queue(folder: RunFolder, n: int) -> tuple[Question, ...]:
    """Returns the n questions whose answers promise most; what was said since the last run counts already.

    A volume whose detections were edited since is asked about again once a run has looked at them.

    Raises:
        StorageError: there are no tracks yet.
        InputError: the corrections cannot stand.
    """
    known = read_corrections(folder.path)
    seen = Seen(folder)
    now = seen.edition(known)
    rulings = rule(known, now.detections, now.identities)
    heard = heed(rulings, now.detections, seen.vectors(now), read("atlas", folder), now.identities)
    asked = review(now.detections, heard, rulings, n + len(now.pending))
    return tuple(question for question in asked if question.t not in now.pending)[:n]


def _row(answer: Answer, rulings: Rulings, identities: Identities, who: str | None, line: int) -> Correction:
    neuron, other = (_called(called, rulings) for called in (answer.neuron, answer.other))
    if answer.what == "split" and not other:
        other = f"{neuron}-from-{answer.t}"
    if answer.what == "divide" and answer.other_um is not None:
        other = place_text(answer.other_um)
    elif answer.other_um is not None:
        raise InputError(f"{answer.what}: expected no second place, got one; only divide takes it")
    who, when = _signed(who)
    place = None if answer.position_um is None else tuple(round(float(axis), 4) for axis in answer.position_um)
    return Correction(
        answer.what, t=answer.t, until=answer.until, label=answer.label, position_um=place, neuron=neuron, other=other,  # type: ignore[arg-type]
        atlas=identities.mark, line=line, who=who, when=when,
    )  # fmt: skip


def _called(called: int | str | None, rulings: Rulings) -> str:
    """Ids of neurons that people added depend on who else did: those are called by their names."""
    text = "" if called is None else cleaned(str(called))
    if is_id(text):
        number = int(text)
        added = number < len(rulings.entry) and rulings.entry[number] == UNKNOWN
        return rulings.name[number] if added else str(number)
    return text


def _is_known(name: str, known: Corrections) -> bool:
    return any(name in (row.neuron, row.other if row.what != "undo" else "") for row in known.in_force)


def _nobody_yet(row: Correction, rulings: Rulings, detections: Detections, identities: Identities, at: int | None) -> str:
    here = UNKNOWN if at is None else int(rulings.meaning(detections.t[at : at + 1], identities.neuron[at : at + 1])[0])
    named = f"; if neuron {here}, which it is now, is to be called so everywhere, say --name {here} {row.neuron}" if here >= 0 else ""
    return f"nobody is called {row.neuron} yet{named}; for a neuron that the atlas does not know, say --new (nothing was written)"


def _signed(who: str | None) -> tuple[str, str]:
    """Who says it, and when."""
    if who is None:
        try:
            who = getpass.getuser()
        except (KeyError, OSError):
            who = ""
    return cleaned(cleaned(who)[:LONGEST]), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
