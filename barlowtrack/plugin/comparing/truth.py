"""A table of true neurons, as people have it: in um, or in voxels. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from barlowtrack.data import Truth
from barlowtrack.io.tables import read_columns, truth_from_frame

VoxelSize = tuple[float, float, float]


@dataclass(frozen=True)
class TruthRead:
    """What was read.

    Attributes:
        truth: Who is where.
        in_voxels: Whether the table counts in voxels, so that it hangs on their size.
    """

    truth: Truth
    in_voxels: bool


def read_truth_of(path: Path, voxel_size_um: VoxelSize) -> TruthRead:
    """Reads a truth table.

    Args:
        path: CSV or parquet: t (or volume), neuron, and z_um, y_um, x_um, or z, y, x in voxels.
        voxel_size_um: z, y, x; counts where the table is in voxels.

    Raises:
        InputError: no such table; says what is wrong with it.
    """
    frame = read_columns(path)
    in_voxels = not {"z_um", "y_um", "x_um"} & set(frame.columns)
    return TruthRead(truth_from_frame(frame, voxel_size_um, where=str(path)), in_voxels)
