"""Which recordings lie in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from barlowtrack.errors import InputError
from barlowtrack.io import recording_name
from barlowtrack.io.readers import expected, is_recording
from barlowtrack.storage.folder import SUFFIX

STATE = "barlowtrack-batch"
"""Folder of a batch, beside the recordings: what is to be done, logs, and how it went."""

_TEMPORARY = re.compile(r"^[.~]|\.(part|partial|tmp)$")


@dataclass(frozen=True)
class Found:
    """A recording that a batch is about.

    Attributes:
        name: What it is called in tables and file names; no two have the same.
        path: Of the recording.
        folder: Its run folder.
    """

    name: str
    path: Path
    folder: Path


def find_recordings(folder: Path | str, pattern: str = "*") -> list[Found]:
    """Returns the recordings below a folder, in natural order: whatever open_recording reads.

    Run folders, hidden files and what lies inside of a recording are left out. Nothing is opened.

    Args:
        folder: Where to look.
        pattern: What to look at, as seen from there, such as "2026-*", or "*/red" for recordings one level down.

    Raises:
        InputError: no such folder, or none in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of recordings, got {'a file' if folder.exists() else 'nothing'}")
    if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
        raise InputError(f"--pattern {pattern}: expected one that stays in {folder}, such as 'worm*' or '*/worm*'")
    found = [path for path in sorted(folder.glob(pattern), key=_natural) if _may_be(path.relative_to(folder)) and _is_recording(path)]
    if not found:
        seen = ", ".join(sorted(os.listdir(folder))[:3]) or "nothing"
        hint = "recordings one level down want --pattern '*/*'" if pattern == "*" else "see --pattern"
        raise InputError(f"{folder}: expected recordings ({expected()}) at {pattern}, got {seen}; {hint}")
    names = _names([path.relative_to(folder) for path in found])
    recordings = [Found(name, path, path.parent / f"{recording_name(path)}{SUFFIX}") for name, path in zip(names, found, strict=True)]
    taken: dict[Path, Path] = {}
    for one in recordings:
        if one.folder in taken:
            both = f"{taken[one.folder].relative_to(folder)} and {one.path.relative_to(folder)}"
            raise InputError(f"{folder}: {both} would share the run folder {one.folder.name}; rename one, or leave it out by --pattern")
        taken[one.folder] = one.path
    return recordings


def _may_be(relative: Path) -> bool:
    return not any(_TEMPORARY.search(part) or part.endswith(SUFFIX) or part == STATE for part in relative.parts)


def _is_recording(path: Path) -> bool:
    return is_recording(path)


def _names(relative: list[Path]) -> Iterator[str]:
    """Yields names that differ, also where case does not count, of letters that any file system takes."""
    used: set[str] = set()
    for path in relative:
        plain = re.sub(r"[^\w.+-]+", "_", "-".join([*path.parts[:-1], recording_name(path)])).strip("._") or "recording"
        name, again = plain, 2
        while name.casefold() in used:
            name, again = f"{plain}-{again}", again + 1
        used.add(name.casefold())
        yield name


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path).lower())]
