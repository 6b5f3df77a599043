"""From light to brightness: which reading counts, and what is background."""

from __future__ import annotations

from typing import Literal

import numpy as np

from barlowtrack.data import FloatArray, Light

Reading = Literal["mean", "sum", "brightest", "soft"]


def brightness(light: Light, reading: Reading, *, background: bool = True, voxels: FloatArray | None = None) -> FloatArray:
    """Returns how bright each of N nuclei is, (2, N) float64: red and green, NaN where nothing was read.

    Args:
        light: Of the N.
        reading: mean, soft or brightest: camera units of one voxel; sum: of all of them.
        background: Whether the background of each goes off.
        voxels: (N,) how many a sum is of; those that were read where not given. Of a place that is partly covered, a sum over what is
            left of it would tell how much is covered.
    """
    of_one = np.asarray(light.mean if reading == "sum" else getattr(light, reading), np.float64)
    if background:
        of_one = of_one - light.background
    if reading != "sum":
        return of_one
    return of_one * (light.voxels if voxels is None else voxels)
