"""Our panels in one place of the window, each with a tab, however they were opened."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from barlowtrack.plugin.parts import is_there

_PLACED = "barlowtrack placed"
"""Property of a panel: False once it was shown, True once it has its place; where somebody puts it later, it stays."""


def together(panel: QWidget) -> None:
    """Lays a panel that is shown for the first time over those of ours that are docked: napari puts it below them, where they are cut off.

    Args:
        panel: Calls this when it is shown.
    """
    if panel.property(_PLACED) is None:
        panel.setProperty(_PLACED, False)
        QTimer.singleShot(0, lambda: _lay_over(panel))  # napari is still about to dock it


def _lay_over(panel: QWidget) -> None:
    if not is_there(panel):
        return
    panel.setProperty(_PLACED, True)
    dock = next((parent for parent in _parents(panel) if isinstance(parent, QDockWidget)), None)
    window = None if dock is None else dock.parentWidget()
    if dock is None or dock.isFloating() or not isinstance(window, QMainWindow):
        return
    ours = [other for other in window.findChildren(QDockWidget) if other is not dock and _holds_ours(other)]
    there = [other for other in ours if not other.isFloating() and not other.isHidden()]
    if there and not any(other in there for other in window.tabifiedDockWidgets(dock)):
        window.tabifyDockWidget(there[-1], dock)
        dock.raise_()


def _parents(widget: QWidget) -> Iterator[QWidget]:
    parent = widget.parentWidget()
    while parent is not None:
        yield parent
        parent = parent.parentWidget()


def _holds_ours(dock: QDockWidget) -> bool:
    """Says whether a panel of ours has its place in it."""
    return any(child.property(_PLACED) for child in dock.findChildren(QWidget))
