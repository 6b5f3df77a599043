"""The Review panel: asks, shows, writes down, and has the rest follow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from barlowtrack.data import UNKNOWN, Corrections
from barlowtrack.data.corrections import FORMS, is_id
from barlowtrack.errors import InputError
from barlowtrack.identity.review import Question
from barlowtrack.plugin.attached import session_of
from barlowtrack.plugin.review import saying
from barlowtrack.plugin.review.asking import Asking
from barlowtrack.plugin.review.cards import Cards
from barlowtrack.plugin.review.clicking import Clicks
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.gallery import Gallery
from barlowtrack.plugin.review.history import History
from barlowtrack.plugin.review.in_order import InOrder
from barlowtrack.plugin.review.keys import ANSWERS, CANCEL, CHOICES, EVERY, REPAIRS, STEPS, Act, Key, legend
from barlowtrack.plugin.review.life import Life
from barlowtrack.plugin.review.other_person import OtherPerson
from barlowtrack.plugin.review.resolving import Resolved
from barlowtrack.plugin.review.solving import Solving
from barlowtrack.plugin.review.subjects import Subject, asked, called, described
from barlowtrack.plugin.solution import Solution

if TYPE_CHECKING:
    import napari

NO_RUN = "No run is open. Drop a run folder (its name ends in .barlowtrack) on the viewer."
NARROWEST = 470
"""Pixels at which no button is cut off."""
GOOD, BAD = "color: #5fc46b;", "color: #ff7b6b; font-weight: bold;"


class Review(QWidget):
    """Questions whose answers promise most, and every way to answer.

    Args:
        napari_viewer: In which the run is shown.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.session = session_of(napari_viewer)
        life = Life(self)
        self.line = InOrder(life)
        self.desk = Desk(self.session, self.line)
        self.clicks = Clicks(napari_viewer)
        self.desk.held = lambda: self.clicks.active or not self.asking.isHidden()
        self.gallery = Gallery(self._arrived, life)
        self.cards, self.asking = Cards(self.gallery), Asking()
        self.history, self.other, self.solving = History(self.desk), OtherPerson(self.desk, self.line), Solving(self.session)
        self.buttons: dict[Act, QPushButton] = {}
        self._shortcuts: list[QShortcut] = []
        self._lay_out()
        self._connect()
        self._solved(self.session.solution, None)
        if self.session.solution is not None:
            self.desk.ask()
            self.desk.read_table()

    # what a key does

    def act(self, act: Act) -> None:
        """Does what a key or a button says; what makes no sense is said in one line."""
        simple: dict[Act, Callable[[], None]] = {
            Act.NEXT: lambda: self.desk.step(1),
            Act.PREVIOUS: lambda: self.desk.step(-1),
            Act.SKIP: self.desk.skip,
            Act.UNDO: self.desk.undo,
            Act.REDO: self.desk.redo,
            Act.RESOLVE: self.solving.start,
        }
        self.cancel()
        if act in simple:
            simple[act]()
            return
        solution, subject = self.session.solution, self.desk.subject
        try:
            if solution is not None and act is Act.ADD:
                self._ask_clicks(solution, "add", ["Click the middle of the nucleus that is missing"])
            elif solution is None or subject is None:
                raise InputError("nothing is asked, and no nucleus is chosen; click one in the viewer")
            else:
                self._answer(act, solution, subject)
        except InputError as error:
            self._told(f"Not written: {error}", False)

    def choose(self, number: int) -> None:
        """Does what a number key says, counted from 0: of who is asked for now, else of the subject."""
        offered = self.desk.choices
        if self.asking.wants_click and number < len(offered) and offered[number].neuron != UNKNOWN:
            self.asking.click(offered[number].neuron)
        elif not self.asking.wants_click and not self.clicks.active:
            self.desk.choose(number)

    def cancel(self) -> None:
        """Asks for nothing any more, and waits for no click."""
        self.clicks.stop()
        if not self.asking.isHidden():
            self.asking.stop()

    def _answer(self, act: Act, solution: Solution, subject: Subject) -> None:
        match act:
            case Act.ACCEPT if subject.question is not None and subject.question.kind == "same":
                self.desk.choose(1)
            case Act.ACCEPT:
                self.desk.say(saying.accept(subject))
            case Act.ABSENT:
                self.desk.say(saying.absent(subject))
            case Act.NOT_A_NEURON:
                self.desk.say(saying.not_a_neuron(subject))
            case Act.NEVER_A_NEURON:
                self.desk.say(saying.never_a_neuron(subject))
            case Act.OTHER:
                saying.assign(subject, 0)  # refused before anything is asked
                prompt = f"Nucleus {subject.label} of volume {subject.t} (now {called(solution, subject.neuron)}) is:"
                self._ask_neuron(prompt, lambda who, new: saying.assign(subject, who, new=new), may_be_new=True)
            case Act.SWAP:
                saying.absent(subject)
                prompt = f"Exchange {called(solution, subject.neuron)} in volume {subject.t} with:"
                self._ask_neuron(prompt, lambda who, _: saying.swap(solution, subject, self._id(solution, who)))
            case Act.MERGE:
                saying.absent(subject)
                prompt = f"One neuron with {called(solution, subject.neuron)}, in all volumes, is:"
                self._ask_neuron(prompt, lambda who, _: saying.merge(solution, subject, who))
            case Act.SPLIT:
                saying.split(subject, "")
                prompt = f"From volume {subject.t} on, {called(solution, subject.neuron)} is another neuron. Its name (may stay empty):"
                self.asking.ask(prompt, lambda text: self._say(lambda: saying.split(subject, text)))
            case Act.NAME:
                saying.name_it(subject, "-")
                prompt = f"Neuron {called(solution, subject.neuron)} is called, in all volumes:"
                self.asking.ask(prompt, lambda text: self._say(lambda: saying.name_it(subject, text)))
            case _:
                self._ask_clicks(solution, "divide", ["Click the middle of the first nucleus", "Click the middle of the second nucleus"])

    def _say(self, answers: Callable[[], saying.Answers]) -> None:
        try:
            self.desk.say(answers())
        except InputError as error:
            self._told(f"Not written: {error}", False)

    def _ask_neuron(self, prompt: str, answers: Callable[[int | str, bool], saying.Answers], *, may_be_new: bool = False) -> None:
        solution = self.session.solution
        assert solution is not None, "there is something to speak of"
        offered = [solution.names.text(k) for k in range(solution.n_neurons)]
        hint = f"{prompt}\ntype its id or name, or click it in the viewer (in any volume; then the keys 1 to 5 work, too)"

        def taken(text: str, unknown: str = "") -> None:
            found = saying.meant(solution, text)
            if found is not None:
                self._say(lambda: answers(found, False))
            elif text and may_be_new and not is_id(text):
                if text == unknown:
                    self._say(lambda: answers(text, True))
                    return
                again = f"{prompt}\nnobody is called {text} yet. Enter it once more to begin a new neuron of that name."
                self.asking.ask(again, lambda once: taken(once, text), offered=offered, clicked=clicked)
                self.asking.field.setText(text)
            else:
                self._told(f"Not written: nobody is called {text or 'nothing'}.", False)

        def clicked(neuron: int) -> None:
            self._say(lambda: answers(neuron, False))

        self.asking.ask(hint, taken, offered=offered, clicked=clicked)

    def _ask_clicks(self, solution: Solution, what: str, prompts: list[str]) -> None:
        def done(t: int, places: list[saying.Place]) -> None:
            self.asking.stop()
            self._say(lambda: saying.edit_answer(solution, what, t, places))

        self.clicks.ask(prompts, done, self.asking.tell)

    def _id(self, solution: Solution, who: int | str) -> int:
        return who if isinstance(who, int) else solution.names.given.index(who)

    # what is shown

    def _lay_out(self) -> None:
        self.asked, self.where, self.saved = QLabel(), QLabel(), QLabel()
        for label in (self.asked, self.saved):
            label.setWordWrap(True)
        self.asked.setStyleSheet("font-size: 15px; font-weight: bold;")
        steps = QHBoxLayout()
        for key in STEPS:
            steps.addWidget(self._button(key))
        answers, repairs = QGridLayout(), QGridLayout()
        for grid, keys, columns in ((answers, ANSWERS, 3), (repairs, [key for key in REPAIRS if _possible(key.act)], 3)):
            grid.setSpacing(3)
            for place, key in enumerate(keys):
                grid.addWidget(self._button(key), place // columns, place % columns)
        above = QWidget()
        layout = QVBoxLayout(above)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(5)
        for part in (self.solving, _ruler(), self.asked, self.where, self.cards, self.asking):
            layout.addWidget(part)
        for buttons in (answers, repairs, steps):
            layout.addLayout(buttons)
        layout.addWidget(self.saved)
        layout.addStretch()
        scroll = QScrollArea()
        scroll.setWidget(above)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(NARROWEST)
        self.tabs = QTabWidget()
        for widget, title in ((self.history, "What was said"), (self.solving.changes, "What changed"), (self.other, "Another person's")):
            self.tabs.addTab(widget, title)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(scroll)
        splitter.addWidget(self.tabs)
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(splitter)

    def _button(self, key: Key) -> QPushButton:
        button = QPushButton(f"{key.title}  [{legend(key.key)}]")
        button.setToolTip(f"{key.tip} Key: {key.key}")
        button.clicked.connect(lambda: self.act(key.act))
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the viewer keeps the keys
        self.buttons[key.act] = button
        return button

    def _connect(self) -> None:
        self.desk.turned.connect(self._turned)
        self.desk.told.connect(self._told)
        self.desk.table.connect(self._table)
        self.session.solved.connect(self._solved)
        self.session.moved.connect(self._moved)
        self.session.chosen_changed.connect(self._chosen)
        self.session.pointed.connect(self._pointed)
        self.history.acted.connect(lambda act: self.act(Act(act)))
        self.solving.solved.connect(self._changed)
        self.cards.chosen.connect(self.choose)
        self.cards.back.connect(self.desk.back_to_question)
        self.asking.cancel.clicked.connect(self.cancel)

    def _solved(self, solution: Solution | None, old: Solution | None) -> None:
        self.cancel()
        self.gallery.show(solution)
        if old is None:
            self.other.forget()
            self.solving.changes.show_stops(())
            self.history.show_table(Corrections())
            self.saved.setText("")
        for button in (*self.buttons.values(), self.solving.button):
            button.setEnabled(solution is not None)
        self._turned()

    def _turned(self) -> None:
        solution, subject, question = self.session.solution, self.desk.subject, self.desk.question
        self.cards.setVisible(subject is not None)
        if solution is None:
            self.asked.setText(NO_RUN)
            self.where.setText("")
            return
        self.asked.setText(self._headline(solution, subject, question))
        self.where.setText("")
        if question is not None:
            answered = ", answered" if self.desk.is_answered else ""
            gain = f"may put about {question.gain:.0f} right" if question.gain >= 1.5 else "may put this one right"
            self.where.setText(f"Question {self.desk.at + 1} of {len(self.desk.questions)}{answered}; an answer {gain}.")
        if subject is not None:
            self.cards.show_subject(solution, subject, self.desk.choices, self.session.t)

    def _headline(self, solution: Solution, subject: Subject | None, question: Question | None) -> str:
        if subject is not None and subject.question is None:
            return f"You chose {described(solution, subject)}."
        if question is not None:
            return asked(solution, question)
        return "Looking for what is in doubt..." if self.desk.asking else "Nothing is in doubt that an answer could put right."

    def _arrived(self) -> None:
        if self.desk.subject is not None:
            self.cards.draw()

    def _moved(self, t: int) -> None:
        if self.desk.subject is not None:
            self.cards.say_shown(self.desk.subject, t)

    def _chosen(self, neurons: tuple[int, ...]) -> None:
        if self.asking.wants_click and neurons:  # later, when all have heard of it: the answer goes on to the next question
            QTimer.singleShot(0, partial(self.asking.click, neurons[-1]))

    def _pointed(self, row: int) -> None:
        if self.session.solution is not None:
            neuron = int(self.session.solution.tracks.neuron[row])
            self._chosen((neuron,) if neuron != UNKNOWN else ())

    def _told(self, text: str, good: bool) -> None:
        self.saved.setText(text)
        self.saved.setStyleSheet(GOOD if good else BAD)

    def _table(self, corrections: Corrections, waiting: bool) -> None:
        self.history.show_table(corrections)
        self.tabs.setTabText(0, f"What was said ({len(corrections.in_force)})")
        self.solving.say_waiting(waiting)

    def _changed(self, resolved: Resolved) -> None:
        n = len(resolved.changes)
        self.tabs.setTabText(1, f"What changed ({n})")
        self.tabs.setCurrentWidget(self.solving.changes)
        self._told(f"Solved again: {n} change{'' if n == 1 else 's'} to look at, below." if n else "Solved again: nothing changed.", True)

    # keys

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Takes the keys while the panel is in sight."""
        super().showEvent(event)
        if not self._shortcuts:
            self._bind()
        for shortcut in self._shortcuts:
            shortcut.setEnabled(True)

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 - Qt's name
        """Lets go of the keys: nobody would see what they do. What was said is on the disk when the panel is gone."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
        self.cancel()
        self.line.finish()
        super().hideEvent(event)

    def _bind(self) -> None:
        """Binds keys to the whole window, not to the panel, so that they work while the viewer has them; text fields keep theirs."""
        window: QWidget | None = self
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        bound: list[tuple[str, Callable[[], Any]]] = [(key.key, partial(self.act, key.act)) for key in EVERY if _possible(key.act)]
        bound += [(digit, partial(self.choose, number)) for number, digit in enumerate(CHOICES)]
        bound.append((CANCEL, self.escape))
        for key, does in bound:
            shortcut = QShortcut(QKeySequence(key), window or self)
            shortcut.activated.connect(does)
            self._shortcuts.append(shortcut)

    def escape(self) -> None:
        """Cancels what is asked for; where nothing is, goes back to the question."""
        if self.clicks.active or not self.asking.isHidden():
            self.cancel()
        elif self.desk.subject is not None and self.desk.subject.question is None:
            self.desk.back_to_question()


def _possible(act: Act) -> bool:
    """Whether corrections.csv knows how to say it."""
    return act not in (Act.DIVIDE, Act.ADD) or str(act) in FORMS


def _ruler() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
