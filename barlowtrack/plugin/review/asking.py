"""One line in which a person types an id or a name; shown only while something is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QCompleter, QFrame, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from barlowtrack.plugin.parts import is_there

STYLE = "QFrame#asking { border: 2px solid #e0a030; border-radius: 4px; }"


class Asking(QFrame):
    """Says what is wanted, takes it, and goes away; Esc takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("asking")
        self.setStyleSheet(STYLE)
        self.prompt, self.field, self.cancel = QLabel(), QLineEdit(), QPushButton("Cancel (Esc)")
        self.prompt.setWordWrap(True)
        self.prompt.setTextFormat(Qt.TextFormat.PlainText)  # people give names
        self.field.returnPressed.connect(self._entered)
        self.cancel.clicked.connect(self.stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        for part in (self.prompt, self.field, self.cancel):
            layout.addWidget(part)
        self._taken: Callable[[str], None] | None = None
        self._clicked: Callable[[int], None] | None = None
        self._before: QWidget | None = None
        self.hide()

    @property
    def wants_click(self) -> bool:
        """Whether a neuron may be clicked instead of typed."""
        return self._clicked is not None

    def ask(
        self, prompt: str, taken: Callable[[str], None], *, offered: Sequence[str] = (), clicked: Callable[[int], None] | None = None
    ) -> None:
        """Asks for a text, or for a click on a neuron.

        Args:
            prompt: What is wanted.
            taken: Gets the text; then nothing is asked any more, unless it asks again.
            offered: Texts that it may be.
            clicked: Gets the neuron that was clicked; None: only a text will do.
        """
        if self.isHidden():
            self._before = QApplication.focusWidget()
        self._taken, self._clicked = taken, clicked
        self.prompt.setText(prompt)
        self.field.clear()
        completer = QCompleter(list(offered), self.field)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.field.setCompleter(completer)
        self.field.setVisible(True)
        self.show()
        self.field.setFocus()

    def tell(self, prompt: str) -> None:
        """Only says what is awaited, where no text is: clicks in the viewer."""
        if self.isHidden():
            self._before = QApplication.focusWidget()
        self._taken = self._clicked = None
        self.prompt.setText(prompt)
        self.field.hide()
        self.show()

    def click(self, neuron: int) -> None:
        """Takes a neuron that was clicked."""
        clicked = self._clicked
        if clicked is not None:
            self.stop()
            clicked(neuron)

    def stop(self) -> None:
        """Asks no more; where the field has the keys, whoever had them before has them again."""
        self._taken = self._clicked = None
        focus = QApplication.focusWidget()
        ours = focus is None or self.isAncestorOf(focus)
        self.hide()
        before, self._before = self._before, None
        if ours and before is not None and before is not self.field and is_there(before):
            before.setFocus()

    def _entered(self) -> None:
        taken, text = self._taken, self.field.text().strip()
        if taken is not None:
            self.stop()
            taken(text)
