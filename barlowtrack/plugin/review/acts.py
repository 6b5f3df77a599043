"""What keys and buttons do: say it at once, or ask first for whom or what is wanting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QTimer

from barlowtrack.data import UNKNOWN
from barlowtrack.data.corrections import is_id
from barlowtrack.errors import InputError
from barlowtrack.plugin.review import saying
from barlowtrack.plugin.review.asking import Asking
from barlowtrack.plugin.review.clicking import Clicks
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.keys import Act
from barlowtrack.plugin.review.subjects import Subject, called, described, of_now
from barlowtrack.plugin.solution import Solution


class Acts:
    """Answers about the subject of a desk.

    Args:
        desk: Writes them.
        asking: Takes what is typed.
        clicks: Takes places that are clicked.
        solve: Has the rest follow.
    """

    def __init__(self, desk: Desk, asking: Asking, clicks: Clicks, solve: Callable[[], None]) -> None:
        self._desk, self._asking, self._clicks, self._solve = desk, asking, clicks, solve
        desk.held = lambda: clicks.active or not asking.isHidden()
        desk.listening.to(desk.session.chosen_changed, self._chosen)
        desk.listening.to(desk.session.pointed, self._pointed)
        asking.cancel.clicked.connect(self.cancel)

    def act(self, act: Act) -> None:
        """Does what a key or a button says; what makes no sense is said in one line."""
        simple: dict[Act, Callable[[], None]] = {
            Act.NEXT: lambda: self._desk.step(1),
            Act.PREVIOUS: lambda: self._desk.step(-1),
            Act.SKIP: self._desk.skip,
            Act.UNDO: self._desk.undo,
            Act.REDO: self._desk.redo,
            Act.RESOLVE: self._solve,
        }
        self.cancel()
        if act in simple:
            simple[act]()
            return
        solution, subject = self._desk.session.solution, self._desk.subject
        try:
            if solution is not None and act is Act.ADD:
                self._ask_clicks("add", ["Click the middle of the nucleus that is missing"])
            elif solution is None or subject is None:
                raise InputError("nothing is asked, and no nucleus is chosen; click one in the viewer")
            else:
                self._answer(act, solution, subject)
        except InputError as error:
            self._desk.told.emit(f"Not written: {error}", False)

    def choose(self, number: int) -> None:
        """Does what a number key says, counted from 0: of who is asked for now, else of the subject."""
        offered = self._desk.choices
        if self._asking.wants_click and number < len(offered) and offered[number].neuron != UNKNOWN:
            self._asking.click(offered[number].neuron)
        elif not self._desk.held():
            self._desk.choose(number)

    def cancel(self) -> None:
        """Asks for nothing any more, and waits for no click."""
        self._clicks.stop()
        if not self._asking.isHidden():
            self._asking.stop()

    def _answer(self, act: Act, solution: Solution, subject: Subject) -> None:
        match act:
            case Act.ACCEPT if subject.question is not None and subject.question.kind == "same":
                self._desk.choose(1)
            case Act.ACCEPT:
                self._desk.say(saying.accept(subject))
            case Act.ABSENT:
                self._desk.say(saying.absent(subject))
            case Act.NOT_A_NEURON:
                self._desk.say(saying.not_a_neuron(subject))
            case Act.NEVER_A_NEURON:
                self._desk.say(saying.never_a_neuron(subject))
            case Act.OTHER:
                saying.assign(subject, 0)  # refused before anything is asked
                prompt = f"Nucleus {subject.label} of volume {subject.t} (now {called(solution, subject.neuron)}) is:"
                self._ask_neuron(prompt, lambda who, new: saying.assign(self._now(solution, subject)[1], who, new=new), may_be_new=True)
            case Act.SWAP:
                saying.absent(subject)
                prompt = f"Exchange {called(solution, subject.neuron)} in volume {subject.t} with:"
                self._ask_neuron(prompt, lambda who, _: self._swap(solution, subject, who))
            case Act.MERGE:
                saying.absent(subject)
                prompt = f"One neuron with {called(solution, subject.neuron)}, in all volumes, is:"
                self._ask_neuron(prompt, lambda who, _: saying.merge(*self._now(solution, subject, same=True), who))
            case Act.SPLIT:
                saying.split(subject, "")
                prompt = f"From volume {subject.t} on, {called(solution, subject.neuron)} is another neuron. Its name (may stay empty):"
                self._asking.ask(prompt, lambda text: self._say(lambda: saying.split(self._now(solution, subject, same=True)[1], text)))
            case Act.NAME:
                saying.name_it(subject, "-")
                prompt = f"Neuron {called(solution, subject.neuron)} is called, in all volumes:"
                self._asking.ask(prompt, lambda text: self._say(lambda: saying.name_it(self._now(solution, subject, same=True)[1], text)))
            case _:
                self._ask_clicks("divide", ["Click the middle of the first nucleus", "Click the middle of the second nucleus"])

    def _say(self, answers: Callable[[], saying.Answers]) -> None:
        try:
            self._desk.say(answers())
        except InputError as error:
            self._desk.told.emit(f"Not written: {error}", False)

    def _now(self, before: Solution, subject: Subject, *, same: bool = False) -> tuple[Solution, Subject]:
        """Returns what is shown now of a subject that was asked about: the run may have been solved again since.

        Raises:
            InputError: it is gone; or, where it must be the same, somebody else now.
        """
        solution = self._desk.session.solution
        if solution is before:
            return before, subject
        now = of_now(solution, subject) if solution is not None and solution.path == before.path else None
        if solution is None or now is None or (same and now.neuron != subject.neuron):
            raise InputError(f"{described(before, subject)} is not so any more: the run was solved again; look, and say it again")
        return solution, now

    def _swap(self, before: Solution, subject: Subject, who: int | str) -> saying.Answers:
        solution, now = self._now(before, subject, same=True)
        return saying.swap(solution, now, who if isinstance(who, int) else solution.names.given.index(who))

    def _ask_neuron(self, prompt: str, answers: Callable[[int | str, bool], saying.Answers], *, may_be_new: bool = False) -> None:
        solution = self._desk.session.solution
        assert solution is not None, "there is something to speak of"
        offered = [solution.names.text(k) for k in range(solution.n_neurons)]
        hint = f"{prompt}\ntype its id or name, or click it in the viewer (in any volume; then the keys 1 to 5 work, too)"

        def taken(text: str, unknown: str = "") -> None:
            found = saying.meant(self._desk.session.solution or solution, text)
            if found is not None:
                self._say(lambda: answers(found, False))
            elif text and may_be_new and not is_id(text):
                if text == unknown:
                    self._say(lambda: answers(text, True))
                    return
                again = f"{prompt}\nnobody is called {text} yet. Enter it once more to begin a new neuron of that name."
                self._asking.ask(again, lambda once: taken(once, text), offered=offered, clicked=clicked)
                self._asking.field.setText(text)
            else:
                self._desk.told.emit(f"Not written: nobody is called {text or 'nothing'}.", False)

        def clicked(neuron: int) -> None:
            self._say(lambda: answers(neuron, False))

        self._asking.ask(hint, taken, offered=offered, clicked=clicked)

    def _ask_clicks(self, what: str, prompts: list[str]) -> None:
        def done(t: int, places: list[saying.Place]) -> None:
            self._asking.stop()
            solution = self._desk.session.solution  # as it is now: it may have been solved again between the clicks
            if solution is not None:
                self._say(lambda: saying.edit_answer(solution, what, t, places))

        self._clicks.ask(prompts, done, self._asking.tell)

    def escape(self) -> None:
        """Cancels what is asked for; where nothing is, goes back to the question."""
        if self._desk.held():
            self.cancel()
        elif self._desk.subject is not None and self._desk.subject.question is None:
            self._desk.back_to_question()

    def _chosen(self, neurons: tuple[int, ...]) -> None:
        if self._asking.wants_click and neurons:  # later, when all have heard of it: the answer goes on to the next question
            QTimer.singleShot(0, partial(self._asking.click, neurons[-1]))

    def _pointed(self, row: int) -> None:
        if self._desk.session.solution is not None:
            neuron = int(self._desk.session.solution.tracks.neuron[row])
            self._chosen((neuron,) if neuron != UNKNOWN else ())
