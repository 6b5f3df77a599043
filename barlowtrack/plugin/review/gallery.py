"""Pictures for the panel: read beside the window, the newest wish first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPixmap

from barlowtrack.data import FloatArray
from barlowtrack.plugin.background import in_background
from barlowtrack.plugin.listening import Listening
from barlowtrack.plugin.review.pictures import Pictures, opened
from barlowtrack.plugin.solution import Solution
from barlowtrack.showing.colours import colour_of

RING = 0.3
"""Of a picture's side: its nucleus fills about a quarter of it."""


class Gallery:
    """Holds the pictures of the run that is shown.

    Args:
        arrived: Called, in the thread of the window, when what was wanted last is there.
        listening: Of the window that shows them.
    """

    def __init__(self, arrived: Callable[[], None], listening: Listening) -> None:
        self._listening = listening
        self._arrived = arrived
        self._solution: Solution | None = None
        self._pictures: Pictures | None = None
        self._wanted: tuple[int, ...] = ()
        self._busy = False
        self.why_none = ""

    def show(self, solution: Solution | None) -> None:
        """Turns to a solution; one of the same nuclei keeps the pictures that are there."""
        old, self._solution = self._solution, solution
        if solution is None or not (old is not None and old.path == solution.path and _same_nuclei(old, solution)):
            self._pictures, self.why_none = None, ""
        self._wanted = ()

    def want(self, rows: Sequence[int]) -> None:
        """Reads pictures of these nuclei, in this order, if they are not there; forgets what was wanted before."""
        self._wanted = tuple(rows)
        self._go_on()

    def picture(self, row: int) -> FloatArray | None:
        """Returns a picture if it is there."""
        return None if self._pictures is None else self._pictures.kept(row)

    def _go_on(self) -> None:
        solution, pictures = self._solution, self._pictures
        lacking = [row for row in self._wanted if pictures is None or pictures.kept(row) is None]
        if self._busy or solution is None or not lacking or self.why_none:
            return
        self._busy = True

        def work() -> Pictures | str:
            found = pictures if pictures is not None else opened(solution)
            if isinstance(found, Pictures):
                found.read(lacking[:1] if pictures is None else lacking)
            return found

        in_background(work, lambda found: self._read(solution, found), self._failed)

    def _read(self, solution: Solution, found: Pictures | str) -> None:
        self._busy = False
        if not self._listening.on:
            return
        if self._solution is not None and self._solution.path == solution.path and _same_nuclei(self._solution, solution):
            if isinstance(found, str):
                self.why_none = found
            else:
                self._pictures = found
            self._arrived()
        self._go_on()

    def _failed(self, error: BaseException) -> None:
        self._busy = False
        if not self._listening.on:
            return
        self.why_none = f"No pictures: {error}"
        self._arrived()


def _same_nuclei(a: Solution, b: Solution) -> bool:
    return a is b or np.array_equal(a.detections.position_um, b.detections.position_um)


def drawn(picture: FloatArray | None, neuron: int, side: int, text: str) -> QPixmap:
    """Returns a picture with a ring in the colour of its neuron, and a text in its corner; an empty frame where there is no picture."""
    pixmap = QPixmap(side, side)
    pixmap.fill(QColor(20, 20, 24))
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    if picture is not None:
        grey = np.ascontiguousarray(255 * np.clip(picture, 0, 1), dtype=np.uint8)
        image = QImage(grey.tobytes(), grey.shape[1], grey.shape[0], grey.shape[1], QImage.Format.Format_Grayscale8)
        painter.drawImage(QRectF(0, 0, side, side), image)
    colour = colour_as_qt(neuron)
    painter.setPen(QPen(colour, 1.5))
    painter.drawRect(QRectF(0.75, 0.75, side - 1.5, side - 1.5))
    if picture is not None:
        margin = side * (1 - RING) / 2
        painter.drawEllipse(QRectF(margin, margin, side * RING, side * RING))
    painter.setPen(QColor("white"))
    font = painter.font()
    font.setPixelSize(11)
    painter.setFont(font)
    painter.drawText(QRectF(4, 2, side - 8, side - 4), int(Qt.AlignmentFlag.AlignBottom), text)
    painter.end()
    return pixmap


def colour_as_qt(neuron: int) -> QColor:
    """Returns the colour of a neuron; grey of nobody's."""
    return QColor.fromRgbF(*colour_of(neuron)) if neuron >= 0 else QColor(160, 160, 160)
