"""What makes two recordings the same, wherever they lie and whenever they were copied."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from barlowtrack.errors import InputError
from barlowtrack.io.regular import refuse_endless

_SAMPLE = 64 * 1024


def fingerprint(geometry: Mapping[str, Any], files: Iterable[tuple[str, Path | bytes, bool]]) -> str:
    """Hashes the geometry and, of every file, its name, its size, and the first, middle and last 64 KiB.

    No path and no date goes in, so a copied or moved recording keeps its fingerprint. Reading a recording of 200 GB whole
    would take an hour; the price is that a change in a large file that keeps its size, and lies outside the three samples, may go
    unnoticed. A file of up to 192 KiB is read whole.

    Args:
        geometry: Plain values: shape, voxel size, rate, names.
        files: Name inside the recording, path or what was read of it, and whether to read it; one that is not read counts with its
            name and size.

    Returns:
        32 hexadecimal digits.

    Raises:
        InputError: one of them is no file, such as a pipe, which would be waited for without end.
    """
    whole = hashlib.blake2b(json.dumps(geometry, sort_keys=True).encode(), digest_size=16)
    for name, path, content in files:
        size = len(path) if isinstance(path, bytes) else size_of(path)
        whole.update(f"\0{name}\0{size}\0".encode())
        if isinstance(path, bytes):
            whole.update(hashlib.blake2b(path, digest_size=16).digest())
        elif content:
            whole.update(_sampled(path, size))
    return whole.hexdigest()


def size_of(path: Path) -> int:
    """Returns the size of a file in bytes.

    Raises:
        InputError: it is a folder, or a pipe or device, which can be read without end.
    """
    refuse_endless(path)
    state = path.stat()
    if stat.S_ISDIR(state.st_mode):
        raise InputError(f"{path}: expected a file, got a folder")
    return state.st_size


def _sampled(path: Path, size: int) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        if size <= 3 * _SAMPLE:
            digest.update(file.read())
        else:
            for start in (0, (size - _SAMPLE) // 2, size - _SAMPLE):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
    return digest.digest()
