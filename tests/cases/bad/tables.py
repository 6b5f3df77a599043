"""Tables of points, without a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.cases.bad.case import Command, bad
from tests.cases.bad.zarrs import evil


def _points(folder: Path, name: str, content: bytes) -> Command:
    (folder / name).write_bytes(content)
    return "track", "--points", folder / name, "--out", folder / "out", "--quiet"


@bad("points.csv")
def points_that_are_binary(folder: Path) -> Command:
    return _points(folder, "points.csv", np.random.default_rng(0).bytes(4000))


@bad("points.csv")
def points_of_no_bytes(folder: Path) -> Command:
    return _points(folder, "points.csv", b"")


@bad("points.csv")
def points_without_rows(folder: Path) -> Command:
    return _points(folder, "points.csv", b"t,x,y,z\n")


@bad("points.csv")
def points_without_a_volume(folder: Path) -> Command:
    return _points(folder, "points.csv", b"x,y,z\n1,2,3\n")


@bad("points.csv", "row 2")
def points_at_no_place(folder: Path) -> Command:
    return _points(folder, "points.csv", b"t,x,y,z\n0,1,2,3\n0,nan,2,3\n")


@bad("points.csv", "row 1")
def points_in_words(folder: Path) -> Command:
    return _points(folder, "points.csv", b"t,x,y,z\n0,left,up,near\n")


@bad("points.csv")
def points_of_a_negative_volume(folder: Path) -> Command:
    return _points(folder, "points.csv", b"t,x,y,z\n-1,1,2,3\n0,1,2,3\n")


@bad("points.csv")
def points_of_half_a_volume(folder: Path) -> Command:
    return _points(folder, "points.csv", b"t,x,y,z\n0.5,1,2,3\n1,1,2,3\n")


@bad("points.csv")
def points_of_a_volume_beyond_all_numbers(folder: Path) -> Command:
    return _points(folder, "points.csv", b"t,x,y,z\n0,1,2,3\n99999999999999999999,1,2,3\n")


@bad("points.parquet")
def points_that_are_a_pickle(folder: Path) -> Command:
    return _points(folder, "points.parquet", evil(folder / "unpickled"))


@bad("points.parquet")
def points_of_parquet_cut_off(folder: Path) -> Command:
    return _points(folder, "points.parquet", b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1")


@bad("points.npy")
def points_in_a_format_nobody_reads(folder: Path) -> Command:
    return _points(folder, "points.npy", evil(folder / "unpickled"))
