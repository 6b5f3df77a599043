"""Whether a window is still there when work that it began comes to its end."""

from __future__ import annotations

from qtpy.QtCore import QObject


class Life:
    """Knows when a widget is gone: then nobody may touch it, or a part of it."""

    def __init__(self, widget: QObject) -> None:
        self.over = False
        widget.destroyed.connect(self._end)

    def _end(self) -> None:
        self.over = True
