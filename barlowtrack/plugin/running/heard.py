"""What a running barlowtrack says, and what follows from it: how far every stage is, how long it will take, how it ended. No Qt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barlowtrack.pipeline import STAGES

SOON_S = 1.0
"""No time is told before a stage has worked for so long: it would jump about."""


@dataclass
class StageSeen:
    """A stage, as far as one has heard of it.

    Attributes:
        state: unknown, missing, stale or cached (what the plan says); working, done, stopped (what comes of it).
        reasons: Why there is something to do.
        done: Steps.
        total: Of so many; 0: not known yet.
        seconds: It took; 0 where it was not heard to end.
    """

    state: str = "unknown"
    reasons: tuple[str, ...] = ()
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    began: float = 0.0
    first: tuple[float, int] | None = None
    """When the first step was heard of, and which it was: a stage that goes on begins far along."""

    def left_s(self, now: float) -> float | None:
        """Returns the seconds that are left, as fast as it went so far; None where nobody can say."""
        if self.state != "working" or self.first is None or not self.total:
            return None
        when, begin = self.first
        if self.done <= begin or now - when < SOON_S:
            return None
        return (now - when) / (self.done - begin) * (self.total - self.done)

    def in_words(self, now: float) -> str:
        """Returns what stands in its bar."""
        match self.state:
            case "unknown":
                return ""
            case "cached":
                return "up to date"
            case "missing" | "stale":
                return "to do" if self.state == "missing" else "to do again"
            case "done":
                return f"done in {duration(self.seconds)}"
            case "stopped":
                return f"stopped at {self.done} of {self.total}" if self.total else "stopped"
        if not self.total:
            return f"working, {duration(now - self.began)} so far"
        left = self.left_s(now)
        return f"{self.done} of {self.total}" + (f", {duration(left)} left" if left is not None else "")


@dataclass
class Heard:
    """All that a run has said.

    Attributes:
        stages: Every stage by name, in their order.
        ended: "done", "error" or "stopped" once it has said so; else "".
        text: What it said in the end.
        run: The run folder that is done.
    """

    stages: dict[str, StageSeen] = field(default_factory=lambda: {stage.name: StageSeen() for stage in STAGES})
    ended: str = ""
    text: str = ""
    run: Path | None = None

    def hear(self, event: Mapping[str, Any], now: float) -> None:
        """Takes an event in; passes over what it does not know.

        Args:
            event: See docs/reference/progress.md.
            now: In seconds, of a clock that never goes back.
        """
        match event:
            case {"event": "plan", "stages": list(planned)}:
                for item in planned:
                    self._stage(item["stage"], state=item["state"], reasons=tuple(item["reasons"]))
            case {"event": "started", "stage": str(name)}:
                self._stage(name, state="working", began=now, done=0, total=0, first=None)
            case {"event": "progress", "stage": str(name), "done": int(done), "total": int(total)}:
                seen = self._stage(name, state="working", done=done, total=total)
                if seen.first is None:
                    seen.first = (now, done)
            case {"event": "finished", "stage": str(name), "cached": bool(cached), "seconds": float(seconds) | int(seconds)}:
                self._stage(name, state="cached" if cached else "done", seconds=float(seconds))
            case {"event": "done" | "error" | "stopped" as ended}:
                self.ended, self.text = str(ended), str(event.get("text") or "")
                self.run = Path(event["run"]) if event.get("run") else None

    def end(self, *, wanted: bool) -> None:
        """The process is there no more; wanted: somebody stopped it, so that it may not have said a last word."""
        for seen in self.stages.values():
            if seen.state == "working":
                seen.state = "stopped"
        if not self.ended:
            self.ended = "stopped" if wanted else "error"
            self.text = "" if wanted else "it ended without a word; the log may say why"

    def _stage(self, name: str, **told: Any) -> StageSeen:
        seen = self.stages.setdefault(name, StageSeen())
        for key, value in told.items():
            setattr(seen, key, value)
        return seen


def event_of(line: str) -> dict[str, Any] | None:
    """Returns the event that a line of standard output is; None where it is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def forecast(stages: Mapping[str, StageSeen]) -> str:
    """Says in a sentence what Start will do, as the plan has it."""
    cached = [name for name, seen in stages.items() if seen.state == "cached"]
    to_do = [name for name in stages if name not in cached]
    if not to_do:
        return "Nothing to do: all stages are up to date. Start would end at once, and show the result."
    begun = next((name for name in to_do if any(reason.startswith("half done") for reason in stages[name].reasons)), "")
    if begun:
        rest = [name for name in to_do if name != begun]
        return f"Start will go on with {begun}" + (f", then run {', '.join(rest)}." if rest else ".")
    if not cached:
        return f"Start will run all {len(to_do)} stages: {', '.join(to_do)}."
    return f"Start will run {', '.join(to_do)}; {', '.join(cached)} {'is' if len(cached) == 1 else 'are'} up to date."


def duration(seconds: float) -> str:
    """Returns a length of time as a person says it: 42 s, 3 min, 1 h 20 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
