"""A sign of wrong identities that does not ask the tracker: neurons that move against their neighbours.

A worm bends and turns, but a nucleus moves with the tissue around it. Where a neuron goes elsewhere than its neighbours do by
more than the distance between nuclei, its identity has most likely changed hands.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Tracks

NEIGHBOURS = 8
FEWEST_NEURONS = 12
"""With fewer in two successive volumes, neighbours are too far to say where the tissue goes."""


def jumps(detections: Detections, tracks: Tracks) -> tuple[IntArray, IntArray]:
    """Counts neurons that moved against their neighbours since the volume before.

    A neuron's own step is compared with the median step of its eight nearest neighbours; a difference above the median distance
    of nearest neighbours is a jump. An identity that is wrong in a single volume makes two jumps, one that stays wrong makes
    one, and one that was never right makes none.

    Args:
        detections: N nuclei.
        tracks: Whose they are.

    Returns:
        (T,) steps looked at, and (T,) jumps among them; volume 0 has none, nor has a volume with too few common neurons.
    """
    looked, jumped = np.zeros(detections.n_volumes, np.int64), np.zeros(detections.n_volumes, np.int64)
    before = _positions(detections, tracks, 0)
    for t in range(1, detections.n_volumes):
        now = _positions(detections, tracks, t)
        _, first, second = np.intersect1d(before[0], now[0], return_indices=True)
        if len(first) >= FEWEST_NEURONS:
            looked[t] = len(first)
            jumped[t] = np.count_nonzero(_residual(before[1][first], now[1][second]) > 1)
        before = now
    return looked, jumped


def _positions(detections: Detections, tracks: Tracks, t: int) -> tuple[IntArray, FloatArray]:
    rows = detections.rows_of(t)
    known = tracks.neuron[rows] != UNKNOWN
    return tracks.neuron[rows][known], detections.position_um[rows][known]


def _residual(before_um: FloatArray, now_um: FloatArray) -> FloatArray:
    """Returns how far each step lies from that of its neighbours, in median neighbour distances: (n,)."""
    step = now_um - before_um  # (n, 3)
    distance, neighbour = (np.asarray(found) for found in cKDTree(before_um).query(before_um, k=NEIGHBOURS + 1))
    usual = np.median(step[neighbour[:, 1:]], axis=1)  # (n, 3)
    away: FloatArray = np.linalg.norm(step - usual, axis=1) / max(float(np.median(distance[:, 1])), 1e-9)
    return away
