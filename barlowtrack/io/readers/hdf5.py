"""HDF5: an array that holds the recording, an array a channel, or an array a volume."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from barlowtrack.config import RecordingConfig
from barlowtrack.data import VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.metadata import AXES, FileMetadata
from barlowtrack.io.readers.opened import (
    Opened,
    at_time,
    channels_at,
    dark_chunks,
    first_line,
    is_filling,
    jumps,
    listed,
    one_volume,
    refuse_dtype,
    settle_shape,
)

_LETTERS = {"time": "T", "frame": "T", "channel": "C", "channels": "C", "depth": "Z", "height": "Y", "width": "X"}

_MOST_LINKS = 32


@dataclass(frozen=True)
class Hdf5Source:
    """Volumes of arrays of one file, which is opened for every read, so that it needs no closing.

    Attributes:
        path: Of the file.
        datasets: (T or 1, channels or 1) their names; a row each where every volume has arrays of its own.
        axes: Of each, a letter of TCZYX each.
        shape: Of each.
        dtype: Of each, in the order of bytes of this machine.
    """

    path: Path
    datasets: tuple[tuple[str, ...], ...]
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: the file is damaged, or an array is not like the first.
        """
        row = self.datasets[t if len(self.datasets) > 1 else 0]
        try:
            with opened(self.path) as file:
                parts = [self._read(file, name, t) for name in row]
        except InputError as error:
            raise InputError(f"volume {t}: {error}") from None
        except Exception as error:  # each filter has its own
            raise InputError(f"volume {t}: {self.path}: cannot be read: {first_line(error)}") from None
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=0)

    def _read(self, file: h5py.File, name: str, t: int) -> VoxelArray:
        array = dataset(self.path, file, name)
        if array.shape != self.shape or array.dtype.newbyteorder("=") != self.dtype:
            raise InputError(f"{self.path}: {name}: expected {self.shape} {self.dtype} like volume 0, got {array.shape} {array.dtype}")
        values = np.asarray(array[at_time(self.axes, t)])
        for c, channel in channels_at(values, self.axes):
            if is_filling(channel, array.fillvalue) and not _is_stored(array, at_time(self.axes, t, c)):
                which = f"channel {c} of this volume" if "C" in self.axes else "this volume"
                raise InputError(f"{self.path}: {name}: expected voxels, got none stored of {which}; it was never written")
        return one_volume(values, self.axes, self.dtype)


def open_hdf5(path: Path, config: RecordingConfig) -> Opened:
    """Opens the arrays that the settings name, or the only one there is.

    Raises:
        InputError: no HDF5, no such arrays, or several, of which nobody says one.
    """
    try:
        with opened(path) as file:
            rows, remarks = _chosen(path, file, config.dataset)
            first = [dataset(path, file, name) for name in rows[0]]
            refuse_unlike(path, first)
            metadata = _metadata(path, first)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be opened as HDF5: {first_line(error)}") from None
    except Exception as error:  # h5py raises many kinds on what is damaged
        raise InputError(f"{path}: expected HDF5, got something else: {first_line(error)}") from None
    return arranged(path, metadata, rows, config, remarks)


def arranged(
    path: Path, metadata: FileMetadata, rows: Sequence[tuple[str, ...]], config: RecordingConfig, remarks: tuple[str, ...] = ()
) -> Opened:
    """Returns arrays of a file as a recording.

    Args:
        path: Of the file.
        metadata: Of each array.
        rows: Names of the arrays: a column each channel; a row each volume, or one for all.
        config: What the metadata do not say.
        remarks: What was noticed on the way.
    """
    axes, (t, c, z, y, x) = settle_shape(metadata, config)
    if len(rows) > 1 and t > 1:
        raise InputError(f"{path}: expected one volume in each of {len(rows)} arrays, got {t} along T of axes {axes}")
    if len(rows[0]) > 1 and c > 1:
        raise InputError(f"{path}: expected one channel in each of {len(rows[0])} arrays, got {c} along C of axes {axes}")
    source = Hdf5Source(path, tuple(rows), axes, metadata.shape, metadata.dtype)
    shape = (max(t, len(rows)), max(c, len(rows[0])), z, y, x)
    return Opened(metadata, source, shape, lambda: [("", path, True)], lambda: _lacking(path, rows), remarks)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Opens a file to read; a disk that knows no locks is no hindrance."""
    with h5py.File(path, "r", locking="best-effort") as file:
        yield file


def refuse_unlike(path: Path, arrays: Sequence[h5py.Dataset]) -> None:
    """Refuses arrays of one recording that hold no grey values, or differ."""
    first = arrays[0]
    for array in arrays:
        refuse_dtype(f"{path}: {array.name}", array.dtype)
        if array.shape != first.shape or array.dtype != first.dtype:
            raise InputError(
                f"{path}: {array.name}: expected {first.shape} {first.dtype} like {first.name}, got {array.shape} {array.dtype}"
            )


def dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Returns an array of this very file.

    Raises:
        InputError: there is none of that name, or it lies in another file.
    """
    found = _followed(path, file, name)
    if not isinstance(found, h5py.Dataset):
        there = listed([f"{a} {s}" for a, s in candidates(file)]) or "no array of three axes or more"
        raise InputError(f"{path}: expected an array at {name}, got {'nothing' if found is None else 'a group'}; there is {there}")
    if found.is_virtual or found.external:
        raise InputError(f"{path}: {name}: its voxels lie in other files, which are not opened; give an array that holds them itself")
    return found


def _followed(path: Path, file: h5py.File, name: str) -> object:
    """Returns what lies under a name, every link of which was looked at before it was followed; None where nothing does."""
    left, at, n_links = _parts(name), "/", 0
    while left:
        place = f"{at.rstrip('/')}/{left.pop(0)}"
        link = file.get(place, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise InputError(f"{path}: {name}: points into another file, which is not opened; give that file")
        if isinstance(link, h5py.SoftLink):
            n_links += 1
            if n_links > _MOST_LINKS:
                raise InputError(f"{path}: {name}: links point to each other and lead nowhere")
            left = [*_parts(link.path), *left]
            at = "/" if link.path.startswith("/") else at
        elif link is None or (left and not isinstance(file[place], h5py.Group)):
            return None
        else:
            at = place
    return file[at]


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def candidates(file: h5py.File) -> list[tuple[str, tuple[int, ...]]]:
    """Returns names and shapes of the arrays that could be recordings."""
    found: list[tuple[str, tuple[int, ...]]] = []

    def look(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 3 and item.dtype.kind in "uif":
            found.append((name, item.shape))

    file.visititems(look)
    return found


def _chosen(path: Path, file: h5py.File, wanted: tuple[str, ...] | None) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Returns the arrays, a row each volume or one for all, and what was noticed."""
    if not wanted:
        found = candidates(file)
        if len(found) == 1:
            return [(found[0][0],)], ()
        said = listed([f"{name} {shape}" for name, shape in found]) or "none"
        hint = "; say which as --dataset NAME, one for all, or one a channel" if found else ""
        raise InputError(f"{path}: expected one array of three axes or more, got {said}{hint}")
    if not any("{t}" in name for name in wanted):
        return [tuple(wanted)], ()
    columns = [_numbered(path, file, name) for name in wanted]
    if any(sorted(column) != sorted(columns[0]) for column in columns):
        counts = ", ".join(str(len(column)) for column in columns)
        raise InputError(f"{path}: expected arrays of the same volumes at {listed(wanted)}, got {counts} volumes")
    numbers = sorted(columns[0])
    return [tuple(column[number] for column in columns) for number in numbers], jumps(numbers, f"the numbers at {wanted[0]}")


def _numbered(path: Path, file: h5py.File, pattern: str) -> dict[int, str]:
    """Returns the arrays of a pattern such as {t}/frame by their numbers."""
    before, _, after = pattern.strip("/").partition("{t}")
    folder, _, head = before.rpartition("/")
    tail, slash, rest = after.partition("/")
    group = _followed(path, file, folder) if folder else file
    names = list(group) if isinstance(group, h5py.Group) else []
    matched = [(re.fullmatch(f"{re.escape(head)}(\\d+){re.escape(tail)}", name), name) for name in names]
    found: dict[int, str] = {}
    for match, name in matched:
        if match and int(match[1]) in found:
            raise InputError(f"{path}: {found[int(match[1])]} and {name + slash + rest} are both volume {int(match[1])}; expected one")
        if match:
            found[int(match[1])] = "/".join(part for part in (folder, name + slash + rest) if part)
    if not found:
        raise InputError(f"{path}: expected arrays at {pattern}, got none; {{t}} stands for the number of the volume")
    return found


def _metadata(path: Path, arrays: Sequence[h5py.Dataset]) -> FileMetadata:
    array = arrays[0]
    axes = _axes(array)
    size_um: dict[str, float] = {}
    said = array.attrs.get("element_size_um")  # as ilastik and Fiji write it: z, y, x
    if said is not None and np.shape(said) == (3,):
        size_um = {axis: float(size) for axis, size in zip("zyx", np.asarray(said, float), strict=True) if np.isfinite(size) and size > 0}
    names = tuple(str(one.name).rstrip("/").rpartition("/")[2] for one in arrays) if len(arrays) > 1 else None
    return FileMetadata(str(path), axes, array.shape, array.dtype.newbyteorder("="), size_um, channel_names=names)


def _axes(array: h5py.Dataset) -> str | None:
    """Returns the letters of the axes that labels of dimensions, or attributes, give."""
    labels = [str(dim.label) for dim in array.dims]
    tags, plain = array.attrs.get("axistags"), array.attrs.get("axes", array.attrs.get("DIMENSION_ORDER"))
    if not all(labels) and isinstance(tags, str):
        with_keys = _json(tags).get("axes", [])
        labels = [str(axis.get("key", "")) for axis in with_keys if isinstance(axis, Mapping)]
    if not all(labels) and plain is not None:
        said = [label.decode(errors="replace") if isinstance(label, bytes) else str(label) for label in np.atleast_1d(plain)]
        labels = list(said[0]) if len(said) == 1 else said
    axes = "".join(_LETTERS.get(label.lower(), label.upper()) for label in labels)
    return axes if len(axes) == array.ndim and set(axes) <= set(AXES) and len(set(axes)) == len(axes) else None


def _json(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _is_stored(array: h5py.Dataset, index: tuple[int | slice, ...]) -> bool:
    """Says whether anything of a part is stored; what is not reads as if it were dark."""
    if array.chunks is None:
        return bool(array.id.get_storage_size())
    if array.id.get_num_chunks() == 0:
        return False
    sides = [
        range(at // n * n, at // n * n + 1) if isinstance(at, int) else range(0, whole, n)
        for at, whole, n in zip(index, array.shape, array.chunks, strict=True)
    ]
    return any(array.id.get_chunk_info_by_coord(place).byte_offset is not None for place in product(*sides))


def _lacking(path: Path, rows: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Says that chunks are not stored, which HDF5 reads as if they were dark."""
    n_stored, n_chunks, filling = 0, 0, None
    with opened(path) as file:
        for name in {name for row in rows for name in row}:
            array = dataset(path, file, name)
            filling = array.fillvalue
            n_chunks += int(np.prod([-(-whole // n) for whole, n in zip(array.shape, array.chunks or array.shape, strict=True)]))
            n_stored += array.id.get_num_chunks() if array.chunks else int(array.id.get_storage_size() > 0)
    return dark_chunks(n_stored, n_chunks, filling)
