"""Identities from a table of points, as evaluate has always read it; neurons may be called by names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from barlowtrack.data.corrections import cleaned, is_number
from barlowtrack.imports.identified import Identified, Space, numbered
from barlowtrack.io.tables import RECORDED, read_columns, truth_from_frame


def knows(path: Path) -> bool:
    """Says whether it is a table by its name."""
    return path.suffix.lower() in (".csv", ".parquet")


def read(path: Path, space: Space) -> Identified:
    """Reads it; see io.tables.read_truth.

    Raises:
        InputError: columns missing, numbers that are none, or a neuron twice in a volume.
    """
    frame = read_columns(path)
    names: dict[int, str] = {}
    if "neuron" in frame and not pd.api.types.is_numeric_dtype(frame["neuron"]):
        called = [cleaned(str(cell)) if pd.notna(cell) else "" for cell in frame["neuron"]]
        if not all(is_number(name) for name in called if name):
            there = np.flatnonzero([bool(name) for name in called])
            number, names = numbered([called[row] for row in there])
            column = np.zeros(len(frame), np.int64)
            column[there] = number
            empty = np.ones(len(frame), bool)
            empty[there] = False
            frame = frame.assign(neuron=pd.arrays.IntegerArray(column, empty))
    truth = truth_from_frame(frame, space.voxel_size_um, where=str(path))
    if not names and {"neuron", "name"} <= set(frame.columns):
        rows = frame[["neuron", "name"]].dropna()
        names = {int(k): cleaned(str(name)) for k, name in zip(rows["neuron"], rows["name"], strict=True) if cleaned(str(name))}
    return Identified(truth.t, truth.neuron, truth.position_um, names, _which_places(frame), truth.activity)


def _which_places(frame: pd.DataFrame) -> tuple[str, ...]:
    """Says which columns count where there are several that could."""
    um = RECORDED if set(RECORDED) <= set(frame.columns) else ("z_um", "y_um", "x_um")
    others = [name for name in ("z_um", "y_um", "x_um", "z", "y", "x") if name not in um and name in frame and um[0] in frame]
    return (f"places are taken from {', '.join(um)}; {', '.join(others)} are not read",) if others else ()
