"""Channels with clocks of their own: whether a volume of one belongs to the volume of the same number of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from barlowtrack.errors import InputError
from barlowtrack.io.clock import UNLIKE

APART = 0.5
"""Of the time between volumes: further apart, volumes of the same number are not of the same moment."""
_BESIDE = 5
"""Volumes before and after a jump that have to agree on it: a single late one is none."""


def refuse_apart(where: str, times_s: Mapping[str, Sequence[float] | NDArray[np.float64]]) -> tuple[str, ...]:
    """Refuses channels of which volumes of the same number were not recorded together.

    Clocks may begin at different numbers, and drift as clocks do; a volume that only one channel lacks shifts all that follow.

    Args:
        where: File or folder, for the message.
        times_s: When each volume was recorded, by channel; a clock that stands says nothing.

    Returns:
        What is odd, in plain words.

    Raises:
        InputError: a clock runs at another rate, or lacks volumes that another has.
    """
    odd: list[str] = []
    hint = "if their volumes belong together all the same, give --rate HZ"
    names = list(times_s)
    for name in names[1:]:
        n = min(len(times_s[names[0]]), len(times_s[name]))
        if n < 2:
            continue
        first, other = (np.asarray(times_s[one], float)[:n] for one in (names[0], name))
        usual, others = float(np.median(np.diff(first))), float(np.median(np.diff(other)))
        if not (usual > 0 and others > 0):
            continue
        if abs(others / usual - 1) > UNLIKE:
            rates = f"{names[0]} has {1 / usual:.3g} volumes a second and {name} {1 / others:.3g}"
            raise InputError(f"{where}: {rates}: expected the same; {hint}")
        jump = _jump(other - first, APART * usual)
        if jump is not None:
            raise InputError(
                f"{where}: the clocks of {names[0]} and {name} part after volume {jump}: one of them lacks volumes there, so that "
                f"volumes of the same number are not of the same moment; {hint}"
            )
        shift = float(np.median(other - first))
        if abs(shift) > APART * usual:
            odd.append(f"the clock of {name} is {shift:.3g} s from that of {names[0]}; taken as volumes of the same moments")
    return tuple(odd)


def _jump(apart_s: NDArray[np.float64], at_most_s: float) -> int | None:
    """Returns the volume after which two clocks are, and stay, further apart than before."""
    for t in np.flatnonzero(np.abs(np.diff(apart_s)) > at_most_s):
        before, after = apart_s[max(0, t + 1 - _BESIDE) : t + 1], apart_s[t + 1 : t + 1 + _BESIDE]
        if abs(float(np.median(after)) - float(np.median(before))) > at_most_s:
            return int(t)
    return None
