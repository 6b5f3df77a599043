"""Rounds of self-training: when they begin, and when they do harm."""

from __future__ import annotations

from collections.abc import Sequence


def led_astray(round_trips: Sequence[float], rounds: int, n_epochs: int) -> bool:
    """Says whether the last round of self-training has made no epoch as good as the best before it.

    Args:
        round_trips: Of the start and of every epoch so far.
        rounds: In n_epochs; they begin at round_starts().
        n_epochs: Asked for.
    """
    done = len(round_trips) - 1
    begins = [first for first in round_starts(rounds, n_epochs) if first <= done]
    if len(begins) < 2 or done not in begins:
        return False
    last = round_trips[begins[-2] + 1 :]
    return max(last) < max(round_trips[: begins[-2] + 1])  # never where it is NaN


def round_starts(rounds: int, n_epochs: int) -> list[int]:
    """Returns after which epochs the rounds of self-training begin."""
    return sorted({n_epochs * r // rounds for r in range(rounds)}) if rounds else []
