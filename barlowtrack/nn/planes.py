"""Nuclei of a volume by a 2-D star-convex network: outlines plane by plane, as StarDist finds them, then joined along z."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from stardist.geometry import polygons_to_label
from stardist.nms import non_maximum_suppression_sparse

from barlowtrack.errors import InputError
from barlowtrack.nn.candidates import BORDER
from barlowtrack.nn.instances import Instances, predict
from barlowtrack.nn.stacks import join_planes
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, Triple

_LEAST_DISTANCE = 1e-3  # of an outline from its centre in pixels, as StarDist has it
_PIXELS_AT_ONCE = 2**18  # of planes that go through the network together; bounds what it holds


def find_in_planes(
    net: StarConvexNet,
    volume: NDArray[np.float32],
    prob_thresh: float,
    nms_thresh: float,
    *,
    voxel_size_um: tuple[float, float, float],
    max_diameter_um: float,
    min_planes: int = 1,
) -> Instances:
    """Finds the nuclei of a volume with a 2-D model.

    Args:
        net: Of a 2-D spec, in evaluation mode.
        volume: (Z, Y, X), or (Z, Y, X, C) of a network with C channels; normalised as a whole, not plane by plane, so that an empty
            plane stays dark.
        prob_thresh: Least probability of an outline's centre.
        nms_thresh: Of two outlines in a plane that share more than this of the smaller one, the less probable one goes.
        voxel_size_um: Z, y, x.
        max_diameter_um: Of the largest nucleus, along z, as it looks; longer stacks of outlines are cut where they have a waist.
        min_planes: Nuclei found in fewer planes are left out; 1 keeps all.

    Returns:
        As instances() of a 3-D model returns them; see join_planes().

    Raises:
        InputError: a 3-D network, a volume that does not fit it, or sizes that cannot be.

    Reference:
        Schmidt et al. 2018, "Cell Detection with Star-convex Polygons".
    """
    shape = volume.shape[:3]
    at_once = max(1, _PIXELS_AT_ONCE // max(1, int(np.prod(shape[1:]))))
    parts, n = [], 0
    for z in range(0, max(1, shape[0]), at_once):
        block = volume[z : z + at_once]
        found = outlines(*predict(net, block), net.spec, prob_thresh, nms_thresh, block.shape[:3])
        parts.append(Instances(np.where(found.labels > 0, found.labels + np.int32(n), 0), found.points + np.array([z, 0, 0]), found.prob))
        n += len(found.points)
    planes = Instances(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    light = volume if volume.ndim == 3 else volume.mean(axis=-1)
    return join_planes(planes, light, voxel_size_um=voxel_size_um, max_diameter_um=max_diameter_um, min_planes=min_planes)


def outlines(
    prob: NDArray[np.float32],
    dist: NDArray[np.float32],
    spec: StarConvexSpec,
    prob_thresh: float,
    nms_thresh: float,
    shape: Triple,
    *,
    border: int = BORDER,
) -> Instances:
    """Finds the outlines in every plane of both maps.

    Args:
        prob: (Z, Y', X') on the grid.
        dist: (Z, Y', X', R), pixels of the volume.
        spec: Of the 2-D network that made them.
        prob_thresh: Least probability of an outline's centre.
        nms_thresh: Of two outlines in a plane that share more than this of the smaller one, the less probable one goes.
        shape: Z, Y, X of the volume; maps may cover more of y and x, centres outside are dropped.
        border: Pixels of the grid at the ends of a plane without candidates.

    Returns:
        Each label lies in one plane; planes in order, in each the most probable first. Drawn as StarDist draws them; an outline that
        others hide wholly has no label.

    Raises:
        InputError: a 3-D spec, or maps that do not fit each other, the rays or the volume.
    """
    if spec.n_dim != 2:
        raise InputError("star-convex network: expected a 2-D model for single planes, got a 3-D model")
    fits = prob.ndim == 3 and dist.shape == (*prob.shape, spec.n_rays) and prob.shape[0] == shape[0]
    if not fits or any(p * g < s for p, g, s in zip(prob.shape[1:], spec.grid[1:], shape[1:], strict=True)):
        raise InputError(
            f"maps of a volume {shape}: expected prob ({shape[0]}, Y', X') and dist ({shape[0]}, Y', X', {spec.n_rays}) on the grid"
            f" {spec.grid}, got {prob.shape} and {dist.shape}"
        )
    labels = np.zeros(shape, np.int32)
    points: list[NDArray[np.int64]] = [np.zeros((0, 3), np.int64)]
    probs: list[NDArray[np.float32]] = [np.zeros(0, np.float32)]
    n = 0
    for z, (said, reach) in enumerate(zip(prob, dist, strict=True)):
        inside = tuple(slice(border, size - border) for size in said.shape)
        on_grid = np.argwhere(said[inside] > prob_thresh) + border
        on_grid = on_grid[np.all(on_grid * spec.grid[1:] < shape[1:], axis=1)]
        if not len(on_grid):
            continue
        y, x = on_grid.T
        distances = np.maximum(np.float32(_LEAST_DISTANCE), reach[y, x])  # (candidates, R)
        place, sure, distances, _ = non_maximum_suppression_sparse(distances, said[y, x], on_grid * spec.grid[1:], nms_thresh=nms_thresh)
        drawn = polygons_to_label(distances, place, prob=sure, shape=shape[1:])
        seen = np.bincount(drawn.ravel(), minlength=len(place) + 1) > 0
        seen[0] = False
        labels[z] = np.where(seen, n + np.cumsum(seen), 0)[drawn]
        row = seen[1:]
        points.append(np.insert(place[row], 0, z, axis=1))
        probs.append(sure[row])
        n += int(row.sum())
    return Instances(labels, np.concatenate(points), np.concatenate(probs))
