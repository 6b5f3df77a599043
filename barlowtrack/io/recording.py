"""Opens a recording, whatever it is stored as: a folder of TIFFs, one TIFF, or OME-Zarr 0.4 and 0.5."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barlowtrack.config import RecordingConfig
from barlowtrack.data import Recording, VolumeSource, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.io.fingerprint import fingerprint
from barlowtrack.io.metadata import AXES, FileMetadata, settle_axes, settle_channels, settle_rate, settle_voxel_size
from barlowtrack.io.patience import PatientSource, patiently
from barlowtrack.io.tiff import TiffStack, open_stack

log = logging.getLogger(__name__)

METADATA_ONLY = RecordingConfig()
"""Settings that leave everything to the metadata."""

_TIFF = (".tif", ".tiff", ".btf", ".tf8")
_EXTENSION = re.compile(r"(\.ome)?\.(tiff?|btf|tf8|zarr)$", re.IGNORECASE)
_ZARR_FILES = {"zarr.json", ".zgroup", ".zarray"}


@dataclass(frozen=True)
class StackSource:
    """Volumes of one TIFF; planes: (T, C, Z) numbers of its planes."""

    stack: TiffStack
    planes: NDArray[np.int64]

    def read(self, t: int) -> VoxelArray:
        """Returns volume t: (C, Z, Y, X)."""
        return _read(self.stack, self.planes[t], t)


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
        try:
            stack = open_stack(self.paths[t])
        except InputError as error:
            raise InputError(f"volume {t}: {error}") from None
        first, this = self.metadata, stack.metadata
        if this.shape != first.shape or this.dtype != first.dtype:
            raise InputError(
                f"volume {t}: {self.paths[t]}: expected {first.shape} {first.dtype} like volume 0, got {this.shape} {this.dtype}"
            )
        return _read(stack, self.planes, t)


def open_recording(path: Path | str, config: RecordingConfig = METADATA_ONLY, *, to_look: bool = False) -> Recording:
    """Opens a recording; reads metadata and samples for the fingerprint, no volume.

    Axes, voxel size, rate and channel names come from the metadata, and the settings count more. Files of a folder are taken in natural
    order (2 before 10), one volume each; hidden files and those that are no TIFF are left out.

    Args:
        path: A folder of TIFFs, a TIFF, or an OME-Zarr.
        config: What the metadata does not say, or says wrongly.
        to_look: Leave out the fingerprint, for which every file is opened: seconds to minutes where they are thousands. Nothing may be
            kept of such a recording.

    Returns:
        The recording; what was assumed stands in its assumptions.

    Raises:
        InputError: nothing there that can be read, or axes or voxel size that nobody gives.
    """
    return patiently(lambda: _open(Path(path), config, to_look), str(path))


def _open(path: Path, config: RecordingConfig, to_look: bool) -> Recording:
    is_folder = stat.S_ISDIR(_mode(path))
    if is_folder and not _ZARR_FILES.isdisjoint(_list(path)):
        from barlowtrack.io.ngff import open_zarr, zarr_files  # zarr takes a third of a second to import

        metadata, source, shape, folder = open_zarr(path, config)
        return _recording(path, config, metadata, source, shape, None if to_look else zarr_files(path, folder))
    if is_folder:
        return _open_folder(path, config, to_look)
    if path.suffix.lower() not in _TIFF:
        raise InputError(
            f"{path}: expected a folder of TIFFs, a TIFF ({', '.join(_TIFF)}) or an OME-Zarr, got {path.suffix or 'no extension'}"
        )
    return _open_stack(path, path, config, to_look)


def recording_name(path: Path | str) -> str:
    """Returns what a recording at this path is called: the last name, without the extensions of its layout."""
    return _EXTENSION.sub("", Path(os.path.abspath(path)).name) or "recording"


def _open_stack(path: Path, file: Path, config: RecordingConfig, to_look: bool) -> Recording:
    stack = open_stack(file)
    planes, shape = _planes(stack.metadata, config)
    return _recording(path, config, stack.metadata, StackSource(stack, planes), shape, None if to_look else [("", file, True)])


def _open_folder(path: Path, config: RecordingConfig, to_look: bool) -> Recording:
    names = sorted((name for name in _list(path) if name.lower().endswith(_TIFF) and not name.startswith(".")), key=_natural)
    if not names:
        others = ", ".join(sorted(_list(path))[:3])
        raise InputError(f"{path}: expected TIFFs ({', '.join(_TIFF)}) in the folder, got {others or 'an empty folder'}")
    paths = tuple(path / name for name in names)
    if len(paths) == 1:
        return _open_stack(path, paths[0], config, to_look)
    metadata = open_stack(paths[0]).metadata
    planes, (n_times, *volume) = _planes(metadata, config)
    if n_times != 1:
        raise InputError(f"{paths[0]}: expected one volume in each of {len(paths)} files, got {n_times}; open the file alone, or join them")
    shape = (len(paths), volume[0], volume[1], volume[2], volume[3])
    files = None if to_look else [(name, file, True) for name, file in zip(names, paths, strict=True)]
    return _recording(path, config, metadata, FolderSource(paths, metadata, planes[0]), shape, files, _numbering(names))


def _recording(
    path: Path,
    config: RecordingConfig,
    metadata: FileMetadata,
    source: VolumeSource,
    shape: tuple[int, int, int, int, int],
    files: Sequence[tuple[str, Path, bool]] | None,
    remarks: Sequence[str] = (),
) -> Recording:
    voxel_size_um = settle_voxel_size(metadata, config)
    rate_hz, no_rate = settle_rate(metadata, config)
    channels = settle_channels(metadata, config, shape[1])
    # not sizes, rate or channels: a run folder keeps those apart, so that a new rate does not make every stage stale
    geometry = {"shape": shape, "dtype": metadata.dtype.str.lstrip("<>=|"), "axes": config.axes}
    try:
        digest = "" if files is None else fingerprint(geometry, files)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from None
    assumptions = (*metadata.remarks, *remarks, *no_rate, *channels.remarks)
    for assumption in assumptions:
        log.info("%s: %s", path, assumption)
    who = (channels.names, channels.reference, channels.signal)
    patient = PatientSource(source)
    return Recording(recording_name(path), patient, shape, metadata.dtype, voxel_size_um, rate_hz, *who, digest, assumptions)


def _planes(metadata: FileMetadata, config: RecordingConfig) -> tuple[NDArray[np.int64], tuple[int, int, int, int, int]]:
    """Returns the numbers of the planes as (T, C, Z), and the shape T C Z Y X."""
    axes, shape = settle_axes(metadata, config)
    if not axes.endswith("YX"):
        raise InputError(f"{metadata.where}: expected axes that end in YX, as a TIFF is made of planes, got {axes}")
    size = dict(zip(axes, shape, strict=True))
    t, c, z, y, x = (size.get(axis, 1) for axis in AXES)
    planes = np.arange(t * c * z, dtype=np.int64).reshape(shape[:-2])
    order = [axes.index(axis) for axis in "TCZ" if axis in axes]
    return planes.transpose(order).reshape(t, c, z), (t, c, z, y, x)


def _read(stack: TiffStack, planes: NDArray[np.int64], t: int) -> VoxelArray:
    try:
        return stack.read(planes)
    except InputError as error:
        raise InputError(f"volume {t}: {error}") from None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}") from None


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
    numbers = [[int(n) for n in re.findall(r"\d+", _EXTENSION.sub("", name))] for name in names]
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
