"""What a look at a recording says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "stop"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ok; warn: results may be poor; stop: the pipeline cannot run, or its results would mean nothing.
        what: What was found, in one line.
        fix: What to do about it; empty where all is well.
    """

    level: Level
    what: str
    fix: str = ""
