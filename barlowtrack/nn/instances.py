"""From a volume to nuclei by a star-convex network: normalise, predict, suppress, render, as StarDist does it on one whole volume."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from stardist.geometry import polyhedron_to_label
from stardist.nms import non_maximum_suppression_3d_sparse

from barlowtrack.data import FloatArray, IntArray, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, Triple

BORDER = 2
"""StarDist takes no candidate this close to the border of its maps."""

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
    channels = net.spec.n_channel_in
    x = volume[..., None] if volume.ndim == 3 and channels == 1 else volume
    if x.ndim != 4 or x.shape[-1] != channels or not x.size:
        raise InputError(f"volume: expected (Z, Y, X{', C' if channels > 1 else ''}) with {channels} channel(s), got shape {volume.shape}")
    if not np.isfinite(x).all():
        raise InputError("volume: expected finite voxels, got NaN or infinity")
    missing = [(0, -size % divisor) for size, divisor in zip(x.shape[:3], net.spec.divisor, strict=True)]
    x = np.pad(x, (*missing, (0, 0)), mode="reflect").transpose(3, 0, 1, 2)
    weight = next(net.parameters())
    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(x)).to(weight.device, weight.dtype)[None]  # (1, C, Z, Y, X)
        prob, dist = net(batch)  # (1, 1, Z', Y', X'), (1, R, Z', Y', X')
    return prob[0, 0].float().cpu().numpy(), dist[0].movedim(0, -1).float().cpu().numpy()


def instances(
    prob: NDArray[np.float32],
    dist: NDArray[np.float32],
    spec: StarConvexSpec,
    prob_thresh: float,
    nms_thresh: float,
    shape: Triple,
    *,
    border: int = BORDER,
) -> Instances:
    """Finds the objects in both maps.

    Args:
        prob: (Z', Y', X') on the grid.
        dist: (Z', Y', X', R), voxels of the volume.
        spec: Of the network that made them; its grid and rays are used.
        prob_thresh: Least probability of an object's centre.
        nms_thresh: Of two objects that share more than this of the smaller one, the less probable one goes.
        shape: Z, Y, X of the volume; maps may cover more, centres outside are dropped.
        border: Voxels of the grid at the ends of the maps without candidates.

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
    inside = tuple(slice(border, size - border) for size in prob.shape)
    offset = np.array([border] * 3)
    on_grid = np.argwhere(prob[inside] > prob_thresh) + offset
    on_grid = on_grid[np.all(on_grid * spec.grid < shape, axis=1)]
    z, y, x = on_grid.T
    distances = np.maximum(np.float32(_LEAST_DISTANCE), dist[z, y, x])  # (candidates, R)
    return _draw(on_grid * spec.grid, prob[z, y, x], distances, spec, nms_thresh, shape)


def _draw(points: IntArray, prob: FloatArray, dist: FloatArray, spec: StarConvexSpec, nms_thresh: float, shape: Triple) -> Instances:
    if not len(points):
        return Instances(np.zeros(shape, np.int32), np.zeros((0, 3), np.int64), np.zeros(0, np.float32))
    rays = spec.ray_table
    points, prob, dist, _ = non_maximum_suppression_3d_sparse(dist, prob, points, rays, nms_thresh=nms_thresh, verbose=False)
    drawn = polyhedron_to_label(dist, points, rays=rays, prob=prob, shape=shape, verbose=False)
    seen = np.bincount(drawn.ravel(), minlength=len(points) + 1) > 0
    seen[0] = False
    row = seen[1:]
    label = np.where(seen, np.cumsum(seen), 0).astype(np.int32)
    return Instances(label[drawn], points[row], prob[row])
