"""Which nucleus somebody points at, and where neurons are that nobody found: pure functions of positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data import BoolArray, FloatArray
from barlowtrack.plugin.solution import Solution

SMALLEST_UM = 0.5
"""Radius of a nucleus of which nobody knows the size."""


@dataclass(frozen=True, eq=False)
class Way:
    """Where a neuron is over time.

    Attributes:
        place_um: (T, 3) z, y, x: of its nucleus where it was found, and between the last and the next such place where it was not; NaN
            throughout where it never was.
        seen: (T,) whether it was found.
        radius_um: Of its nucleus, as a ball of the usual size of it.
    """

    place_um: FloatArray
    seen: BoolArray
    radius_um: float


def radii_um(volume_um3: FloatArray) -> FloatArray:
    """Returns the radii of balls of these volumes; never less than SMALLEST_UM."""
    radius = np.cbrt(3 * np.nan_to_num(np.asarray(volume_um3, np.float64)) / (4 * np.pi))
    return np.maximum(radius, SMALLEST_UM)


def hit_in_plane(
    position_um: FloatArray, reach_um: FloatArray, at_um: FloatArray, *, axis: int, slack_um: float = 0.0, least_um: float = 0.0
) -> int | None:
    """Returns the nucleus of N that is pointed at in a plane; None where none is within its own reach.

    Args:
        position_um: (N, 3).
        reach_um: (N,) their radii.
        at_um: (3,) where somebody points.
        axis: Across which the plane lies: 0 for the planes of z.
        slack_um: How much farther than its radius a nucleus is seen along that axis: half a plane, or what else is shown at once.
        least_um: How near counts as a hit in the plane even of a small nucleus: some pixels of the screen.
    """
    if not len(position_um):
        return None
    reach = np.repeat(np.maximum(reach_um, least_um)[:, None], 3, axis=1)
    reach[:, axis] = reach_um + slack_um
    share = np.linalg.norm((position_um - at_um) / reach, axis=1)
    best = int(np.argmin(share))
    return best if share[best] <= 1 else None


def hit_by_ray(
    position_um: FloatArray, reach_um: FloatArray, from_um: FloatArray, towards: FloatArray, *, least_um: float = 0.0
) -> int | None:
    """Returns the nucleus of N whose centre is nearest to a ray among those that it hits; None where it hits none.

    Args:
        position_um: (N, 3).
        reach_um: (N,) their radii.
        from_um: (3,) any point of the ray; it has no beginning: what lies behind that point is in sight, too.
        towards: (3,) its direction, of any length.
        least_um: How near counts as a hit even of a small nucleus.
    """
    length = float(np.linalg.norm(towards))
    if not len(position_um) or length == 0:
        return None
    away = position_um - from_um
    along = towards / length
    off = np.linalg.norm(away - (away @ along)[:, None] * along, axis=1)
    off = np.where(off <= np.maximum(reach_um, least_um), off, np.inf)
    best = int(np.argmin(off))
    return best if np.isfinite(off[best]) else None


class Ways:
    """Where the neurons of a solution are over time; each is worked out when it is first asked for."""

    def __init__(self, solution: Solution) -> None:
        self._solution = solution
        self._known: dict[int, Way] = {}

    def __getitem__(self, neuron: int) -> Way:
        way = self._known.get(neuron)
        if way is None:
            way = self._known[neuron] = _way_of(self._solution, neuron)
        return way


def _way_of(solution: Solution, neuron: int) -> Way:
    rows = solution.row_of[neuron]
    seen = rows >= 0
    if not seen.any():
        return Way(np.full((len(rows), 3), np.nan), seen, SMALLEST_UM)
    found, every = np.flatnonzero(seen), np.arange(len(rows))
    at = np.asarray(solution.detections.position_um[rows[found]], np.float64)
    place = np.stack([np.interp(every, found, at[:, axis]) for axis in range(3)], axis=1)
    return Way(place, seen, float(np.median(radii_um(solution.detections.volume_um3[rows[found]]))))
