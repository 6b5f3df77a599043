"""Where a file that somebody asks for may go: never over what a run is made of, nor into the recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from barlowtrack.errors import InUseError, StorageError
from barlowtrack.io.location import as_url, shown
from barlowtrack.storage.artefacts import ARTEFACTS
from barlowtrack.storage.atomic import exchange, remove, sync_tree
from barlowtrack.storage.corrections import FILES as CORRECTION_FILES
from barlowtrack.storage.locks import locked

OURS = frozenset({"run.json", "settings.toml", "events.jsonl", "lock", "keys", "partial", *CORRECTION_FILES, *ARTEFACTS.values()})
"""What lies in a run folder, and what a run or a person's answers would lose if it were overwritten."""
FILES = (".html", ".htm", ".csv", ".parquet", ".json", ".toml", ".txt", ".pdf", ".webp", ".png", ".gif", ".mp4")
"""Endings of files: a run folder that is to be called so is a mistake."""
ZARR = ("zarr.json", ".zgroup", ".zarray")


def refuse_output(path: Path) -> None:
    """Refuses a file that would replace a part of a run folder, or change a recording.

    Args:
        path: Of the file; need not be there.

    Raises:
        StorageError: it lies over or inside what a run made, or inside an OME-Zarr, whose content any file changes.
    """
    path = path.absolute().resolve()
    for folder in path.parents:
        if (folder / "run.json").exists() and path.relative_to(folder).parts[0] in OURS:
            raise StorageError(f"{path}: is a part of the run folder {folder.name}; give another --out")
        if is_zarr(folder):
            raise StorageError(f"{path}: lies inside {folder.name}, a zarr that it would change; give another --out")


def is_zarr(folder: Path) -> bool:
    """Says whether a folder is a zarr, which any file in it changes; files beside the TIFFs of a folder are left out."""
    return any((folder / name).is_file() for name in ZARR)


def refuse_file_name(folder: Path) -> None:
    """Refuses a new folder of results that is called like a file, or is an address.

    Raises:
        StorageError: its name ends like that of a file, something else lies there, or it is not on this machine.
    """
    if as_url(folder) is not None:
        raise StorageError(f"{shown(folder)}: --out is a folder of this machine; results are not written to servers")
    if folder.suffix.lower() in FILES and not folder.is_dir():
        raise StorageError(f"{folder}: --out is a folder here, and this is the name of a file ({folder.suffix}); give the name of a folder")
    if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
        kind = "a file" if folder.is_file() else "a pipe, a socket, a device, or a link that leads nowhere"
        raise StorageError(f"{folder}: --out is a folder, and {kind} of this name is there; give another name")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names the file that was asked for in what goes wrong, and not the one beside it under a temporary name.

    Raises:
        OSError: what was raised inside; about the path, unless it was about another file.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and path.name not in Path(error.filename).name:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def refuse_target(path: Path, recording: Path, ours: Callable[[Path], bool], *, overwrite: bool) -> None:
    """Refuses a place to which nothing can be exported, before anything is made.

    Args:
        path: Of a file or folder that an export makes.
        recording: Where the recording of the run lies, or lay.
        ours: Says of what lies there whether an export wrote it; nothing else is ever replaced.
        overwrite: Whether an older export may go.

    Raises:
        StorageError: it is taken, part of a run folder or of a zarr, the recording or in it, or its folder is not there.
    """
    refuse_output(path)
    place, source = path.absolute().resolve(), recording.absolute().resolve()
    if place == source or source in place.parents or place in source.parents:
        raise StorageError(f"{path}: is the recording, or holds it, or lies in it; give another --out")
    if (place / "run.json").exists():
        raise StorageError(f"{path}: is a run folder; give another --out")
    if not place.parent.is_dir():
        raise StorageError(f"{path}: no such folder: {place.parent}; make it, or give another --out")
    if not (path.exists() or path.is_symlink()):
        return
    if not overwrite:
        raise StorageError(f"{path}: exists already; give another --out, or --overwrite")
    if not ours(path):
        what = "folder" if path.is_dir() else "file"
        raise StorageError(f"{path}: is a {what} that no export wrote, so it is not replaced; give another --out")


def put_back(path: Path) -> None:
    """Gives the older export its name back, where an export was killed just when it had taken it and before the new one had it.

    Nothing is done where there is none, or while another process is writing there.
    """
    old = _room(path) / _OLD
    if path.exists() or path.is_symlink() or not old.exists():
        return
    with suppress(InUseError), locked(old.parent / _LOCK, f"{path}: another process is writing it ({{holder}})"):
        _restore(path)


@contextmanager
def arriving(path: Path) -> Iterator[Path]:
    """Gives a place beside a path; what was made there takes the path in one step when all went well, and is removed when it did not.

    What a killed process left is removed by the next one, but for an older export, which gets its name back.

    Raises:
        StorageError: another process is writing it.
        OSError: there is no room; about the path.
    """
    room = _room(path)
    with writing(path):
        room.mkdir(exist_ok=True)
        try:
            with locked(room / _LOCK, f"{path}: another process is writing it ({{holder}}); wait for it"):
                _restore(path)
                _clear(room)
                try:
                    yield room / path.name
                    sync_tree(room / path.name)
                    _take_place(room / path.name, path)
                finally:
                    _restore(path)
                    _clear(room)
                    (room / _LOCK).unlink()
        finally:
            if room.is_dir() and not any(room.iterdir()):
                room.rmdir()


_OLD, _LOCK = "old", "lock"


def _room(path: Path) -> Path:
    return path.with_name(f".{path.name}.half-made")


def _restore(path: Path) -> None:
    """Gives what was there its name back, unless something new has it."""
    old = _room(path) / _OLD
    if old.exists() and not (path.exists() or path.is_symlink()):
        old.rename(path)


def _clear(room: Path) -> None:
    for left in room.iterdir():
        if left.name != _LOCK and not left.name.startswith((f"{_LOCK}.alone", f"{_LOCK}.new")):
            remove(left)


def _take_place(made: Path, path: Path) -> None:
    """Renames what was made to the path; what was there is in the room afterwards, or gone."""
    there = path.exists() or path.is_symlink()
    if not there or not (made.is_dir() or path.is_dir()) or not exchange(made, path):
        if there and (made.is_dir() or path.is_dir()):
            path.rename(made.with_name(_OLD))
        made.replace(path)
