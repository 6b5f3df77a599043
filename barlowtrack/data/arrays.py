"""Kinds of arrays, and how the nouns check them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.errors import InputError

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]
VoxelArray = NDArray[np.number[Any]]

UNKNOWN = -1
"""The neuron id of a detection that belongs to no known neuron."""


def expect(good: bool, what: str, expected: str, got: object) -> None:
    """Raises InputError unless good: what it is, what was expected, what came."""
    if not good:
        raise InputError(f"{what}: expected {expected}, got {got}")


def expect_rows(what: str, n: int, **columns: NDArray[Any]) -> None:
    """Raises InputError unless every column has n rows."""
    for name, column in columns.items():
        expect(len(column) == n, f"{what}.{name}", f"{n} rows", f"{len(column)}")


def medians_by(values: FloatArray, group: IntArray, n_groups: int) -> FloatArray:
    """Returns (n_groups,) median of the values (N,) of each group (N,), whose numbers below 0 belong to none; NaN of an empty one."""
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(n_groups + 1))
    parts = [values[order[start:stop]] for start, stop in pairwise(bounds)]
    return np.array([np.median(part) if len(part) else np.nan for part in parts], np.float64)
