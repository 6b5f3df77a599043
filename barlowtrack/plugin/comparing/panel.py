"""The Compare panel: where the truth, or a second run, disagrees with the run that is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from barlowtrack.api import Run
from barlowtrack.errors import BarlowtrackError
from barlowtrack.evaluate import GATE_UM
from barlowtrack.plugin.attached import session_of
from barlowtrack.plugin.background import in_background, say
from barlowtrack.plugin.comparing.against import Against, against_run, against_truth, read_other
from barlowtrack.plugin.comparing.disagreements import Disagreement, Kind
from barlowtrack.plugin.comparing.listed import COLUMNS, Words, chosen, in_order, stop_of
from barlowtrack.plugin.comparing.points_layer import show_points, take_points_away
from barlowtrack.plugin.comparing.truth import read_truth_of
from barlowtrack.plugin.docking import together
from barlowtrack.plugin.parts import SOFT, WRONG, dropped_path, is_there, text_line
from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.stepper import Stepper

if TYPE_CHECKING:
    import napari

MOST_ROWS = 2000
"""A table of more takes longer to fill than a window may stand still."""
NOTHING_OPEN = "Open a run first: drop its run folder on napari, or run a recording."
LEGEND = "Green: as ours. Red: another neuron. Yellow: only one of the two says who it is. Violet: we have no nucleus there."
NOTHING_CHOSEN = "Choose a table of true neurons, or another run of this recording. Nothing is changed by it."


class Compare(QWidget):
    """Lists where somebody else disagrees with the run that is open.

    Args:
        napari_viewer: Whose session is compared.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer, self._session = napari_viewer, session_of(napari_viewer)
        self._path: Path | None = None
        self._asked = 0  # an answer to an older question is passed over
        self._against: Against | None = None
        self._closed = False
        self._column, self._falling = COLUMNS.index("nuclei"), True
        self.truth, self.other = QPushButton("True neurons…"), QPushButton("Another run…")
        self.truth.setToolTip("CSV or parquet: t, neuron, and z_um, y_um, x_um (or z, y, x in voxels)")
        self.other.setToolTip("Run folder of the same recording")
        self.with_whom, self.headline, self.doubt = text_line(SOFT), text_line(), text_line(WRONG)
        self.gate = QLineEdit(f"{GATE_UM:g}")
        self.voxels = [QLineEdit() for _ in "zyx"]
        self.filters: dict[Kind, QCheckBox] = {}
        self.show_theirs = QCheckBox("Show their points")
        self.legend = text_line(SOFT)
        self.legend.setText(LEGEND)
        self.show_theirs.setChecked(True)
        self.stepper = Stepper(self._session, COLUMNS)
        self.more = text_line(SOFT)
        self._lay_out()
        self._connect()
        self._follow(self._session.solution, None)

    @property
    def found(self) -> tuple[Disagreement, ...]:
        """All that is amiss; nothing where nothing was compared."""
        return () if self._against is None else self._against.found

    def compare_with(self, path: Path) -> None:
        """Compares with a table of true neurons, or with another run."""
        self._path = path
        self._compare()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Lies over our other panels, the first time."""
        super().showEvent(event)
        together(self)

    def _lay_out(self) -> None:
        choose = QHBoxLayout()
        for button in (self.truth, self.other):
            choose.addWidget(button)
        self._numbers = QWidget()
        grid = QGridLayout(self._numbers)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(QLabel("Farthest from its true neuron (um)"), 0, 0)
        grid.addWidget(self.gate, 0, 1, 1, 3)
        self._voxel_title = QLabel("Voxels of the table, z y x (um)")
        grid.addWidget(self._voxel_title, 1, 0)
        for i, line in enumerate(self.voxels):
            grid.addWidget(line, 1, 1 + i)
        self._filters = QGridLayout()
        layout = QVBoxLayout(self)
        layout.addLayout(choose)
        for part in (self.with_whom, self._numbers, self.headline, self.doubt):
            layout.addWidget(part)
        layout.addLayout(self._filters)
        layout.addWidget(self.stepper, 1)
        layout.addWidget(self.more)
        layout.addWidget(self.show_theirs)
        layout.addWidget(self.legend)
        self.setMinimumWidth(330)
        self.setAcceptDrops(True)

    def _connect(self) -> None:
        self.truth.clicked.connect(self._look_for_truth)
        self.other.clicked.connect(self._look_for_run)
        for line in (self.gate, *self.voxels):
            line.editingFinished.connect(self._compare_again)
        self.show_theirs.toggled.connect(self._show_points)
        titles = self.stepper.table.horizontalHeader()
        assert titles is not None, "a table has headers"
        titles.setSectionsClickable(True)
        titles.setSortIndicatorShown(True)
        titles.sectionClicked.connect(self._sort)
        self._session.solved.connect(self._follow)

    def event(self, a0: QEvent | None) -> bool:
        """Takes the points of theirs away with the panel: napari takes it out of the window where somebody closes it."""
        done = bool(super().event(a0))
        if a0 is not None and a0.type() == QEvent.Type.ParentChange:
            self._closed = self.parentWidget() is None
            self._show_points()
        return done

    # with whom

    def _look_for_truth(self) -> None:
        found, _ = QFileDialog.getOpenFileName(self, "Table of true neurons", "", "Tables (*.csv *.parquet)")
        if found:
            self.compare_with(Path(found))

    def _look_for_run(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Run folder of the same recording")
        if found:
            self.compare_with(Path(found))

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        if event is not None and self._session.solution is not None and dropped_path(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        path = dropped_path(event) if event is not None else None
        if event is not None and path is not None:
            event.acceptProposedAction()
            self.compare_with(path)

    def _follow(self, new: Solution | None, old: Solution | None) -> None:
        """Another run is open, and nothing is compared with it yet; or the same one was solved again, and is compared again."""
        if not is_there(self):
            return  # the panel was closed; the session lives on
        if new is None or old is None:
            self._path, self._against = None, None
            for line, size in zip(self.voxels, new.voxel_size_um if new is not None else (), strict=False):
                line.setText(f"{size:g}")
            self._asked += 1
            self._show()
        elif self._path is not None:
            self._compare()

    # what differs

    def _compare_again(self) -> None:
        if self._path is not None and any(line.isModified() for line in (self.gate, *self.voxels)):
            self._compare()

    def _compare(self) -> None:
        solution, path = self._session.solution, self._path
        if solution is None or path is None:
            return
        for line in (self.gate, *self.voxels):
            line.setModified(False)
        try:
            work = self._work(solution, path)
        except ValueError:
            self._fail_with("Expected numbers in um: how far a nucleus may be from its true neuron, and the size of a voxel.")
            return
        self._asked += 1
        mine = self._asked
        self.with_whom.setText(f"Comparing with {path.name} …")
        in_background(work, lambda found: self._take(mine, found), lambda error: self._fail(mine, error))

    def _work(self, solution: Solution, path: Path) -> Callable[[], tuple[Against, bool]]:
        """Returns what is to be done beside the window; it says whether the table is in voxels, too."""
        if path.suffix.lower() not in (".csv", ".parquet"):
            return lambda: (against_run(solution, read_other(path, solution)), False)
        gate_um = float(self.gate.text())
        z, y, x = (float(line.text()) for line in self.voxels)

        def work() -> tuple[Against, bool]:
            read = read_truth_of(path, (z, y, x))
            return against_truth(solution, Run(solution.path).as_prepared(read.truth), gate_um), read.in_voxels

        return work

    def _take(self, asked: int, found: tuple[Against, bool]) -> None:
        if is_there(self) and asked == self._asked:
            self._against, in_voxels = found
            self._show(in_voxels=in_voxels)

    def _fail(self, asked: int, error: BaseException) -> None:
        if not isinstance(error, BarlowtrackError):
            say(error)
        if is_there(self) and asked == self._asked:
            self._fail_with(str(error))

    def _fail_with(self, text: str) -> None:
        self._against = None
        self._show()
        self.with_whom.setText(f"Not compared with {self._path}")
        self.doubt.setText(text)
        self.doubt.setVisible(True)

    # what is shown

    def _show(self, *, in_voxels: bool = False) -> None:
        against, solution = self._against, self._session.solution
        for button in (self.truth, self.other):
            button.setEnabled(solution is not None)
        self.with_whom.setText("" if self._path is None else f"Compared with {self._path}")
        self.headline.setText(against.headline if against else NOTHING_CHOSEN if solution else NOTHING_OPEN)
        self.doubt.setText(against.doubt if against else "")
        self.doubt.setVisible(bool(self.doubt.text()))
        self._numbers.setVisible(against.truth if against else self._path is not None and self._path.suffix != "")
        for part in (self._voxel_title, *self.voxels):
            part.setVisible(in_voxels)
        self._show_filters()
        self._list()
        self._show_points()

    def _show_filters(self) -> None:
        """A box for every kind that there is; what was left out stays so."""
        off = {kind for kind, box in self.filters.items() if not box.isChecked()}
        for box in self.filters.values():
            self._filters.removeWidget(box)
            box.hide()  # it goes when Qt finds the time
            box.deleteLater()
        self.filters = {}
        if self._against is None or self._session.solution is None:
            return
        words = Words(self._session.solution.names, self._against.truth)
        for i, (kind, called) in enumerate(words.kinds.items()):
            box = self.filters[kind] = QCheckBox(f"{called} ({self._against.count(kind)})")
            box.setChecked(kind not in off)
            box.toggled.connect(self._list)
            self._filters.addWidget(box, i // 2, i % 2)

    def _sort(self, column: int) -> None:
        self._falling = not self._falling if column == self._column else column == COLUMNS.index("nuclei")
        self._column = column
        self._list()

    def _list(self) -> None:
        solution, against = self._session.solution, self._against
        titles = self.stepper.table.horizontalHeader()
        assert titles is not None, "a table has headers"
        titles.setSortIndicator(self._column, Qt.SortOrder.DescendingOrder if self._falling else Qt.SortOrder.AscendingOrder)
        if solution is None or against is None:
            self.stepper.show_stops(())
            self.more.setVisible(False)
            return
        words = Words(solution.names, against.truth)
        kinds = {kind for kind, box in self.filters.items() if box.isChecked()}
        listed = in_order(chosen(against.found, kinds), self._column, falling=self._falling)
        self.stepper.show_stops([stop_of(one, words) for one in listed[:MOST_ROWS]])
        self.more.setText(f"The first {MOST_ROWS} of {len(listed)} are listed; choose fewer kinds to see the others.")
        self.more.setVisible(len(listed) > MOST_ROWS)

    def _show_points(self) -> None:
        against, solution = self._against, self._session.solution
        for part in (self.show_theirs, self.legend):
            part.setVisible(against is not None)
        if against is not None and solution is not None and self.show_theirs.isChecked() and not self._closed:
            show_points(self._viewer, solution, against)
        else:
            take_points_away(self._viewer)
