"""The Run panel: from a recording to its identities, without a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QColor, QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from barlowtrack.errors import BarlowtrackError
from barlowtrack.findings import Finding
from barlowtrack.io.location import scrubbed
from barlowtrack.pipeline import PlannedStage
from barlowtrack.plugin.attached import session_of
from barlowtrack.plugin.background import in_background, say
from barlowtrack.plugin.docking import together
from barlowtrack.plugin.parts import CHANGED, FINE, SOFT, WRONG, is_dark, is_there, shade, text_line
from barlowtrack.plugin.running.chosen import job_of, looked_at, planned, recordings_of
from barlowtrack.plugin.running.form import Form
from barlowtrack.plugin.running.form_view import FormView
from barlowtrack.plugin.running.heard import Heard, forecast
from barlowtrack.plugin.running.place import Place
from barlowtrack.plugin.running.runner import MOST_LINES, runner_of
from barlowtrack.plugin.running.shown import open_result
from barlowtrack.plugin.running.stages_view import StagesView
from barlowtrack.plugin.running.told import in_panel_words
from barlowtrack.plugin.solution import Solution

if TYPE_CHECKING:
    import napari

PLAN_AFTER_MS = 300
NARROWEST = 300
"""Pixels at which nothing is cut off."""
NAMES, LEVEL = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
NO_RECORDING = "Choose a recording. Then this line says what Start will do."


class Run(QWidget):
    """Chooses a recording and settings, says what will happen, and runs it.

    Args:
        napari_viewer: Whose session shows the result.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer, self._session, self._runner = napari_viewer, session_of(napari_viewer), runner_of(napari_viewer)
        self._asked = 0  # an answer to an older question is passed over
        self._plan: Heard | None = None
        self._edited = False
        self._refused = ""
        self._shown_once: tuple[str, str] = ("", "")
        self._last: tuple[str, bool] = ("", False)
        self.place = Place(lambda: recordings_of(self._viewer.layers))
        self.form = Form()
        self.form_view = FormView(self.form)
        self.findings = QListWidget()
        self.findings.setWordWrap(True)
        self.findings.setSpacing(3)
        self.stages = StagesView()
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(MOST_LINES)
        self.log.setPlaceholderText("What the run says stands here.")
        self.tabs = QTabWidget()
        for page, title in ((self.form_view, "Settings"), (self.findings, "Check"), (self.stages, "Stages"), (self.log, "Log")):
            self.tabs.addTab(page, title)
        self.note, self.headline = text_line(SOFT), text_line()
        self.theirs = QPushButton("Take the settings of this run folder")
        self.theirs.setVisible(False)
        self.check, self.start, self.cancel = QPushButton("Check first"), QPushButton("Start"), QPushButton("Stop")
        self.check.setToolTip("Look at a few volumes, the metadata, the settings and the disk, before hours are spent")
        self.cancel.setToolTip("Stops the run where it is; Start goes on from there")
        self._tick = QTimer(self)
        self._tick.setInterval(1000)
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(PLAN_AFTER_MS)
        self._lay_out()
        self._connect()
        self._note("")
        self._take_what_is_open()
        self._show_log()
        self._show()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.check, self.start, self.cancel):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        for part in (self.place, self.note, self.theirs):
            layout.addWidget(part)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.headline)
        layout.addLayout(buttons)
        self.setMinimumWidth(NARROWEST)

    def _connect(self) -> None:
        self.place.changed.connect(self._choose)
        self.form_view.changed.connect(self._edit)
        self.theirs.clicked.connect(self._take_theirs)
        self.check.clicked.connect(self._check)
        self.findings.itemClicked.connect(self._go_to_setting)
        self.start.clicked.connect(self._start)
        self.cancel.clicked.connect(self._runner.stop)
        self._tick.timeout.connect(self._show)
        self._wait.timeout.connect(self._ask_for_plan)
        self._runner.changed.connect(self._show)
        self._runner.wrote.connect(self.log.appendPlainText)
        self._runner.ended.connect(self._end)
        self._session.solved.connect(self._follow)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Looks after the window that the panel is in, from now on."""
        super().showEvent(event)
        together(self)
        window: QWidget = self
        while (parent := window.parentWidget()) is not None:  # a dock that floats is a window, and has the main one as its parent
            window = parent
        if window is not self:
            self._runner.guard(window, self._may_stop)

    def _may_stop(self) -> bool:
        """Asks a person who closes the window."""
        said = "A run is on its way. Stop it, and close? It can go on later from where it is."
        return QMessageBox.question(self, "barlowtrack", said) == QMessageBox.StandardButton.Yes

    # what is to be run

    def _take_what_is_open(self) -> None:
        """Begins with the run that goes on, the one that is open, or the recording that is shown."""
        found = recordings_of(self._viewer.layers)
        if self._runner.is_running and self._runner.job is not None:
            self.place.choose(self._runner.job.location, self._runner.job.folder)
        elif self._session.path is not None:
            self.place.choose(self._session.path)
        elif found:
            self.place.choose(found[-1])

    def _follow(self, new: Solution | None, _: Solution | None) -> None:
        """A run was opened: it is offered, where nobody has chosen yet."""
        if is_there(self) and new is not None and not self.place.target:
            self.place.choose(new.path)

    def _choose(self) -> None:
        """Another recording, or run folder: its own settings are taken, unless somebody has begun to edit."""
        self._forget()
        self._note("")
        self.theirs.setVisible(False)
        self.findings.clear()
        stored = self._stored()
        if stored is not None and self._edited:
            self._note("This run folder has settings of its own; those below are yours.")
            self.theirs.setVisible(True)
        elif stored is not None:
            self._take_theirs()
        self._wait.start()
        self._show()

    def _stored(self) -> Path | None:
        """Returns the settings of a run folder that is there already."""
        try:
            path = job_of(self.place.target, self.place.out, None).folder / "settings.toml" if self.place.target else None
        except BarlowtrackError:
            return None
        return path if path is not None and path.exists() else None

    def _take_theirs(self) -> None:
        stored = self._stored()
        if stored is not None:
            self.form_view.read_file(stored)
            self._edited = False
            self._note("The settings are those of the last run in this folder.")
            self.theirs.setVisible(False)

    def _note(self, text: str) -> None:
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def _edit(self) -> None:
        self._edited = True
        self._forget()
        self._wait.start()
        self._show()

    def _forget(self) -> None:
        """What was said holds no more."""
        self._plan, self._refused, self._last = None, "", ("", False)

    # what will happen

    def _ask_for_plan(self) -> None:
        self._asked += 1
        if self._runner.is_running or not self.place.target or self.form.problems:
            return
        mine, given = self._asked, (self.place.target, self.place.out, self.form.config())
        in_background(lambda: planned(*given), lambda found: self._take_plan(mine, found), lambda error: self._refuse(mine, error))

    def _take_plan(self, asked: int, found: list[PlannedStage]) -> None:
        if not is_there(self) or asked != self._asked or self._runner.is_running:
            return
        self._plan = Heard()
        stages = [{"stage": item.stage.name, "state": item.state, "reasons": item.reasons} for item in found]
        self._plan.hear({"event": "plan", "stages": stages}, 0.0)
        if self._runner.heard.ended == "stopped":
            for name, seen in self._runner.heard.stages.items():
                seen.reasons = self._plan.stages[name].reasons  # as it is now: half done
        self._show()

    def _refuse(self, asked: int, error: BaseException) -> None:
        if not isinstance(error, BarlowtrackError):
            say(error)
        if is_there(self) and asked == self._asked and not self._runner.is_running:
            self._show_refused(error)

    def _show_refused(self, error: BaseException) -> None:
        """Says why it cannot start, and goes once to the setting that would help."""
        self._refused, name = in_panel_words(scrubbed(str(error)), self.form.settings)
        if name and self._shown_once != (self.place.target, name):
            self._shown_once = self.place.target, name
            typing = isinstance(QApplication.focusWidget(), QLineEdit)
            self._reveal(name, focus=not typing)
        self._show()

    def _reveal(self, name: str, *, focus: bool = True) -> None:
        self.tabs.setCurrentWidget(self.form_view)
        self.form_view.reveal(name, focus=focus)

    def _go_to_setting(self, item: QListWidgetItem) -> None:
        name = item.data(NAMES)
        if name:
            self._reveal(name)

    def _check(self) -> None:
        self.tabs.setCurrentWidget(self.findings)
        self.findings.clear()
        self.findings.addItem("Looking at a few volumes …")
        self.check.setEnabled(False)
        given = (self.place.target, self.place.out, self.form.config())
        in_background(lambda: looked_at(*given), self._show_findings, self._cannot_look)

    def _show_findings(self, found: list[Finding]) -> None:
        if not is_there(self):
            return
        self.findings.clear()
        words = {"stop": "stop", "warn": "careful", "ok": "fine"}
        for finding in found:
            what, first = in_panel_words(finding.what, self.form.settings)
            fix, second = in_panel_words(finding.fix, self.form.settings)
            name = first or second
            text = f"{words[finding.level]}: {what}" + (f"\n→ {fix}" if fix else "") + (" - click to go there" if name else "")
            item = QListWidgetItem(text)
            item.setData(NAMES, name)
            item.setData(LEVEL, finding.level)
            self.findings.addItem(item)
        self._dye_findings()
        self._show()

    def _dye_findings(self) -> None:
        tones = {"stop": WRONG, "warn": CHANGED, "ok": FINE}
        for item in (self.findings.item(i) for i in range(self.findings.count())):
            if item is not None and item.data(LEVEL) in tones:
                item.setForeground(QColor(shade(tones[item.data(LEVEL)], dark=is_dark(self))))

    def changeEvent(self, a0: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Follows the theme."""
        super().changeEvent(a0)
        if a0 is not None and a0.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange) and hasattr(self, "findings"):
            self._dye_findings()

    def _cannot_look(self, error: BaseException) -> None:
        if not isinstance(error, BarlowtrackError):
            say(error)
        self._show_findings([Finding("stop", str(error))])

    # what happens

    def _start(self) -> None:
        try:
            job = job_of(self.place.target, self.place.out, self.form.config())
        except BarlowtrackError as error:
            self._show_refused(error)
            return
        self._forget()
        self.log.clear()
        self.tabs.setCurrentWidget(self.stages)
        self._asked += 1
        self._runner.start(job)
        self._tick.start()
        self._show()

    def _end(self) -> None:
        self._tick.stop()
        heard = self._runner.heard
        if heard.ended == "done" and heard.run is not None and not self._runner.is_closing:
            open_result(self._viewer, self._session, heard.run)
        self._last = _end_of(heard)
        self._edited = False  # they are those of the run folder now
        self._wait.start()
        self._show()

    def _show_log(self) -> None:
        for line in self._runner.log:
            self.log.appendPlainText(line)
        if self._runner.is_running:
            self._tick.start()
            self.tabs.setCurrentWidget(self.stages)

    def _show(self) -> None:
        """Shows how things are: what can be done, what will be, and how far it is."""
        running, problems = self._runner.is_running, self.form.problems
        ready = bool(self.place.target) and not problems and not running
        self.start.setEnabled(ready and self._plan is not None)
        self.check.setEnabled(ready)
        self.cancel.setEnabled(running and not self._runner.is_stopping)
        self.form_view.setEnabled(not running)
        self.place.setEnabled(not running)
        heard = self._runner.heard if running or self._last[0] else self._plan or Heard()
        self.stages.show_stages(heard.stages)
        if running:
            self._say("Stopping; what is done stays." if self._runner.is_stopping else _now(heard))
        elif problems:
            self._say(f"Cannot start: {problems[0]}" + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""), wrong=True)
        elif self._refused:
            self._say(self._refused, wrong=True)
        elif self._last[0]:
            more = forecast(self._plan.stages) if self._plan is not None and self._runner.heard.ended == "stopped" else ""
            self._say(f"{self._last[0]} {more}", wrong=self._last[1])
        elif self._plan is not None:
            self._say(forecast(self._plan.stages))
        else:
            self._say("Looking what there is to do …" if self.place.target else NO_RECORDING)

    def _say(self, text: str, wrong: bool = False) -> None:
        self.headline.setText(text)
        self.headline.dye(WRONG if wrong else None)


def _now(heard: Heard) -> str:
    working = [name for name, seen in heard.stages.items() if seen.state == "working"]
    done = sum(seen.state in ("done", "cached") for seen in heard.stages.values())
    return f"Running {working[0]}; {done} of {len(heard.stages)} stages are done." if working else "Starting …"


def _end_of(heard: Heard) -> tuple[str, bool]:
    if heard.ended == "done":
        return f"Done: {heard.text}.", False
    if heard.ended == "stopped":
        return "Stopped.", False
    return heard.text, True
