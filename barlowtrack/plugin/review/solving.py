"""The button that has the rest follow, its progress, and what changed."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from barlowtrack.errors import BarlowtrackError, InUseError
from barlowtrack.plugin.background import in_background
from barlowtrack.plugin.changes import COLUMNS
from barlowtrack.plugin.listening import Listening
from barlowtrack.plugin.parts import WRONG, Text
from barlowtrack.plugin.review.keys import RESOLVE, legend
from barlowtrack.plugin.review.resolving import Heard, Resolved, resolve
from barlowtrack.plugin.review.writing import Stamp, stamp_of
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.stepper import Stepper

EVERY_MS = 100
IN_USE = "somebody else is at work in this run: another window, or a run. Press it again when they are done; your answers are kept."
ANEW = "Its tracks were made anew meanwhile, by another window or a run."


class Solving(QWidget):
    """Solves the run that is open again, beside the window.

    Signals:
        solved: (resolved) a new solution is shown.
    """

    solved = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._listening = session, Listening(self)
        self._heard: Heard | None = None
        self._stamp: Stamp = None
        self.button = QPushButton(f"{RESOLVE.title}  [{legend(RESOLVE.key)}]")
        self.button.setToolTip(RESOLVE.tip)
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # it is switched off while it is at work, and would hand the keys on
        self.button.clicked.connect(lambda: self.start())
        self.bar, self.said = QProgressBar(), Text()
        self.bar.setFormat("%v of %m")
        self.bar.hide()
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.anew = QPushButton("Read again")
        self.anew.setToolTip(f"{ANEW} Shows them as they are now.")
        self.anew.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.anew.clicked.connect(lambda: self.read_again())
        self.anew.hide()
        self.changes = Stepper(session, COLUMNS)
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self._tell)
        row = QHBoxLayout()
        row.addWidget(self.button)
        row.addWidget(self.said, 1)
        row.addWidget(self.anew)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.bar)
        self._listening.to(session.solved, self._solved)
        self._solved(session.solution, None)

    @property
    def busy(self) -> bool:
        """Whether it is at work."""
        return self._heard is not None

    def start(self) -> None:
        """Begins, unless it is at work already or no run is open."""
        solution = self._session.solution
        if solution is None or self._heard is not None:
            return
        self._heard = heard = Heard()
        self.said.dye(None)
        self.button.setEnabled(False)
        self.bar.setRange(0, 0)
        self.bar.show()
        self._tell()
        self._timer.start()
        in_background(lambda: resolve(solution, heard), lambda found: self._done(solution, found), self._failed)

    def say_waiting(self, waiting: bool) -> None:
        """Says whether answers wait for it."""
        if self._heard is None:
            self.said.setText("Answers wait: press it to see what follows from them." if waiting else "All answers are heeded.")
            self.button.setStyleSheet("QPushButton { background: #2d6da3; color: white; font-weight: bold; }" if waiting else "")

    def look_again(self) -> None:
        """Offers to read the run again where somebody else has made its tracks anew."""
        solution = self._session.solution
        now = None if solution is None else _stamp(solution)
        if self._heard is None and now is not None and now != self._stamp and self.anew.isHidden():
            self.said.setText(ANEW)
            self.anew.show()

    def read_again(self) -> None:
        """Shows what the run folder says now."""
        solution = self._session.solution
        if solution is not None:
            self.anew.hide()
            in_background(lambda: Solution.read(solution.path), self._read_again, self._failed)

    def _read_again(self, new: Solution) -> None:
        if self._listening.on and self._session.path == new.path:
            self._session.take(new)

    def _solved(self, solution: Solution | None, _: Solution | None) -> None:
        self._stamp = None if solution is None else _stamp(solution)
        self.anew.hide()

    def _tell(self) -> None:
        heard = self._heard
        if heard is not None:
            self.said.setText(f"Solving: {heard.stage or 'reading'}. You can go on answering.")
            self.bar.setRange(0, heard.total)
            self.bar.setValue(heard.done)

    def _stop(self) -> None:
        self._heard = None
        self._timer.stop()
        self.bar.hide()
        self.button.setEnabled(True)

    def _done(self, old: Solution, found: Resolved) -> None:
        if not self._listening.on:
            return
        self._stop()
        if self._session.path != old.path:
            self.said.setText("The other run was solved; it is not the one that is open now.")
            return
        self._session.take(found.solution)
        self.changes.show_stops(found.changes)
        self.solved.emit(found)

    def _failed(self, error: BaseException) -> None:
        if not self._listening.on:
            return
        self._stop()
        if not isinstance(error, (BarlowtrackError, OSError)):
            raise error
        self.said.dye(WRONG)
        self.said.setText(f"Not solved: {IN_USE if isinstance(error, InUseError) else error}")


def _stamp(solution: Solution) -> Stamp:
    """What tells whether the tracks were made anew; None where there are none just now."""
    return stamp_of(solution.path / "keys" / "track.json")
