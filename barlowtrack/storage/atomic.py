"""Writing so that a job killed anywhere leaves a whole file or none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Writes under a temporary name beside the path, flushes to the disk, renames."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
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


def replace(source: Path, target: Path, attic: Path) -> None:
    """Moves a file or folder to the target; a folder that stands there is moved to the attic first, since a rename needs its place.

    Safe to repeat after a kill: a source that is gone has arrived already.
    """
    if not source.exists():
        return
    if target.is_dir():
        old = attic / f"old-{target.name}"
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    source.replace(target)
