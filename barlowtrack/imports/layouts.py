"""LAYOUTS: the table of what identities are read from. A file is known by what is in it, not only by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from barlowtrack.errors import InputError
from barlowtrack.imports import ctc, nwb, table, wbfm, zephir
from barlowtrack.imports.identified import Identified, Space, reading


@dataclass(frozen=True)
class Layout:
    """One row of the table.

    Attributes:
        name: What it is called.
        reads: What it is, and how it is told from others.
        knows: Whether a path looks like it.
        read: Reads it.
    """

    name: str
    reads: str
    knows: Callable[[Path], bool]
    read: Callable[[Path, Space], Identified]


LAYOUTS = (
    Layout("nwb", "An NWB file with identified neurons: tables, centroids or segmentations of time points.", nwb.knows, nwb.read),
    Layout("ctc", "A folder of the Cell Tracking Challenge: masks, and res_track.txt or man_track.txt.", ctc.knows, ctc.read),
    Layout("zephir", "annotations.h5 of ZephIR, or its folder; worldlines.h5 beside it names the neurons.", zephir.knows, zephir.read),
    Layout("wbfm", "A table of wbfm or DeepLabCut: columns (neuron, z x y), as .h5 or .csv.", wbfm.knows, wbfm.read),
    Layout(
        "table",
        "A table that ends in .csv or .parquet: t (or volume), neuron, and z_um y_um x_um, or z y x in voxels.",
        table.knows,
        table.read,
    ),
)


def read_identities(path: Path, space: Space) -> Identified:
    """Reads who is who from a file or folder of another program, whichever it is.

    Args:
        path: Of it.
        space: The recording that it speaks of.

    Raises:
        InputError: none of LAYOUTS, or one that cannot be read; or a voxel size is needed and nobody told it.
    """
    if not path.exists():
        raise InputError(f"{path}: cannot be read: No such file or directory")
    if not (path.is_dir() or path.is_file()):
        raise InputError(f"{path}: expected a file or folder, got neither (a pipe, socket or device)")
    for layout in LAYOUTS:
        with reading(path, "a whole file"):
            known = layout.knows(path)
        if known:
            return layout.read(path, space)
    if path.is_dir() and any((path / name).exists() for name in (".zgroup", "zarr.json")):
        raise InputError(
            f"{path}: expected identities in a layout that is known, got a zarr; NWB in zarr is read once it is one HDF5 file (nwb), "
            "which pynwb and hdmf_zarr write by NWBHDF5IO.export"
        )
    tables = [path / f"detections{ending}" for ending in (".csv", ".parquet") if (path / f"detections{ending}").is_file()]
    if tables:
        raise InputError(f"{path}: expected one table, got a folder of tables; who is where stands in {tables[0]}: give that")
    if path.suffix.lower() == ".mat":
        raise InputError(
            f"{path}: expected identities in a layout that is known, got a file of MATLAB; write them from there as a table: "
            "writetable(table(t, neuron, z_um, y_um, x_um), 'truth.csv')"
        )
    listed = "; ".join(f"{layout.name}: {layout.reads.rstrip('.')}" for layout in LAYOUTS)
    raise InputError(f"{path}: expected identities in a layout that is known, got something else. {listed}")
