"""What people know of a recording as it lies on the disk, where a run has it."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import BoolArray, FloatArray, IntArray, Preparation, Truth


def prepared_truth(truth: Truth, preparation: Preparation, n_volumes: int, voxel_size_um: tuple[float, float, float]) -> Truth:
    """Takes a truth to the pictures in which a run found its nuclei.

    Args:
        truth: Places as the recording on the disk shows them.
        preparation: Of the run.
        n_volumes: Of the recording; of volumes beyond it nothing is known, and they stay as they are.
        voxel_size_um: z, y, x.

    Returns:
        What is still in the pictures: not what lies in planes that were left out, or has drifted away.
    """
    position_um, shown = prepared_places(truth.t, truth.position_um, preparation, n_volumes, voxel_size_um)
    activity = None if truth.activity is None else truth.activity[shown]
    return Truth(truth.t[shown], truth.neuron[shown], position_um[shown], activity)


def prepared_places(
    t: IntArray, position_um: FloatArray, preparation: Preparation, n_volumes: int, voxel_size_um: tuple[float, float, float]
) -> tuple[FloatArray, BoolArray]:
    """Takes places (M, 3) of volumes t (M,) from the recording on the disk to its prepared pictures.

    Returns:
        (M, 3) where they lie, and (M,) whether that is in the pictures; places of volumes beyond the recording stay, and count as shown.
    """
    if preparation.shape is None:
        return position_um, np.ones(len(t), bool)
    known = t < n_volumes
    there = np.array(position_um, np.float64)
    there[known] = preparation.prepared_um(t[known], there[known], voxel_size_um)
    first, stop = preparation.kept
    place = there / voxel_size_um
    inside = np.all((place >= -0.5) & (place <= np.array([stop - first, *preparation.shape[2:]]) - 0.5), axis=1)
    return there, np.asarray(~known | inside)
