"""The Review panel: asks, shows, writes down, and has the rest follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QGridLayout,
    QMainWindow,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStyle,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from barlowtrack.data import Corrections
from barlowtrack.data.corrections import FORMS
from barlowtrack.plugin.attached import session_of
from barlowtrack.plugin.docking import together
from barlowtrack.plugin.listening import Listening
from barlowtrack.plugin.parts import FINE, WRONG
from barlowtrack.plugin.review.acts import Acts
from barlowtrack.plugin.review.asking import Asking
from barlowtrack.plugin.review.cards import Cards
from barlowtrack.plugin.review.clicking import Clicks
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.gallery import Gallery
from barlowtrack.plugin.review.history import History
from barlowtrack.plugin.review.in_order import InOrder
from barlowtrack.plugin.review.keys import ANSWERS, CANCEL, CHOICES, EVERY, REPAIRS, STEPS, Act, Key, legend, sensible
from barlowtrack.plugin.review.other_person import OtherPerson
from barlowtrack.plugin.review.resolving import Resolved
from barlowtrack.plugin.review.sight import Sight
from barlowtrack.plugin.review.solving import Solving
from barlowtrack.plugin.review.told import Told, headline, where
from barlowtrack.plugin.solution import Solution

if TYPE_CHECKING:
    import napari

NO_RUN = "No run is open. Drop a run folder (its name ends in .barlowtrack) on the viewer."
NARROWEST = 390
"""Pixels, with the scroll bar, at which nothing is cut off."""
COLUMNS = 3
LOOK_MS = 1500
"""So often it is looked at whether somebody else wrote into the run that is shown."""
SMALL_BUTTON = "QPushButton { font-size: 11px; padding: 3px 1px; }"


class Review(QWidget):
    """Questions whose answers promise most, and every way to answer.

    Args:
        napari_viewer: In which the run is shown.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.session = session_of(napari_viewer)
        self._listening = Listening(self)
        self.line, self.seeking = InOrder(self._listening), InOrder(self._listening)
        self.desk = Desk(self.session, self.line, self.seeking, self._listening)
        self.desk.in_sight = False
        self.sight = Sight(self)
        self.clicks = Clicks(napari_viewer)
        self.gallery = Gallery(self._arrived, self._listening)
        self.cards, self.asking = Cards(self.gallery), Asking()
        self.history, self.other, self.solving = History(self.desk), OtherPerson(self.desk, self.line), Solving(self.session)
        self.acts = Acts(self.desk, self.asking, self.clicks, self.solving.start)
        self.buttons: dict[Act, QPushButton] = {}
        self._shortcuts: list[QShortcut] = []
        self._something_said = self._waiting = False
        self._looking = QTimer(self)
        self._looking.setInterval(LOOK_MS)
        self._looking.timeout.connect(self.desk.look_again)
        self._looking.timeout.connect(self.solving.look_again)
        self._lay_out()
        self._connect()
        self._solved(self.session.solution, None)
        if self.session.solution is not None:
            self.desk.ask()
            self.desk.read_table()

    # what is shown

    def _lay_out(self) -> None:
        self.asked, self.where, self.saved = Told(style="font-size: 14px; font-weight: bold;"), Told(), Told(self._refusals_seen)
        above = QWidget()
        layout = QVBoxLayout(above)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        for part in (self.solving, _ruler(), self.asked, self.where):
            layout.addWidget(part)
        layout.addLayout(self._grid(STEPS))
        layout.addWidget(self.cards)
        layout.addWidget(self.asking)
        layout.addLayout(self._grid((*ANSWERS, *(key for key in REPAIRS if _possible(key.act)))))
        layout.addStretch()
        scroll = QScrollArea()
        scroll.setWidget(above)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        style = self.style()
        bar = style.pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent) if style is not None else 0
        scroll.setMinimumWidth(max(NARROWEST, above.minimumSizeHint().width() + bar))
        upper = QWidget()
        over = QVBoxLayout(upper)
        over.setContentsMargins(0, 0, 0, 0)
        over.setSpacing(2)
        over.addWidget(scroll, 1)
        over.addWidget(self.saved)
        self.tabs = QTabWidget()
        for widget, title in ((self.history, "What was said"), (self.solving.changes, "What changed"), (self.other, "Another person's")):
            self.tabs.addTab(widget, title)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(upper)
        splitter.addWidget(self.tabs)
        splitter.setSizes([560, 160])
        splitter.setStretchFactor(1, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(splitter)

    def _grid(self, keys: Sequence[Key]) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(2)
        for place, key in enumerate(keys):
            grid.addWidget(self._button(key), place // COLUMNS, place % COLUMNS)
            grid.setColumnStretch(place % COLUMNS, 1)
        return grid

    def _button(self, key: Key) -> QPushButton:
        button = QPushButton(f"{key.title} [{legend(key.key)}]")
        button.setStyleSheet(SMALL_BUTTON)
        button.setToolTip(f"{key.tip} Key: {key.key}")
        button.clicked.connect(lambda: self.acts.act(key.act))
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the viewer keeps the keys
        self.buttons[key.act] = button
        return button

    def _connect(self) -> None:
        self.desk.turned.connect(self._turned)
        self.desk.told.connect(self._told)
        self.desk.table.connect(self._table)
        self._listening.to(self.session.solved, self._solved)
        self._listening.to(self.session.moved, self._moved)
        self.history.acted.connect(lambda act: self.acts.act(Act(act)))
        self.solving.solved.connect(self._changed)
        self.cards.chosen.connect(self.acts.choose)
        self.cards.back.connect(self.desk.back_to_question)
        self.sight.changed.connect(self._seen)

    def _solved(self, solution: Solution | None, old: Solution | None) -> None:
        self.gallery.show(solution)
        if old is None:
            self.acts.cancel()
            self.other.forget()
            self.solving.changes.show_stops(())
            self.tabs.setTabText(1, "What changed")
            self.history.show_table(Corrections())
            self.saved.setText("")
            self._something_said = False
        for button in (*self.buttons.values(), self.solving.button):
            button.setEnabled(False)
        self.solving.button.setEnabled(solution is not None and not self.solving.busy)
        self._turned()

    def _turned(self) -> None:
        solution, subject = self.session.solution, self.desk.subject
        self.cards.setVisible(subject is not None)
        if solution is None:
            self.asked.setText(self.session.why_none or NO_RUN)
            self.where.setText("")
            return
        self.asked.setText(headline(self.desk, self._none_left()))
        self.where.setText(where(self.desk))
        for act, button in self.buttons.items():
            button.setEnabled(sensible(act, subject))
        if subject is not None:
            self.cards.show_subject(solution, subject, self.desk.choices, self.session.t)

    def _none_left(self) -> str:
        if not self._something_said:
            return "Nothing is in doubt that an answer could put right."
        return "No question is left: see with Re-solve what follows from your answers." if self._waiting else "No question is left."

    def _arrived(self) -> None:
        if self.desk.subject is not None:
            self.cards.draw()

    def _moved(self, t: int) -> None:
        if self.desk.subject is not None:
            self.cards.say_shown(self.desk.subject, t)

    def _told(self, text: str, good: bool) -> None:
        self.saved.setText(text)
        self.saved.dye(FINE if good else WRONG, "" if good else "font-weight: bold;")

    def _table(self, corrections: Corrections, waiting: bool) -> None:
        self.history.show_table(corrections)
        self.tabs.setTabText(0, f"What was said ({len(corrections.in_force)})")
        self.solving.say_waiting(waiting)
        self._something_said, self._waiting = bool(corrections.in_force), waiting
        if self.desk.subject is None:
            self._turned()

    def _changed(self, resolved: Resolved) -> None:
        n = len(resolved.changes)
        self.tabs.setTabText(1, f"What changed ({n})")
        if not self.tabs.isAncestorOf(QApplication.focusWidget()):  # else it would take away what somebody types there
            self.tabs.setCurrentWidget(self.solving.changes)
        self._told(f"Solved again: {n} change{'' if n == 1 else 's'} to look at, below." if n else "Solved again: nothing changed.", True)

    def _refusals_seen(self) -> None:
        """Somebody clicked what was told."""
        if any(not refusal.seen for refusal in self.desk.refusals):
            self.desk.seen()
            self._told("", True)

    # keys

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Binds the keys once there is a window to bind them to."""
        super().showEvent(event)
        together(self)
        if not self._shortcuts:
            self._bind()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 - Qt's name
        """What was said is on the disk when the panel is gone."""
        self.sight.look()
        self.line.finish()
        super().hideEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Listens no more when its dock is closed: napari takes it out, and somebody may still hold it."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._listening.stop()

    def _seen(self, in_sight: bool) -> None:
        """Takes the keys while the panel is in sight; else nobody would see what they do."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(in_sight)
        if in_sight:
            self._looking.start()
        else:
            self._looking.stop()
            self.acts.cancel()
        self.desk.appear(in_sight)

    def _pressed(self, does: Callable[[], Any]) -> None:
        """Does what a key means, of what the panel shows and nothing else."""
        if self.sight.now and (self.desk.subject is None or self.cards.subject is self.desk.subject):
            does()

    def _bind(self) -> None:
        """Binds keys to the whole window, not to the panel, so that they work while the viewer has them; text fields keep theirs."""
        window: QWidget | None = self
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        bound: list[tuple[str, Callable[[], Any]]] = [(key.key, partial(self.acts.act, key.act)) for key in EVERY if _possible(key.act)]
        bound += [(digit, partial(self.acts.choose, number)) for number, digit in enumerate(CHOICES)]
        bound.append((CANCEL, self.acts.escape))
        for key, does in bound:
            shortcut = QShortcut(QKeySequence(key), window or self)
            shortcut.setEnabled(self.sight.now)
            shortcut.activated.connect(partial(self._pressed, does))
            self._shortcuts.append(shortcut)


def _possible(act: Act) -> bool:
    """Whether corrections.csv knows how to say it."""
    return act not in (Act.DIVIDE, Act.ADD) or str(act) in FORMS


def _ruler() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
