"""The form: a part a section, folded until it is wanted, and a line to search in all of them."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QLineEdit, QPushButton, QScrollArea, QToolButton, QVBoxLayout, QWidget

from barlowtrack.errors import BarlowtrackError
from barlowtrack.plugin.background import say
from barlowtrack.plugin.parts import SOFT, is_there, text_line
from barlowtrack.plugin.running.fields import FieldView
from barlowtrack.plugin.running.form import Form
from barlowtrack.plugin.running.settings import Setting, about_sections


class FormView(QWidget):
    """Shows a form, and puts into it what a person says.

    Signals:
        changed: Something in the form has changed.

    Args:
        form: What is shown.
    """

    changed = Signal()

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search settings, such as radius")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.read, self.save, self.clear = QPushButton("Read…"), QPushButton("Save…"), QPushButton("All defaults")
        self.read.setToolTip("Take the settings of a TOML file, such as settings.toml of a run folder")
        self.save.setToolTip("Write these settings to a TOML file, for another recording or for barlowtrack run --config")
        self.read.clicked.connect(self._read)
        self.save.clicked.connect(self._save)
        self.clear.clicked.connect(self._clear)
        buttons = QHBoxLayout()
        for button in (self.read, self.save, self.clear):
            buttons.addWidget(button)
        by_section: dict[str, list[Setting]] = {}
        for setting in form.settings.values():
            by_section.setdefault(setting.section, []).append(setting)
        self.parts = {name: _Part(name, about, by_section[name], self) for name, about in about_sections().items()}
        self._nothing = QLabel("No setting is called so, or speaks of it.")
        inside = QWidget()
        inner = QVBoxLayout(inside)
        inner.setContentsMargins(0, 0, 6, 0)
        inner.setSpacing(0)
        for part in self.parts.values():
            inner.addWidget(part)
        inner.addWidget(self._nothing)
        inner.addStretch()
        self._area = area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.search)
        layout.addLayout(buttons)
        layout.addWidget(area, 1)
        self._filter("")

    def field(self, name: str) -> FieldView:
        """Returns what shows a setting; unfolds its section."""
        part = self.parts[self.form.settings[name].section]
        part.unfold(True)
        return part.fields[name]

    def reveal(self, name: str, *, focus: bool) -> None:
        """Brings a setting into sight, unfolded, whatever is searched for.

        Args:
            name: Of the setting.
            focus: Whether it gets the keys, too.
        """
        self.search.clear()
        field = self.field(name)
        self._area.ensureWidgetVisible(field)
        QTimer.singleShot(0, lambda: self._area.ensureWidgetVisible(field) if is_there(self) else None)  # once it is laid out
        if focus:
            field.places[0].setFocus()

    def refresh(self) -> None:
        """Shows what the form holds."""
        for part in self.parts.values():
            part.refresh()

    def put(self, name: str, texts: tuple[str, ...]) -> None:
        """Puts into the form what somebody typed."""
        self.form.put(name, texts)
        self._told(name)

    def reset(self, name: str) -> None:
        """Puts the default of a setting in."""
        self.form.reset(name)
        self._told(name)

    def _told(self, name: str) -> None:
        self.parts[self.form.settings[name].section].refresh()
        self.changed.emit()

    def _filter(self, search: str) -> None:
        found = {setting.name for setting in self.form.found(search)}
        for part in self.parts.values():
            part.show_only(found, everything=not search.strip())
        self._nothing.setVisible(not found)

    def _read(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Settings to read", "", "TOML (*.toml)")
        if path:
            self.read_file(Path(path))

    def read_file(self, path: Path) -> None:
        """Takes the settings of a file; a wrong one is refused with a word."""
        try:
            self.form.read(path)
        except BarlowtrackError as error:
            say(error)
            return
        self.refresh()
        self.changed.emit()

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Where the settings go", "settings.toml", "TOML (*.toml)")
        if path:
            self.save_file(Path(path))

    def save_file(self, path: Path) -> None:
        """Writes the settings to a file; where some are wrong, or the file cannot be written, says so."""
        try:
            text = self.form.to_toml()
            path.write_text(text, encoding="utf-8")
        except BarlowtrackError as error:
            say(error)
        except OSError as error:
            say(BarlowtrackError(f"{path}: {error.strerror or error}"))

    def _clear(self) -> None:
        for name in self.form.settings:
            self.form.reset(name)
        self.refresh()
        self.changed.emit()


class _Part(QWidget):
    """A section; its fields are made when they are first seen, since there are many."""

    def __init__(self, name: str, about: str, settings: list[Setting], view: FormView) -> None:
        super().__init__()
        self.fields: dict[str, FieldView] = {}
        self._settings, self._view = settings, view
        self._found, self._searching = {setting.name for setting in settings}, False
        stage, said, what = about.partition(": ")
        what = what if said else about
        self.head = QToolButton()
        self.head.setCheckable(True)
        self.head.setAutoRaise(True)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.setStyleSheet("QToolButton { font-weight: bold; border: none; padding: 4px 0; background: transparent; }")
        self.head.toggled.connect(self.unfold)
        self._name = (name or stage).lower()
        about_line = text_line(SOFT)
        about_line.setText(what[:1].upper() + what[1:])
        about_line.setIndent(8)
        self._body = QWidget()
        self._inner = QVBoxLayout(self._body)
        self._inner.setContentsMargins(8, 2, 0, 6)
        self._inner.setSpacing(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2)
        layout.setSpacing(0)
        for part in (self.head, about_line, self._body):
            layout.addWidget(part)
        self.unfold(False)

    def unfold(self, on: bool) -> None:
        """Shows the fields, or hides them."""
        if on and not self.fields:
            for setting in self._settings:
                field = self.fields[setting.name] = FieldView(setting)
                field.edited.connect(self._view.put)
                field.reset.connect(self._view.reset)
                self._inner.addWidget(field)
        self.head.blockSignals(True)
        self.head.setChecked(on)
        self.head.blockSignals(False)
        self.head.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        self._body.setVisible(on)
        for name, field in self.fields.items():
            field.setVisible(name in self._found)
        self.refresh()

    def show_only(self, found: set[str], *, everything: bool) -> None:
        """Shows the settings that were found, unfolded; all of them, folded, where nothing is looked for any more."""
        self._found = {setting.name for setting in self._settings} & found
        self.setVisible(bool(self._found))
        if not everything or self._searching:
            self.unfold(not everything and bool(self._found))
        self._searching = not everything

    def refresh(self) -> None:
        form = self._view.form
        changed = [setting.name for setting in self._settings if form.is_changed(setting.name)]
        wrong = [setting.name for setting in self._settings if form.problem(setting.name)]
        said = [f"{len(changed)} changed"] if changed else []
        said += [f"{len(wrong)} wrong"] if wrong else []
        self.head.setText(f"{self._name} ({', '.join(said)})" if said else self._name)
        for name, field in self.fields.items():
            field.show_texts(form.texts(name))
            field.judge(form.problem(name), changed=form.is_changed(name))
