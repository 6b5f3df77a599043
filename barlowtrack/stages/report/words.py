"""Numbers as words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percent(share: float) -> str:
    """Returns a share as a text such as "87 %"; never 0 % or 100 % for what is not quite that; "unknown" where it is NaN.

    The space is one at which no line breaks.
    """
    if not np.isfinite(share):
        return "unknown"
    if 0 < share < 0.005:
        return "under 1\u00a0%"
    return "over 99\u00a0%" if 0.995 <= share < 1 else f"{100 * share:.0f}\u00a0%"


def counted(n: int, noun: str, many: str | None = None) -> str:
    """Returns "1 neuron", "2 neurons"."""
    return f"{n} {noun}" if n == 1 else f"{n} {many or noun + 's'}"


def by(sizes: Sequence[float]) -> str:
    """Returns "2 x 3 x 4", with the sign for times."""
    return " \N{MULTIPLICATION SIGN} ".join(f"{size:g}" for size in sizes)
