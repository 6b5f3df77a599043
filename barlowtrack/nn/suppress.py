"""StarDist's suppression of candidates, with the same answer in a fraction of the time.

StarDist goes through the candidates, the most probable first, and drops those that share too much of their volume with one it keeps. Before
it measures that on voxels it looks at bounds; most candidates fall because the part of both that all of their faces look at, which is
convex, is large enough, and to find that out costs half a millisecond each. Here that part is bounded from below by the polyhedron that the
rays span inside it, for hundreds of pairs in one go, and StarDist is asked about the rest: first about the most probable ones, then about
what those leave over.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from barlowtrack.data import FloatArray, IntArray
from barlowtrack.nn import geometry

_FIRST = 256
"""Candidates of the first round; every further round takes as many as all before together."""

_PAIRS = 512
"""Looked at in one go: their planes times rays fit into the cache."""

_CARE = 1.001  # rounding shall not decide


def survivors(points: IntArray, prob: FloatArray, dist: FloatArray, rays: Any, nms_thresh: float) -> IntArray:
    """Returns which candidates StarDist's non_maximum_suppression_3d_sparse keeps, in its order, the most probable first.

    Args:
        points: (K, 3) z y x in voxels.
        prob: (K,).
        dist: (K, R), positive, in voxels.
        rays: StarDist's, R of them.
        nms_thresh: Share of the smaller of two volumes.
    """
    listed = np.argsort(prob)[::-1]
    order = listed[np.argsort(prob[listed])[::-1]]  # StarDist sorts twice, and equals must come as they do there
    points, prob, dist = points[order], prob[order], np.ascontiguousarray(dist[order], np.float32)
    bound = _Bound(points, dist, np.asarray(rays.vertices, np.float32), np.asarray(rays.faces))
    kept, waiting, n = np.zeros(0, np.int64), np.arange(len(points)), _FIRST
    while len(waiting):
        now, waiting = waiting[:n], waiting[n:]
        asked = np.concatenate([kept, now])  # in order: what is kept was more probable
        survives = geometry.kept(dist[asked], points[asked], prob[asked], rays, nms_thresh)
        new = now[survives[len(kept) :]]
        waiting = waiting[~bound.dropped(new, waiting, nms_thresh)]
        kept, n = np.concatenate([kept, new]), 2 * n
    place = np.empty(len(listed), np.int64)
    place[listed] = np.arange(len(listed))
    return order[kept][np.argsort(place[order[kept]])]


class _Bound:
    """How much two polyhedra share at least."""

    def __init__(self, points: IntArray, dist: FloatArray, vertices: FloatArray, faces: IntArray) -> None:
        self.points, self.dist, self.vertices, self.faces = points, dist, vertices, faces
        self.unit = np.abs(np.linalg.det(vertices[faces].astype(np.float64))) / 6
        self.volume = self._volume(dist)
        self.scale = np.maximum((dist.max(axis=0)[:, None] * np.abs(vertices)).max(axis=0), 1e-3)

    def _volume(self, dist: FloatArray) -> NDArray[np.float64]:
        volume: NDArray[np.float64] = np.prod(dist[:, self.faces], axis=2, dtype=np.float64) @ self.unit
        return volume

    def dropped(self, keepers: IntArray, others: IntArray, nms_thresh: float) -> NDArray[np.bool_]:
        """Says which of the others share more than nms_thresh with any of the keepers for certain."""
        drop = np.zeros(len(others), bool)
        if not len(keepers) or not len(others):
            return drop
        near = cKDTree(self.points[others] / self.scale).query_ball_point(self.points[keepers] / self.scale, 1.0)
        a = np.repeat(keepers, [len(n) for n in near])
        at = np.concatenate([np.asarray(n, np.int64) for n in near])
        for start in range(0, len(a), _PAIRS):
            one, other = a[start : start + _PAIRS], at[start : start + _PAIRS]
            open_ = ~drop[other]
            one, other = one[open_], other[open_]
            two = others[other]
            shared = self._volume(_shared_at_least(self, one, two))
            drop[other[shared > _CARE * nms_thresh * np.minimum(self.volume[one], self.volume[two])]] = True
        return drop


def _planes(dist: FloatArray, vertices: FloatArray, faces: IntArray) -> tuple[FloatArray, FloatArray]:
    """Returns the planes of every polyhedron's faces: outward normals (K, F, 3), and their product with any point of the face (K, F)."""
    corner = dist[:, faces, None] * vertices[faces]  # (K, F, 3, 3)
    normal = np.cross(corner[:, :, 1] - corner[:, :, 0], corner[:, :, 2] - corner[:, :, 0])
    offset = (normal * corner[:, :, 0]).sum(axis=2)
    outward = np.where(offset < 0, np.float32(-1), np.float32(1))
    return normal * outward[..., None], offset * outward


def _shared_at_least(bound: _Bound, a: IntArray, b: IntArray) -> FloatArray:
    """Returns how far the planes of both let one go from the midpoint of two centres along every ray, (pairs, R); 0: it is outside."""
    half = (bound.points[b] - bound.points[a]).astype(np.float32) / 2
    steepest = np.full((len(a), len(bound.vertices)), 1e-6, np.float32)
    inside = np.ones(len(a), bool)
    for one, to in ((a, half), (b, -half)):
        normal, offset = _planes(bound.dist[one], bound.vertices, bound.faces)
        slack = offset - np.einsum("pfi,pi->pf", normal, to)  # (pairs, F)
        inside &= (slack > 0).all(axis=1)
        closing = (normal / np.maximum(slack, 1e-6)[..., None]) @ bound.vertices.T  # (pairs, F, R): share of the slack used up by one step
        np.maximum(steepest, closing.max(axis=1), out=steepest)
    return np.where(inside[:, None], 1 / steepest, 0)
