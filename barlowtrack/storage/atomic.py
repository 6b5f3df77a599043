"""Writing so that a job killed anywhere leaves a whole file or none."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Writes under a temporary name beside the path, flushes to the disk, renames.

    Raises:
        OSError: names the path; what was written until then makes room.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    temporary.replace(path)


def sync_tree(path: Path) -> None:
    """Flushes a file, or every file and folder below a folder, to the disk."""
    if path.is_dir():
        for child in path.iterdir():
            sync_tree(child)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tree_size(path: Path) -> int:
    """Returns the bytes of a file, or of all files below a folder."""
    return sum(file.stat().st_size for file in _files(path))


def tree_digest(path: Path) -> str:
    """Hashes a file, or the names and contents of all files below a folder."""
    whole = hashlib.blake2b(digest_size=16)
    for file in _files(path):
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).digest()
        name = file.relative_to(path).as_posix() if file != path else ""
        whole.update(f"{name}\0".encode() + content)
    return whole.hexdigest()


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def exchange(one: Path, other: Path) -> bool:
    """Lets two files or folders of one disk change names in one step; False where the system or the disk cannot, and nothing was done."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)  # of Linux
    return renameat2 is not None and renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def link_tree(source: Path, target: Path) -> None:
    """Gives a file, or every file below a folder, a second name at the target; on the disk when it returns. What was there goes.

    Both lie on one disk, and neither is written again: files arrive whole, under their names.
    """
    for file in _files(source):
        place = target / file.relative_to(source) if source.is_dir() else target
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            os.link(file, temporary)
        except OSError:  # a file system without links
            shutil.copyfile(file, temporary)
        temporary.replace(place)
        sync_tree(place)
    sync_tree(target if target.is_dir() else target.parent)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def replace(source: Path, target: Path, attic: Path) -> None:
    """Moves a file or folder to the target; a folder in the way of a file, or the other way round, is moved to the attic first.

    Safe to repeat after a kill: a source that is gone has arrived already.
    """
    if not source.exists():
        return
    if target.is_dir() or (source.is_dir() and target.exists()):
        old = attic / f"old-{target.name}"
        remove(old)
        target.rename(old)
    source.replace(target)
