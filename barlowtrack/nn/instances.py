"""From a volume to nuclei by a star-convex network: normalise, predict, suppress, render, as StarDist does it on one whole volume."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from barlowtrack.data import FloatArray, IntArray, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.nn import geometry
from barlowtrack.nn.candidates import BORDER, Candidates, may_hold, on_grid, padded, through
from barlowtrack.nn.local import Span, triple
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, Triple
from barlowtrack.nn.suppress import survivors

_LEAST_DISTANCE = 1e-3  # of a surface from its centre in voxels; the geometry wants it positive


class Instances(NamedTuple):
    """K objects of a volume; row k is label k + 1.

    Attributes:
        labels: (Z, Y, X) int32, 0 is background.
        points: (K, 3) centres the rays start from, z y x in voxels; the most probable object first.
        prob: (K,) in (0, 1].
    """

    labels: IntArray
    points: IntArray
    prob: FloatArray


def normalise(volume: VoxelArray, low: float = 1.0, high: float = 99.8) -> NDArray[np.float32]:
    """Scales brightness so that two percentiles become 0 and 1, as StarDist's users do before predicting; nothing is clipped.

    Where both are the same, as in a large volume of few nuclei on nothing, the brightest voxel becomes 1: StarDist's quotient would be
    astronomic there, and so would be what the network says.

    Args:
        volume: Any shape and unit.
        low: Percentile that becomes 0.
        high: Percentile that becomes 1.

    Raises:
        InputError: an empty volume, or voxels that are not finite.
    """
    if not volume.size:
        raise InputError(f"volume: expected voxels, got shape {volume.shape}")
    if not np.isfinite(volume).all():
        raise InputError("volume: expected finite voxels, got NaN or infinity")
    floor, ceiling = np.percentile(volume, [low, high]).astype(np.float32)
    if ceiling <= floor:
        ceiling = np.float32(volume.max())
    return np.asarray((volume.astype(np.float32) - floor) / (ceiling - floor + np.float32(1e-20)))


def predict(net: StarConvexNet, volume: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Runs the network on one whole volume.

    The volume is mirrored at its far ends up to a multiple of spec.divisor. The maps cover the mirrored part too: instances() wants it
    so, because StarDist counts its border from there.

    Args:
        net: In evaluation mode.
        volume: (Z, Y, X), or (Z, Y, X, C) of a network with C channels; normalised.

    Returns:
        Probability (Z', Y', X') and distances (Z', Y', X', R), in voxels, on the grid.

    Raises:
        InputError: other axes, no voxels, or voxels that are not finite.
    """
    x = padded(net, volume[None])
    size = on_grid(x, net.spec)
    prob, dist = np.empty(size, np.float32), np.empty((*size, net.spec.n_rays), np.float32)

    def keep(where: Span, said: Tensor, features: Tensor) -> None:
        prob[where.slices()] = said[0].float().cpu().numpy()
        dist[where.slices()] = net.dist(features)[0].movedim(0, -1).float().cpu().numpy()

    through(net, x, keep, x.size, np.ones(size, bool))
    return prob, dist


def instances(
    prob: NDArray[np.float32],
    dist: NDArray[np.float32],
    spec: StarConvexSpec,
    prob_thresh: float,
    nms_thresh: float,
    shape: Triple,
    *,
    border: int | Triple = BORDER,
) -> Instances:
    """Finds the objects in both maps.

    Args:
        prob: (Z', Y', X') on the grid.
        dist: (Z', Y', X', R), voxels of the volume.
        spec: Of the network that made them; its grid and rays are used.
        prob_thresh: Least probability of an object's centre.
        nms_thresh: Of two objects that share more than this of the smaller one, the less probable one goes.
        shape: Z, Y, X of the volume; maps may cover more, centres outside are dropped.
        border: Voxels of the grid at the ends of the maps without candidates, of all axes or z y x.

    Returns:
        Labels as StarDist draws them, and centre and probability of every label. An object that others hide wholly has none.

    Raises:
        InputError: maps that do not fit each other, the rays or the volume.
    """
    covered = tuple(p * g for p, g in zip(prob.shape, spec.grid, strict=True)) if prob.ndim == 3 else ()
    if dist.shape != (*prob.shape, spec.n_rays) or not covered or any(c < s for c, s in zip(covered, shape, strict=True)):
        raise InputError(
            f"maps of a volume {shape}: expected prob (Z', Y', X') and dist (Z', Y', X', {spec.n_rays}) on the grid {spec.grid},"
            f" got {prob.shape} and {dist.shape}"
        )
    points = np.argwhere((prob > prob_thresh) & may_hold(triple(np.array(prob.shape)), shape, spec.grid, border))
    z, y, x = points.T
    return draw(Candidates(points * np.array(spec.grid), prob[z, y, x], dist[z, y, x]), spec, nms_thresh, shape)


def suppress(candidates: Candidates, spec: StarConvexSpec, nms_thresh: float) -> Candidates:
    """Leaves out candidates that a more probable one explains; StarDist's C++, without a network.

    It uses as many threads as torch has, and leaves the interpreter to others meanwhile.

    Args:
        candidates: From candidates(), or out of both maps.
        spec: Of the network that made them; its rays are used.
        nms_thresh: Of two objects that share more than this of the smaller one, the less probable one goes.

    Returns:
        The objects, the most probable first; all distances are positive.
    """
    points, prob, dist = candidates
    if not len(points):
        return candidates
    dist = np.maximum(np.float32(_LEAST_DISTANCE), dist)
    kept = survivors(points, prob, dist, spec.ray_table, nms_thresh)
    return Candidates(points[kept], prob[kept], dist[kept])


def draw(candidates: Candidates, spec: StarConvexSpec, nms_thresh: float, shape: Triple) -> Instances:
    """Suppresses candidates that others explain, and draws the rest into a volume.

    Args:
        candidates: See suppress.
        spec: Likewise.
        nms_thresh: Likewise.
        shape: Z, Y, X of the volume.
    """
    points, prob, dist = suppress(candidates, spec, nms_thresh)
    if not len(points):
        return Instances(np.zeros(shape, np.int32), points, prob)
    drawn = geometry.drawn(dist, points, prob, spec.ray_table, shape)
    seen = np.bincount(drawn.ravel(), minlength=len(points) + 1) > 0
    seen[0] = False
    row = seen[1:]
    label = np.where(seen, np.cumsum(seen), 0).astype(np.int32)
    return Instances(label[drawn], points[row], prob[row])
