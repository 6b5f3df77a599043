"""Files that end: a pipe or a device among them would be waited for, or read, for ever."""

from __future__ import annotations

import stat
from pathlib import Path

from barlowtrack.errors import InputError


def refuse_endless(path: Path) -> None:
    """Refuses a pipe, a socket or a device; what is not there, or cannot be looked at, whoever opens it will say.

    Raises:
        InputError: it is neither a file nor a folder.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(f"{path}: expected a file, got a pipe, a socket or a device, which is not read")
