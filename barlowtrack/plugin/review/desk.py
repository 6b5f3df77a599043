"""What is asked, what keys act on, and what was said: the Review panel without its window."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any, Protocol

from psygnal import Signal

from barlowtrack.answers import Answer, SaidAlreadyError, give_all, queue, take_all_back
from barlowtrack.data import UNKNOWN, Correction, Corrections
from barlowtrack.errors import BarlowtrackError, InputError
from barlowtrack.identity.review import Question
from barlowtrack.plugin.review.choices import Choice, choices
from barlowtrack.plugin.review.resolving import waiting
from barlowtrack.plugin.review.subjects import Subject, described, of_neuron, of_question, of_row
from barlowtrack.plugin.review.words import again, in_words, last_said
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution
from barlowtrack.storage import RunFolder, read_corrections

N_QUESTIONS = 20
THERE_UM = 0.5
"""A nucleus within this of a place is the one that is meant by it."""


class Line(Protocol):
    """Does work in order, see in_order.InOrder."""

    def do(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None] | None = None) -> None: ...


class Desk:
    """Puts questions, and writes answers down as they come.

    Args:
        session: Which run, and where to look.
        line: Writes; in the order in which things were said.

    Signals:
        turned: () other questions, another one of them, or another subject.
        told: (text, good) what was written, or why nothing was.
        table: (corrections, waiting) what stands in the table, and whether the tracks do not heed all of it yet.
    """

    turned = Signal()
    told = Signal(str, bool)
    table = Signal(object, bool)

    def __init__(self, session: Session, line: Line) -> None:
        self.session, self._line = session, line
        self.who = _login()
        self.questions: tuple[Question, ...] = ()
        self.at = -1
        self.subject: Subject | None = None
        self.asking = False
        self.in_sight = True  # whether somebody sees what is asked; else the viewer stays where it is
        self._owed = False
        self.held: Callable[[], bool] = lambda: False  # whether clicks mean something else just now
        self._answered: set[int] = set()
        self._put_aside: set[tuple[Any, ...]] = set()
        self._together: list[tuple[int, ...]] = []
        self._undone: list[tuple[Answer, ...]] = []
        self._going = False
        session.solved.connect(self._solved)
        session.chosen_changed.connect(self._chosen)
        session.moved.connect(self._moved)
        session.pointed.connect(self._pointed)
        session.looked.connect(self._looked)
        session.said.connect(self.read_table)

    # what is asked

    @property
    def question(self) -> Question | None:
        """The one that is put; None where all are answered."""
        return self.questions[self.at] if 0 <= self.at < len(self.questions) else None

    @property
    def is_answered(self) -> bool:
        """Whether the question that is put has its answer."""
        return self.at in self._answered

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What number keys say of the subject."""
        solution = self.session.solution
        return () if solution is None or self.subject is None else choices(solution, self.subject)

    def ask(self) -> None:
        """Looks for questions anew, in the background; what was said counts."""
        solution = self.session.solution
        if solution is None:
            return
        folder, self.asking = RunFolder(solution.path), True
        if self.subject is not None and self.subject.question is not None:
            self.at, self.subject = -1, None  # keys mean nothing until the next question is seen
        self._line.do(
            lambda: queue(folder, N_QUESTIONS + len(self._put_aside)), lambda found: self._asked(solution, found), self._not_asked
        )
        self.turned.emit()

    def step(self, by: int) -> None:
        """Goes to the next question that is not answered, or to the one before; asks for more where there is none."""
        if by < 0:
            self._go(max(self.at - 1, 0))
            return
        left = self.question is not None and not self.is_answered
        if left and self.subject is not None and self.subject.question is None:
            self._go(self.at)  # from a nucleus that was clicked in between
            return
        ahead = [i for i in range(self.at + 1, len(self.questions)) if i not in self._answered]
        back = [i for i in range(self.at) if i not in self._answered]
        if ahead or back:
            self._go((ahead or back)[0])
        elif left:
            self._go(self.at)
        else:
            self.ask()

    def skip(self) -> None:
        """Puts the question aside: it is not asked again."""
        if self.question is not None:
            self._put_aside.add(_key(self.question))
            self._answered.add(self.at)
            self.told.emit("Put aside; nothing was written.", True)
            self.step(1)

    def back_to_question(self) -> None:
        """Leaves the nucleus that was clicked."""
        self._go(self.at)

    def appear(self, in_sight: bool) -> None:
        """Hears whether the panel is in sight; goes to its question when it comes into it."""
        self.in_sight = in_sight
        if in_sight and self._owed and self.subject is not None and self.subject.question is not None:
            self._look(self.subject)

    # what is said

    def choose(self, number: int) -> None:
        """Says what stands under a number key, counted from 0."""
        offered = self.choices
        if number < len(offered):
            if offered[number].answers:
                self.say(offered[number].answers, offered[number].follows)
            else:
                self.skip()

    def say(self, answers: tuple[Answer, ...], follows: str = "") -> None:
        """Writes answers, all or none, in the background, and goes on to the next question if this one was about them.

        Args:
            answers: What is said.
            follows: What follows from it at once, in words.
        """
        solution, subject, at = self.session.solution, self.subject, self.at
        assert solution is not None, "there is something to speak of"
        folder, who = RunFolder(solution.path), self.who
        about = "" if subject is None else described(solution, subject)
        asked = subject is not None and subject.question is not None

        def refused(error: BaseException) -> None:
            if isinstance(error, SaidAlreadyError):
                self.told.emit(f"{error}.", True)
                return
            if asked:
                self._answered.discard(at)
            self._refused(error, about)

        self.told.emit("Saving...", True)
        self._line.do(lambda: give_all(folder, answers, who), lambda rows: self._written(rows, follows, anew=True), refused)
        if asked:
            self._answered.add(at)
            self.step(1)

    def undo(self) -> None:
        """Takes back what was said last, whoever said it."""
        solution = self.session.solution
        if solution is not None:
            folder, who = RunFolder(solution.path), self.who

            def work() -> list[Correction]:
                known = read_corrections(folder.path)
                lines = last_said(known, self._together)
                if not lines:
                    raise InputError("nothing is left that could be taken back")
                take_all_back(folder, lines, who)
                return [row for row in known.rows if row.line in lines]

            self._line.do(work, self._taken_back, self._refused)

    def take_back(self, line: int) -> None:
        """Takes back one line of the table."""
        solution = self.session.solution
        if solution is not None:
            folder, who = RunFolder(solution.path), self.who

            def work() -> list[Correction]:
                known = read_corrections(folder.path)
                take_all_back(folder, (line,), who)
                return [row for row in known.rows if row.line == line]

            self._line.do(work, self._taken_back, self._refused)

    def redo(self) -> None:
        """Says again what was taken back last."""
        solution = self.session.solution
        if solution is None:
            return
        folder, who = RunFolder(solution.path), self.who

        def work() -> tuple[Correction, ...]:
            if not self._undone:
                raise InputError("nothing was taken back that could be said again")
            rows = give_all(folder, self._undone[-1], who)
            self._undone.pop()
            return rows

        self._line.do(work, lambda rows: self._written(rows, anew=False), self._refused)

    def read_table(self) -> None:
        """Reads what was said, in the background."""
        solution = self.session.solution
        if solution is not None:
            self._line.do(lambda: (read_corrections(solution.path), waiting(solution)), self._read, self._refused)

    # what came of it

    def _written(self, rows: tuple[Correction, ...], follows: str = "", *, anew: bool) -> None:
        if anew:
            self._undone.clear()
        self._together.append(tuple(row.line for row in rows))
        lines = ", ".join(str(row.line) for row in rows)
        said = "; ".join(in_words(row) for row in rows)
        self.told.emit(f"Saved as line{'s' if len(rows) > 1 else ''} {lines}: {said}{follows and f', {follows}'}.", True)
        self.session.tell()

    def _taken_back(self, rows: list[Correction]) -> None:
        self._undone.append(tuple(again(row) for row in rows))
        self.told.emit(f"Taken back: {'; '.join(in_words(row) for row in rows)}.", True)
        self.session.tell()

    def _refused(self, error: BaseException, about: str = "") -> None:
        if not isinstance(error, (BarlowtrackError, OSError)):
            raise error
        self.told.emit(f"Not written{f' ({about})' if about else ''}: {error}", False)
        self.turned.emit()

    def _read(self, found: tuple[Corrections, bool]) -> None:
        self.table.emit(*found)

    def _asked(self, solution: Solution, found: tuple[Question, ...]) -> None:
        self.asking = False
        if self.session.solution is not solution:
            return
        self.questions = tuple(question for question in found if _key(question) not in self._put_aside)[:N_QUESTIONS]
        self._answered.clear()
        if self.subject is not None and self.subject.question is None:
            self.at = 0 if self.questions else -1  # a person looks at another nucleus: it stays the one that is meant
            self.turned.emit()
        else:
            self._go(0 if self.questions else -1)

    def _not_asked(self, error: BaseException) -> None:
        self.asking = False
        self._refused(error)

    # where it is

    def _go(self, at: int) -> None:
        solution = self.session.solution
        self.at = at
        question = self.question
        self.subject = None if solution is None or question is None else of_question(solution, question)
        if self.subject is not None:
            self._look(self.subject)
        self.turned.emit()

    def _look(self, subject: Subject) -> None:
        self._owed = not self.in_sight
        if self._owed:
            return
        self._going = True  # what is chosen now is chosen by the question
        try:
            self.session.look(subject.stop)
        finally:
            self._going = False

    def _solved(self, solution: Solution | None, old: Solution | None) -> None:
        self.questions, self.at, self.subject = (), -1, None
        self._answered.clear()
        if old is None:
            self._put_aside.clear()
            self._together.clear()
            self._undone.clear()
        self.turned.emit()
        if solution is not None:
            self.ask()
            self.read_table()

    def _chosen(self, neurons: tuple[int, ...]) -> None:
        if not self._going and not self.held() and neurons and self.session.solution is not None:
            self._take(of_neuron(self.session.solution, neurons[-1], self.session.t))

    def _pointed(self, row: int) -> None:
        if self.session.solution is not None and not self.held():
            self._take(of_row(self.session.solution, row))

    def _looked(self, place_um: tuple[float, float, float]) -> None:
        """Takes the nucleus that somebody goes to see, as one that a list of changes tells of."""
        solution = self.session.solution
        if solution is not None and not self._going and not self.held():
            row = solution.nearest(self.session.t, place_um, THERE_UM)
            if row is not None:
                self._take(of_row(solution, row))

    def _moved(self, t: int) -> None:
        """A neuron that a person chose is meant in the volume that is shown; a question, or a nucleus that is nobody, stays where it is."""
        solution, subject = self.session.solution, self.subject
        if self._going or self.held() or solution is None or subject is None or subject.question is not None:
            return
        if subject.neuron != UNKNOWN:
            self._take(of_neuron(solution, subject.neuron, t))

    def _take(self, subject: Subject) -> None:
        self.subject = subject
        self.turned.emit()


def _key(question: Question) -> tuple[Any, ...]:
    """By which a question is known again that was put aside."""
    if question.kind in ("same", "nobody"):
        return question.kind, question.neuron, question.other
    return "who", question.t, question.label


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
