"""Which detections somebody's points are, and where they call one otherwise than our tracks do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, IntArray, Tracks
from barlowtrack.evaluate.matching import map_ids, match_points
from barlowtrack.imports.identified import Identified


@dataclass(frozen=True)
class Matched:
    """Points and detections that are one nucleus.

    Attributes:
        point: (P,) row of the points.
        detection: (P,) row of the detections.
        mapping: Their neuron -> ours, one to one, so that the most of them agree.
        lost: (L,) points of our volumes without a detection within reach.
        beyond: How many points lie in volumes that the run does not have.
    """

    point: IntArray
    detection: IntArray
    mapping: dict[int, int]
    lost: IntArray
    beyond: int


def match(theirs: Identified, detections: Detections, tracks: Tracks, within_um: float) -> Matched:
    """Pairs points and detections one to one in every volume, none further apart than a limit, and their neurons with ours.

    Args:
        theirs: M points.
        detections: N of them.
        tracks: Who they are.
        within_um: The limit.
    """
    points, rows, lost, beyond = [], [], [], 0
    for t in np.unique(theirs.t):
        mine = np.flatnonzero(theirs.t == t)
        if t >= detections.n_volumes:
            beyond += len(mine)
            continue
        part = detections.rows_of(int(t))
        ours, true = match_points(detections.position_um[part], theirs.position_um[mine], within_um)
        points.append(mine[true])
        rows.append(ours + part.start)
        lost.append(np.setdiff1d(mine, mine[true]))
    nothing = np.zeros(0, np.int64)
    point, detection, left = (np.concatenate([nothing, *parts]) for parts in (points, rows, lost))
    known = tracks.neuron[detection] != UNKNOWN
    found = map_ids(tracks.neuron[detection[known]], theirs.neuron[point[known]])
    return Matched(point, detection, {true: ours for ours, true in found.items()}, left, beyond)
