"""Small parts that several panels are made of."""

from __future__ import annotations

from pathlib import Path

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QLabel

WRONG, SOFT, CHANGED, FINE = "#f0625d", "#9aa0a6", "#e0a030", "#4cae6a"
"""Colours of texts that can be read on dark and on light."""


def text_line(colour: str = "") -> QLabel:
    """Returns a text that breaks its lines and can be copied; a coloured one is small."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)  # names of people's files and neurons are no HTML
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if colour:
        label.setStyleSheet(f"color: {colour}; font-size: 11px;")
    return label


def dropped_path(event: QDropEvent) -> Path | None:
    """Returns the first thing on a disk that is dropped; None where there is none."""
    data = event.mimeData()
    paths = [url.toLocalFile() for url in data.urls()] if data is not None and data.hasUrls() else []
    return next((Path(path) for path in paths if path), None)


def is_there(widget: QObject) -> bool:
    """Says whether Qt still has a widget: what was asked for in the background may come when its panel has been closed."""
    return bool(isalive(widget))  # type: ignore[no-untyped-call]
