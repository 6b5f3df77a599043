"""Identities from the tables of wbfm and DeepLabCut: a row a volume, columns (neuron, coordinate), as HDF5 of pandas or as CSV.

HDF5 is read without pandas' own reader, which unpickles what it finds.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from barlowtrack.errors import InputError
from barlowtrack.imports.identified import Identified, Space, kept, numbered, reading

_AXES = ("z", "x", "y")
"""wbfm counts z, then rows as x, then columns as y: its volumes are (z, x, y) where ours are (z, y, x)."""


def knows(path: Path) -> bool:
    """Says whether it has columns of two levels, the last of which are coordinates."""
    if path.suffix.lower() == ".csv":
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                head = [row for _, row in zip(range(3), csv.reader(file), strict=False)]
        except (OSError, UnicodeDecodeError, csv.Error):
            return False
        return any({"x", "y"} <= set(row) and row.count("x") >= 1 and len(set(head[0])) < len(head[0]) for row in head[1:])
    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as opened:
        return any(_is_frame(group) for group in opened.values())


def read(path: Path, space: Space) -> Identified:
    """Reads the table; rows are volumes, by their number in the index.

    Raises:
        InputError: no coordinates in it, or an index that does not count volumes.
    """
    with reading(path, "a table of wbfm, columns (neuron, z x y)"):
        index, columns = _from_csv(path) if path.suffix.lower() == ".csv" else _from_hdf5(path)
        neurons = sorted({name for name, _ in columns})
        axes = [axis for axis in _AXES if any(coordinate == axis for _, coordinate in columns)]
        if not {"x", "y"} <= set(axes):
            raise InputError(f"{path}: expected coordinates z, x, y of every neuron, got {', '.join(axes) or 'none'}")
        nothing = np.full(len(index), np.nan)
        zero = np.zeros(len(index))
        place = np.array([[columns.get((n, a), nothing if a in axes else zero) for a in _AXES] for n in neurons])  # (K, 3, T)
    if not np.array_equal(index, np.round(index)) or (index < 0).any() or len(np.unique(index)) < len(index):
        raise InputError(f"{path}: expected an index that counts volumes from 0, got {index[:3].tolist()} ...")
    place = place.transpose(0, 2, 1).reshape(-1, 3)
    place, told = _turned(place, space)
    number, names = numbered(neurons)
    t = np.tile(index.astype(np.int64), len(neurons))
    named = {k: name for k, name in names.items() if not _is_default(name)}
    return kept(t, np.repeat(number, len(index)), place * space.size_um(path), named, told, path)


def _turned(place: NDArray[np.float64], space: Space) -> tuple[NDArray[np.float64], list[str]]:
    """Reads x as rows and y as columns, as wbfm does; the other way round where points would lie outside the volume otherwise."""
    shape = np.asarray(space.shape if space.shape is not None else (np.inf,) * 3)

    def outside(points: NDArray[np.float64]) -> int:
        known = points[np.isfinite(points).all(1)]
        return int(((known < -1) | (known > shape)).any(1).sum())

    other = place[:, [0, 2, 1]]
    if outside(other) < outside(place):
        return other, ["x is read as columns and y as rows: the other way round, as wbfm has it, points would lie outside the volume"]
    return place, ["x is read as rows and y as columns, as wbfm has them"]


def _from_csv(path: Path) -> tuple[NDArray[np.float64], dict[tuple[str, str], NDArray[np.float64]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    at = next(i for i, row in enumerate(rows[1:3], 1) if {"x", "y"} <= set(row))
    body = [row for row in rows[at + 1 :] if row and _number(row[0]) is not None]
    table = np.array([[_number(cell) if _number(cell) is not None else np.nan for cell in row] for row in body], np.float64)
    names, coordinates = rows[at - 1], rows[at]
    return table[:, 0], {(names[i], coordinates[i]): table[:, i] for i in range(1, len(coordinates))}


def _from_hdf5(path: Path) -> tuple[NDArray[np.float64], dict[tuple[str, str], NDArray[np.float64]]]:
    with h5py.File(path, "r") as opened:
        group = next(group for group in opened.values() if _is_frame(group))
        columns: dict[tuple[str, str], NDArray[np.float64]] = {}
        for block in range(int(group.attrs["nblocks"])):
            values = group[f"block{block}_values"]
            if values.dtype.kind not in "fiu":
                continue  # texts, pickled by pandas
            labels = _labels(group, f"block{block}_items")
            data = np.asarray(values[()], np.float64)
            columns.update({label: data[:, i] for i, label in enumerate(labels)})
        return np.asarray(group["axis1"][()], np.float64), columns


def _is_frame(group: Any) -> bool:
    """Whether it is a table of pandas, in its fixed format, with columns of two levels or three."""
    if not isinstance(group, h5py.Group) or "axis0_level1" not in group or "axis1" not in group:
        return False
    last = max(int(name.removeprefix("axis0_level")) for name in group if name.startswith("axis0_level"))
    level = group[f"axis0_level{last}"]
    return level.dtype.kind in "SO" and {"x", "y"} <= {_text(one) for one in level[()]}


def _labels(group: h5py.Group, name: str) -> list[tuple[str, str]]:
    """(neuron, coordinate) of every column: the last two levels, the scorer of DeepLabCut stands above them."""
    n_levels = sum(1 for key in group if key.startswith(f"{name}_level"))
    parts = []
    for level in range(n_levels - 2, n_levels):
        texts = [_text(one) for one in group[f"{name}_level{level}"][()]]
        parts.append([texts[int(code)] for code in group[f"{name}_label{level}"][()]])
    return list(zip(*parts, strict=True))


def _is_default(name: str) -> bool:
    """Whether wbfm made the name: neuron_012."""
    head, _, number = name.rpartition("_")
    return head in ("neuron", "tracklet") and number.isdecimal()


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _number(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return None
