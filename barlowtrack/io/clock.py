"""Times at which volumes were recorded: how many a second, and whether some are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from barlowtrack.errors import InputError

DROPPED = 1.7
"""Steps this much longer than usual lack a volume."""
CAUGHT_UP = 3
"""Volumes within which those that were noted late are in time again."""
MOST_READ = 10_000
"""Times that are read one by one, whatever they say."""
RUN, N_RUNS = 128, 16
"""Of more: times of so many volumes in a row, so often, are read in any case."""
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

    Such times are an extra: where they say nothing that can be, what was planned holds. All are read of up to MOST_READ volumes. Of more,
    each of which may cost a read of the disk, runs in a row are read first, and all where a volume is missing in one; else stretches that
    took as long as they should are not looked into.

    Args:
        what: What the times are called, for messages.
        time_at: Returns when a volume was recorded, in s; None where nothing is noted.
        n_volumes: How many there are.
        planned_hz: What else the metadata say.
    """
    read: dict[int, float] = {}

    def clock(t: int) -> float:
        if t not in read:
            read[t] = np.nan if (said := time_at(t)) is None else float(said)
        return read[t]

    if n_volumes < 2 or not np.isfinite(clock(0)):
        return planned_hz, ()
    runs = _runs(n_volumes)
    steps = np.concatenate([np.diff([clock(t) for t in run]) for run in runs])
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])  # of two in the middle the shorter: of few volumes one jump is half
    if not np.isfinite(steps).all() or not usual > 0:
        return planned_hz, ()
    found: Iterable[int] = [t for run in runs for t in run[:-1]]
    if len(runs) > 1:
        often = any(_lost(clock, t, usual, n_volumes) for t in found)
        found = range(n_volumes - 1) if often else _unlike_others(clock, n_volumes, usual)
    gaps: dict[int, float] = {}
    for t in found:
        took = clock(t + 1) - clock(t)
        if not np.isfinite(took):
            return planned_hz, ()
        if took < 0:
            return planned_hz, (f"{what}: the clock goes back after volume {t}: are volumes out of order, or recordings joined?",)
        if _lost(clock, t, usual, n_volumes):
            gaps[t] = took
    said = (_dropped(gaps, n_volumes, usual, len(read)),) if gaps else ()
    if planned_hz is not None and abs(planned_hz * usual - 1) > UNLIKE:
        said = (f"{what}: {1 / usual:.3g} volumes a second, where {planned_hz:.3g} were planned; taken as they came", *said)
    return 1 / usual, said


def _runs(n_volumes: int) -> list[range]:
    """Returns volumes whose times are read in any case: all, or of very many N_RUNS of RUN in a row."""
    if n_volumes <= MOST_READ:
        return [range(n_volumes)]
    return [range(int(start), int(start) + RUN) for start in np.linspace(0, n_volumes - RUN, N_RUNS).astype(int)]


def _lost(clock: Callable[[int], float], t: int, usual: float, n_volumes: int) -> bool:
    """Says whether volumes are missing after one: whether the next one comes late, and those behind it do not catch up.

    A computer that was busy notes some volumes late, and the next ones soon after.
    """
    if not clock(t + 1) - clock(t) > DROPPED * usual:
        return False
    before = max(clock(k) / usual - k for k in range(max(t - CAUGHT_UP, 0), t + 1))
    after = min(clock(k) / usual - k for k in range(t + 1, min(t + 2 + CAUGHT_UP, n_volumes)))
    return after - before > (DROPPED - 1) / 2


def _unlike_others(clock: Callable[[int], float], n_volumes: int, usual: float) -> Iterator[int]:
    """Yields volumes after which it took another time than it should, by halving stretches that did; those that cannot be told too."""
    ends = [*range(0, n_volumes - 1, max(SPAN, n_volumes // MOST_SPANS)), n_volumes - 1]
    left = list(pairwise(ends))[::-1]
    even = float(np.median([(clock(last) - clock(first)) / (last - first) for first, last in left]))
    even = even if abs(even / usual - 1) < SPREAD else usual  # a stretch tells it better than a step, where few volumes are missing
    while left:
        first, last = left.pop()
        took = clock(last) - clock(first)
        if last - first == 1:
            yield first
        elif not abs(took / even - (last - first)) <= (DROPPED - 1) / 2:
            middle = (first + last) // 2
            left += [(middle, last), (first, middle)]


def _dropped(gaps: Mapping[int, float], n_volumes: int, usual: float, n_read: int | None = None) -> str:
    """Says that volumes are missing; gaps: how long it took until the next one, by volume, in s; n_read: times that were looked at."""
    missing, longest = sum(round(took / usual) - 1 for took in gaps.values()), max(gaps, key=lambda t: gaps[t])
    few = f"; the times of {n_read} volumes were looked at" if n_read not in (None, n_volumes) else ""
    said = f"dropped volumes: after {len(gaps)} of {n_volumes} volumes the clock jumps, by {missing} volumes in all"
    return f"{said} (most after volume {longest}: {gaps[longest]:.3g} s, usually {usual:.3g} s{few}); taken as if evenly spaced"
