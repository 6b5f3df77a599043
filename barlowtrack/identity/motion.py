"""How much the surroundings of a nucleus turn, tilt and stretch from volume to volume: what an encoder must overlook in this recording.

A worm that turns as a whole and one that bends both turn the neighbours of a nucleus about it, so this is measured where it matters: in
the neighbourhoods of single nuclei, between any two volumes. Who is who is taken from positions alone, as far as they tell.

Reference:
    Kabsch 1976, "A solution for the best rotation to relate two sets of vectors".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from barlowtrack.data import Detections, VolumeLooks
from barlowtrack.identity import solve
from barlowtrack.identity.atlas import Sighting
from barlowtrack.identity.volumes import neighbour_distance_um, prepare

Float = NDArray[np.floating[Any]]

SAMPLED_VOLUMES = 32
SAMPLED_PAIRS = 300
FEWEST_VOLUMES = 3
FEWEST_NEIGHBOURHOODS = 50
NEIGHBOURS = 8
CONFIDENT = 0.5  # least posterior of a match that is used
MISFIT = 0.7  # neighbour distances a neighbour may be off on average; more is a mistaken identity
PERCENTILE = 95.0


@dataclass(frozen=True)
class MotionRange:
    """What the surroundings of a nucleus do between two volumes of a recording; 95 % of those measured do less.

    These are differences of two volumes: two views that are each turned by up to an angle, either way, differ by up to twice that angle.

    Attributes:
        rotation_deg: Turn in the plane, either way.
        tilt_deg: Lean of the axis along z.
        scale: Change of size in the plane, as a share.
        local_um: Movement of neighbours, root mean square, that is left when a neighbourhood is turned and tilted back.
        n_neighbourhoods: How many were measured; 0: too few, and the rest is that of FALLBACK.
    """

    rotation_deg: float
    tilt_deg: float
    scale: float
    local_um: float
    n_neighbourhoods: int


FALLBACK = MotionRange(60.0, 0.0, 0.0, 0.0, 0)
"""Of a recording too short or too sparse to say anything: a worm that may turn, and nothing made up besides."""


class Matched(NamedTuple):
    """The neurons (n,) that one volume shows, no neuron twice, and where (n, 3), z, y, x."""

    neuron: NDArray[np.int64]
    points: Float


class Moved(NamedTuple):
    """How each of M neighbourhoods has moved, all (M,).

    Attributes:
        turn: In the plane, rad.
        tilt: Between the axes along z, rad; never negative.
        growth: Logarithm of the size in the plane, afterwards over before.
        left: Root mean square distance that remains after turning and tilting.
    """

    turn: Float
    tilt: Float
    growth: Float
    left: Float


def motion_range(detections: Detections, volumes: VolumeLooks, seed: int) -> MotionRange:
    """Measures how far the neighbourhoods of nuclei turn, tilt and stretch, without labels, in seconds.

    Some volumes are laid over an atlas learned from them by position alone. Between two of them, a nucleus and its nearest neighbours
    that both show are turned onto each other; neighbourhoods that fit badly are mistaken ones and left out.
    What turned most is recognised least: of a recording that moves much this says less than is true, by up to a third in ours.

    Args:
        detections: Of the whole recording.
        volumes: How each volume looks; nothing is learned from junk, where there is anything else.
        seed: Of the choice of volumes and pairs.

    Returns:
        95th percentiles, or FALLBACK where fewer than 3 volumes or 50 neighbourhoods can be used.
    """
    junk = volumes.is_junk
    shown = [volume for volume in prepare(detections, None)[1] if len(volume.rows) > NEIGHBOURS]
    good = [volume for volume in shown if not junk[detections.t[volume.rows[0]]]] or shown
    if len(good) < FEWEST_VOLUMES:
        return FALLBACK
    part = [good[i] for i in np.unique(np.linspace(0, len(good) - 1, SAMPLED_VOLUMES).astype(int))]
    unit = neighbour_distance_um(detections)
    rng = np.random.default_rng(seed)
    with threadpool_limits(1, user_api="blas"):  # else the last digits would depend on the number of threads
        atlas = solve.build(part, rng, map, lambda: None)
        matched = [_confident(solve.sight(volume, atlas), volume.points * unit) for volume in part]
        return summarise(compare(matched, rng), MISFIT * unit)


def compare(matched: list[Matched], rng: np.random.Generator) -> Moved:
    """Returns how neighbourhoods have moved between pairs of volumes, of many pairs a sample."""
    pairs = list(combinations(matched, 2))
    chosen = rng.choice(len(pairs), min(SAMPLED_PAIRS, len(pairs)), replace=False)
    before, after = zip(*(_neighbourhoods(*pairs[i]) for i in chosen), strict=True)
    return turn_back(np.concatenate(before), np.concatenate(after))


def turn_back(before: Float, after: Float) -> Moved:
    """Finds the rotations that lay neighbourhoods onto what became of them.

    Args:
        before: (M, k, 3) z, y, x, each about its mean.
        after: (M, k, 3) the same nuclei in another volume.
    """
    u, _, vt = np.linalg.svd(np.swapaxes(after, 1, 2) @ before)  # (M, 3, 3)
    u[np.linalg.det(u @ vt) < 0, :, 2] *= -1  # a rotation, never a mirror image
    rotation = u @ vt  # (M, 3, 3)
    turned = before @ np.swapaxes(rotation, 1, 2)
    size = [np.sqrt((points[:, :, 1:] ** 2).sum((1, 2))) for points in (turned, after)]  # (M,) in the plane
    return Moved(
        turn=np.arctan2(rotation[:, 2, 1] - rotation[:, 1, 2], rotation[:, 1, 1] + rotation[:, 2, 2]),
        tilt=np.arccos(np.clip(rotation[:, 0, 0], -1, 1)),
        growth=np.log(np.maximum(size[1], 1e-9) / np.maximum(size[0], 1e-9)),
        left=np.sqrt(((after - turned) ** 2).sum(2).mean(1)),
    )


def summarise(moved: Moved, misfit_um: float) -> MotionRange:
    """Returns percentiles of the neighbourhoods that fit to within misfit_um."""
    fits = moved.left < misfit_um
    n = int(np.count_nonzero(fits))
    if n < FEWEST_NEIGHBOURHOODS:
        return FALLBACK
    turn, tilt, growth, left = (float(np.percentile(np.abs(values[fits]), PERCENTILE)) for values in moved)
    return MotionRange(float(np.rad2deg(turn)), float(np.rad2deg(tilt)), float(np.expm1(growth)), left, n)


def _confident(sighting: Sighting, points_um: Float) -> Matched:
    sure = (sighting.neuron >= 0) & (sighting.posterior > CONFIDENT)
    return Matched(sighting.neuron[sure], points_um[sure])


def _neighbourhoods(one: Matched, other: Matched) -> tuple[Float, Float]:
    """Returns every nucleus that both volumes show with its neighbours in the first, about their mean: (n, NEIGHBOURS + 1, 3) of either."""
    _, here, there = np.intersect1d(one.neuron, other.neuron, return_indices=True)
    if len(here) <= NEIGHBOURS:
        return np.zeros((0, NEIGHBOURS + 1, 3)), np.zeros((0, NEIGHBOURS + 1, 3))
    before, after = one.points[here], other.points[there]
    nearest = np.asarray(cKDTree(before).query(before, NEIGHBOURS + 1)[1])  # (n, NEIGHBOURS + 1) itself among them
    before, after = before[nearest], after[nearest]
    return before - before.mean(1, keepdims=True), after - after.mean(1, keepdims=True)
