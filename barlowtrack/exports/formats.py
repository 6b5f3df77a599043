"""FORMATS: the table of what a run can be exported to. Light, for the CLI shows it at once."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barlowtrack.errors import InputError

MARK = "barlowtrack-export.json"
"""Lies in every folder that an export writes: where it is from, and by it such a folder is known."""

MATLAB_MADE_BY = b"Created by: barlowtrack"
"""Stands in the text that a MATLAB file begins with."""


@dataclass(frozen=True)
class Format:
    """One row of the table.

    Attributes:
        name: As --to has it; also its module here, whose function `write` gets the content, the path and Options.
        ending: Of the file or folder, after the name of the recording.
        writes: What lies there, in a sentence.
        loses: What a run says and the format cannot hold.
        extra: Of barlowtrack, that brings what it needs; empty: nothing.
        packages: What it imports.
        images: Whether it has room for the recording's images, for --images.
    """

    name: str
    ending: str
    writes: str
    loses: str
    extra: str = ""
    packages: tuple[str, ...] = ()
    images: bool = False

    def target(self, folder: Path) -> Path:
        """Returns where it goes when nobody says: beside the run folder, under a name that no recording has."""
        return folder.parent / f"{folder.name.removesuffix('.barlowtrack')}_barlowtrack{self.ending}"

    def writer(self) -> Callable[..., None]:
        """Imports the function that writes it.

        Raises:
            InputError: what it needs is not installed; names the extra.
        """
        lacking = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if lacking:
            how = f"pip install 'barlowtrack[{self.extra}]'"
            raise InputError(f"export --to {self.name}: needs {', '.join(lacking)}; install it: {how}")
        module = "tables" if self.name in ("csv", "parquet") else self.name
        found: Callable[..., None] = importlib.import_module(f"barlowtrack.exports.{module}").write
        return found


@dataclass(frozen=True)
class Options:
    """What whoever exports may say.

    Attributes:
        to: Name of the format.
        metadata: TOML file of what no recording knows: the animal, the lab, the microscope.
        progress: Hears of volumes.
    """

    to: str
    metadata: Path | None
    progress: Any


FORMATS = (
    Format(
        "nwb",
        ".nwb",
        "One NWB 2 file in the layout of the worm community (ndx-multichannel-volume): traces, identities, places and masks.",
        "Which voxels people clicked. What nobody told: wavelengths are NaN, the animal is absent unless --metadata says it.",
        extra="nwb",
        packages=("pynwb",),
        images=True,
    ),
    Format(
        "ctc",
        "_ctc",
        "A result of the Cell Tracking Challenge: 01_RES with a mask a volume and res_track.txt, and beside it tracks.csv, which says"
        " who is who.",
        "Traces, candidates and absences. Probabilities and names stand in tracks.csv alone. A neuron that was not found for a while is"
        " several tracks there, each the parent of the next.",
    ),
    Format(
        "geff",
        "_geff",
        "A GEFF graph, tracks.geff: a node a nucleus, an edge from each to where its neuron is seen next; and the masks as OME-Zarr 0.5,"
        " labels.zarr.",
        "Traces, candidates and absences.",
        extra="geff",
        packages=("geff",),
    ),
    Format(
        "csv",
        "_csv",
        "Tables, one row a thing, as CSV; columns, units and meanings in datapackage.json and README.md.",
        "Masks and images. Numbers are written so that they read back the same.",
    ),
    Format("parquet", "_parquet", "The same tables as parquet, typed, unit and meaning with every column.", "Masks and images."),
    Format(
        "mat",
        ".mat",
        "One MATLAB file with structs: info, neurons, traces, detections, candidates, absences, corrections; -v7.3 where a struct passes"
        " 2 GB.",
        "Masks and images. Ids and volumes count from 0 there too.",
    ),
    Format(
        "napari",
        "_napari",
        "A folder that napari opens without our plugin: masks as zarr, points and tracks as CSV, and a script that opens them together:"
        " napari FOLDER/open_in_napari.py.",
        "Traces (a table in the folder holds them), candidates and absences.",
        images=True,
    ),
)
"""Read it aloud: export --to NAME writes what it says."""


def is_export(path: Path) -> bool:
    """Says whether an export wrote what lies there: a folder with its mark, or a file that says so inside; no name makes it one.

    A file that somebody else wrote to since (MATLAB, or a program that adds its name to an NWB file) is theirs.
    """
    if path.is_dir():
        return (path / MARK).is_file()
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(116)
    if head.startswith(b"MATLAB "):
        return MATLAB_MADE_BY in head
    import h5py

    if not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as opened:
            makers = opened["general/was_generated_by"][()]
    except (OSError, KeyError, AttributeError):
        return False
    return [bytes(maker[0]) for maker in makers.reshape(-1, 2)] == [b"barlowtrack"]


def format_named(name: str) -> Format:
    """Returns a row of the table.

    Raises:
        InputError: there is none of that name.
    """
    for row in FORMATS:
        if row.name == name:
            return row
    raise InputError(f"export: {name} is not a format; formats are {', '.join(row.name for row in FORMATS)}")
