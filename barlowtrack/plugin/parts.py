"""Small parts that several panels are made of."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QDropEvent, QPalette
from qtpy.QtWidgets import QLabel, QWidget


class Tone(StrEnum):
    """What the colour of a text says; which colour that is depends on what it stands on."""

    WRONG = "wrong"
    SOFT = "soft"
    CHANGED = "changed"
    FINE = "fine"


WRONG, SOFT, CHANGED, FINE = Tone
_ON_DARK = {WRONG: "#ff7b6b", SOFT: "#9aa0a6", CHANGED: "#e0a030", FINE: "#5fc46b"}
_ON_LIGHT = {WRONG: "#a11810", SOFT: "#5c6167", CHANGED: "#7a4100", FINE: "#155a26"}
"""At least 4.5 times as light, or as dark, as the windows of napari's themes."""


def shade(tone: Tone, *, dark: bool) -> str:
    """Returns the colour of a tone on dark, or on light."""
    return (_ON_DARK if dark else _ON_LIGHT)[tone]


def is_dark(widget: QWidget) -> bool:
    """Says whether a widget, as the theme dresses it, is dark."""
    return widget.palette().color(QPalette.ColorRole.Window).lightness() < 128


class Text(QLabel):
    """A text in a tone, whatever the theme is; it breaks its lines.

    Args:
        tone: None: as all text.
        style: What else its style sheet says.
    """

    def __init__(self, tone: Tone | None = None, style: str = "") -> None:
        super().__init__()
        self.setWordWrap(True)
        self._tone, self._style = tone, style
        self.dye(tone, style)

    def dye(self, tone: Tone | None, style: str = "") -> None:
        """Takes another tone."""
        self._tone, self._style = tone, style
        sheet = (f"color: {shade(tone, dark=is_dark(self))}; " if tone is not None else "") + style
        if sheet != self.styleSheet():
            self.setStyleSheet(sheet)

    def changeEvent(self, a0: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Follows the theme."""
        super().changeEvent(a0)
        if a0 is not None and a0.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange) and hasattr(self, "_tone"):
            self.dye(self._tone, self._style)


def text_line(tone: Tone | None = None) -> Text:
    """Returns a text that breaks its lines and can be copied; a coloured one is small."""
    text = Text(tone, "font-size: 11px;" if tone is not None else "")
    text.setTextFormat(Qt.TextFormat.PlainText)  # names of people's files and neurons are no HTML
    text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return text


def dropped_path(event: QDropEvent) -> Path | None:
    """Returns the first thing on a disk that is dropped; None where there is none."""
    data = event.mimeData()
    paths = [url.toLocalFile() for url in data.urls()] if data is not None and data.hasUrls() else []
    return next((Path(path) for path in paths if path), None)


def is_there(widget: QObject) -> bool:
    """Says whether Qt still has a widget: what was asked for in the background may come when its panel has been closed."""
    return bool(isalive(widget))  # type: ignore[no-untyped-call]
