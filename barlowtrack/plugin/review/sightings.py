"""In which volumes a neuron is worth looking at, to compare a nucleus with it."""

from __future__ import annotations

import numpy as np

from barlowtrack.data import IntArray
from barlowtrack.plugin.solution import Solution

SURE = 0.9
MOST = 3


def sightings(solution: Solution, neuron: int, t: int) -> tuple[int, ...]:
    """Chooses up to MOST nuclei that are a neuron, the surest that there are: the nearest in time first, then from elsewhere.

    Args:
        solution: Who is who.
        neuron: Whose pictures are wanted.
        t: Volume of the nucleus that it is compared with; none is of that.
    """
    shown = np.flatnonzero(solution.row_of[neuron] >= 0) if 0 <= neuron < solution.n_neurons else np.zeros(0, np.int64)
    volumes = shown[shown != t]
    if not len(volumes):
        return ()
    probability = solution.tracks.probability[solution.row_of[neuron, volumes]]
    sure = volumes[probability >= min(SURE, float(probability.max()))]
    chosen = [int(sure[np.argmin(np.abs(sure - t))])]
    for _ in range(MOST - 1):
        rest = np.setdiff1d(sure, chosen)
        if not len(rest):
            break
        chosen.append(int(rest[np.argmax(_farthest(rest, [t, *chosen]))]))
    return tuple(int(solution.row_of[neuron, volume]) for volume in chosen)


def _farthest(volumes: IntArray, others: list[int]) -> IntArray:
    """How far each volume lies from the nearest of others."""
    return np.asarray(np.abs(volumes[:, None] - np.asarray(others)).min(axis=1))
