"""Suppression against StarDist's own, over crowds of candidates whose fate is decided by every kind of bound."""

import numpy as np
import pytest
from stardist import rays3d
from stardist.nms import non_maximum_suppression_3d_sparse

from barlowtrack.nn import suppress as suppression
from barlowtrack.nn.suppress import _Bound, survivors

RAYS = {"round": rays3d.Rays_GoldenSpiral(32), "flat": rays3d.Rays_GoldenSpiral(24, anisotropy=(3, 1, 1))}


@pytest.fixture(autouse=True)
def small_rounds(monkeypatch):
    """So that a small crowd takes several."""
    monkeypatch.setattr(suppression, "_FIRST", 16)


def crowd(rays, seed, n=200, roughness=0.15, ties=False):
    """Candidates about 12 centres, as a network gives them: most of one object agree, some do not, surfaces are rough."""
    rng = np.random.default_rng(seed)
    centre, radius = rng.uniform(10, 40, (12, 3)), rng.uniform(3, 6, 12)
    which = rng.integers(12, size=n)
    points = np.round(centre[which] + rng.normal(0, 1.5, (n, 3))).astype(np.int64)
    dist = radius[which, None] * rng.lognormal(0, roughness, (n, len(rays)))
    prob = rng.uniform(0.5, 1, n)
    return points, (np.round(prob, 2) if ties else prob).astype(np.float32), np.maximum(dist, 1e-3).astype(np.float32)


@pytest.mark.parametrize("rays", RAYS.values(), ids=RAYS)
@pytest.mark.parametrize("roughness", [0.02, 0.3])
@pytest.mark.parametrize("nms_thresh", [0.1, 0.3, 0.7])
def test_what_is_kept_is_what_stardist_keeps(rays, roughness, nms_thresh):
    points, prob, dist = crowd(rays, seed=1, roughness=roughness)
    *_, expected = non_maximum_suppression_3d_sparse(dist, prob, points, rays, nms_thresh=nms_thresh, verbose=False)
    assert 5 < len(expected) < len(points)
    np.testing.assert_array_equal(survivors(points, prob, dist, rays, nms_thresh), expected)


def test_equals_are_taken_in_stardists_order():
    points, prob, dist = crowd(RAYS["round"], seed=2, ties=True)
    *_, expected = non_maximum_suppression_3d_sparse(dist, prob, points, RAYS["round"], nms_thresh=0.3, verbose=False)
    np.testing.assert_array_equal(survivors(points, prob, dist, RAYS["round"], 0.3), expected)


def test_most_are_dropped_without_asking_stardist():
    """Otherwise the bound is of no use: all that agree with a keeper to a few percent fall by it."""
    rays = RAYS["round"]
    points, _, dist = crowd(rays, seed=3, n=400, roughness=0.02)
    points[:] = points[0]
    dist[:] = 5 * np.random.default_rng(0).lognormal(0, 0.02, dist.shape)
    bound = _Bound(points, dist, np.asarray(rays.vertices, np.float32), np.asarray(rays.faces))
    assert bound.dropped(np.array([0]), np.arange(1, 400), 0.4).all()


@pytest.mark.parametrize("n", [1, 2])
def test_few_candidates(n):
    points, prob, dist = crowd(RAYS["round"], seed=4, n=n)
    points[:, 0] = np.arange(n) * 40
    assert sorted(survivors(points, prob, dist, RAYS["round"], 0.3)) == list(range(n))
