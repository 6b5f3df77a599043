"""How a run is told to another program: a JSON object a line on standard output, and nothing else there.

What people read, warnings and the traceback of a bug, goes to standard error as ever. The events stand in docs/reference/progress.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from barlowtrack.cli.terminal import STOPPED, Bars, in_a_line, on_one_line, say_tracks
from barlowtrack.errors import BarlowtrackError, InputError
from barlowtrack.pipeline import Listener, PlannedStage

if TYPE_CHECKING:
    from barlowtrack.api import Run
    from barlowtrack.data import Progress, Recording

STDOUT, STDERR = 1, 2
EVERY_S = 0.2
"""Progress is told no more often than this: a window can show no more."""


class JsonLines(Listener):
    """Says how a run goes as a JSON object a line; as a context it says how it ended, too.

    Within the context standard output is its alone: what libraries print there, such as StarDist's when it is interrupted, goes to standard
    error.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._output: int | None = None

    def opened(self, recording: Recording) -> None:
        self._say("opened", recording=recording.name, volumes=recording.n_volumes, assumed=list(recording.assumptions))

    def planned(self, planned: Sequence[PlannedStage]) -> None:
        self.show_plan(planned)

    def show_plan(self, planned: Sequence[PlannedStage]) -> None:
        """Says what will be done, or would be."""
        self._say("plan", stages=[{"stage": item.stage.name, "state": item.state, "reasons": list(item.reasons)} for item in planned])

    def started(self, item: PlannedStage) -> Progress:
        self._began = time.monotonic()
        self._say("started", stage=item.stage.name, reasons=list(item.reasons))
        return _Throttled(item.stage.name, self._say)

    def finished(self, item: PlannedStage) -> None:
        cached = item.state == "cached"
        self._say("finished", stage=item.stage.name, cached=cached, seconds=0.0 if cached else round(time.monotonic() - self._began, 3))

    def show_result(self, run: Run, *, whole: bool) -> None:
        """Says that all that was asked for is done; of a whole run also what came out."""
        report = str(run.report) if whole else None
        self._say("done", run=str(run.path), report=report, text=say_tracks(run.tracks, run.detections) if whole else None, exit=0)

    def __enter__(self) -> JsonLines:
        with contextlib.suppress(OSError, ValueError):  # no file at all: a test holds it
            if sys.stdout.fileno() == STDOUT:
                sys.stdout.flush()
                self._output = os.dup(STDOUT)
                os.dup2(STDERR, STDOUT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._end(error)
        finally:
            if self._output is not None:
                sys.stdout.flush()
                os.dup2(self._output, STDOUT)
                os.close(self._output)
                self._output = None

    def _end(self, error: BaseException | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._say("stopped", text=STOPPED, exit=130)
        elif isinstance(error, BrokenPipeError):
            return  # nobody listens any more
        elif isinstance(error, (BarlowtrackError, OSError, MemoryError)):
            self._say("error", text=in_a_line(error), exit=2)
        elif isinstance(error, Exception):  # a bug: its traceback goes to standard error
            self._say("error", text=on_one_line(f"{type(error).__name__}: {error}"), exit=1)

    def _say(self, event: str, **facts: Any) -> None:
        line = json.dumps({"event": event, **facts})  # ASCII, whatever the locale
        if self._output is None:
            click.echo(line)
        else:
            os.write(self._output, f"{line}\n".encode())


class _Throttled:
    """Says the first step, the last one, and now and then one in between."""

    def __init__(self, stage: str, say: Callable[..., None]) -> None:
        self._stage, self._say, self._said = stage, say, float("-inf")

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self._said >= EVERY_S:
            self._said = now
            self._say("progress", stage=self._stage, done=done, total=total)


def make_teller(quiet: bool, progress: str | None) -> Bars | JsonLines:
    """Returns who tells how a run goes.

    Raises:
        InputError: told to be quiet and to tell.
    """
    if quiet and progress is not None:
        raise InputError(f"expected --quiet or --progress {progress}, got both")
    return JsonLines() if progress == "json" else Bars(quiet=quiet, lines=progress == "lines")


def refuse_progress(progress: str | None, verb: str) -> None:
    """Refuses --progress where no stages run.

    Raises:
        InputError: it was given.
    """
    if progress is not None:
        raise InputError(f"{verb}: runs no stages, so it takes no --progress")
