"""Which recording, and where its results go: two lines, things to drop, dialogs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QLineEdit, QMenu, QToolButton, QWidget

from barlowtrack.plugin.parts import dropped_path
from barlowtrack.plugin.running.chosen import default_folder

WAIT_MS = 300
"""After the last letter that somebody types."""


class Place(QWidget):
    """Asks for a recording and a run folder.

    Signals:
        changed: Another one was chosen.

    Args:
        offered: Returns recordings that are at hand: those of the viewer's layers.
    """

    changed = Signal()

    def __init__(self, offered: Callable[[], list[Path]]) -> None:
        super().__init__()
        self._offered = offered
        self.recording, self.folder = QLineEdit(), QLineEdit()
        self.recording.setPlaceholderText("Drop a recording here, or look for one")
        self.recording.setToolTip("A folder of TIFFs, a TIFF, an OME-Zarr, or a run folder")
        self.folder.setPlaceholderText("beside the recording")
        self.folder.setToolTip("Run folder: all results go here. Where there is one already, only what is not up to date is run.")
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(WAIT_MS)
        self._wait.timeout.connect(self._settle)
        for line in (self.recording, self.folder):
            line.setAcceptDrops(False)  # else a path that is dropped is put between the letters of another
            line.textChanged.connect(lambda *_: self._wait.start())
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._offer)
        find, where = QToolButton(), QToolButton()
        find.setText("Find")
        find.setMenu(self._menu)
        find.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        find.setStyleSheet("QToolButton { padding-right: 16px; }")  # beside its arrow, not under it
        where.setText("Find")
        where.clicked.connect(partial(self._look, self.folder))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for i, (title, line, button) in enumerate((("Recording", self.recording, find), ("Results in", self.folder, where))):
            grid.addWidget(QLabel(title), i, 0)
            grid.addWidget(line, i, 1)
            grid.addWidget(button, i, 2)
        self.setAcceptDrops(True)

    @property
    def target(self) -> str:
        """The recording, or run folder, that was chosen; "" where none."""
        return self.recording.text().strip()

    @property
    def out(self) -> str:
        """The run folder that was chosen; "": the one beside the recording."""
        return self.folder.text().strip()

    def choose(self, recording: Path | str, folder: Path | str = "") -> None:
        """Takes a recording at once."""
        self.recording.setText(str(recording))
        self.folder.setText(str(folder))
        self._wait.stop()
        self._settle()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        if event is not None and dropped_path(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        path = dropped_path(event) if event is not None else None
        if event is not None and path is not None:
            event.acceptProposedAction()
            self.choose(path)

    def _settle(self) -> None:
        self.folder.setPlaceholderText((default_folder(self.target) if self.target else "") or "beside the recording")
        self.changed.emit()

    def _offer(self) -> None:
        self._menu.clear()
        self._menu.addAction("A folder (TIFFs, OME-Zarr, run folder)…", partial(self._look, self.recording))
        self._menu.addAction("A file (TIFF)…", self._look_for_file)
        for path in self._offered():
            self._menu.addAction(f"From this viewer: {path.name}", partial(self.choose, path))

    def _look(self, line: QLineEdit, *_: object) -> None:
        found = QFileDialog.getExistingDirectory(self, "Recording" if line is self.recording else "Run folder", line.text())
        if found:
            line.setText(found)

    def _look_for_file(self) -> None:
        found, _ = QFileDialog.getOpenFileName(self, "Recording", self.recording.text(), "TIFF (*.tif *.tiff *.btf);;All files (*)")
        if found:
            self.recording.setText(found)
