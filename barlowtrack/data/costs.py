"""What a run costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageCost:
    """Of one stage, the last time it came to its end.

    Attributes:
        stage: Its name.
        seconds: That processes were at work on it, one after the other or side by side.
        peak_mb: Most memory that one of them held.
        parts: How many of them: one, and one more for every piece and for every time it was stopped and went on.
    """

    stage: str
    seconds: float
    peak_mb: float
    parts: int = 1
