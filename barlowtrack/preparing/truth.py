"""What people know of a recording as it lies on the disk, where a run has it."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import Preparation, Truth


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
    if preparation.shape is None:
        return truth
    known = truth.t < n_volumes
    position_um = np.array(truth.position_um, np.float64)
    position_um[known] = preparation.prepared_um(truth.t[known], position_um[known], voxel_size_um)
    first, stop = preparation.kept
    place = position_um / voxel_size_um
    shown = ~known | np.all((place >= -0.5) & (place <= np.array([stop - first, *preparation.shape[2:]]) - 0.5), axis=1)
    activity = None if truth.activity is None else truth.activity[shown]
    return Truth(truth.t[shown], truth.neuron[shown], position_um[shown], activity)
