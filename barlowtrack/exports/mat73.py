"""MATLAB files of version 7.3: HDF5 with a header of MATLAB's, and attributes that say which class an array is.

Reference:
    The layout is that of files which MATLAB's own save -v7.3 writes: arrays transposed, texts as UTF-16 numbers, cells as references.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from barlowtrack.exports.formats import MATLAB_MADE_BY

_HEADER = 512
_CLASSES = {"f8": "double", "f4": "single", "u1": "uint8", "u2": "uint16", "i4": "int32", "i8": "int64"}


def write_structs(path: Path, variables: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes structs to a file that is not there.

    Args:
        path: Of the file.
        variables: Name -> field -> number, text, array, list of texts, or a struct of those.
    """
    with h5py.File(path, "w", userblock_size=_HEADER) as file:
        for name, fields in variables.items():
            _struct(file, file, name, fields)
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, " + MATLAB_MADE_BY + b" HDF5 schema 1.00 ."
    with path.open("r+b") as raw:
        raw.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")


def _struct(file: h5py.File, parent: h5py.Group, name: str, fields: Mapping[str, Any]) -> None:
    group = parent.create_group(name)
    group.attrs["MATLAB_class"] = np.bytes_("struct")
    names = np.empty(len(fields), h5py.vlen_dtype(np.dtype("S1")))
    for i, field in enumerate(fields):
        names[i] = np.array([sign.encode() for sign in field], "S1")
    group.attrs.create("MATLAB_fields", names, dtype=h5py.vlen_dtype(np.dtype("S1")))
    for field, value in fields.items():
        if isinstance(value, Mapping):
            _struct(file, group, field, value)
        elif isinstance(value, list):
            _cells(file, group, field, value)
        elif isinstance(value, str):
            _text(group, field, value)
        else:
            _array(group, field, np.asarray(value))


def _array(parent: h5py.Group, name: str, values: np.ndarray[Any, Any]) -> h5py.Dataset:
    if values.dtype.kind in "iub" and values.ndim == 0:
        values = values.astype(np.float64)
    values = values.reshape(1, 1) if values.ndim == 0 else values[:, None] if values.ndim == 1 else values
    kind = values.dtype.newbyteorder("=").str[1:]
    if kind not in _CLASSES:
        values, kind = values.astype(np.float64), "f8"
    return _dataset(parent, name, values.T, _CLASSES[kind])


def _text(parent: h5py.Group, name: str, text: str) -> h5py.Dataset:
    codes = np.frombuffer(text.encode("utf-16-le"), np.uint16).reshape(-1, 1)
    made = _dataset(parent, name, codes, "char")
    made.attrs["MATLAB_int_decode"] = np.int32(2)
    return made


def _cells(file: h5py.File, parent: h5py.Group, name: str, texts: list[str]) -> None:
    store = file.require_group("#refs#")
    known: dict[str, h5py.Reference] = {}
    for text in texts:
        if text not in known:  # cells that say the same share it, as MATLAB's do
            known[text] = _text(store, f"r{len(store)}", text).ref
    references = np.array([known[text] for text in texts], h5py.ref_dtype).reshape(1, -1)
    if not texts:
        _dataset(parent, name, np.zeros((0, 0), np.uint16), "cell")
        return
    made = parent.create_dataset(name, data=references, dtype=h5py.ref_dtype)
    made.attrs["MATLAB_class"] = np.bytes_("cell")


def _dataset(parent: h5py.Group, name: str, values: np.ndarray[Any, Any], kind: str) -> h5py.Dataset:
    """Writes an array; of an empty one MATLAB keeps the shape, and says so."""
    if values.size:
        chunked: dict[str, Any] = {"compression": "gzip", "compression_opts": 3, "chunks": True} if values.size > 1000 else {}
        made = parent.create_dataset(name, data=values, **chunked)
    else:
        made = parent.create_dataset(name, data=np.array(values.shape[::-1], np.uint64))
        made.attrs["MATLAB_empty"] = np.uint8(1)
    made.attrs["MATLAB_class"] = np.bytes_(kind)
    return made
