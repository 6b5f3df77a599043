"""What a case of bad input is, and how those of all kinds come into one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

VOXELS = np.random.default_rng(0).integers(90, 2000, (6, 2, 4, 32, 40), dtype=np.uint16)
"""T C Z Y X; differs everywhere."""
SIZE_UM = (1.5, 0.4, 0.4)
SIZED = ("--voxel-size", *SIZE_UM, "--reference-channel", 0)
SAID = {
    "axes": "CZYX",
    "TimeIncrement": 0.25,
    "PhysicalSizeZ": 1.5,
    "PhysicalSizeY": 0.4,
    "PhysicalSizeX": 0.4,
    "Channel": {"Name": ["red", "green"]},
}

Command = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """Something bad.

    Attributes:
        make: Makes the input in a folder, and returns the command.
        says: Each of these stands in the line.
        unprivileged: Whether the command is called without the privilege to open what is forbidden.
    """

    make: Callable[[Path], Command]
    says: tuple[str, ...]
    unprivileged: bool = False


@dataclass(frozen=True)
class RunCase:
    """Something bad about a run; make gets a folder that holds `recording` and `recording.barlowtrack`."""

    make: Callable[[Path], Command]
    says: tuple[str, ...]


@dataclass(frozen=True)
class Fine:
    """Something odd that is read all the same; make returns the recording, what is typed besides, and the right (T, C, Z, Y, X)."""

    make: Callable[[Path], tuple[Path, Command, np.ndarray]]


BAD: dict[str, Case] = {}
BAD_RUNS: dict[str, RunCase] = {}
FINE: dict[str, Fine] = {}


def _keep(table: dict[str, Any], name: str, case: Any) -> None:
    assert name not in table, f"two cases of the name {name}"
    table[name] = case


def bad(*says: str, unprivileged: bool = False) -> Callable[[Any], Any]:
    def keep(make: Any) -> Any:
        _keep(BAD, make.__name__, Case(make, says, unprivileged))
        return make

    return keep


def bad_run(*says: str) -> Callable[[Any], Any]:
    def keep(make: Any) -> Any:
        _keep(BAD_RUNS, make.__name__, RunCase(make, says))
        return make

    return keep


def fine(make: Any) -> Any:
    _keep(FINE, make.__name__, Fine(make))
    return make


def series(folder: Path, voxels: np.ndarray = VOXELS, **options: Any) -> Path:
    """Writes one OME-TIFF a volume, and returns their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, volume in enumerate(voxels):
        one(folder / f"volume_{t:02d}.ome.tif", volume, **options)
    return folder


def one(path: Path, volume: np.ndarray, **options: Any) -> Path:
    """Writes one volume (C, Z, Y, X) as an OME-TIFF."""
    tifffile.imwrite(path, volume, ome=True, metadata=SAID, photometric="minisblack", **options)
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """Takes the end of a file away."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path
