"""Whether a panel is in sight: one that lies behind another in tabs is not, though Qt calls it visible."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QDockWidget, QWidget

from barlowtrack.plugin.parts import is_there

_TELLING = {QEvent.Type.Show, QEvent.Type.Hide, QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.ParentChange, QEvent.Type.ZOrderChange}

EVERY_MS = 50


class Sight(QObject):
    """Watches a panel, and the dock that it lies in.

    Signals:
        changed: (in_sight,) it came into sight, or went out of it.

    Args:
        panel: Is watched as long as it lives.
    """

    changed = Signal(bool)

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel, self._said = panel, False
        self._dock: QDockWidget | None = None
        panel.installEventFilter(self)
        timer = QTimer(self)  # a tab that is raised is told of before it is there, and then no more
        timer.timeout.connect(self.look)
        timer.start(EVERY_MS)

    @property
    def now(self) -> bool:
        """Whether something of it can be seen at this moment."""
        return self._panel.isVisible() and not self._panel.visibleRegion().isEmpty()

    def look(self) -> None:
        """Tells of a change, if there was one."""
        if is_there(self) and is_there(self._panel) and self.now != self._said:
            self._said = self.now
            self.changed.emit(self._said)

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        if a1 is not None and a1.type() in _TELLING:
            self._find_dock()
            if a1.type() == QEvent.Type.Hide:
                self.look()
            QTimer.singleShot(0, self.look)
        return False

    def _find_dock(self) -> None:
        dock: QWidget | None = self._panel
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        if dock is not None and dock is not self._dock:
            self._dock = dock
            dock.installEventFilter(self)
            dock.visibilityChanged.connect(lambda _: self.look())
