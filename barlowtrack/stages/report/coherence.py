"""A sign of wrong identities that does not ask the tracker: neurons that move against their neighbours.

A worm bends and turns, but a nucleus moves with the tissue around it. Where a neuron goes elsewhere than its neighbours do by
more than the distance between nuclei, its identity has most likely changed hands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from barlowtrack.data import UNKNOWN, BoolArray, Detections, FloatArray, IntArray, Tracks

NEIGHBOURS = 8
FEWEST_NEURONS = 12
"""With fewer in two successive volumes, neighbours are too far to say where the tissue goes."""
MANY_NEURONS = 30
"""From so many on a bend of the whole can be told from the steps of single neurons."""
FAR = 3.0  # of the median


@dataclass(frozen=True)
class Steps:
    """Neurons on their way from one volume to the next, M of them.

    Attributes:
        t: (M,) volume in which each ends, rising.
        doubt: (M,) probability that the identity at one of its ends is wrong at least, as the tracker says.
        jumps: (M,) whether it goes against its neighbours.
    """

    t: IntArray
    doubt: FloatArray
    jumps: BoolArray


def steps(detections: Detections, tracks: Tracks) -> Steps:
    """Finds the neurons that moved against their neighbours since the volume before.

    A neuron's own step is compared with the median step of its eight nearest neighbours, also after a smooth motion of the
    whole was taken out; a difference above the median distance
    of nearest neighbours is a jump. An identity that is wrong in a single volume makes two jumps, one that stays wrong makes
    one, and one that was never right makes none.

    Args:
        detections: N nuclei.
        tracks: Whose they are.

    Returns:
        The steps that could be looked at: none into volume 0, nor into a volume with too few common neurons.
    """
    when, doubts, jumping = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0, bool)]
    before = _known(detections, tracks, 0)
    for t in range(1, detections.n_volumes):
        now = _known(detections, tracks, t)
        _, first, second = np.intersect1d(tracks.neuron[before], tracks.neuron[now], return_indices=True)
        if len(first) >= FEWEST_NEURONS:
            start, end = before[first], now[second]
            when.append(np.full(len(first), t))
            doubts.append(1 - tracks.probability[start].astype(np.float64) * tracks.probability[end])
            jumping.append(_residual(detections.position_um[start], detections.position_um[end]) > 1)
        before = now
    return Steps(np.concatenate(when), np.concatenate(doubts), np.concatenate(jumping))


def _known(detections: Detections, tracks: Tracks, t: int) -> IntArray:
    rows = detections.rows_of(t)
    found: IntArray = np.arange(rows.start, rows.stop)[tracks.neuron[rows] != UNKNOWN]
    return found


def _residual(before_um: FloatArray, now_um: FloatArray) -> FloatArray:
    """Returns how far each step lies from that of its neighbours, in median neighbour distances: (n,).

    The lesser of two: as it is, and after a smooth motion of the whole was taken out. Many errors spoil the second, a fast bend the first.
    """
    step = now_um - before_um  # (n, 3)
    distance, neighbour = (np.asarray(found) for found in cKDTree(before_um).query(before_um, k=NEIGHBOURS + 1))
    away = [np.linalg.norm(left - np.median(left[neighbour[:, 1:]], axis=1), axis=1) for left in (step, _without_whole(before_um, step))]
    found: FloatArray = np.minimum(*away) / max(float(np.median(distance[:, 1])), 1e-9)
    return found


def _without_whole(before_um: FloatArray, step_um: FloatArray) -> FloatArray:
    """Takes from steps (n, 3) what a smooth motion of the whole explains.

    A fast bend carries neighbours apart by more than the distance between nuclei, and would count as jumps. The motion is a polynomial of
    the place, of second order where neurons are many; steps that lie far from it have no say.
    """
    place = (before_um - before_um.mean(axis=0)) / max(float(before_um.std()), 1e-9)
    terms = [np.ones((len(place), 1)), place]
    if len(place) >= MANY_NEURONS:
        terms += [place**2, place * np.roll(place, 1, axis=1)]
    design, use = np.concatenate(terms, axis=1), np.ones(len(place), bool)
    left = step_um
    for _ in range(3):
        left = step_um - design @ np.linalg.lstsq(design[use], step_um[use], rcond=None)[0]
        off = np.linalg.norm(left, axis=1)
        use = off <= FAR * max(float(np.median(off)), 1e-9)
    return left
