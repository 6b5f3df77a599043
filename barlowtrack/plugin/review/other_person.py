"""Another person's answers: what they would bring, where the two disagree, and whose answer stands."""

from __future__ import annotations

from html import escape
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from barlowtrack.answers import take_over
from barlowtrack.errors import BarlowtrackError
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.merging import COLUMNS, HERE, THERE, Coming, coming, yielding
from barlowtrack.plugin.review.writing import Line
from barlowtrack.plugin.stepper import Stepper
from barlowtrack.storage import RunFolder

CHOOSE, STANDS_HERE, STANDS_THERE = "choose", "said here", "said there"


class OtherPerson(QWidget):
    """Looks at the table of another copy of this run, and takes it over once nothing clashes."""

    def __init__(self, desk: Desk, line: Line) -> None:
        super().__init__()
        self._desk, self._line = desk, line
        self.found: Coming | None = None
        self.choose_folder, self.choose_table = QPushButton("Other run folder..."), QPushButton("Table (csv)...")
        self.choose_folder.clicked.connect(self._ask_folder)
        self.choose_table.clicked.connect(self._ask_table)
        self.said = QLabel("Choose the copy of this run in which somebody else answered, or the corrections.csv that they sent.")
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.stepper = Stepper(desk.session, COLUMNS)
        self.take = QPushButton("Take over")
        self.take.clicked.connect(self.take_over)
        above = QHBoxLayout()
        for part in (self.choose_folder, self.choose_table, self.take):
            above.addWidget(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addLayout(above)
        layout.addWidget(self.said)
        layout.addWidget(self.stepper, 1)
        self.forget()

    def forget(self) -> None:
        """Shows nothing, as where another run is opened."""
        self.found = None
        self.stands: list[QComboBox] = []
        self.stepper.show_stops(())
        self.stepper.setVisible(False)
        self.take.setEnabled(False)

    def look_at(self, other: Path) -> None:
        """Shows what another table would bring; writes nothing."""
        solution = self._desk.session.solution
        if solution is None:
            self.said.setText("Open a run first.")
            return
        self.forget()
        self._line.do(lambda: coming(solution, other), lambda found: self._show(solution.path, found), self._refused)

    def take_over(self) -> None:
        """Takes their lines over; of two that clash, the one that does not stand is undone in the same stroke."""
        solution, found, who = self._desk.session.solution, self.found, self._desk.who
        if solution is None or found is None:
            return
        sides = [{STANDS_HERE: HERE, STANDS_THERE: THERE}.get(box.currentText(), "") for box in self.stands]
        if "" in sides:
            self.said.setText(f"Say first whose answer stands: {sides.count('')} of {len(sides)} are open.")
            return
        folder, undone = RunFolder(solution.path), yielding(found.disagreements, sides)
        self._line.do(lambda: take_over(folder, found.path, yielding=undone, who=who), lambda n: self._taken(folder.path, n), self._refused)

    def _show(self, run: Path, found: Coming) -> None:
        if run != self._desk.session.path:
            return  # another run was opened meanwhile
        self.found = found
        n, clashes = len(found.rows), len(found.disagreements)
        text = f"{found.path.name}: {n} line{'' if n == 1 else 's'} that {'is' if n == 1 else 'are'} not here yet"
        if clashes:
            text += f"; {clashes} of them contradict{'s' if clashes == 1 else ''} what was said here. Choose whose answer stands."
        self.said.setText(f"{text}." if not clashes else text)
        self.stepper.show_stops([found.stop for found in found.disagreements])
        self.stepper.setVisible(bool(clashes))
        for at, disagreement in enumerate(found.disagreements):
            box = QComboBox()
            box.addItems([CHOOSE, STANDS_HERE, STANDS_THERE])
            box.setToolTip(escape(disagreement.why))
            self.stepper.table.setCellWidget(at, len(COLUMNS) - 1, box)
            self.stands.append(box)
        self.take.setEnabled(n > 0)

    def _taken(self, run: Path, n: int) -> None:
        taken = f"{n} line{'' if n == 1 else 's'} taken over"
        if run != self._desk.session.path:
            self.said.setText(f"{run.name}: {taken}.")
            return
        self.forget()
        self.said.setText(f"{taken}; they count at the next Re-solve.")
        self._desk.session.tell()

    def _refused(self, error: BaseException) -> None:
        if not isinstance(error, (BarlowtrackError, OSError)):
            raise error
        self.said.setText(f"Nothing was taken over: {error}")

    def _ask_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Run folder in which somebody else answered")
        if chosen:
            self.look_at(Path(chosen))

    def _ask_table(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Table of answers", filter="Tables (*.csv)")
        if chosen:
            self.look_at(Path(chosen))
