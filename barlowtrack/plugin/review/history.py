"""What was said, by whom, and what was taken back."""

from __future__ import annotations

from html import escape

from psygnal import Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from barlowtrack.data import Corrections
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.keys import TAKING_BACK, legend
from barlowtrack.plugin.review.words import Said, listed
from barlowtrack.plugin.review.writing import Refusal

MOST = 2000
"""Lines that are listed, the newest of them."""
REFUSED = QColor("#f0625d")
THIS, BOTH = "Take back this line", "Take back both lines"


class History(QWidget):
    """What was not written, in red, and the table, the newest line first; lines that were taken back are struck through.

    Signals:
        acted: (act) a button of undo or redo was pressed.
    """

    acted = Signal(str)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._corrections = Corrections()
        self._said: tuple[Said, ...] = ()
        self._refused: tuple[Refusal, ...] = ()
        self.list = QListWidget()
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.currentRowChanged.connect(self._row_changed)
        self.take_back = QPushButton(THIS)
        self.take_back.setToolTip("Takes back the line that is chosen in the list, with the other one of an exchange.")
        self.take_back.clicked.connect(self._take_back)
        self.take_back.setEnabled(False)
        buttons = QHBoxLayout()
        for key in TAKING_BACK:
            button = QPushButton(f"{key.title}  [{legend(key.key)}]")
            button.setToolTip(key.tip)
            button.clicked.connect(lambda _=False, act=key.act: self.acted.emit(str(act)))
            buttons.addWidget(button)
        buttons.addWidget(self.take_back)
        self.who = QLineEdit(desk.who)
        self.who.setToolTip("Who signs your answers, while napari is open.")
        self.who.textChanged.connect(self._signed)
        signed = QHBoxLayout()
        signed.addWidget(QLabel("Answers are signed"))
        signed.addWidget(self.who, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.list, 1)
        layout.addLayout(buttons)
        layout.addLayout(signed)
        desk.listening.to(desk.refused, lambda: self.show_table(self._corrections))

    def show_table(self, corrections: Corrections) -> None:
        """Lists what stands in the table."""
        self._corrections, self._said = corrections, listed(corrections)[:MOST]
        self._refused = self._desk.refusals
        self.list.clear()
        for refusal in self._refused:
            item = QListWidgetItem(refusal.text)
            item.setForeground(REFUSED)
            self.list.addItem(item)
        for said in self._said:
            item = QListWidgetItem(f"{said.row.line}: {said.text}" + (f"   ({said.signed})" if said.signed else ""))
            font = item.font()
            font.setStrikeOut(said.undone)
            item.setFont(font)
            item.setToolTip("taken back" if said.undone else escape(item.text()))
            self.list.addItem(item)

    def _said_at(self, at: int) -> Said | None:
        at -= len(self._refused)
        return self._said[at] if 0 <= at < len(self._said) else None

    def _row_changed(self, at: int) -> None:
        if 0 <= at < len(self._refused):
            self._desk.seen(lambda refusal: refusal is self._refused[at])
        said = self._said_at(at)
        self.take_back.setEnabled(said is not None and not said.undone)
        both = said is not None and not said.undone and len(self._desk.stroke_of(said.row.line, self._corrections)) > 1
        self.take_back.setText(BOTH if both else THIS)

    def _take_back(self) -> None:
        said = self._said_at(self.list.currentRow())
        if said is not None:
            self._desk.take_back(said.row.line)

    def _signed(self, text: str) -> None:
        self._desk.who = text
