"""A run as a process of its own: it can be stopped whatever it is at, and the window stays smooth."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QCoreApplication, QEvent, QObject, QProcess, QProcessEnvironment, QTimer, Signal  # type: ignore[attr-defined]

from barlowtrack.api import Job
from barlowtrack.config import to_toml
from barlowtrack.plugin.running.chosen import arguments
from barlowtrack.plugin.running.heard import Heard, event_of

if TYPE_CHECKING:
    import napari

PATIENCE_MS = 8000
"""So long may a run take to stop where it can go on; then it is told to end at once, which loses the volume or epoch at work."""
MOST_LINES = 5000


class Runner(QObject):
    """Runs barlowtrack for a viewer, one run at a time; outlives the panel that shows it.

    Signals:
        changed: Something was heard.
        wrote: (line,) a line for the log.
        ended: The process is there no more.
    """

    changed = Signal()
    wrote = Signal(str)
    ended = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.heard = Heard()
        self.log: list[str] = []
        self.job: Job | None = None
        self._process: QProcess | None = None
        self._settings: tempfile.TemporaryDirectory[str] | None = None
        self._stopping = False
        self.is_closing = False
        """Whether the window is about to be gone; nothing is opened in it any more."""
        self._rest = {"out": b"", "err": b""}
        self._ask: Callable[[], bool] = lambda: True
        application = QCoreApplication.instance()
        assert application is not None, "a viewer has an application"
        application.aboutToQuit.connect(self.stop_and_wait)

    @property
    def is_running(self) -> bool:
        """Whether a run is on its way."""
        return self._process is not None

    @property
    def is_stopping(self) -> bool:
        """Whether it has been told to stop."""
        return self._stopping

    def start(self, job: Job) -> None:
        """Starts a run.

        Args:
            job: What; none may be on its way.
        """
        assert self._process is None, "one run at a time"
        self.heard, self.log, self.job = Heard(), [], job
        self._stopping = self.is_closing = False
        self._rest = {"out": b"", "err": b""}
        self._settings = tempfile.TemporaryDirectory(prefix="barlowtrack-")
        settings = Path(self._settings.name) / "settings.toml"
        settings.write_text(to_toml(job.config), encoding="utf-8")
        process = self._process = QProcess()
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        environment.insert("PYTHONIOENCODING", "utf-8")
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read_out)
        process.readyReadStandardError.connect(self._read_err)
        process.finished.connect(self._finish)
        process.errorOccurred.connect(self._fail)
        called = arguments(job, settings)
        self._write(f"$ {Path(sys.executable).name} {' '.join(called)}")
        process.start(sys.executable, called)

    def stop(self) -> None:
        """Tells the run to stop where it can go on later; if it does not listen, ends it."""
        process = self._process
        if process is None or self._stopping:
            return
        self._stopping = True
        self._interrupt(process)
        QTimer.singleShot(PATIENCE_MS, lambda: self._insist(process, process.terminate))
        QTimer.singleShot(PATIENCE_MS + 3000, lambda: self._insist(process, process.kill))
        self.changed.emit()

    def stop_and_wait(self) -> None:
        """Stops the run now, since the window is about to be gone."""
        process = self._process
        if process is None:
            return
        self._stopping = self.is_closing = True
        self._interrupt(process)
        if not process.waitForFinished(3000):
            process.kill()
            process.waitForFinished(3000)

    def guard(self, window: QObject, ask: Callable[[], bool]) -> None:
        """Keeps a window from closing over a run without a word.

        Args:
            window: The viewer's main window.
            ask: Whether the run may be stopped; asked where a person closes the window, not where a program does.
        """
        self._ask = ask
        window.removeEventFilter(self)
        window.installEventFilter(self)

    def eventFilter(self, window: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Asks, or stops the run, before the window goes."""
        if event is not None and event.type() == QEvent.Type.Close and self.is_running:
            if event.spontaneous() and not self._ask():
                event.ignore()
                return True
            self.stop_and_wait()
        return False

    def _interrupt(self, process: QProcess) -> None:
        """As Ctrl-C does: what is at work is given up, and what is on disk stays."""
        if process.processId() and os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.processId()), signal.SIGINT)
        else:
            process.terminate()

    def _insist(self, process: QProcess, end: Any) -> None:
        if process is self._process:
            end()

    def _read_out(self) -> None:
        assert self._process is not None, "it speaks"
        self._take("out", bytes(self._process.readAllStandardOutput().data()))

    def _read_err(self) -> None:
        assert self._process is not None, "it speaks"
        self._take("err", bytes(self._process.readAllStandardError().data()))

    def _take(self, stream: str, said: bytes) -> None:
        """Takes whole lines in; what is not ended yet waits."""
        *lines, self._rest[stream] = (self._rest[stream] + said).split(b"\n")
        for line in (line.decode("utf-8", "replace").rstrip() for line in lines):
            event = event_of(line) if stream == "out" else None
            if event is not None:
                self.heard.hear(event, time.monotonic())
                self._log(event)
            elif line:
                self._write(line)
        self.changed.emit()

    def _log(self, event: dict[str, Any]) -> None:
        """Writes down what a person would read in a terminal."""
        match event:
            case {"event": "opened", "assumed": list(assumed)}:
                for text in assumed:
                    self._write(f"assumed: {text}")
            case {"event": "started", "stage": stage, "reasons": list(reasons)}:
                self._write(f"{stage}: {'; '.join(map(str, reasons))}")
            case {"event": "finished", "stage": stage, "cached": False, "seconds": seconds}:
                self._write(f"{stage}: done in {seconds:.1f} s")
            case {"event": "done" | "stopped", "text": str(text)}:
                self._write(text)  # an error stands on standard error, too

    def _write(self, line: str) -> None:
        if len(self.log) < MOST_LINES:
            self.log.append(line)
        self.wrote.emit(line)

    def _fail(self, error: Any) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            assert self._process is not None, "it was to be started"
            self._write(f"{sys.executable}: {self._process.errorString()}")
            self.heard.ended, self.heard.text = "error", f"Python cannot be started: {self._process.errorString()}"
            self._finish()

    def _finish(self, *_: Any) -> None:
        if self._process is None:
            return
        self._read_out()
        self._read_err()
        for stream in self._rest:
            self._take(stream, b"\n")  # a last line that nobody ended
        self.heard.end(wanted=self._stopping)
        self._process.deleteLater()
        self._process, self._stopping = None, False
        if self._settings is not None:
            self._settings.cleanup()
            self._settings = None
        self.changed.emit()
        self.ended.emit()


_RUNNERS: WeakKeyDictionary[Any, Runner] = WeakKeyDictionary()


def runner_of(viewer: napari.Viewer) -> Runner:
    """Returns the runner of a viewer; it lives as long as the viewer does."""
    runner = _RUNNERS.get(viewer)
    if runner is None:
        runner = _RUNNERS[viewer] = Runner()
    return runner
