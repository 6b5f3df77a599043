"""TIFFs: one, a folder of volumes, or a folder where channels and planes have files or folders of their own."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barlowtrack.config import RecordingConfig
from barlowtrack.data import VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.metadata import AXES, FileMetadata, settle_axes
from barlowtrack.io.readers.names import Grid, read_channel_folders, read_names
from barlowtrack.io.readers.opened import Opened, Shape, listed
from barlowtrack.io.tiff import SpreadStack, Stack, files_of, open_stack
from barlowtrack.io.together import refuse_apart

_FULL_BYTES = 1.8e9
"""Programs go on in another file before the 2 or 4 GB that many could not read beyond."""
SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")
EXTENSION = re.compile(r"(\.ome)?\.(tiff?|btf|tf8)$", re.IGNORECASE)
_PROJECTION = re.compile(r"(?:.*/)?(?:MAX|MIN|AVG|SUM|STD|MED)_")
"""How ImageJ names the projections that it makes of stacks, which are often saved beside these."""
_CHANNEL_FOLDER = re.compile(
    r"(?:^|[_\-. ])(?:ch|c|channel|cam)[_-]?\d+$|(?:^|[_\-. ])(?:red|green|rfp|gfp|mcherry|gcamp\w*|mneptune\w*)$", re.I
)


@dataclass(frozen=True)
class StackSource:
    """Volumes of one TIFF; planes: (T, C, Z) numbers of its planes."""

    stack: Stack
    planes: NDArray[np.int64]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X)."""
        return _read(self.stack, self.planes[t], t)


@dataclass(frozen=True)
class JoinedSource:
    """Volumes of TIFFs one after another; starts: the first volume of each."""

    parts: tuple[StackSource, ...]
    starts: tuple[int, ...]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X)."""
        part = bisect_right(self.starts, t) - 1
        return self.parts[part].read(t - self.starts[part])


@dataclass(frozen=True)
class FolderSource:
    """A volume a TIFF; planes: (C, Z) numbers of the planes in each."""

    paths: tuple[Path, ...]
    metadata: FileMetadata
    planes: NDArray[np.int64]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: the file is damaged, or is not like the first.
        """
        return _read(_like(self.paths[t], self.metadata, t), self.planes, t)


@dataclass(frozen=True)
class GridSource:
    """Channels and planes of a volume in files of their own.

    Attributes:
        folder: Of them all.
        grid: Which file holds what.
        metadata: Of the first.
        planes: (T, C, Z) numbers of the planes in each; T is 1 where the files count the times.
        stacks: Files that hold all times, opened once: the table of a long one takes seconds to read.
    """

    folder: Path
    grid: Grid
    metadata: FileMetadata
    planes: NDArray[np.int64]
    stacks: Mapping[str, Stack]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X).

        Raises:
            InputError: a file is damaged, or is not like the first.
        """
        n_times, n_channels, n_planes = self.grid.size
        of_files = t if n_times > 1 else 0
        inside = self.planes[t if len(self.planes) > 1 else 0]
        rows = []
        for c in range(n_channels):
            parts = []
            for z in range(n_planes):
                name = self.grid.files[of_files, c, z]
                stack = self.stacks.get(name) or _like(self.folder / name, self.metadata, t)
                parts.append(_read(stack, inside, t))
            rows.append(np.concatenate(parts, axis=1))
        return np.concatenate(rows, axis=0)


def open_file(path: Path, config: RecordingConfig) -> Opened:
    """Opens one TIFF.

    Raises:
        InputError: it cannot be used.
    """
    return _open_stack(path, config)


def is_folder_of_tiffs(names: Sequence[str]) -> bool:
    """Says so by the names in a folder."""
    return any(_is_tiff(name) for name in names)


def channel_folders(path: Path, names: Sequence[str]) -> list[str]:
    """Returns the folders in a folder that are channels by their names, such as worm_Ch0 and worm_Ch1; fewer than two are none."""
    found = [name for name in names if _CHANNEL_FOLDER.search(name) and (path / name).is_dir()]
    stems = {_CHANNEL_FOLDER.sub("", name) for name in found}
    return sorted(found) if len(found) > 1 and len(stems) == 1 else []


def open_folder(path: Path, config: RecordingConfig) -> Opened:
    """Opens a folder of TIFFs, in natural order (2 before 10); hidden files and those that are no TIFF are left out.

    Raises:
        InputError: no TIFFs, or none that make volumes.
    """
    everything = _tiffs(path)
    found = [name for name in everything if not _PROJECTION.match(name)]
    left = [name for name in everything if _PROJECTION.match(name)] if found else []
    opened = _open_files(path, found or everything, config)
    return replace(opened, remarks=(*opened.remarks, f"{listed(left, 2)}: a projection by its name; left out")) if left else opened


def _open_files(path: Path, found: list[str], config: RecordingConfig) -> Opened:
    if len(found) == 1:
        return _open_stack(path / found[0], config)
    stems = [EXTENSION.sub("", name) for name in found]
    _refuse_twice(path, found)
    grid = read_channel_folders(path, stems) if any("/" in name for name in found) else read_names(path, stems)
    files = [(name, path / name, True) for name in found]
    if grid is not None:
        named = dict(zip(stems, found, strict=True))
        return _open_grid(path, replace(grid, files={key: named[stem] for key, stem in grid.files.items()}), files, config)
    paths = tuple(path / name for name in found)
    opened = open_stack(paths[0])
    if isinstance(opened, SpreadStack) and set(files_of(opened)) == set(paths):
        return _opened_stack(opened, config)
    first = opened.metadata
    metadata, planes, (n_times, *volume) = _planes(first, config)
    if n_times != 1 and _pieces(found[0], found) == found and _full(paths):
        return _joined(paths, opened, config)
    if n_times != 1:
        raise InputError(
            f"{paths[0]}: expected one volume in each of {len(paths)} files, got {n_times}; open the file alone, or join them; "
            "channels have names such as worm_Ch0 and worm_Ch1"
        )
    shape = (len(paths), volume[0], volume[1], volume[2], volume[3])
    flat = "each file holds a single plane, and the names do not say which; taken as volumes of one plane"
    remarks = (*_numbering(found), *((flat,) if volume[1] == 1 and "Z" not in (metadata.axes or "") and not config.axes else ()))
    return Opened(metadata, FolderSource(paths, _to_compare(first, config), planes[0]), shape, lambda: files, remarks=remarks)


def _open_stack(file: Path, config: RecordingConfig) -> Opened:
    stack = open_stack(file)
    opened = _opened_stack(stack, config)
    beside = _pieces(file.name, _list(file.parent))
    others = [name for name in beside if file.parent / name not in files_of(stack)]
    if len(beside) > 1 and others:
        joined = f"{listed(others, 2)} beside it seems to go on with it and was not opened; for all volumes, give a folder of these files"
        return replace(opened, remarks=(joined,))
    n_times, n_channels, n_planes, _, _ = opened.shape
    alone = _siblings(file) if n_channels == 1 else ()
    if n_times == n_channels == 1 and n_planes > 1 and config.planes is None:
        alone = (*alone, f"one volume of {n_planes} planes, as the file has it; if they are several, one after another, give --planes N")
    return replace(opened, remarks=alone)


def _opened_stack(stack: Stack, config: RecordingConfig) -> Opened:
    metadata, planes, shape = _planes(stack.metadata, config)
    files = files_of(stack)
    names = [("", files[0], True)] if len(files) == 1 else [(file.name, file, True) for file in sorted(files)]
    return Opened(metadata, StackSource(stack, planes), shape, lambda: names)


def _pieces(name: str, names: Sequence[str]) -> list[str]:
    """Returns the files that a program went on with where one was full: worm.tif, worm_1.tif, worm_2.tif; one alone is none."""
    stem, extension = EXTENSION.sub("", name), name[len(EXTENSION.sub("", name)) :]
    stems = {EXTENSION.sub("", other) for other in names if other.endswith(extension) and _is_tiff(other)}
    counted = re.fullmatch(r"(.+)_\d+", stem)
    first = counted[1] if counted and counted[1] in stems else stem
    found = [first]
    while f"{first}_{len(found)}" in stems:
        found.append(f"{first}_{len(found)}")
    return [f"{one}{extension}" for one in found] if len(found) > 1 and stem in found else []


def _full(paths: Sequence[Path]) -> bool:
    """Says whether files go on with each other because one was full, rather than by chance of their names, as of two worms."""
    return all("_MMStack" in path.name or path.stat().st_size > _FULL_BYTES for path in paths[:-1])


def _joined(paths: Sequence[Path], first: Stack, config: RecordingConfig) -> Opened:
    """Opens files that go on with each other."""
    stacks = [first, *(open_stack(path) for path in paths[1:])]
    laid = [_planes(stack.metadata, config) for stack in stacks]
    metadata, _, (_, *volume) = laid[0]
    for stack, (other, _, (_, *size)) in zip(stacks, laid, strict=True):
        if (size, other.dtype) != (volume, metadata.dtype):
            raise InputError(
                f"{stack.metadata.where}: expected volumes (C, Z, Y, X) {tuple(volume)} {metadata.dtype} like {paths[0].name}, which it "
                f"seems to go on with, got {tuple(size)} {other.dtype}"
            )
    lengths = [shape[0] for _, _, shape in laid]
    starts = tuple(int(start) for start in np.cumsum([0, *lengths[:-1]]))
    source = JoinedSource(tuple(StackSource(stack, planes) for stack, (_, planes, _) in zip(stacks, laid, strict=True)), starts)
    shape = (sum(lengths), volume[0], volume[1], volume[2], volume[3])
    remark = f"{listed([path.name for path in paths], 3)} are taken as one recording, one after another"
    files = [(path.name, path, True) for path in paths]
    return Opened(metadata, source, shape, lambda: files, remarks=(remark,))


def _open_grid(folder: Path, grid: Grid, files: list[tuple[str, Path, bool]], config: RecordingConfig) -> Opened:
    first = folder / grid.files[0, 0, 0]
    said = open_stack(first).metadata
    metadata, planes, inside = _planes(said, config)
    stored = _to_compare(said, config)
    for of_files, of_planes, what in zip(grid.size, inside[:3], ("times", "channels", "planes"), strict=True):
        if of_files > 1 and of_planes > 1:
            raise InputError(f"{first}: {grid.remarks[0]}, but this file holds {of_planes} {what} itself; expected one")
    t, c, z = (max(pair) for pair in zip(grid.size, inside[:3], strict=True))
    if grid.channels is not None:
        metadata = replace(metadata, channel_names=grid.channels)
    stacks = {name: _like(folder / name, stored, 0) for name in grid.files.values()} if inside[0] > 1 else {}
    remarks = [*grid.remarks[1:], *(_clocks(folder, grid, stacks) if config.rate_hz is None else ())]
    steps = np.diff(grid.times)
    if np.any(steps != 1):
        at = int(np.argmax(steps != 1))
        remarks.append(f"the times in the file names jump from {grid.times[at]} to {grid.times[at + 1]}; taken as if evenly spaced in time")
    source = GridSource(folder, grid, stored, planes, stacks)
    return Opened(metadata, source, (t, c, z, inside[3], inside[4]), lambda: files, remarks=tuple(remarks))


def _clocks(folder: Path, grid: Grid, stacks: Mapping[str, Stack]) -> tuple[str, ...]:
    """Refuses channels in files of their own of which volumes of the same number were not recorded together."""
    names = [grid.files[0, c, 0] for c in range(grid.size[1])]
    clocks = {name: stacks[name].metadata.times_s for name in names if name in stacks}
    return refuse_apart(str(folder), {name: times for name, times in clocks.items() if times is not None})


def _planes(metadata: FileMetadata, config: RecordingConfig) -> tuple[FileMetadata, NDArray[np.int64], Shape]:
    """Returns the metadata, the numbers of the planes as (T, C, Z), and the shape T C Z Y X."""
    if config.planes is not None:
        metadata = _folded(metadata, config.planes, config)
    elif metadata.axes is None and config.axes is None and sum(size > 1 for size in metadata.shape[:-2]) == 1:
        raise InputError(
            f"{metadata.where}: which axis is which in shape {metadata.shape}? The file does not say; if they are planes of volumes one "
            "after another, give --planes N, the planes of a volume, and where channels alternate in it --axes TZCYX (plane by plane) or "
            f"TCZYX (volume by volume) with --channel-names A,B; else give [recording] axes, letters of {AXES}"
        )
    axes, shape = settle_axes(metadata, config)
    if not axes.endswith("YX"):
        raise InputError(f"{metadata.where}: expected axes that end in YX, as a TIFF is made of planes, got {axes}")
    size = dict(zip(axes, shape, strict=True))
    t, c, z, y, x = (size.get(axis, 1) for axis in AXES)
    planes = np.arange(t * c * z, dtype=np.int64).reshape(shape[:-2])
    order = [axes.index(axis) for axis in "TCZ" if axis in axes]
    return metadata, planes.transpose(order).reshape(t, c, z), (t, c, z, y, x)


def _folded(metadata: FileMetadata, n_planes: int, config: RecordingConfig) -> FileMetadata:
    """Returns the metadata of a pile of planes as that of volumes, one after another; the axes of the settings say where channels lie."""
    axes = config.axes or "TZYX"
    where = f"{metadata.where}: [recording] planes = {n_planes}"
    if not axes.endswith("YX") or sorted(axes) not in (sorted("TZYX"), sorted("TCZYX")):
        raise InputError(f"{where}: expected [recording] axes TZYX, or with the channels TCZYX, TZCYX or the like, got {axes}")
    pages = [size for size in metadata.shape[:-2] if size > 1]
    n_channels = _channels_in(where, metadata, config, pages) if "C" in axes else 1
    n_pages, each = int(np.prod(pages)), n_planes * n_channels
    of_channels = f" in each of {n_channels} channels" if n_channels > 1 else ""
    if len(pages) > (2 if "C" in axes else 1) or not pages or n_pages < each:
        raise InputError(f"{where}: expected a pile of as many planes{of_channels} or more, got shape {metadata.shape}")
    n_volumes, left = divmod(n_pages, each)
    if left and axes[0] != "T":
        raise InputError(f"{where}: expected a multiple of {each} planes, as axes {axes} have the time inside, got {n_pages}")
    remark = (f"the last {left} planes make no whole volume and are left out",) if left else ()
    size = {"T": n_volumes, "C": n_channels, "Z": n_planes}
    shape = (*(size[axis] for axis in axes[:-2]), *metadata.shape[-2:])
    return replace(metadata, axes=axes, shape=shape, remarks=(*metadata.remarks, *remark))


def _channels_in(where: str, metadata: FileMetadata, config: RecordingConfig, pages: Sequence[int]) -> int:
    """Returns how many channels lie in a pile: as many as have names, or as the times that the file tells apart leave room for."""
    names = config.channel_names or metadata.channel_names
    if len(pages) == 2:
        n_channels, left = divmod(pages[1], config.planes or 1)
        if (metadata.axes or "")[:1] != "T" or left or not n_channels:
            raise InputError(f"{where}: expected times of as many planes in every channel, got shape {metadata.shape}")
        return n_channels
    if not names:
        raise InputError(f"{where}: how many channels lie in the pile? Give their names in their order, such as --channel-names red,green")
    return len(names)


def _to_compare(first: FileMetadata, config: RecordingConfig) -> FileMetadata:
    """Returns what other files have to be like; their own axes do not count where the settings give them."""
    return first if config.axes is None and config.planes is None else replace(first, axes=None)


def _like(path: Path, first: FileMetadata, t: int) -> Stack:
    try:
        stack = open_stack(path)
    except InputError as error:
        raise InputError(f"volume {t}: {error}") from None
    this = stack.metadata
    if this.dtype != first.dtype or this.shape != first.shape:
        raise InputError(f"volume {t}: {path}: expected {first.shape} {first.dtype} like volume 0, got {this.shape} {this.dtype}")
    if first.axes is not None and this.axes != first.axes:
        raise InputError(
            f"volume {t}: {path}: expected axes {first.axes} like volume 0, got {this.axes or 'none'}; "
            "if the file says it wrongly, give [recording] axes"
        )
    return stack


def _read(stack: Stack, planes: NDArray[np.int64], t: int) -> VoxelArray:
    try:
        return stack.read(planes)
    except InputError as error:
        raise InputError(f"volume {t}: {error}") from None


def _tiffs(path: Path) -> list[str]:
    """Returns the TIFFs of a folder, or of the folders of its channels, as seen from it."""
    names = _list(path)
    found = [name for name in names if _is_tiff(name)]
    if not found:
        for folder in channel_folders(path, names):
            inside = [f"{folder}/{name}" for name in _list(path / folder) if _is_tiff(name)]
            if not inside:
                raise InputError(f"{path}: {folder} is the folder of a channel by its name, but holds no TIFFs")
            found += inside
    if not found:
        raise InputError(
            f"{path}: expected TIFFs ({', '.join(SUFFIXES)}) in the folder, got {listed(sorted(names), 3) or 'an empty folder'}"
        )
    return sorted(found, key=_natural)


def _refuse_twice(where: Path, names: Sequence[str]) -> None:
    """Refuses names that are the same but for zeros before a number, capitals or the extension."""
    seen: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\d+", lambda number: str(int(number[0])), EXTENSION.sub("", name).lower())
        if plain in seen:
            raise InputError(f"{where}: {seen[plain]} and {name} say the same: which of the two is meant? Move the other one away")
        seen[plain] = name


def _is_tiff(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _siblings(file: Path) -> tuple[str, ...]:
    """Says that the file of another channel lies beside the one that was opened."""
    stem = EXTENSION.sub("", file.name)
    found = _CHANNEL_FOLDER.search(stem)
    if not found:
        return ()
    others = [name for name in _list(file.parent) if _is_tiff(name) and name != file.name and len(name) == len(file.name)]
    same = [name for name in others if _CHANNEL_FOLDER.sub("", EXTENSION.sub("", name)) == stem[: found.start()]]
    return (
        (f"{same[0]} lies beside it and was not opened; to have both channels, give a folder that holds these two files",) if same else ()
    )


def _list(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror or error}") from None


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts volume_2 before volume_10; equal numbers (2, 02) by their text."""
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]


def _numbering(names: Sequence[str]) -> tuple[str, ...]:
    """Says what is odd about the numbers in the names of the volumes."""
    numbers = [[int(n) for n in re.findall(r"\d+", EXTENSION.sub("", name))] for name in names]
    if len({len(row) for row in numbers}) != 1 or not numbers[0]:
        return ("the file names are not numbered alike; each is taken as one volume, in natural order",)
    varying = [column for column in zip(*numbers, strict=True) if len(set(column)) > 1]
    if len(varying) != 1:
        return (f"{len(varying)} numbers vary in the file names; each file is taken as one volume, in natural order",)
    steps = np.diff(varying[0])
    if np.all(steps == 1):
        return ()
    at = int(np.argmax(steps != 1))
    gaps = int(np.sum(steps != 1))
    said = f"{names[at]} is followed by {names[at + 1]}"
    return (f"the numbers of the files have {gaps} gap{'s' if gaps > 1 else ''} ({said}); volumes are taken as if evenly spaced in time",)
