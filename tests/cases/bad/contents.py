"""Files that are whole, of what no run can be made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.cases.bad.case import VOXELS, Command, bad, fine, series


@bad("worm", "no number")
def voxels_that_are_no_number(folder: Path) -> Command:
    voxels = VOXELS.astype(np.float32)
    voxels[:, 0, 1, 5:9] = np.nan
    return "check", series(folder / "worm", voxels)


@bad("worm", "no number")
def voxels_that_are_infinite(folder: Path) -> Command:
    voxels = VOXELS.astype(np.float32)
    voxels[4, 1, 1, 5:9] = -np.inf
    return "check", series(folder / "worm", voxels)


@bad("worm", "red", "65535")
def voxels_of_65535_everywhere(folder: Path) -> Command:
    return "check", series(folder / "worm", np.full_like(VOXELS, 65535))


@bad("worm", "red", "65535")
def run_of_voxels_of_65535_everywhere(folder: Path) -> Command:
    return "run", series(folder / "worm", np.full_like(VOXELS, 65535)), "--quiet"


@bad("worm", "red", "of one value")
def reference_channel_that_was_dark(folder: Path) -> Command:
    voxels = VOXELS.copy()
    voxels[:, 0] = 100
    return "check", series(folder / "worm", voxels)


@bad("worm", "no number")
def run_of_voxels_that_are_no_number(folder: Path) -> Command:
    voxels = VOXELS.astype(np.float32)
    voxels[:, 0, 1, 5:9] = np.nan
    return "run", series(folder / "worm", voxels), "--quiet"


@bad("worm", "red", "beyond 1e+30")
def voxels_beyond_single_precision(folder: Path) -> Command:
    return "check", series(folder / "worm", VOXELS * 1e300)


@fine
def signal_channel_that_was_dark(folder: Path) -> tuple[Path, Command, np.ndarray]:
    voxels = VOXELS.copy()
    voxels[:, 1] = 0
    return series(folder / "worm", voxels), (), voxels


@fine
def volume_without_light(folder: Path) -> tuple[Path, Command, np.ndarray]:
    voxels = VOXELS.copy()
    voxels[2] = 0
    return series(folder / "worm", voxels), (), voxels
