"""A list of places to look at, one after the other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stop:
    """One thing to look at.

    Attributes:
        t: Volume.
        position_um: z, y, x; None where there is no one place.
        neurons: Who is concerned.
        cells: What a table says of it, a text a column.
    """

    t: int
    position_um: tuple[float, float, float] | None
    neurons: tuple[int, ...]
    cells: tuple[str, ...]
