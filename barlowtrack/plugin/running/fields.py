"""One setting as a person sees it: title, place to put it in, what it does, and what is wrong with it."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QGridLayout, QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from barlowtrack.plugin.parts import CHANGED, SOFT, WRONG, Text, text_line
from barlowtrack.plugin.running.form import Texts, to_texts
from barlowtrack.plugin.running.settings import Kind, Setting

A_ROW = 3
"""Numbers side by side."""
TITLE_WIDTH = 110


class FieldView(QWidget):
    """Shows one setting.

    Signals:
        edited: (name, texts) a person has changed it.
        reset: (name,) a person wants the default.

    Args:
        setting: Which.
    """

    edited = Signal(str, tuple)
    reset = Signal(str)

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting = setting
        self.title = Text()
        self.title.setText(setting.title)
        default = ", ".join(text for text in to_texts(setting, setting.default) if text) or "empty"
        for part in (self.title, self):
            part.setToolTip(f"<p><b>{setting.name}</b>; default: {default}</p><p>{setting.help}</p>")
        self.places = self._places()
        self.back = QToolButton()
        self.back.setText("↺")
        self.back.setToolTip(f"Back to the default: {default}")
        self.back.setAutoRaise(True)
        self.back.clicked.connect(lambda: self.reset.emit(setting.name))
        policy = self.back.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.back.setSizePolicy(policy)
        self.problem = text_line(WRONG)
        about = text_line(SOFT)
        about.setText(setting.help + (f" ({setting.range})" if setting.range else ""))
        wide = setting.kind is Kind.NUMBERS
        row = QHBoxLayout()
        row.addWidget(self.title, 1)
        if not wide:
            self.title.setFixedWidth(TITLE_WIDTH)
            row.addLayout(self._laid_out(), 1)
        row.addWidget(self.back, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 6)
        layout.setSpacing(2)
        layout.addLayout(row)
        if wide:  # beside each other they need the whole width
            layout.addLayout(self._laid_out())
        layout.addWidget(self.problem)
        layout.addWidget(about)

    @property
    def texts(self) -> Texts:
        """What stands in the places."""
        return tuple(_text_of(place) for place in self.places)

    def show_texts(self, texts: Texts) -> None:
        """Puts texts in, without a word to anybody."""
        for place, text in zip(self.places, texts, strict=True):
            if _text_of(place) == text:
                continue  # the cursor stays where it is
            place.blockSignals(True)
            if isinstance(place, QCheckBox):
                place.setChecked(text == "true")
                place.setText("yes" if text == "true" else "no")
            elif isinstance(place, QComboBox):
                place.setCurrentText(text)
            else:
                place.setText(text)
            place.blockSignals(False)

    def judge(self, problem: str, *, changed: bool) -> None:
        """Says what is wrong, and marks what is not as it comes."""
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.back.setVisible(changed)
        self.title.setText(f"● {self.setting.title}" if changed else self.setting.title)
        self.title.dye((WRONG if problem else CHANGED) if changed else None, "font-weight: bold;" if changed else "")

    def _places(self) -> list[QCheckBox | QComboBox | QLineEdit]:
        setting = self.setting
        if setting.kind is Kind.SWITCH:
            switch = QCheckBox("no")
            switch.toggled.connect(lambda on: switch.setText("yes" if on else "no"))
            switch.toggled.connect(self._tell)
            return [switch]
        if setting.kind is Kind.CHOICE:
            choice = _Choice()
            choice.addItems(setting.choices)
            choice.currentTextChanged.connect(self._tell)
            return [choice]
        lines = [QLineEdit() for _ in range(setting.count if setting.kind is Kind.NUMBERS else 1)]
        for line in lines:
            line.setPlaceholderText(("empty" if len(lines) == 1 else "-") if setting.optional else "")
            line.setMinimumWidth(40)
            line.textEdited.connect(self._tell)
        return [*lines]

    def _laid_out(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        for i, place in enumerate(self.places):
            grid.addWidget(place, i // A_ROW, i % A_ROW)
        if self.setting.path:
            look = QToolButton()
            look.setText("…")
            look.setToolTip(f"Look for the {self.setting.path}")
            look.clicked.connect(partial(self._look, self.setting.path))
            grid.addWidget(look, 0, 1)
        return grid

    def _look(self, kind: str) -> None:
        if kind == "folder":
            found = QFileDialog.getExistingDirectory(self, self.setting.title)
        else:
            found, _ = QFileDialog.getOpenFileName(self, self.setting.title)
        if found:
            self.show_texts((found,))
            self._tell()

    def _tell(self, *_: object) -> None:
        self.edited.emit(self.setting.name, self.texts)


class _Choice(QComboBox):
    """Turning the wheel over a form scrolls it, and changes no setting."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)  # as narrow as the panel wants it
        self.setMinimumContentsLength(5)
        self.setMinimumWidth(60)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        if event is not None:
            event.ignore()


def _text_of(place: QCheckBox | QComboBox | QLineEdit) -> str:
    if isinstance(place, QCheckBox):
        return "true" if place.isChecked() else "false"
    return place.currentText() if isinstance(place, QComboBox) else place.text()
