"""What a person at a terminal sees: bars, the plan, and the end of a run."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from barlowtrack.pipeline import Listener, PlannedStage

if TYPE_CHECKING:
    from barlowtrack.api import Run
    from barlowtrack.data import Detections, Progress, Recording, Tracks

STOPPED = "stopped; run it again to go on"

COLOURS = {"cached": "green", "missing": "yellow", "stale": "red"}


class Bars(Listener):
    """A bar a stage where somebody watches, a line a stage where nobody does.

    Args:
        quiet: Neither.
        lines: A line a stage, whoever watches.
    """

    def __init__(self, *, quiet: bool = False, lines: bool = False) -> None:
        self._quiet, self._lines = quiet, lines
        self._bar: Any = None
        self._began = 0.0

    def opened(self, recording: Recording) -> None:
        for text in recording.assumptions:
            click.echo(f"assumed: {text}", err=True)

    def started(self, item: PlannedStage) -> Progress:
        self._began = time.monotonic()
        return self.follow(item.stage.name)

    def follow(self, name: str) -> Progress:
        """Returns a progress that moves a bar of that name."""
        from barlowtrack.data import silent

        if self._quiet:
            return silent
        if self._lines or not sys.stderr.isatty():
            click.echo(f"{name:8} ...", err=True)
            return _Lines(name)
        from tqdm import tqdm

        layout = "{l_bar}{bar:30}| {n_fmt}/{total_fmt} [{remaining} left]"
        self._bar = tqdm(desc=f"{name:8}", leave=False, file=sys.stderr, bar_format=layout)
        return self._advance

    def finished(self, item: PlannedStage) -> None:
        self.close()
        if self._quiet:
            return
        if item.state == "cached":
            click.echo(f"{item.stage.name:8} " + click.style("cached", fg="green"), err=True)
        else:
            click.echo(
                f"{item.stage.name:8} " + click.style("done", fg="green") + f" in {_seconds(time.monotonic() - self._began)}", err=True
            )

    def show_plan(self, planned: Sequence[PlannedStage]) -> None:
        """Prints what would be done."""
        show_plan(planned)

    def show_result(self, run: Run, *, whole: bool) -> None:
        """Prints what came out of a whole run."""
        if whole:
            show_tracks(run.tracks, run.detections)
            click.echo(f"report: {run.report}")

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes an unfinished bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _advance(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)


class _Lines:
    """A line now and then, for a log that somebody reads while it grows."""

    SECONDS = 30.0

    def __init__(self, name: str) -> None:
        self._name, self._said = name, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._said > self.SECONDS:
            self._said = time.monotonic()
            click.echo(f"{self._name:8} {done}/{total}", err=True)


def show_plan(planned: Sequence[PlannedStage]) -> None:
    """Prints a line a stage: cached, missing, or stale and why."""
    for item in planned:
        state = click.style(f"{item.state:8}", fg=COLOURS[item.state])
        click.echo(f"{item.stage.name:8} {state} {'; '.join(item.reasons)}".rstrip())


def show_tracks(tracks: Tracks, detections: Detections) -> None:
    """Prints how many neurons were found, and how surely."""
    click.echo(say_tracks(tracks, detections))


def say_tracks(tracks: Tracks, detections: Detections) -> str:
    """Returns how many neurons were found, and how surely, in a line."""
    from barlowtrack.identity.estimate import estimate_error

    known = tracks.neuron >= 0
    share = known.mean() if len(tracks) else 0.0
    found = len(set(tracks.neuron[known].tolist()))  # ids of neurons that are gone stay free
    where = f"{found} neuron{'s' * (found != 1)} in {detections.n_volumes} volume{'s' * (detections.n_volumes != 1)}"
    identified = f"{where}; {share:.0%} of {len(tracks)} detection{'s' * (len(tracks) != 1)} identified"
    if not known.any():
        return identified
    error = estimate_error(detections.t, tracks.neuron, tracks.probability)
    return f"{identified}; an estimated {error.share:.1%} of them wrongly ({error.low:.1%} to {error.high:.1%})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


class Discreet(logging.Formatter):
    """Says nothing of what opens the addresses in a message, or in a traceback: logs are kept, and sent to others."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns a record as text."""
        return without_secrets(super().format(record))


def without_secrets(text: str) -> str:
    """Returns a text without what opens the addresses in it."""
    from barlowtrack.io.location import scrubbed

    return scrubbed(text)


def concerns_a_person(record: logging.LogRecord) -> bool:
    """Says whether a person should read a record: not that zarr leaves connections to be ended with the process."""
    return not (record.name == "asyncio" and str(record.msg).startswith("Unclosed c"))


def in_a_line(error: Exception) -> str:
    """Returns what a person is told of an error that is no bug of ours: wrong input, a full disk, too little memory."""
    if isinstance(error, MemoryError):
        return on_one_line(f"does not fit into memory: {error}")
    if isinstance(error, OSError):  # a full disk, a folder that may not be written
        return on_one_line(f"{error.filename or 'disk'}: {error.strerror or error}")
    return on_one_line(str(error))


def on_one_line(text: str) -> str:
    """Returns a text as one line that does no more to a terminal than stand there: names of files may hold newlines and worse.

    What opens the addresses in it is left out.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in without_secrets(text))
