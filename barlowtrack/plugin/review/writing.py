"""What is said is written down as it comes, taken back, and said again; what stands in the table is read."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from psygnal import Signal

from barlowtrack.answers import Answer, SaidAlreadyError, give_all, take_all_back
from barlowtrack.data import Correction, Corrections
from barlowtrack.errors import BarlowtrackError, InputError
from barlowtrack.plugin.listening import Listening
from barlowtrack.plugin.review.resolving import waiting
from barlowtrack.plugin.review.strokes import Lines, in_sight, stroke_of, strokes
from barlowtrack.plugin.review.words import again, in_words, last_said
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution
from barlowtrack.storage import RunFolder, read_corrections
from barlowtrack.storage.corrections import NAME

MOST_REFUSALS = 3
"""That are told at once; the table below lists all."""

Stamp = tuple[int, int] | None
"""Nanoseconds of its last change, and bytes, of a file; None where there is none."""


class Line(Protocol):
    """Does work in order, see in_order.InOrder."""

    def do(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None] | None = None) -> None: ...


@dataclass
class Refusal:
    """An answer that was not written.

    Attributes:
        about: What it spoke of, as one knows it again.
        text: Why it was not written.
        seen: Whether somebody has seen it.
    """

    about: object
    text: str
    seen: bool = False


@dataclass
class Memory:
    """What is known of the run that is open: another run has another one, so that an answer on its way stays with its own.

    Attributes:
        path: The run folder.
        together: Lines that were said in one stroke, since the run was opened.
        undone: What was taken back, to be said again.
        seen: Lines that are listed, or were told as saved.
        refused: What was not written.
        stamp: Of the table when it was read last.
    """

    path: Path
    together: list[Lines] = field(default_factory=list)
    undone: list[tuple[Answer, ...]] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    refused: list[Refusal] = field(default_factory=list)
    stamp: Stamp = None

    @property
    def table(self) -> Path:
        """Where it is written."""
        return self.path / NAME


class Writing:
    """Writes, in the background, into the run that is open when something is said.

    Args:
        session: Which run.
        line: Does it, in the order in which things were said.
        listening: Ends with the window; None: never.

    Signals:
        told: (text, good) what was written, or why nothing was; a refusal is told again until it was seen.
        table: (corrections, waiting) what stands in the table, and whether the tracks do not heed all of it yet.
        refused: () other refusals are to be listed.
    """

    told = Signal(str, bool)
    table = Signal(object, bool)
    refused = Signal()

    def __init__(self, session: Session, line: Line, listening: Listening | None = None) -> None:
        self.session, self._line = session, line
        self.listening = listening or Listening()
        self.who = _login()
        self._memory: Memory | None = None
        self.remember(session.solution, None)
        self.listening.to(session.said, self.read_table)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was not written since the run was opened, the newest first."""
        return () if self._memory is None else tuple(reversed(self._memory.refused))

    def remember(self, solution: Solution | None, old: Solution | None) -> None:
        """Begins anew where another run is open."""
        if solution is None or old is None:
            self._memory = None if solution is None else Memory(solution.path)
            self.refused.emit()

    def write(self, answers: tuple[Answer, ...], about: str, key: object, refused: Callable[[], None], follows: str = "") -> None:
        """Writes answers, all or none.

        Args:
            answers: What is said.
            about: What they speak of, in words.
            key: By which that is known again: a refusal counts as seen where the same is spoken of again.
            refused: Called where nothing was written, as it cannot be.
            follows: What follows from it at once, in words.
        """
        memory, who = self._memory, self.who
        assert memory is not None, "there is something to speak of"

        def not_written(error: BaseException) -> None:
            if isinstance(error, SaidAlreadyError):
                self.told.emit(f"{error}.", True)
                return
            self._ours(error)
            memory.refused.append(Refusal(key, f"Not written ({about}): {error}" if about else f"Not written: {error}"))
            if memory is self._memory:
                refused()
                self._tell(memory)
                self.refused.emit()
            else:
                self.told.emit(f"{memory.path.name}: {memory.refused[-1].text}", False)

        self.seen(lambda refusal: refusal.about == key)
        self._tell(memory, "Saving...")
        self._line.do(
            lambda: give_all(RunFolder(memory.path), answers, who),
            lambda rows: self._written(memory, rows, follows, anew=True),
            not_written,
        )

    def seen(self, which: Callable[[Refusal], bool] = lambda _: True) -> None:
        """Tells refusals no more, as somebody has seen them; they stay in the list."""
        for refusal in self.refusals:
            refusal.seen = refusal.seen or which(refusal)

    def undo(self) -> None:
        """Takes back what was said last, whoever said it, of what is listed."""
        memory = self._memory
        if memory is not None:
            self._take_back(memory, lambda known: last_said(in_sight(known, memory.seen), (*memory.together, *strokes(known))))

    def take_back(self, line: int) -> None:
        """Takes back one line of the table, with what was said in one stroke with it."""
        memory = self._memory
        if memory is not None:
            self._take_back(memory, lambda known: stroke_of(line, known, memory.together))

    def stroke_of(self, line: int, known: Corrections) -> Lines:
        """Returns the lines that are taken back with one of them."""
        return stroke_of(line, known, self._memory.together if self._memory is not None else ())

    def redo(self) -> None:
        """Says again what was taken back last."""
        memory, who = self._memory, self.who
        if memory is None:
            return

        def work() -> tuple[Correction, ...]:
            if not memory.undone:
                raise InputError("nothing was taken back that could be said again")
            rows = give_all(RunFolder(memory.path), memory.undone[-1], who)
            memory.undone.pop()
            return rows

        self._line.do(work, lambda rows: self._written(memory, rows, anew=False), self._not_done)

    def read_table(self) -> None:
        """Reads what was said."""
        memory, solution = self._memory, self.session.solution
        if memory is None or solution is None or solution.path != memory.path:
            return

        def work() -> tuple[Stamp, Corrections, bool]:
            return stamp_of(memory.table), read_corrections(memory.path), waiting(solution)

        memory.stamp = stamp_of(memory.table)  # what cannot be read is tried again when it has changed
        self._line.do(work, lambda found: self._read(memory, *found), self._unread)

    def look_again(self) -> None:
        """Reads the table where somebody else has changed it."""
        if self._memory is not None and self._memory.stamp != stamp_of(self._memory.table):
            self.read_table()

    # what came of it

    def _take_back(self, memory: Memory, which: Callable[[Corrections], Lines]) -> None:
        who = self.who

        def work() -> tuple[list[Correction], int]:
            known = read_corrections(memory.path)
            lines = which(known)
            if not lines:
                raise InputError("nothing is left that could be taken back")
            take_all_back(RunFolder(memory.path), lines, who)
            unseen = len([row for row in known.in_force if row.line not in memory.seen])
            return [row for row in known.rows if row.line in lines], unseen

        self._line.do(work, lambda found: self._taken_back(memory, *found), self._not_done)

    def _written(self, memory: Memory, rows: tuple[Correction, ...], follows: str = "", *, anew: bool) -> None:
        if anew:
            memory.undone.clear()
        memory.together.append(tuple(row.line for row in rows))
        memory.seen.update(row.line for row in rows)
        lines = ", ".join(str(row.line) for row in rows)
        said = "; ".join(in_words(row) for row in rows)
        self._told_of(memory, f"Saved as line{'s' if len(rows) > 1 else ''} {lines}: {said}{follows and f', {follows}'}.")

    def _taken_back(self, memory: Memory, rows: list[Correction], unseen: int) -> None:
        memory.undone.append(tuple(again(row) for row in rows))
        others = f" Somebody else wrote {unseen} more meanwhile, which stay." if unseen else ""
        self._told_of(memory, f"Taken back: {'; '.join(in_words(row) for row in rows)}.{others}")

    def _told_of(self, memory: Memory, text: str) -> None:
        """Tells what was written; of a run that is open no more, which that is."""
        if memory is self._memory:
            self._tell(memory, text)
            self.session.tell()
        else:
            self.told.emit(f"{memory.path.name}: {text}", True)

    def _tell(self, memory: Memory, text: str = "") -> None:
        """Tells something, and before it the refusals that nobody has seen yet."""
        unseen = [refusal.text for refusal in memory.refused if not refusal.seen]
        more = [f"{len(unseen) - MOST_REFUSALS} more were not written, see below."] if len(unseen) > MOST_REFUSALS else []
        self.told.emit("\n".join([*unseen[-MOST_REFUSALS:], *more, *([text] if text else [])]), not unseen)

    def _not_done(self, error: BaseException) -> None:
        self._ours(error)
        self.told.emit(f"Not written: {error}", False)

    def _read(self, memory: Memory, stamp: Stamp, known: Corrections, waits: bool) -> None:
        if memory is self._memory:
            memory.stamp = stamp
            memory.seen.update(row.line for row in known.rows)
            self.table.emit(known, waits)

    def _unread(self, error: BaseException) -> None:
        self._ours(error)
        self.told.emit(f"What was said cannot be read: {error}", False)

    @staticmethod
    def _ours(error: BaseException) -> None:
        if not isinstance(error, (BarlowtrackError, OSError)):
            raise error


def stamp_of(path: Path) -> Stamp:
    """Returns what tells whether a file has changed; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
