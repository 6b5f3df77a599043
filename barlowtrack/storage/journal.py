"""What happened to the stages of a run folder, a line each: events.jsonl; and what that says of time and memory.

Lines are added in one piece, by as many processes as work here. A line that was cut off, by a kill or a full disk, says nothing and spoils
no other. That a line cannot be written is no reason to lose a result.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from barlowtrack.data import Progress, StageCost
from barlowtrack.io.location import scrubbed

log = logging.getLogger(__name__)

NAME = "events.jsonl"
EVERY_S = 5.0
"""A stage at work says so no more rarely than this: so much of its time stays unknown where it is killed."""
SAMPLE_S = 0.2
_WRITING_S = (0.001, 0.01, 0.05)
"""A line comes a page at a time, to whoever looks at the file meanwhile."""
_NOT_EVENTS = (ArithmeticError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
_LATEST_S = 1e11
"""Years of five digits: clocks say no later ones."""
_TELLING = ("start", "progress", "finish", "piece", "stopped")


class Journal:
    """The events of a run folder.

    Args:
        folder: Where events.jsonl lies, or will.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def say(self, stage: str, what: str, **values: Any) -> None:
        """Adds an event; where that cannot be done, says so and goes on."""
        line = json.dumps({"time": round(time.time(), 3), "stage": stage, "event": what, **values})
        try:
            with self.path.open("a+b", buffering=0) as file:
                file.write(f"{_ending(file)}{line}\n".encode())
        except OSError as error:
            log.warning("%s: cannot be written (%s); the run goes on without", self.path, error.strerror or error)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yields what can be read, in the order of time in which it was written; see as_event."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return
        for line in lines:
            try:
                yield as_event(json.loads(line))
            except _NOT_EVENTS:  # a machine that crashed leaves half a line
                continue

    def costs(self, keys: Mapping[str, str]) -> dict[str, StageCost]:
        """Returns by stage what it cost the last time it came to its end.

        Pieces that jobs of their own made count with it, and so does what was done before a kill and needed no doing again.

        Args:
            keys: Of the stages that are done: one that was killed before it could say so.
        """
        found: dict[str, StageCost] = {}
        parts: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
        for number, said in enumerate(self.events()):
            if said["event"] not in _TELLING:
                continue
            which = (said["stage"], str(said.get("key", "")))
            spent = said.get("seconds", 0.0), said.get("peak_mb", 0.0)
            of_it = parts.setdefault(which, {})
            of_it[str(said.get("part", number))] = spent  # the last word of each part counts
            if said["event"] == "finish":
                found[said["stage"]] = _sum(said["stage"], parts.pop(which))
        for (stage, key), of_it in parts.items():
            if keys.get(stage) == key and any(seconds for seconds, _ in of_it.values()):
                found[stage] = _sum(stage, of_it)
        return found

    @contextmanager
    def at_work(self, stage: str, key: str, volumes: range | None = None) -> Iterator[Part]:
        """Writes down that a stage, or a piece of it, is at work, how far it is, and how it ends.

        Args:
            stage: Its name.
            key: Of what it makes.
            volumes: Of a piece.
        """
        part = Part(self, stage, key, volumes)
        part.begin()
        try:
            yield part
        except BaseException as error:
            part.end("stopped", text=_first_line(error))
            raise
        part.end("finish" if volumes is None else "piece")


class Part:
    """One process at work on a stage, from its start to its end; see Journal.at_work."""

    def __init__(self, journal: Journal, stage: str, key: str, volumes: range | None) -> None:
        self.journal, self.stage = journal, stage
        self.same = {"key": key, "part": os.urandom(4).hex()}
        self.volumes = {} if volumes is None else {"volumes": [volumes.start, volumes.stop]}
        self.began, self.steps = time.monotonic(), (0, 0)
        self.peak_mb, self.before_mb = 0.0, _most_mb()
        self.over = threading.Event()
        self.beat = threading.Thread(target=self._watch, name="events", daemon=True)

    def begin(self) -> None:
        self.journal.say(self.stage, "start", **self.same, pid=os.getpid(), host=socket.gethostname(), **self.volumes)
        try:
            self.beat.start()
        except RuntimeError as error:  # memory, or threads that one may have: the stage itself may do with less
            log.warning("%s: how far %s is will not be written down (%s)", self.journal.path, self.stage, error)

    def follow(self, progress: Progress) -> Progress:
        """Returns a progress that tells another one, too."""

        def tell(done: int, total: int) -> None:
            self.steps = (done, total)
            progress(done, total)

        return tell

    def note(self) -> None:
        """Writes down how far it is."""
        done, total = self.steps
        steps = {"done": done, "total": total} if total else {}  # how much there is to do may not be known yet
        self.journal.say(self.stage, "progress", **self.same, **self.volumes, **steps, **self._spent())

    def end(self, what: str, **values: Any) -> None:
        self.over.set()
        if self.beat.ident is not None:
            self.beat.join()
        self.journal.say(self.stage, what, **self.same, **self.volumes, **self._spent(), **values)

    def _watch(self) -> None:
        next_s = EVERY_S
        while not self.over.wait(SAMPLE_S):
            self.peak_mb = max(self.peak_mb, _now_mb())
            if time.monotonic() - self.began >= next_s:
                next_s = time.monotonic() - self.began + EVERY_S
                self.note()

    def _spent(self) -> dict[str, float]:
        """A new most of the whole process is that of this stage; of an older one, this stage is looked at now and then."""
        most = _most_mb()
        self.peak_mb = most if most > self.before_mb else max(self.peak_mb, _now_mb())
        return {"seconds": round(time.monotonic() - self.began, 3), "peak_mb": round(self.peak_mb)}


def as_event(said: Any) -> dict[str, Any]:
    """Returns what a line says, where all that is read of it is what it should be.

    Raises:
        ArithmeticError, ValueError, TypeError, KeyError, AttributeError: it is no event.
    """
    event = {**said, "time": float(said["time"]), "stage": str(said["stage"]), "event": str(said["event"])}
    if not 0 <= event["time"] < _LATEST_S:
        raise ValueError("time")
    for name in {"seconds", "peak_mb"} & set(event):
        event[name] = float(event[name])
        if not 0 <= event[name] < math.inf:
            raise ValueError(name)
    counts = [event[name] for name in ("done", "total", "pid") if name in event]
    if "volumes" in event:
        first, stop = event["volumes"]
        counts += [first, stop]
    if not all(type(count) is int and 0 <= count < 2**53 for count in counts):
        raise ValueError("count")
    return event


def _sum(stage: str, parts: Mapping[str, tuple[float, float]]) -> StageCost:
    seconds, peaks = zip(*parts.values(), strict=True)
    return StageCost(stage, sum(seconds), max(peaks), len(parts))


def _ending(file: Any) -> str:
    """Returns what a line that was cut off needs for the next one to be a line; one that somebody is just writing is waited for."""
    for pause in (*_WRITING_S, 0.0):
        if not file.seek(0, os.SEEK_END):
            return ""
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return ""
        time.sleep(pause)
    return "\n"


def _most_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _now_mb() -> float:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20
    except (OSError, ValueError, IndexError):
        return 0.0


def _first_line(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "by hand"
    return scrubbed((str(error).splitlines() or [""])[0]) or type(error).__name__
