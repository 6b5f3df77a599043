"""What a run costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageCost:
    """Of one stage, the last time it ran to its end.

    Attributes:
        stage: Its name.
        seconds: From its start to its end.
        peak_mb: Most memory that the process had held by then.
    """

    stage: str
    seconds: float
    peak_mb: float
