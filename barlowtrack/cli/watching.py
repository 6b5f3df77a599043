"""status --watch: how a run gets on, looked at from outside it. Reads the run folder only; imports nothing slow."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from barlowtrack.cli.terminal import COLOURS

if TYPE_CHECKING:
    from barlowtrack.api import Job
    from barlowtrack.pipeline import PlannedStage
    from barlowtrack.storage import RunFolder

Event = dict[str, Any]

AT_WORK = "at work"
PATIENCE_S = 15.0
EVERY_WAITING_S = 1.0
_RECENT = 20  # events of progress by which the rate is told


@dataclass(frozen=True)
class Row:
    """One stage, as it stands.

    Attributes:
        stage: Its name.
        state: cached, missing, stale, or at work.
        said: The rest of the line.
    """

    stage: str
    state: str
    said: str

    def __str__(self) -> str:
        return f"{self.stage:8} {click.style(f'{self.state:8}', fg=COLOURS.get(self.state, 'cyan'))} {self.said}".rstrip()


def rows(folder: RunFolder | None, planned: list[PlannedStage]) -> list[Row]:
    """Returns a row a stage: with time and memory of what is done, progress of what is at work, and why the rest is to be done."""
    costs = folder.costs() if folder else {}
    at_work = _at_work(folder) if folder and folder.worker else {}
    stopped = _stopped(folder) if folder else {}
    found = []
    for item in planned:
        name, cost = item.stage.name, costs.get(item.stage.name)
        if item.state != "cached" and name in at_work:
            found.append(Row(name, AT_WORK, at_work[name]))
        elif item.state == "cached" and cost is not None:
            parts = f", in {cost.parts} parts" if cost.parts > 1 else ""
            found.append(Row(name, item.state, f"{seconds(cost.seconds)}, {memory(cost.peak_mb)}{parts}"))
        else:
            found.append(Row(name, item.state, "; ".join([*item.reasons, *([stopped[name]] if name in stopped else [])])))
    return found


def show_status(job: Job) -> None:
    """Prints a line a stage.

    Raises:
        StorageError: see Job.plan.
    """
    planned = job.plan()
    for row in rows(_folder(job), planned):
        click.echo(str(row))


def watch(job: Job, every_s: float) -> None:
    """Shows how a run gets on until nobody is at work in its folder: drawn anew in a terminal, else a line for every change.

    A run that is just being started is waited for, for PATIENCE_S: it takes its time to look at the recording before it begins.

    Args:
        job: Recording, run folder and settings.
        every_s: Seconds from one look to the next.

    Raises:
        StorageError: see Job.plan.
    """
    shown: list[str] = []
    try:
        for lines in _looks(job, every_s):
            _show(lines, shown)
            shown = lines
    except KeyboardInterrupt:
        sys.exit(130)  # nothing was stopped but the looking


def _show(lines: list[str], before: list[str]) -> None:
    if not sys.stdout.isatty():
        for line in lines:
            if line not in before:
                click.echo(line)
        return
    width = shutil.get_terminal_size().columns  # a line that wraps would not be drawn over
    click.echo(f"\x1b[{len(before)}A\x1b[J" if before else "", nl=False)
    click.echo("\n".join(line if len(click.unstyle(line)) < width else f"{click.unstyle(line)[: width - 2]}…" for line in lines))


def _looks(job: Job, every_s: float) -> Iterator[list[str]]:
    from barlowtrack import pipeline
    from barlowtrack.api import prepare

    seen: Mapping[str, Any] | None = None
    end, waits = time.monotonic() + PATIENCE_S, True
    while True:
        folder = _folder(job)
        worker = folder.worker if folder else None
        if worker is not None and folder is not None and not folder.is_new:
            job, seen = prepare(folder.path), folder.about()["card"]  # the settings are those of the run that is at work
        planned = job.plan() if seen is None or folder is None else pipeline.plan(folder, seen, job.config)
        waits = waits and worker is None and time.monotonic() < end and any(item.state != "cached" for item in planned)
        yet = f" yet; waiting {PATIENCE_S:.0f} s for a run to begin" if waits else ""
        yield [f"{job.folder}: {worker or f'nobody is at work{yet}'}", *map(str, rows(folder, planned))]
        if worker is None and not waits:
            return
        time.sleep(min(every_s, EVERY_WAITING_S) if waits else every_s)


def _folder(job: Job) -> RunFolder | None:
    from barlowtrack.storage import RunFolder

    return RunFolder(job.folder, create=True) if job.folder.exists() else None


def _at_work(folder: RunFolder) -> dict[str, str]:
    """Says of every stage that is at work how far it is: all its parts, where several jobs make them."""
    parts: dict[str, dict[str, list[Event]]] = {}
    for event in folder.journal.events():
        of_stage, part = parts.setdefault(event["stage"], {}), str(event.get("part", ""))
        if event["event"] == "start":
            of_stage[part] = [event]
        elif event["event"] == "progress" and part in of_stage:
            of_stage[part].append(event)
        elif event["event"] == "finish":
            of_stage.clear()
        else:
            of_stage.pop(part, None)
    said = {stage: [_progress(*told) for told in of_stage.values() if _lives(told[0])] for stage, of_stage in parts.items()}
    return {stage: "; ".join(texts) for stage, texts in said.items() if texts}


def _stopped(folder: RunFolder) -> dict[str, str]:
    """Says of every stage why it ended too early when it ran last."""
    last = {event["stage"]: event for event in folder.journal.events()}
    stopped = {stage: event for stage, event in last.items() if event["event"] == "stopped"}
    return {stage: f"stopped {_clock(event['time'])}: {event.get('text', '')}" for stage, event in stopped.items()}


def _lives(began: Event) -> bool:
    """Whether the process that said so may still be there: one of another machine may."""
    if began.get("host") != socket.gethostname():
        return True
    return Path(f"/proc/{began.get('pid')}").exists()


def _progress(began: Event, *steps: Event) -> str:
    first, stop = began.get("volumes", (0, None))
    spent = f"since {_clock(began['time'])}" if stop is None else f"volumes {first}:{stop} since {_clock(began['time'])}"
    told = [step for step in steps if step.get("total")]
    if not told:
        return spent
    last, before = told[-1], told[-min(len(told), _RECENT)]
    total = (last["total"] if stop is None else stop) - first
    said = f"{spent}, {max(last['done'] - first, 0)} of {total}, {memory(last.get('peak_mb', 0.0))}"
    done, took = last["done"] - before["done"], last["time"] - before["time"]
    if done <= 0 or took <= 0:
        return said
    return f"{said}, {done / took:.2g} a second, {seconds((total - last['done'] + first) * took / done)} left"


def _clock(moment: float) -> str:
    return time.strftime("%H:%M", time.localtime(moment))


def seconds(value: float) -> str:
    """Returns a time as a person says it."""
    if value < 100:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def memory(mb: float) -> str:
    """Returns an amount of memory as a person says it."""
    return f"{mb:.0f} MB" if mb < 1000 else f"{mb / 1000:.1f} GB"
