"""What every reader returns, and what several of them need."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.config import RecordingConfig
from barlowtrack.data import VolumeSource, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.metadata import AXES, FileMetadata, settle_axes

Shape = tuple[int, int, int, int, int]
Files = Iterable[tuple[str, Path | bytes, bool]]


@dataclass(frozen=True)
class Opened:
    """A recording as its reader opened it.

    Attributes:
        metadata: What it says of itself.
        source: Its volumes.
        shape: T, C, Z, Y, X.
        files: Lists what makes the fingerprint: name inside, path or bytes, and whether to read it; called only where one is wanted.
        looked: Says what a look into the files shows, in plain words; called only where a fingerprint is wanted.
        remarks: What was noticed on the way.
    """

    metadata: FileMetadata
    source: VolumeSource
    shape: Shape
    files: Callable[[], Files]
    looked: Callable[[], tuple[str, ...]] = tuple
    remarks: tuple[str, ...] = ()


def settle_shape(metadata: FileMetadata, config: RecordingConfig) -> tuple[str, Shape]:
    """Returns the axes of an array, one letter each, and the shape T C Z Y X of its recording.

    Raises:
        InputError: unknown axes, or numbers that are no grey values.
    """
    refuse_dtype(metadata.where, metadata.dtype)
    axes, shape = settle_axes(metadata, config)
    if len(axes) != len(metadata.shape):
        raise InputError(f"{metadata.where}: expected {len(metadata.shape)} axes for shape {metadata.shape}, got [recording] axes {axes}")
    size = dict(zip(axes, shape, strict=True))
    t, c, z, y, x = (int(size.get(axis, 1)) for axis in AXES)
    if min(t, c, z, y, x) < 1:
        raise InputError(f"{metadata.where}: expected voxels, got shape {metadata.shape}")
    return axes, (t, c, z, y, x)


def refuse_dtype(where: str, dtype: np.dtype[Any]) -> None:
    """Refuses what is no grey value."""
    if dtype.kind not in "uif":
        raise InputError(f"{where}: expected whole or floating numbers, got {dtype}")


def one_volume(values: NDArray[Any], axes: str, dtype: np.dtype[Any]) -> VoxelArray:
    """Returns (C, Z, Y, X) of one volume's values.

    Args:
        values: Without the axis of time.
        axes: Of the array, in its own order; T may be among them.
        dtype: To return.
    """
    left = axes.replace("T", "")
    size = dict(zip(left, values.shape, strict=True))
    ordered = values.transpose([left.index(axis) for axis in "CZYX" if axis in left])
    return np.ascontiguousarray(ordered.reshape([size.get(axis, 1) for axis in "CZYX"]), dtype)


def at_time(axes: str, t: int, channel: int | None = None) -> tuple[int | slice, ...]:
    """Returns the index of volume t, or of one channel of it, in an array with these axes."""
    index = {"T": t} | ({} if channel is None else {"C": channel})
    return tuple(index.get(axis, slice(None)) for axis in axes)


def needed(module: str, where: object, extra: str) -> Any:
    """Imports what a reader needs.

    Raises:
        InputError: it is not installed; names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f'{where}: is read with {module}, which cannot be loaded ({first_line(error)}); pip install "barlowtrack[{extra}]"'
        ) from None


def jumps(numbers: Sequence[int], what: str) -> tuple[str, ...]:
    """Says that the numbers of volumes, in order, do not count up by one."""
    steps = np.diff(numbers)
    if len(steps) == 0 or bool((steps == 1).all()):
        return ()
    at = int(np.argmax(steps != 1))
    return (f"{what} jump from {numbers[at]} to {numbers[at + 1]}; volumes are taken as if evenly spaced in time",)


def dark_chunks(n_stored: int, n_chunks: int, filling: object) -> tuple[str, ...]:
    """Says that chunks are not stored, which are read as if they were dark."""
    said = f"{n_chunks - n_stored} of {n_chunks} chunks are not stored and are read as {filling}: dark parts, or lost in a copy"
    return (said,) if n_stored < n_chunks else ()


def channels_at(values: NDArray[Any], axes: str) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yields the number and the values of every channel of one volume, which has no axis of time."""
    left = axes.replace("T", "")
    along = np.moveaxis(values, left.index("C"), 0) if "C" in left else values[None]
    yield from enumerate(along)


def is_filling(values: NDArray[Any], filling: Any) -> bool:
    """Says whether all values are what is read where nothing is stored; the first tells of most that they are not."""

    def alike(some: Any) -> bool:
        return bool(np.all(np.isnan(some) if np.isnan(filling) else some == filling))

    return filling is not None and alike(values.flat[0]) and alike(values)


def listed(names: Sequence[str], at_most: int = 6) -> str:
    """Returns names for a message, not more than a line holds."""
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


def first_line(error: BaseException) -> str:
    """Returns what an error of a library says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
