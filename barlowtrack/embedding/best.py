"""Which epoch of a training counts, and by what it is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from barlowtrack.embedding.health import COLLAPSED_RANK


def best_epoch(round_trips: Sequence[float], rank: Sequence[float]) -> int:
    """Returns the epoch whose encoder is used: of the best the last, and simply the last where nothing can be told.

    One that has collapsed is none of the best: a few nuclei that lie far apart are found again even by what is left of an embedding.

    Args:
        round_trips: Of the start and of every epoch; NaN where there are too few volumes.
        rank: Effective rank, likewise.
    """
    best = 0
    for epoch, closed in enumerate(round_trips):
        fell = rank[epoch] < COLLAPSED_RANK <= rank[best]
        if not (fell or closed < round_trips[best]):
            best = epoch
    return best


def gauge(round_trips: Sequence[float], agreement: Sequence[float]) -> tuple[str, Sequence[float]]:
    """Returns the name and the values of what tells whether training helps: round trips, or the agreement of views where there are none."""
    if any(math.isnan(closed) for closed in round_trips):
        return "agreement", agreement
    return "round trips", round_trips
