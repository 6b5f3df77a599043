"""Which epoch of a training counts, and by what it is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence


def best_epoch(round_trips: Sequence[float]) -> int:
    """Returns the epoch whose encoder is used: of the best the last, and simply the last where nothing can be told.

    Args:
        round_trips: Of the start and of every epoch; NaN where there are too few volumes.
    """
    best = 0
    for epoch, closed in enumerate(round_trips):
        if not closed < round_trips[best]:
            best = epoch
    return best


def gauge(round_trips: Sequence[float], agreement: Sequence[float]) -> tuple[str, Sequence[float]]:
    """Returns the name and the values of what tells whether training helps: round trips, or the agreement of views where there are none."""
    if any(math.isnan(closed) for closed in round_trips):
        return "agreement", agreement
    return "round trips", round_trips
