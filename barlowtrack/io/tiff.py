"""TIFF, BigTIFF, OME-TIFF and ImageJ's TIFF: metadata and a table of where every plane lies, then single planes.

No file stays open between two reads, so that a recording needs no closing and several threads may read at once. Of other files that an
OME-TIFF refers to only those are opened that lie beside it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tifffile
from numpy.typing import NDArray

from barlowtrack.data import VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.fingerprint import size_of
from barlowtrack.io.metadata import AXES, FileMetadata
from barlowtrack.io.ome import Layout, layout_of, pixels_of
from barlowtrack.io.regular import refuse_endless
from barlowtrack.io.tiff_metadata import ended_early, from_imagej, from_ome

log = logging.getLogger(__name__)

Decode = Callable[..., tuple[NDArray[Any] | None, tuple[int, int, int, int, int], tuple[int, int, int, int]]]


@dataclass(frozen=True)
class TiffStack:
    """The planes of one file.

    Attributes:
        path: Of the file.
        metadata: What it says of itself; the last two axes are those of a plane.
        offsets: (planes, segments) first byte of every strip or tile; planes in the order of the axes.
        sizes: (planes, segments) bytes of each.
        decode: Makes voxels of a segment; None where the bytes are the voxels.
        plane: Shape of a plane as tifffile has it: samples, depth, height, width, samples.
        stored: Type of the voxels on disk, with its order of bytes.
    """

    path: Path
    metadata: FileMetadata
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    decode: Decode | None
    plane: tuple[int, ...]
    stored: np.dtype[Any]

    def read(self, planes: NDArray[np.int64]) -> VoxelArray:
        """Returns planes by their number: planes.shape + (Y, X).

        Raises:
            InputError: the file cannot be read, or ends too early, or a plane is damaged.
        """
        height, width = self.metadata.shape[-2:]
        try:
            out = np.empty((*planes.shape, height, width), self.metadata.dtype)
            with self.path.open("rb") as file:
                for index in np.ndindex(*planes.shape):
                    out[index] = self._plane(file, int(planes[index])).reshape(height, width)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        except MemoryError:
            raise InputError(f"{self.path}: {planes.size} planes of {height} x {width} do not fit into memory") from None
        return out

    def _plane(self, file: Any, plane: int) -> NDArray[Any]:
        out = np.zeros(self.plane, self.metadata.dtype)
        for segment, (start, size) in enumerate(zip(self.offsets[plane], self.sizes[plane], strict=True)):
            file.seek(start)
            data = file.read(size)
            if len(data) != size or not size:
                raise InputError(
                    f"{self.path}: plane {plane}: expected {size} bytes, got {len(data)}; the file is cut off or was never finished"
                )
            if self.decode is None:
                return np.frombuffer(data, self.stored)
            try:
                values, (s, d, h, w, _), shape = self.decode(data, segment, _fullsize=False)
            except Exception as error:  # each codec has its own
                raise InputError(f"{self.path}: plane {plane}: cannot be decoded: {_first_line(error)}") from None
            if values is None:
                raise InputError(f"{self.path}: plane {plane} is empty")
            room = out[s, d : d + shape[0], h : h + shape[1], w : w + shape[2]]
            room[...] = values[: room.shape[0], : room.shape[1], : room.shape[2]]
        return out


@dataclass(frozen=True)
class SpreadStack:
    """Planes that are spread over files, or of which some are missing; as TiffStack.

    Attributes:
        parts: The files, each a pile of planes.
        metadata: What the one that was opened says of them all.
        places: (planes, 2) part and plane in it; planes in the order of the axes.
    """

    parts: tuple[TiffStack, ...]
    metadata: FileMetadata
    places: NDArray[np.int64]

    def read(self, planes: NDArray[np.int64]) -> VoxelArray:
        """Returns planes by their number: planes.shape + (Y, X).

        Raises:
            InputError: a file cannot be read, or ends too early, or a plane is damaged.
        """
        out = np.empty((*planes.shape, *self.metadata.shape[-2:]), self.metadata.dtype)
        part, page = np.moveaxis(self.places[planes], -1, 0)
        for number in np.unique(part):
            out[part == number] = self.parts[number].read(page[part == number])
        return out


Stack = TiffStack | SpreadStack
_Stack = TypeVar("_Stack", bound=Stack)


def files_of(stack: Stack) -> tuple[Path, ...]:
    """Returns the files that hold the planes."""
    return (stack.path,) if isinstance(stack, TiffStack) else tuple(part.path for part in stack.parts)


def open_stack(path: Path) -> Stack:
    """Reads the metadata of a TIFF and where its planes lie.

    Raises:
        InputError: no file, no TIFF, cut off, colour, or of a type that is no grey picture.
    """
    return _opened(path, lambda tif: _spread(path, tif) or _stack(path, tif, tif.series[0]))


def _opened(path: Path, read: Callable[[Any], _Stack]) -> _Stack:
    refuse_endless(path)
    try:
        size = size_of(path)
        with _complaints() as complaints, tifffile.TiffFile(path, _multifile=False) as tif:
            _refuse_pictures(path, tif.series[0])
            stack = read(tif)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # tifffile raises many kinds on what is no TIFF
        raise InputError(f"{path}: expected a TIFF, got something else: {_first_line(error)}") from None
    if complaints:
        raise InputError(f"{path}: cut off or damaged: {complaints[0]}")
    own = stack if isinstance(stack, TiffStack) else stack.parts[0]
    short = np.flatnonzero((own.offsets + own.sizes).max(axis=1) > size)
    if len(short):
        raise InputError(f"{path}: cut off: expected {len(own.offsets)} planes, got {short[0]} whole ones")
    return stack


def _spread(path: Path, tif: Any) -> SpreadStack | None:
    """Returns the planes of an OME-TIFF that does not hold them all; None where it does."""
    series = tif.series[0]
    if not tif.is_ome or (series.kind == "ome" and (series.dataoffset is not None or all(page is not None for page in series.pages))):
        return None
    layout = layout_of(tif.ome_metadata, path)
    if layout is None:
        return None
    parts = {"": _pile(path, tif)}
    for name in dict.fromkeys(run.file for run in layout.runs if run.file):
        beside = path.parent / name
        if os.path.lexists(beside):
            parts[name] = _opened(beside, lambda other, beside=beside: _pile(beside, other))  # type: ignore[misc]
    first = parts[""].metadata
    for part in parts.values():
        if (part.metadata.shape[-2:], part.metadata.dtype) != (layout.shape[-2:], first.dtype):
            raise InputError(
                f"{part.path}: expected planes {layout.shape[-2:]} {first.dtype}, got {part.metadata.shape[-2:]} {part.metadata.dtype}"
            )
    return _whole(path, tif, layout, parts)


def _whole(path: Path, tif: Any, layout: Layout, parts: dict[str, TiffStack]) -> SpreadStack:
    """Returns the volumes that have all their planes; says how many have not."""
    there = layout.places({name: len(part.offsets) for name, part in parts.items()})
    n_whole, n_behind = layout.whole(there)
    missing = [name for name in dict.fromkeys(run.file for run in layout.runs) if name not in parts]
    lost = f"; {', '.join(missing[:3])} is not beside it" if missing else ""
    if not n_whole or n_behind:
        where = f"; planes of volume {n_whole} are missing, and {n_behind} of later ones are there" if n_whole else ""
        n_planes = int(np.prod(layout.shape[:-2], dtype=np.int64))
        raise InputError(
            f"{path}: expected {n_planes} planes (shape {layout.shape}), got {len(there)}; cut off, or spread over files{lost}{where}"
        )
    at = layout.axes.index("T")
    shape = tuple(n_whole if i == at else size for i, size in enumerate(layout.shape))
    said = from_ome(tif.ome_metadata, path, n_whole)
    if n_whole < layout.shape[at]:
        ended = lost or "; the recording was ended early, or is not all here"
        said["remarks"] = (f"the file says {layout.shape[at]} volumes; the {n_whole} that are whole are read{ended}", *said["remarks"])
    n_images = pixels_of(tif.ome_metadata, path)[2]
    if n_images > 1:
        said["remarks"] = (*said["remarks"], f"the file describes {n_images} images; the one it holds is used")
    numbers = {name: i for i, name in enumerate(parts)}
    n_planes = int(np.prod(shape[:-2], dtype=np.int64))
    places = np.array([(numbers[there[plane][0]], there[plane][1]) for plane in range(n_planes)], np.int64)
    return SpreadStack(tuple(parts.values()), FileMetadata(str(path), layout.axes, shape, parts[""].metadata.dtype, **said), places)


def _pile(path: Path, tif: Any) -> TiffStack:
    """Returns all pages of a file, whatever it says of them."""
    pages = tif.pages
    pages.cache, pages.useframes = True, True
    pages.set_keyframe(0)
    keyframe = pages.keyframe
    metadata = FileMetadata(str(path), None, (len(pages), *keyframe.shape), keyframe.dtype.newbyteorder("="))
    offsets = np.array([page.dataoffsets for page in pages], np.int64)
    sizes = np.array([page.databytecounts for page in pages], np.int64)
    stored = np.dtype(tif.byteorder + keyframe.dtype.char)
    return TiffStack(path, metadata, offsets, sizes, keyframe.decode, tuple(keyframe.shaped), stored)


def _stack(path: Path, tif: Any, series: Any) -> TiffStack:
    metadata = _metadata(path, tif, series)
    n_planes = int(np.prod(metadata.shape[:-2], dtype=np.int64))
    keyframe = series.keyframe
    stored = np.dtype(tif.byteorder + series.dtype.char)
    if series.dataoffset is not None:
        nbytes = int(np.prod(metadata.shape[-2:])) * series.dtype.itemsize
        offsets = series.dataoffset + nbytes * np.arange(n_planes, dtype=np.int64)[:, None]
        return TiffStack(path, metadata, offsets, np.full_like(offsets, nbytes), None, (), stored)
    pages = list(series.pages)
    if tif.is_imagej and ended_early(tif, series) is not None:
        pages = pages[:n_planes]
    missing = [i for i, page in enumerate(pages) if page is None or len(page.dataoffsets) == 0]
    if len(pages) != n_planes or missing:
        raise InputError(
            f"{path}: expected {n_planes} planes (shape {metadata.shape}), got {len(pages) - len(missing)}; cut off, or spread over files"
        )
    offsets = np.array([page.dataoffsets for page in pages], np.int64)
    sizes = np.array([page.databytecounts for page in pages], np.int64)
    return TiffStack(path, metadata, offsets, sizes, keyframe.decode, tuple(keyframe.shaped), stored)


def _metadata(path: Path, tif: Any, series: Any) -> FileMetadata:
    sizes = [(axis, size) for axis, size in zip(series.get_axes(squeeze=False), series.get_shape(squeeze=False), strict=True)]
    sizes = [(axis, size) for axis, size in sizes if axis in AXES or size > 1]
    axes = "".join(axis for axis, _ in sizes)
    known = set(axes) <= set(AXES) and len(set(axes)) == len(axes)
    if not axes.endswith("YX"):
        raise InputError(f"{path}: expected planes (Y, X), got axes {axes}")
    said: dict[str, Any] = {}
    shape = tuple(int(size) for _, size in sizes)
    if tif.is_ome:
        said = from_ome(tif.ome_metadata, path, dict(sizes).get("T", 1))
    elif tif.is_imagej:
        said = from_imagej(tif.imagej_metadata or {}, series.keyframe)
        ended = ended_early(tif, series)
        if ended is not None:
            axes, known, shape, said["remarks"] = "TZCYX", True, (*ended[0], *shape[-2:]), (ended[1],)
    if len(tif.series) > 1:
        said["remarks"] = (*said.get("remarks", ()), f"the file holds {len(tif.series)} images; the first is used")
    return FileMetadata(str(path), axes if known else None, shape, series.dtype.newbyteorder("="), **said)


def _refuse_pictures(path: Path, series: Any) -> None:
    if series.keyframe.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR, tifffile.PHOTOMETRIC.PALETTE):
        raise InputError(f"{path}: expected grey values, one number a voxel, got a colour picture; save the channels one by one")
    if series.dtype.kind not in "uif":
        raise InputError(f"{path}: expected whole or floating numbers, got {series.dtype}")


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collects what tifffile only logs when a file ends too early; it then goes on with the planes that are left.

    Nothing of it is logged: what matters is told by whoever opened the file, in one line.
    """
    said: list[str] = []
    thread = threading.get_ident()

    def ear(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        message = record.getMessage()
        if record.levelno >= logging.ERROR and "offset" in message:
            said.append(message)
        log.debug("%s", message)
        return False

    logger = logging.getLogger("tifffile")
    logger.filters.insert(0, ear)  # of two, one inside the other, the inner one hears: it is its file
    try:
        yield said
    finally:
        logger.removeFilter(ear)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
