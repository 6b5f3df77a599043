"""Times at which volumes were recorded: how many a second, and whether some are missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from barlowtrack.errors import InputError

DROPPED = 1.7
"""Steps this much longer than usual lack a volume."""


def rate_of(where: str, times_s: NDArray[np.float64]) -> tuple[float, tuple[str, ...]]:
    """Returns volumes a second, and what is odd about the times, in plain words.

    Args:
        where: File and place in it, for messages.
        times_s: (T,) one a volume, T > 1.

    Raises:
        InputError: the clock stands, or goes backwards.
    """
    steps = np.diff(times_s)
    wrong = np.flatnonzero(~(steps > 0))  # NaN is wrong, too
    if len(wrong):
        before, after = times_s[wrong[0]], times_s[wrong[0] + 1]
        raise InputError(
            f"{where}: the clock goes from {before:g} to {after:g} s between volumes {wrong[0]} and {wrong[0] + 1}: "
            "volumes are out of order, or two recordings were joined; if their order is right, give --rate HZ"
        )
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])  # of two in the middle the shorter: of few volumes one jump is half
    gaps = np.flatnonzero(steps > DROPPED * usual)
    if not len(gaps):
        return 1 / usual, ()
    missing, longest = int(np.sum(np.round(steps[gaps] / usual) - 1)), gaps[np.argmax(steps[gaps])]
    said = f"dropped volumes: after {len(gaps)} of {len(times_s)} volumes the clock jumps, by {missing} volumes in all"
    return 1 / usual, (f"{said} (most after volume {longest}: {steps[longest]:.3g} s, usually {usual:.3g} s); taken as if evenly spaced",)
