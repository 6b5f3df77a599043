"""What was said, by whom, and what was taken back."""

from __future__ import annotations

from psygnal import Signal
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

MOST = 2000
"""Lines that are listed, the newest of them."""


class History(QWidget):
    """The table, the newest line first; lines that were taken back are struck through.

    Signals:
        acted: (act) a button of undo or redo was pressed.
    """

    acted = Signal(str)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._said: tuple[Said, ...] = ()
        self.list = QListWidget()
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.currentRowChanged.connect(self._row_changed)
        self.take_back = QPushButton("Take back this line")
        self.take_back.setToolTip("Takes back the line that is chosen in the list.")
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

    def show_table(self, corrections: Corrections) -> None:
        """Lists what stands in the table."""
        self._said = listed(corrections)[:MOST]
        self.list.clear()
        for said in self._said:
            item = QListWidgetItem(f"{said.row.line}: {said.text}" + (f"   ({said.signed})" if said.signed else ""))
            font = item.font()
            font.setStrikeOut(said.undone)
            item.setFont(font)
            item.setToolTip("taken back" if said.undone else item.text())
            self.list.addItem(item)

    def _row_changed(self, at: int) -> None:
        self.take_back.setEnabled(0 <= at < len(self._said) and not self._said[at].undone)

    def _take_back(self) -> None:
        at = self.list.currentRow()
        if 0 <= at < len(self._said):
            self._desk.take_back(self._said[at].row.line)

    def _signed(self, text: str) -> None:
        self._desk.who = text
