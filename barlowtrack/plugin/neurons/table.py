"""The table of neurons: Qt's model of the figures, what of it is shown, and the view that people work in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtGui import QColor, QGuiApplication, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from barlowtrack.data import BoolArray
from barlowtrack.plugin.neurons.figures import Figures
from barlowtrack.plugin.neurons.searching import Search
from barlowtrack.plugin.parts import CHANGED, shade
from barlowtrack.showing.colours import colour_of

TITLES = ("id", "name", "coverage", "probability", "r", "swaps")
TIPS = (
    "Number of the neuron, in its colour",
    "Name that a person gave",
    "Share of the volumes in which it was found",
    "How likely it is the right neuron where it was found, on average",
    "How its ratio goes along with that of its three nearest neighbours (correlation, median). High here and low elsewhere: they may be "
    "read from the same light.",
    "Stretches of time in which its light may be another neuron's",
)
LOW_COVERAGE, LOW_PROBABILITY, HIGH_R = 0.5, 0.9, 0.8
"""Beyond these a figure is coloured: a place to look at, no verdict."""
SORTED_BY = Qt.ItemDataRole.UserRole


class FiguresModel(QAbstractTableModel):
    """Figures as Qt wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.figures = Figures.none()
        self.dark = True

    def show_figures(self, figures: Figures) -> None:
        """Shows others."""
        self.beginResetModel()
        self.figures = figures
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802  (Qt's names)
        return 0 if parent.isValid() else len(self.figures)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        return 0 if parent.isValid() else len(TITLES)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return TITLES[section]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return TIPS[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.cell(row, column)
        if role == SORTED_BY:
            return self.value(row, column)
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return QColor.fromRgbF(*colour_of(int(self.figures.neuron[row])))
        if role == Qt.ItemDataRole.ForegroundRole and self._strange(row, column):
            return QColor(shade(CHANGED, dark=self.dark))
        if role == Qt.ItemDataRole.TextAlignmentRole and column != 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def value(self, row: int, column: int) -> Any:
        """Returns what a cell is sorted by."""
        figures = self.figures
        if column == 1:
            return figures.name[row]
        columns = (figures.neuron, figures.neuron, figures.coverage, figures.probability, figures.r, figures.swaps)
        return float(columns[column][row])

    def cell(self, row: int, column: int) -> str:
        """Returns what a cell says."""
        value = self.value(row, column)
        if column == 1:
            return str(value)
        if math.isnan(value):
            return "–"  # noqa: RUF001
        return (f"{value:.0f}", "", f"{value:.0%}", f"{value:.3f}", f"{value:.2f}", f"{value:.0f}")[column]

    def _strange(self, row: int, column: int) -> bool:
        value = self.value(row, column)
        return (
            (column == 2 and value < LOW_COVERAGE)
            or (column == 3 and value < LOW_PROBABILITY)
            or (column == 4 and value > HIGH_R)
            or (column == 5 and value > 0)
        )


class Found(QSortFilterProxyModel):
    """The neurons that were searched for, in the order that was asked for; what nobody knows comes last, whichever way."""

    def __init__(self, model: FiguresModel) -> None:
        super().__init__()
        self._model = model
        self._search = Search.read("")
        self._found: BoolArray = np.zeros(0, bool)
        self.setSortRole(SORTED_BY)
        self._find()
        self.setSourceModel(model)

    def search(self, search: Search) -> None:
        """Shows those that are meant."""
        self._search = search
        self._find()
        self.invalidateFilter()

    def show_figures(self, figures: Figures) -> None:
        """Shows others, searched for and sorted as before."""
        self._found = self._search.finds(figures)
        self._model.show_figures(figures)

    def filterAcceptsRow(self, source_row: int, source_parent: QModelIndex) -> bool:  # noqa: N802
        return bool(self._found[source_row])

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:  # noqa: N802
        one, other = (self._model.value(index.row(), index.column()) for index in (left, right))
        blank = [value == "" or value != value for value in (one, other)]
        if blank[0] != blank[1]:
            return bool(blank[0] == (self.sortOrder() == Qt.SortOrder.DescendingOrder))
        return bool(one < other)

    def _find(self) -> None:
        self._found = self._search.finds(self._model.figures)


class NeuronTable(QTableView):
    """The table: rows are chosen by mouse and keys.

    Signals:
        picked: (neurons,) somebody chose these here.
        wanted: (neuron,) somebody wants to see this one.
        follow: (neuron,) the camera shall follow this one, or no longer; None: whoever is chosen.
    """

    picked = Signal(object)
    wanted = Signal(int)
    follow = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.figures = FiguresModel()
        self.found = Found(self.figures)
        self._quiet = False
        self.setModel(self.found)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        rows, titles = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None, "a table has headers"
        assert titles is not None, "a table has headers"
        rows.hide()
        rows.setDefaultSectionSize(22)
        titles.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        titles.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for column, width in {0: 62, 2: 80, 3: 92, 4: 58, 5: 62}.items():
            self.setColumnWidth(column, width)
        selection = self.selectionModel()
        assert selection is not None, "a table with a model has a selection"
        selection.selectionChanged.connect(self._selected)
        self.doubleClicked.connect(lambda index: self.follow.emit(self._neuron(index)))

    @property
    def selected(self) -> list[int]:
        """Whose rows are selected, from above."""
        selection = self.selectionModel()
        assert selection is not None, "a table with a model has a selection"
        return [self._neuron(index) for index in sorted(selection.selectedRows(), key=lambda index: index.row())]

    @property
    def shown(self) -> list[int]:
        """Whose rows are shown, from above."""
        return [self._neuron(self.found.index(row, 0)) for row in range(self.found.rowCount())]

    def show_figures(self, figures: Figures, chosen: Sequence[int]) -> None:
        """Shows others; search and order stay, and who is chosen is selected."""
        self._quiet = True
        self.found.show_figures(figures)
        self._quiet = False
        self.choose(chosen)

    def dress(self, *, dark: bool) -> None:
        """Takes the colours that can be read on dark, or on light."""
        self.figures.dark = dark
        port = self.viewport()
        if port is not None:
            port.update()

    def search(self, search: Search, chosen: Sequence[int]) -> None:
        """Shows those that are meant; who is chosen stays so, in sight or not."""
        self._quiet = True
        self.found.search(search)
        self._quiet = False
        self.choose(chosen)

    def choose(self, neurons: Sequence[int]) -> None:
        """Selects the rows of neurons, as far as they are shown, and scrolls to the last of them."""
        if set(neurons) == set(self.selected):
            return
        selection = self.selectionModel()
        assert selection is not None, "a table with a model has a selection"
        rows = {int(neuron): row for row, neuron in enumerate(self.figures.figures.neuron)}
        ranges, last = QItemSelection(), QModelIndex()
        for neuron in neurons:
            index = self.found.mapFromSource(self.figures.index(rows[neuron], 0)) if neuron in rows else QModelIndex()
            if index.isValid():
                ranges.select(index, index.siblingAtColumn(len(TITLES) - 1))
                last = index
        flags = QItemSelectionModel.SelectionFlag
        self._quiet = True
        selection.select(ranges, flags.ClearAndSelect | flags.Rows)
        if last.isValid():
            selection.setCurrentIndex(last, flags.NoUpdate)
            self.scrollTo(last)
        self._quiet = False

    def copy(self) -> None:
        """Puts the selected rows, or all that are shown where fewer than two are selected, into the clipboard, for a spreadsheet."""
        selection, clipboard = self.selectionModel(), QGuiApplication.clipboard()
        assert selection is not None, "a table with a model has a selection"
        assert clipboard is not None, "there is a clipboard where there are windows"
        chosen = sorted(index.row() for index in selection.selectedRows())
        rows = chosen if len(chosen) > 1 else range(self.found.rowCount())
        lines = [
            "\t".join(
                self.figures.cell(self.found.mapToSource(self.found.index(row, 0)).row(), column).replace("–", "")  # noqa: RUF001
                for column in range(len(TITLES))
            )
            for row in rows
        ]
        clipboard.setText("\n".join(["\t".join(TITLES), *lines]) + "\n")

    def keyPressEvent(self, e: QKeyEvent | None) -> None:  # noqa: N802
        if e is None:
            return
        if e.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif e.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.wanted.emit(self._neuron(self.currentIndex()))
        elif e.key() == Qt.Key.Key_Escape:
            self.picked.emit([])
        elif e.key() == Qt.Key.Key_F and not e.modifiers():
            self.follow.emit(None)
        else:
            super().keyPressEvent(e)

    def _neuron(self, index: QModelIndex) -> int:
        return int(self.figures.figures.neuron[self.found.mapToSource(index).row()])

    def _selected(self, *_: QItemSelection) -> None:
        if not self._quiet:
            self.picked.emit(self.selected)
