"""READERS: the table of what can be read, how it is recognised, and what it needs; walked from the top, the first that fits reads.

Recognising looks at names alone; imports of what reads happen when a recording is opened.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import InputError
from barlowtrack.io.fingerprint import size_of
from barlowtrack.io.location import as_url
from barlowtrack.io.readers.opened import Opened
from barlowtrack.io.readers.tiff_files import SUFFIXES as TIFF
from barlowtrack.io.readers.tiff_files import channel_folders, is_folder_of_tiffs

_ZARR = ("zarr.json", ".zgroup", ".zarray")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_FROM_MATLAB = (
    "one saved with -v7.3 is HDF5: name it .h5, and give --dataset NAME, and as --axes those of MATLAB in reverse; save others so before"
)


@dataclass(frozen=True)
class Reader:
    """One row of the table.

    Attributes:
        name: Of the format.
        opens: Module and function, "module:function".
        does: One sentence, for the docs.
        suffixes: Of files that it reads.
        looks: How a folder that it reads looks, for the docs; "" where it reads no folders.
        folder: Says by a folder and the names in it whether it is one of these.
        afar: Whether it reads from servers.
        extra: Of barlowtrack that brings what it needs; "" where nothing is needed.
        dataset: What [recording] dataset names; "" where there is nothing to name.
        planes: Whether [recording] planes says how a pile of planes becomes volumes.
    """

    name: str
    opens: str
    does: str
    suffixes: tuple[str, ...] = ()
    looks: str = ""
    folder: Callable[[Path, Sequence[str]], bool] = lambda _path, _names: False
    afar: bool = False
    extra: str = ""
    dataset: str = ""
    planes: bool = False

    def open(self, path: Path, config: RecordingConfig) -> Opened:
        """Opens a recording.

        Raises:
            InputError: it cannot be used.
        """
        module, _, function = self.opens.partition(":")
        found: Callable[[Path, RecordingConfig], Opened] = getattr(importlib.import_module(f"barlowtrack.io.readers.{module}"), function)
        return found(path, config)


READERS = (
    Reader(
        "OME-Zarr, zarr",
        "zarr_image:open_zarr",
        "OME-Zarr 0.4 (zarr 2) and 0.5 (zarr 3), the finest level; zarr arrays without metadata, whose axes the settings give.",
        looks="`zarr.json`, `.zgroup` or `.zarray`",
        folder=lambda _path, names: any(name in _ZARR for name in names),
        afar=True,
        dataset="arrays of a group that is no OME-Zarr, one for all or one a channel",
    ),
    Reader(
        "NDTiff",
        "ndtiff:open_ndtiff",
        "What Micro-Manager 2 and pycro-manager write: TIFFs beside an index.",
        looks="`NDTiff.index`",
        folder=lambda _path, names: "NDTiff.index" in names,
        dataset="the number of the position",
    ),
    Reader(
        "folder of TIFFs",
        "tiff_files:open_folder",
        "One file a volume; or a plane, or a channel, told apart by the names of files or of folders such as `_Ch0` and `_Ch1`.",
        looks="TIFFs, or folders of TIFFs named after channels",
        folder=lambda path, names: is_folder_of_tiffs(names) or bool(channel_folders(path, names)),
        planes=True,
    ),
    Reader("TIFF", "tiff_files:open_file", "TIFF, BigTIFF, OME-TIFF and ImageJ's TIFF with all volumes.", suffixes=TIFF, planes=True),
    Reader(
        "NWB",
        "nwb:open_nwb",
        "ImageSeries and MultiChannelVolumeSeries of NWB in HDF5, axes `(T, X, Y, Z)` and `(T, X, Y, Z, C)`.",
        suffixes=(".nwb",),
        dataset="the series, one for all or one a channel",
    ),
    Reader(
        "HDF5",
        "hdf5:open_hdf5",
        "An array that holds the recording, or one a channel, or one a volume.",
        suffixes=(".h5", ".hdf5", ".hdf", ".he5"),
        dataset="the arrays, one for all or one a channel; `{t}` stands for the number of the volume",
    ),
    Reader("ND2", "nd2:open_nd2", "Nikon's ND2.", suffixes=(".nd2",), extra="nd2", dataset="the number of the position"),
    Reader(
        "through bioio",
        "through_bioio:open_with_bioio",
        "Whatever else bioio has a plugin for, which is installed beside it: `bioio-czi`, `bioio-lif`, `bioio-imaris` ...",
        suffixes=(".czi", ".lif", ".ims", ".oib", ".oif", ".dv", ".lsm", ".sld", ".vsi"),
        extra="bioio",
        dataset="the scene, by name or number",
    ),
)


def expected() -> str:
    """Returns what a recording may be, for a message."""
    files = [suffix for reader in READERS for suffix in reader.suffixes]
    return f"a folder of TIFFs, an OME-Zarr, an NDTiff, or a file ({', '.join(files)})"


def reader_of(path: Path) -> Reader:
    """Returns the row that reads what lies there.

    Raises:
        InputError: nothing is there, or nothing that any reads.
    """
    url = as_url(path)
    if url is not None:
        return next(reader for reader in READERS if reader.afar)
    names = _names(path)
    if names is None:
        size_of(path)  # opening a pipe would wait for somebody to write
    found = _fitting(path, names)
    if found is not None:
        return found
    if names is not None:
        shown = ", ".join(sorted(names)[:3]) or "an empty folder"
        raise InputError(f"{path}: expected TIFFs ({', '.join(TIFF)}) in the folder, or an OME-Zarr or NDTiff, got {shown}")
    if path.suffix.lower() == ".mat":
        raise InputError(f"{path}: expected {expected()}, got a file of MATLAB; {_FROM_MATLAB}")
    if path.suffix.lower() in _ARCHIVES:
        raise InputError(f"{path}: expected {expected()}, got an archive, which is not unpacked here; unpack it first")
    raise InputError(f"{path}: expected {expected()}, got {path.suffix or 'no extension'}")


def is_recording(path: Path) -> bool:
    """Says by names alone whether a recording may lie there."""
    try:
        return _fitting(path, _names(path)) is not None
    except InputError:
        return False


def _fitting(path: Path, names: list[str] | None) -> Reader | None:
    for reader in READERS:
        if names is None and path.name.lower().endswith(reader.suffixes or ("\0",)):
            return reader
        if names is not None and reader.folder(path, names):
            return reader
    return None


def _names(path: Path) -> list[str] | None:
    """Returns the names in a folder; None of a file.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        return os.listdir(path)
    except NotADirectoryError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}") from None
