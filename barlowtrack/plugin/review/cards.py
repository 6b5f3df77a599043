"""What is asked, which nucleus is meant, and who it may be, with pictures."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from barlowtrack.data import UNKNOWN
from barlowtrack.plugin.parts import CHANGED, SOFT, Text
from barlowtrack.plugin.review.choices import MOST, Choice, nobody
from barlowtrack.plugin.review.gallery import Gallery, colour_as_qt, drawn
from barlowtrack.plugin.review.sightings import MOST as MOST_SIGHTINGS
from barlowtrack.plugin.review.sightings import sightings
from barlowtrack.plugin.review.subjects import Subject, described
from barlowtrack.plugin.solution import Solution

LARGE, SMALL = 64, 44
WORTH_SAYING = 0.01
"""From this probability on it is said that a nucleus may be nobody we know."""


class Cards(QWidget):
    """The nucleus that keys act on, and a line for each number key.

    Signals:
        chosen: (number) a line was clicked, counted from 0.
        back: the person wants to go back to the question.
    """

    chosen = Signal(int)
    back = Signal()

    def __init__(self, gallery: Gallery) -> None:
        super().__init__()
        self._gallery = gallery
        self._rows: list[tuple[QLabel, int, int, int]] = []
        self.subject: Subject | None = None
        self.meant, self.away, self.why, self.rest = Text(), Text(CHANGED), Text(), Text(SOFT)
        self._nucleus = QLabel()
        self._nucleus.setFixedSize(LARGE, LARGE)
        self.to_question = QPushButton("Back to the question (Esc)")
        self.to_question.clicked.connect(lambda: self.back.emit())
        banner = QFrame()
        banner.setObjectName("banner")
        banner.setStyleSheet("QFrame#banner { border: 2px solid #3a8fd0; border-radius: 4px; }")
        banner.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        beside = QVBoxLayout()
        for part in (self.meant, self.away, self.to_question):
            beside.addWidget(part)
        beside.addStretch()
        above = QHBoxLayout(banner)
        above.setContentsMargins(6, 4, 6, 4)
        above.addWidget(self._nucleus)
        above.addLayout(beside, 1)
        self.lines = [Line(number) for number in range(MOST)]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(banner)
        layout.addWidget(self.why)
        for number, line in enumerate(self.lines):
            line.button.clicked.connect(lambda _=False, number=number: self.chosen.emit(number))
            layout.addWidget(line)
        layout.addWidget(self.rest)

    def show_subject(self, solution: Solution, subject: Subject, choices: tuple[Choice, ...], shown: int) -> None:
        """Shows what keys act on.

        Args:
            solution: Who is who.
            subject: The nucleus.
            choices: What number keys say of it.
            shown: Volume that the viewer shows.
        """
        self.subject = subject
        clicked = subject.question is None
        self.meant.setText(f"Keys act on {'<i>what you chose</i>: ' if clicked else ''}<b>{_escaped(described(solution, subject))}</b>")
        self.to_question.setVisible(clicked)
        self.say_shown(subject, shown)
        row = None if subject.label is None else solution.row_at(subject.t, subject.label)
        self._rows = [] if row is None else [(self._nucleus, row, subject.neuron, LARGE)]
        if row is None:
            self._nucleus.setPixmap(drawn(None, subject.neuron, LARGE, "not shown"))
        for number, line in enumerate(self.lines):
            choice = choices[number] if number < len(choices) else None
            line.setVisible(choice is not None)
            if choice is None:
                continue
            line.show_choice(choice)
            rows = sightings(solution, choice.neuron, subject.t) if choice.neuron != UNKNOWN else ()
            for label, sighting in zip(line.pictures, rows, strict=False):
                self._rows.append((label, sighting, choice.neuron, SMALL))
            for label in line.pictures[len(rows) :]:
                label.clear()
        left = nobody(solution, subject)
        self.rest.setText("" if left is None else f"Nobody we know: {100 * left:.0f} % (J, if it is no neuron; W, to begin a new one).")
        self.rest.setVisible(left is not None and left >= WORTH_SAYING)
        self._volumes = {row: int(solution.detections.t[row]) for _, row, _, _ in self._rows}
        self._gallery.want([row for _, row, _, _ in self._rows])
        self.draw()

    def say_shown(self, subject: Subject, shown: int) -> None:
        """Says so where the viewer shows another volume than the one that is meant."""
        self.away.setText("" if shown == subject.t else f"You are looking at volume {shown}; the keys still mean volume {subject.t}.")
        self.away.setVisible(shown != subject.t)

    def draw(self) -> None:
        """Draws the pictures that are there."""
        self.why.setText(self._gallery.why_none)
        self.why.setVisible(bool(self._gallery.why_none))
        for label, row, neuron, side in self._rows:
            prefix = "vol " if side == LARGE else ""
            label.setPixmap(drawn(self._gallery.picture(row), neuron, side, f"{prefix}{self._volumes[row]}"))


class Line(QFrame):
    """One answer: its number key, colour, words, probability and pictures."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.button = QPushButton(str(number + 1))
        self.button.setFixedWidth(26)
        self.colour, self.text = QLabel(), QLabel()
        self.colour.setFixedSize(8, SMALL - 8)
        self.text.setWordWrap(True)
        self.pictures = [QLabel() for _ in range(MOST_SIGHTINGS)]
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(4)
        layout.addWidget(self.button, 0, 0)
        layout.addWidget(self.colour, 0, 1)
        layout.addWidget(self.text, 0, 2)
        layout.setColumnStretch(2, 1)
        for place, label in enumerate(self.pictures):
            label.setFixedSize(SMALL, SMALL)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            layout.addWidget(label, 0, 3 + place)

    def show_choice(self, choice: Choice) -> None:
        """Shows an answer; its pictures come later."""
        colour = colour_as_qt(choice.neuron).name() if choice.neuron != UNKNOWN else "transparent"
        self.colour.setStyleSheet(f"background: {colour}; border-radius: 3px;")
        sure = [] if choice.probability is None else [f"{100 * choice.probability:.0f} %"]
        beside = ", ".join([*sure, *([choice.note] if choice.note else [])])
        self.text.setText(f"<b>{_escaped(choice.text)}</b>" + (f"<br>{beside}" if beside else ""))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
