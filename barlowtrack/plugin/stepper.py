"""A table of stops, with buttons and keys to go from one to the next."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from barlowtrack.plugin.session import Session
from barlowtrack.plugin.stops import Stop


class Stepper(QWidget):
    """Shows stops, and takes the session to the one that is chosen.

    Args:
        session: Whose volume and place follow.
        columns: Titles, one for each cell of a stop.
    """

    def __init__(self, session: Session, columns: Sequence[str]) -> None:
        super().__init__()
        self._session, self._stops = session, tuple[Stop, ...]()
        self.table = QTableWidget(0, len(columns))
        self.table.setHorizontalHeaderLabels(list(columns))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        rows, titles = self.table.verticalHeader(), self.table.horizontalHeader()
        assert rows is not None, "a table has headers"
        assert titles is not None, "a table has headers"
        rows.hide()
        titles.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        titles.setStretchLastSection(True)
        self.table.currentCellChanged.connect(self._go)
        self.back, self.on, self.where = QPushButton("Previous"), QPushButton("Next"), QLabel()
        self.back.clicked.connect(lambda: self.step(-1))
        self.on.clicked.connect(lambda: self.step(1))
        buttons = QHBoxLayout()
        for part in (self.back, self.on, self.where):
            buttons.addWidget(part)
        buttons.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.table)
        self.show_stops(())

    @property
    def stops(self) -> tuple[Stop, ...]:
        """What is listed."""
        return self._stops

    def show_stops(self, stops: Sequence[Stop]) -> None:
        """Lists stops; goes to none yet."""
        self._stops = tuple(stops)
        self.table.blockSignals(True)
        self.table.setRowCount(len(self._stops))
        for i, stop in enumerate(self._stops):
            for j, text in enumerate(stop.cells):
                cell = QTableWidgetItem(text)
                cell.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                self.table.setItem(i, j, cell)
        self.table.setCurrentCell(-1, -1)
        self.table.blockSignals(False)
        self._say_where()

    def step(self, by: int) -> None:
        """Goes on to another stop; stays within the list."""
        if self._stops:
            now = self.table.currentRow()
            self.table.setCurrentCell(min(max(now + by, 0), len(self._stops) - 1), 0)

    def _go(self, row: int, *_: int) -> None:
        self._say_where()
        if 0 <= row < len(self._stops):
            self._session.look(self._stops[row])

    def _say_where(self) -> None:
        row, n = self.table.currentRow(), len(self._stops)
        self.where.setText("nothing to look at" if not n else f"{row + 1} of {n}" if row >= 0 else f"{n} to look at")
        self.back.setEnabled(row > 0)
        self.on.setEnabled(row < n - 1)
