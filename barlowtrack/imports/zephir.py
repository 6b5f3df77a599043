"""Identities from ZephIR: annotations.h5, with worldlines.h5 and metadata.json beside it.

Coordinates are shares of the volume, and the centre of voxel i of n lies at (i + 0.5) / n.

Reference:
    Yu et al. 2022, "Fast deep neural correspondence for tracking and identifying neurons"; ZephIR's Guide-data.md and transform.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from barlowtrack.data.corrections import cleaned
from barlowtrack.errors import InputError
from barlowtrack.imports.identified import Identified, Space, kept, reading

FILE = "annotations.h5"
_NEEDED = ("t_idx", "x", "y", "z", "worldline_id")
_MACHINE = b"ZEIR"
_UNNAMED = {"", "null", "none", "nan"}


def knows(path: Path) -> bool:
    """Says whether it has the columns of annotations, or is a folder with such a file."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file() or not h5py.is_hdf5(file):
        return False
    with h5py.File(file, "r") as opened:
        return all(name in opened for name in _NEEDED)


def read(path: Path, space: Space) -> Identified:
    """Reads the annotations.

    Raises:
        InputError: columns of different length, shares beyond 0 to 1, or nobody knows how large the volume is.
    """
    file = path / FILE if path.is_dir() else path
    with reading(file, "annotations of ZephIR"), h5py.File(file, "r") as opened:
        columns = {name: np.atleast_1d(np.squeeze(opened[name][()])).astype(np.float64) for name in _NEEDED}
        provenance = _texts(opened["provenance"][()]) if "provenance" in opened else []
    if len({len(column) for column in columns.values()}) != 1:
        raise InputError(f"{file}: expected columns of one length, got {', '.join(f'{n}: {len(c)}' for n, c in columns.items())}")
    for name in ("t_idx", "worldline_id"):
        odd = columns[name][~(columns[name] == np.round(columns[name]))]
        if len(odd):
            raise InputError(f"{file}: {name}: expected whole numbers, got {odd[0]:g}")
    share = np.stack([columns[axis] for axis in "zyx"], axis=1)
    if len(share) and not ((share >= 0) & (share <= 1)).all():
        raise InputError(f"{file}: z, y, x: expected shares of the volume from 0 to 1, got {share.min():g} to {share.max():g}")
    position_um = (share * np.asarray(_shape(file, space), np.float64) - 0.5) * space.size_um(file)
    neuron = columns["worldline_id"].astype(np.int64)
    told = []
    machine = sum(text == _MACHINE.decode() for text in provenance)
    if machine:
        told.append(f"{machine} of {len(share)} points were tracked by ZephIR, not set by a person")
    names = _names(file.with_name("worldlines.h5"), set(neuron.tolist()))
    return kept(columns["t_idx"].astype(np.int64), neuron, position_um, names, told, file)


def _shape(file: Path, space: Space) -> tuple[int, int, int]:
    """Z, Y, X: of the recording, or as ZephIR noted it down."""
    if space.shape is not None:
        return space.shape
    note = file.with_name("metadata.json")
    if not note.is_file():
        raise InputError(f"{file}: counts in shares of the volume; expected metadata.json beside it, which says its size, got none")
    with reading(note, "metadata of ZephIR with shape_z, shape_y, shape_x"):
        said = json.loads(note.read_text(encoding="utf-8"))
        return int(said["shape_z"]), int(said["shape_y"]), int(said["shape_x"])


def _names(file: Path, used: set[int]) -> dict[int, str]:
    if not file.is_file():
        return {}
    with reading(file, "worldlines of ZephIR"), h5py.File(file, "r") as opened:
        ids = np.atleast_1d(np.squeeze(opened["id"][()])).astype(np.int64).tolist()
        names = [cleaned(name.rstrip("\0")) for name in _texts(opened["name"][()])]
        # ZephIR calls a worldline by its number where nobody named it
        return {k: name for k, name in zip(ids, names, strict=True) if k in used and name.lower() not in _UNNAMED and not name.isdecimal()}


def _texts(values: NDArray[Any]) -> list[str]:
    """Texts as Python and as MATLAB write them: bytes, or a row of signs each."""
    flat = np.atleast_1d(np.squeeze(values)) if values.dtype.kind in "SO" else values
    if flat.dtype.kind in "iu" and flat.ndim == 2:
        return [bytes(int(sign) for sign in row).decode("utf-8", "replace") for row in flat]
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in flat]
