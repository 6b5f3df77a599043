"""Samples that stand for the whole: evenly spread, so that no part of a recording speaks for the rest."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import IntArray


def spread(n: int, most: int) -> IntArray:
    """Returns at most so many of 0 ... n - 1, evenly spread, the first and the last among them."""
    if n <= most:
        return np.arange(n)
    return np.unique(np.round(np.linspace(0, n - 1, most)).astype(np.int64))


def rows_of(t: IntArray, volume: int) -> slice:
    """Returns the rows of a volume; t is sorted."""
    start, stop = np.searchsorted(t, [volume, volume + 1])
    return slice(int(start), int(stop))
