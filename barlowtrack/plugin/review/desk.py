"""What is asked, and what keys act on: the Review panel without its window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from psygnal import Signal

from barlowtrack.answers import Answer, queue
from barlowtrack.data import UNKNOWN, Correction
from barlowtrack.errors import BarlowtrackError
from barlowtrack.identity.review import Question
from barlowtrack.plugin.listening import Listening
from barlowtrack.plugin.review.choices import Choice, choices
from barlowtrack.plugin.review.subjects import THERE_UM, Subject, described, of_neuron, of_now, of_question, of_row
from barlowtrack.plugin.review.writing import Line, Memory, Writing
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution
from barlowtrack.storage import RunFolder

N_QUESTIONS = 20


class Desk(Writing):
    """Puts questions, and writes answers down as they come.

    Args:
        session: Which run, and where to look.
        line: Writes; in the order in which things were said.
        seeking: Looks for questions, which takes longer than to write; None: the line does.
        listening: Ends with the window; None: never.

    Signals:
        turned: () other questions, another one of them, or another subject.
    """

    turned = Signal()

    def __init__(self, session: Session, line: Line, seeking: Line | None = None, listening: Listening | None = None) -> None:
        super().__init__(session, line, listening)
        self._seeking = seeking or line
        self.questions: tuple[Question, ...] = ()
        self.at = -1
        self.subject: Subject | None = None
        self.asking = False
        self.why_none = ""  # why nobody knows what is in doubt
        self.in_sight = True  # whether somebody sees what is asked; else the viewer stays where it is
        self._owed = False
        self.held: Callable[[], bool] = lambda: False  # whether clicks mean something else just now
        self._answered: set[int] = set()
        self._lately: set[tuple[Any, ...]] = set()  # answered since questions were asked for
        self._put_aside: set[tuple[Any, ...]] = set()
        self._asks = self._from_t = 0
        self._going = False
        for signal, slot in (
            (session.solved, self._solved),
            (session.chosen_changed, self._chosen),
            (session.moved, self._moved),
            (session.pointed, self._pointed),
            (session.looked, self._looked),
        ):
            self.listening.to(signal, slot)

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
        """Looks for questions anew, in the background; what was said so far counts, so it is written first."""
        solution = self.session.solution
        if solution is None:
            return
        self._asks += 1
        number, self.asking, self.why_none = self._asks, True, ""
        self._lately.clear()
        self._line.do(lambda: None, lambda _: self._seek(solution.path, number))
        self.turned.emit()

    def _seek(self, path: Path, number: int) -> None:
        if number == self._asks:
            self._from_t, n = self.session.t, N_QUESTIONS + len(self._put_aside)
            self._seeking.do(
                lambda: queue(RunFolder(path), n), lambda found: self._asked(number, found), lambda error: self._not_asked(number, error)
            )

    def _asked(self, number: int, found: Sequence[Question]) -> None:
        """Puts the first question; where a person is at something else by now, they stay where they are and what keys mean stays, too."""
        if number != self._asks:
            return  # another run is open, or they were asked for again
        self.asking = False
        known = self._put_aside | self._lately
        self.questions = tuple(question for question in found if _key(question) not in known)[:N_QUESTIONS]
        self._answered.clear()
        if self.subject is None and not self.held() and (not self.in_sight or self.session.t == self._from_t):
            self._go(0 if self.questions else -1)
            return
        put = self.subject.question if self.subject is not None else None
        keys = [_key(question) for question in self.questions]
        self.at = keys.index(_key(put)) if put is not None and _key(put) in keys else -1
        self.turned.emit()

    def _not_asked(self, number: int, error: BaseException) -> None:
        if not isinstance(error, (BarlowtrackError, OSError)):
            raise error
        if number == self._asks:
            self.asking, self.why_none = False, str(error)
            self.turned.emit()

    def step(self, by: int) -> None:
        """Goes to the next question that is not answered, or to the one before; asks for more where there is none."""
        if by < 0:
            self._go(max(self.at - 1, 0))
            return
        left = self.question is not None and not self.is_answered
        if left and (self.subject is None or self.subject.question is None):
            self._go(self.at)  # from a nucleus that was clicked in between
            return
        ahead = [i for i in range(self.at + 1, len(self.questions)) if i not in self._answered]
        back = [i for i in range(self.at) if i not in self._answered]
        if ahead or back:
            self._go((ahead or back)[0])
        elif left:
            self._go(self.at)
        else:
            self.at, self.subject = -1, None
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
        self._go(0 if self.at < 0 and self.questions else self.at)

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
        solution, subject, at, questions = self.session.solution, self.subject, self.at, self.questions
        assert solution is not None, "there is something to speak of"
        edit = answers[0] if answers and answers[0].what in ("add", "divide") else None
        if edit is not None and (subject is None or edit.what == "add" or (edit.t, edit.label) != (subject.t, subject.label)):
            subject = None  # the clicks said what it is about
            about = f"a nucleus that is missing in volume {edit.t}" if edit.what == "add" else f"nucleus {edit.label} of volume {edit.t}"
            key = (edit.what, edit.t, edit.label)
        else:
            about = "" if subject is None else described(solution, subject)
            key = ("", None, None) if subject is None else ("who", subject.t, subject.neuron if subject.label is None else subject.label)
        question = None if subject is None else subject.question
        keys = {key} if question is None else {key, _key(question)}

        def refused() -> None:
            self._lately -= keys
            if question is not None and self.questions is questions:
                self._answered.discard(at)
            self.turned.emit()

        self.write(answers, about, key, refused, follows)
        self._lately |= keys
        if question is not None:
            if at >= 0:
                self._answered.add(at)
            self.step(1)

    def _taken_back(self, memory: Memory, rows: list[Correction], unseen: int) -> None:
        """What was taken back is no answer any more: it is asked again."""
        super()._taken_back(memory, rows, unseen)
        if memory is self._memory:
            self._answered.clear()
            self.ask()

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
        """Begins anew with another run; where the same one was solved again, what a person is at stays until they go on."""
        self.remember(solution, old)
        self._asks += 1
        self.asking = False
        if old is None:
            self.questions, self.at, self.subject, self.why_none = (), -1, None, ""
            self._answered.clear()
            self._put_aside.clear()
        elif solution is not None and self.subject is not None:
            before, self.subject = self.subject, of_now(solution, self.subject)
            self._ring_alike(solution, before)
        self.turned.emit()
        if solution is not None:
            self.ask()
            self.read_table()

    def _ring_alike(self, solution: Solution, before: Subject) -> None:
        """Has ring and keys mean one nucleus, where it was a chosen neuron: who it is now is chosen; if nobody, keys mean the neuron."""
        now, chosen = self.subject, self.session.chosen
        if now is None or now.label is None or before.neuron not in chosen or now.neuron == before.neuron:
            return
        if now.neuron == UNKNOWN:
            self.subject = now if now.question is not None else of_neuron(solution, before.neuron, before.t)
            return
        both = now.neuron in chosen  # as where the two were exchanged
        self.session.choose([*(neuron for neuron in chosen if neuron != now.neuron and (both or neuron != before.neuron)), now.neuron])

    def _chosen(self, neurons: tuple[int, ...]) -> None:
        solution, subject = self.session.solution, self.subject
        put = subject is not None and subject.question is not None and (subject.t, subject.stop.neurons) == (self.session.t, neurons)
        by_question = self._going or put
        if not by_question and not self.held() and neurons and solution is not None and neurons[-1] < solution.n_neurons:
            self._take(of_neuron(solution, neurons[-1], self.session.t))

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
