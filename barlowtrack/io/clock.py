"""Times at which volumes were recorded: how many a second, and whether some are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from barlowtrack.errors import InputError

DROPPED = 1.7
"""Steps this much longer than usual lack a volume."""
SAMPLED_STEPS = 33
"""Of times that are read one by one: so many steps say what is usual."""
SPAN = 32
MOST_SPANS = 512
SPREAD = 0.1
"""Of single steps about what is usual."""
UNLIKE = 0.05
"""Of the rate: further from what was planned than clocks are."""


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
    return 1 / usual, (_dropped({int(t): float(steps[t]) for t in gaps}, len(times_s), usual),)


def noted_rate(
    what: str, time_at: Callable[[int], float | None], n_volumes: int, planned_hz: float | None
) -> tuple[float | None, tuple[str, ...]]:
    """Returns volumes a second by the times that were noted beside planes, and what is odd about them, in plain words.

    Such times are an extra: where they say nothing that can be, what was planned holds. Each may cost a read of the disk, so few are asked
    for: stretches that took as long as they should are not looked into.

    Args:
        what: What the times are called, for messages.
        time_at: Returns when a volume was recorded, in s; None where nothing is noted.
        n_volumes: How many there are.
        planned_hz: What else the metadata say.
    """
    clock = cache(lambda t: np.nan if (said := time_at(t)) is None else float(said))
    if n_volumes < 2 or not np.isfinite(clock(0)):
        return planned_hz, ()
    pairs = np.unique(np.linspace(0, n_volumes - 2, SAMPLED_STEPS).astype(int)).tolist()
    steps = np.sort([clock(t + 1) - clock(t) for t in pairs])
    usual = float(steps[(len(steps) - 1) // 2])
    if not np.isfinite(steps).all() or not usual > 0:
        return planned_hz, ()
    gaps: dict[int, float] = {}
    ends = [*range(0, n_volumes - 1, max(SPAN, n_volumes // MOST_SPANS)), n_volumes - 1]
    left = list(pairwise(ends))[::-1]
    even = float(np.median([(clock(last) - clock(first)) / (last - first) for first, last in left]))
    even = even if abs(even / usual - 1) < SPREAD else usual  # a stretch tells it better than a step, where few volumes are missing
    while left:
        first, last = left.pop()
        took = clock(last) - clock(first)
        if not np.isfinite(took):
            return planned_hz, ()
        if last - first == 1 and not took > 0:
            return planned_hz, (f"{what}: the clock goes back after volume {first}: are volumes out of order, or recordings joined?",)
        if last - first == 1 and took > DROPPED * usual:
            gaps[first] = took
        elif last - first > 1 and abs(took / even - (last - first)) > (DROPPED - 1) / 2:
            middle = (first + last) // 2
            left += [(middle, last), (first, middle)]
    said = (_dropped(gaps, n_volumes, usual),) if gaps else ()
    if planned_hz is not None and abs(planned_hz * usual - 1) > UNLIKE:
        said = (f"{what}: {1 / usual:.3g} volumes a second, where {planned_hz:.3g} were planned; taken as they came", *said)
    return 1 / usual, said


def _dropped(gaps: Mapping[int, float], n_volumes: int, usual: float) -> str:
    """Says that volumes are missing; gaps: how long it took until the next one, by volume, in s."""
    missing, longest = sum(round(took / usual) - 1 for took in gaps.values()), max(gaps, key=lambda t: gaps[t])
    said = f"dropped volumes: after {len(gaps)} of {n_volumes} volumes the clock jumps, by {missing} volumes in all"
    return f"{said} (most after volume {longest}: {gaps[longest]:.3g} s, usually {usual:.3g} s); taken as if evenly spaced"
