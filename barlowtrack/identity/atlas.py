"""The atlas: which neurons there are, and how their arrangement deforms, learned from the recording itself.

Lengths in units of the median neighbour distance.

Reference:
    Gower 1975 (generalised Procrustes analysis); Cootes et al. 1995 (point distribution models).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.large import nearby_mean
from barlowtrack.identity.lowrank import LARGE_ATLAS, believed, kernel_factor, modes_of_factors
from barlowtrack.identity.pairs import Pairs, is_large
from barlowtrack.identity.registration import Alignment, Shape, rigid_motion

Float = NDArray[np.floating[Any]]

KERNEL_WIDTH = 12.0
KERNEL_SOFTNESS = 10.0
STRETCH = 0.2
SHIFT = 1.0
N_MODES = 40
PRIOR_VOLUMES = 10.0
SMALLEST_MODE = 1e-3
RESIDUAL = 0.1
PRUNE_OCCUPANCY = 0.15
GROW_OCCUPANCY = 0.2
MERGE_DISTANCE = 0.7
MERGE_TOGETHER = 0.1
BALL = 0.5


@dataclass(frozen=True)
class Sighting:
    """What one volume says about the atlas.

    Attributes:
        alignment: The shape laid over it.
        neuron: (n,) neuron of each detection, or UNKNOWN.
        rows: (n,) where the detections stand in the recording.
    """

    alignment: Alignment
    neuron: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def posterior(self) -> Float:
        """(n,) posterior of the neuron of each detection; of the best neuron where it is unknown."""
        mass = self.alignment.posterior
        if isinstance(mass, Pairs):
            return mass.trust(self.neuron)
        known = self.neuron >= 0
        if len(mass) == 0:
            return np.zeros(len(self.neuron))
        return np.where(known, mass[np.maximum(self.neuron, 0), np.arange(len(self.neuron))], mass.max(0, initial=0))


def smooth_shape(mean: Float, occupancy: Float | None = None) -> Shape:
    """Returns a shape that bends smoothly and shears: all that is known before the recording has been looked at.

    Args:
        mean: (K, 3).
        occupancy: (K,); everybody alike where nothing is known.
    """
    everybody = np.full(len(mean), 0.5) if occupancy is None else occupancy
    if len(mean) > LARGE_ATLAS:
        return _thin_shape(mean, np.zeros((0, len(mean), 3)), 1.0, np.full(mean.shape, RESIDUAL), everybody)
    return _shape(mean, _smooth_covariance(mean), np.full(mean.shape, RESIDUAL), everybody)


def learn_shape(sightings: list[Sighting], n_neurons: int) -> Shape:
    """Learns mean, modes, residuals and occupancy from volumes laid into one frame.

    The covariance between neurons is the one seen, as far as so many volumes can tell (see lowrank.believed), shrunk towards smooth
    bending: with few volumes the shape stays a smooth warp, with many it knows how this animal moves.

    Args:
        sightings: One per volume; all of the same K neurons.
        n_neurons: K.
    """
    complete = np.stack([s.alignment.fitted for s in sightings])  # (T, K, 3)
    residual = np.zeros_like(complete)
    seen = np.zeros((len(sightings), n_neurons), bool)
    trust = np.zeros((len(sightings), n_neurons, 1))
    for i, s in enumerate(sightings):
        known = s.neuron >= 0
        who = s.neuron[known]
        residual[i, who] = s.alignment.points[known] - complete[i, who]
        seen[i, who] = True
        trust[i, who, 0] = s.posterior[known]
    # An unsure match moves the shape only as far as it is believed.
    complete = complete + trust * residual
    weight = trust + 1e-3
    mean = (complete * weight).sum(0) / weight.sum(0)
    for _ in range(3):
        complete = _into_frame(complete, mean)
        mean = (complete * weight).sum(0) / weight.sum(0)
    volumes = len(sightings)
    deviation = believed(complete - mean, mean) / np.sqrt(volumes + PRIOR_VOLUMES)  # (T, K, 3)
    smooth = PRIOR_VOLUMES / (volumes + PRIOR_VOLUMES)
    # Few volumes do not tell who is always there: until then everybody is there about as often.
    occupancy = (seen.sum(0) + PRIOR_VOLUMES * seen.mean()) / (volumes + PRIOR_VOLUMES)
    if n_neurons > LARGE_ATLAS:
        return _thin_shape(mean, deviation, smooth, _residual_variance(residual, trust[:, :, 0]), occupancy)
    flat = deviation.reshape(volumes, -1)  # (T, 3K)
    covariance = flat.T @ flat + smooth * _smooth_covariance(mean)
    return _shape(mean, covariance, _residual_variance(residual, trust[:, :, 0]), occupancy)


def revise(sightings: list[Sighting], shape: Shape) -> tuple[Float, NDArray[np.int64], NDArray[np.int64]]:
    """Prunes neurons that are hardly ever seen, merges doubles, adds neurons that were missed.

    Returns:
        (K', 3) mean positions of the revised atlas, (K',) which old neuron each was, -1 for a new one, and (K,) which new neuron
        each old one became, UNKNOWN if it was pruned.
    """
    seen = np.zeros((len(sightings), len(shape)), bool)
    for i, s in enumerate(sightings):
        seen[i, s.neuron[s.neuron >= 0]] = True
    common = seen.mean(0) >= PRUNE_OCCUPANCY
    stands_for = _doubles(shape.mean, seen, common)
    kept = np.flatnonzero(common & (stands_for == np.arange(len(shape))))
    became = np.full(len(shape), UNKNOWN)
    became[kept] = np.arange(len(kept))
    became = np.where(common, became[stands_for], UNKNOWN)
    new = _missed(sightings, shape, common)
    return np.concatenate([shape.mean[kept], new]), np.concatenate([kept, np.full(len(new), -1)]), became


def to_rest(alignment: Alignment, shape: Shape, points: Float) -> Float:
    """Undoes the deformation: where points (n, 3) of a volume, in the frame of the shape, lie in the shape at rest."""
    if is_large(len(shape), len(points)):
        return np.asarray(points - nearby_mean(points, alignment.fitted, alignment.fitted - shape.mean))
    distance = ((points[:, None] - alignment.fitted[None]) ** 2).sum(-1)  # (n, K)
    weight = np.exp(-0.5 * (distance - distance.min(1, keepdims=True)) / 1.5**2)
    moved = alignment.fitted - shape.mean  # (K, 3)
    return np.asarray(points - weight @ moved / weight.sum(1, keepdims=True))


def to_volume(alignment: Alignment, shape: Shape, rest: Float) -> Float:
    """Where points (n, 3) of the shape at rest lie in a volume, in the frame of the shape."""
    if is_large(len(shape), len(rest)):
        return np.asarray(rest + nearby_mean(rest, shape.mean, alignment.fitted - shape.mean))
    distance = ((rest[:, None] - shape.mean[None]) ** 2).sum(-1)  # (n, K)
    weight = np.exp(-0.5 * (distance - distance.min(1, keepdims=True)) / 1.5**2)
    return np.asarray(rest + weight @ (alignment.fitted - shape.mean) / weight.sum(1, keepdims=True))


def _shape(mean: Float, covariance: Float, residual: Float, occupancy: Float) -> Shape:
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-values)[:N_MODES]
    order = order[values[order] > SMALLEST_MODE]
    return Shape(mean, vectors[:, order].T.reshape(-1, len(mean), 3), values[order], residual, np.clip(occupancy, 0.05, 0.99))


def _thin_shape(mean: Float, deviation: Float, smooth: float, residual: Float, occupancy: Float) -> Shape:
    """Does what _shape does for the covariance of deviations (T, K, 3) and a share of smooth bending, which is never formed."""
    factor = np.sqrt(smooth) * np.concatenate([kernel_factor(mean, KERNEL_WIDTH) / np.sqrt(KERNEL_SOFTNESS), _affine(mean)], axis=1)
    values, modes = modes_of_factors(deviation, factor, N_MODES)
    kept = values > SMALLEST_MODE
    return Shape(mean, modes[kept], values[kept], residual, np.clip(occupancy, 0.05, 0.99))


def _smooth_covariance(mean: Float) -> Float:
    """Covariance (3K, 3K) of smooth bending plus shear, stretch and shift."""
    distance = ((mean[:, None] - mean[None]) ** 2).sum(-1)
    kernel = np.exp(-0.5 * distance / KERNEL_WIDTH**2) / KERNEL_SOFTNESS
    affine = _affine(mean)
    return np.kron(kernel + affine @ affine.T, np.eye(3))


def _affine(mean: Float) -> Float:
    """(K, 4) shear and stretch of each axis, and a shift."""
    return np.concatenate([STRETCH * (mean - mean.mean(0)), np.full((len(mean), 1), SHIFT)], axis=1)


def _into_frame(complete: Float, mean: Float) -> Float:
    """Turns and shifts each shape (T, K, 3) onto the mean (K, 3)."""
    middle, turn, aim = rigid_motion(complete, mean)
    return np.asarray((complete - middle) @ turn + aim)


def _residual_variance(residual: Float, trust: Float) -> Float:
    """Variance (K, 3) about the fitted shape, shrunk towards the median over neurons."""
    weight = trust[:, :, None]
    count = weight.sum(0)
    own = (weight * residual**2).sum(0) / np.maximum(count, 1e-9)
    known = count[:, 0] > 2
    typical = np.median(own[known], axis=0) if known.any() else np.full(3, RESIDUAL)
    return np.asarray(np.clip((own * count + 10 * typical) / (count + 10), 0.01, 1.0))


def _doubles(mean: Float, seen: NDArray[np.bool_], common: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(K,) the neuron that stands for each: another one where two lie together but are almost never both there, mostly itself."""
    stands_for = np.arange(len(mean))
    taken = ~common
    occupancy = seen.mean(0)
    for i, j in sorted(cKDTree(mean).query_pairs(MERGE_DISTANCE)):
        if taken[i] or taken[j]:
            continue
        together = (seen[:, i] & seen[:, j]).mean()
        if together < MERGE_TOGETHER * min(occupancy[i], occupancy[j]):
            more, less = (i, j) if occupancy[i] >= occupancy[j] else (j, i)
            stands_for[less] = more
            taken[[i, j]] = True
    return stands_for


def _missed(sightings: list[Sighting], shape: Shape, common: NDArray[np.bool_]) -> Float:
    """Centres (new, 3) of the densest balls of detections that nobody claims, at rest, met in enough volumes."""
    pools: list[Float] = [np.zeros((0, 3))]
    volumes = [np.zeros(0, int)]
    for i, s in enumerate(sightings):
        free = (s.neuron < 0) | ~common[np.maximum(s.neuron, 0)]
        pools.append(to_rest(s.alignment, shape, s.alignment.points[free]))
        volumes.append(np.full(int(free.sum()), i))
    pool, volume = np.concatenate(pools), np.concatenate(volumes)
    if len(pool) == 0:
        return pool
    neighbours = cKDTree(pool).query_ball_point(pool, BALL)
    alive = np.ones(len(pool), bool)
    counts = np.array([len(np.unique(volume[n])) for n in neighbours])
    centres: list[Float] = []
    need = max(GROW_OCCUPANCY * len(sightings), 2)
    for start in np.argsort(-counts, kind="stable"):
        inside = np.array([n for n in neighbours[start] if alive[n]])
        if counts[start] < need:
            break
        if alive[start] and len(np.unique(volume[inside])) >= need:
            centres.append(pool[inside].mean(0))
            alive[inside] = False
    return np.array(centres).reshape(-1, 3)


def carry_over(
    sightings: list[Sighting], shape: Shape, rest: Float, origin: NDArray[np.int64], became: NDArray[np.int64]
) -> list[Sighting]:
    """Rewrites sightings of one atlas as sightings of a revised one (see revise); new neurons are placed, not yet matched."""
    became = np.append(became, UNKNOWN)
    new = origin < 0
    revised = []
    for s in sightings:
        neuron = became[s.neuron]
        itself = (neuron >= 0) & (origin[neuron] == s.neuron)
        # Where both of two merged neurons were there, the one that stays is itself.
        neuron[~itself & np.isin(neuron, neuron[itself])] = UNKNOWN
        fitted = s.alignment.fitted[origin]
        if new.any():
            fitted[new] = to_volume(s.alignment, shape, rest[new])
        mass = s.alignment.posterior
        posterior = mass.renumbered(origin) if isinstance(mass, Pairs) else np.where(new[:, None], 0, mass[origin])
        revised.append(Sighting(replace(s.alignment, fitted=fitted, posterior=posterior), neuron, s.rows))
    return revised
