"""From maps to instances: as StarDist does it, and by what must hold without it."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from barlowtrack.errors import InputError
from barlowtrack.nn.instances import instances, normalise, predict
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, UNet

RAYS = {"name": "Rays_GoldenSpiral", "kwargs": {"n": 48, "anisotropy": None}}
SPEC = StarConvexSpec(UNet(n_filter_base=2), RAYS, grid=(1, 2, 2), conv_after=4)
SHAPE = (20, 40, 60)


def balls(centres, radii, shape=SHAPE, grid=SPEC.grid):
    """Maps that a perfect network would say of balls: prob falls from 0.9 at the centre, every ray is the distance to the surface."""
    voxel = np.stack(np.meshgrid(*(np.arange(0, s, g) for s, g in zip(shape, grid, strict=True)), indexing="ij"), -1)
    prob, dist = np.zeros(voxel.shape[:3], np.float32), np.zeros((*voxel.shape[:3], 48), np.float32)
    for centre, radius in zip(centres, radii, strict=True):
        offset = voxel - np.array(centre)
        away = np.linalg.norm(offset, axis=-1)
        inside = away < radius
        along = offset[inside] @ SPEC.ray_table.vertices.T
        dist[inside] = -along + np.sqrt(along**2 - away[inside, None] ** 2 + radius**2)
        prob[inside] = 0.9 - 0.5 * away[inside] / radius
    return prob, dist


@pytest.mark.parametrize("kind", ["unet", "resnet"])
def test_instances_are_those_of_stardist(kind, stardist_says):
    said = stardist_says(kind)
    prob, dist = predict(said.model.network(), said.volume)
    found = instances(prob, dist, said.model.spec, said.model.thresholds.prob, said.model.thresholds.nms, said.volume.shape)
    assert len(found.points) >= 10
    np.testing.assert_array_equal(found.labels, said.labels)


def test_balls_come_back():
    centres, radii = [(8, 12, 12), (10, 24, 40), (9, 12, 26)], [5, 6, 4]
    found = instances(*balls(centres, radii), SPEC, 0.5, 0.4, SHAPE)
    assert sorted(map(tuple, found.points.tolist())) == sorted(centres)
    for k, point in enumerate(found.points):
        voxels = np.argwhere(found.labels == k + 1)
        radius = radii[centres.index(tuple(point.tolist()))]
        assert np.abs(voxels.mean(0) - point).max() < 0.2
        assert len(voxels) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.2)  # a polyhedron lies inside its ball
    assert (np.diff(found.prob) <= 0).all()


def test_an_overlap_keeps_the_more_probable_one():
    prob, dist = balls([(10, 20, 20)], [6])
    twin = (10, 11, 10)  # grid voxel two voxels beside the centre
    prob[twin] = 0.95
    found = instances(prob, dist, SPEC, 0.5, 0.3, SHAPE)
    assert found.points.tolist() == [[10, 22, 20]]
    assert found.prob[0] == np.float32(0.95)


def test_labels_and_rows_agree_where_an_object_is_hidden():
    prob, dist = balls([(10, 20, 20)], [6])
    other, _ = balls([(10, 20, 44)], [5])
    prob[other > 0] = other[other > 0]
    dist[other > 0] = balls([(10, 20, 44)], [5])[1][other > 0]
    hidden = (10, 10, 11)  # inside the first ball, tiny, and allowed to overlap
    prob[hidden], dist[hidden] = 0.6, 0.4
    keep = (prob == prob[10, 10, 10]) | (prob == prob[10, 10, 22])
    keep[hidden] = True
    found = instances(np.where(keep, prob, 0), dist, SPEC, 0.5, 1.0, SHAPE)
    assert found.labels.max() == len(found.points) == len(found.prob)
    for k, point in enumerate(found.points):
        assert cdist([point], np.argwhere(found.labels == k + 1)).min() < 1


def test_nothing_found_is_an_empty_answer():
    found = instances(np.zeros((20, 20, 30), np.float32), np.ones((20, 20, 30, 48), np.float32), SPEC, 0.5, 0.4, SHAPE)
    assert found.labels.shape == SHAPE
    assert not found.labels.any()
    assert found.points.shape == (0, 3)
    assert len(found.prob) == 0


@pytest.mark.parametrize("border", [0, 2])
def test_the_border_holds_no_candidates(border):
    prob, dist = balls([(1, 20, 20)], [4])
    prob[2:] = 0
    assert len(instances(prob, dist, SPEC, 0.5, 0.4, SHAPE, border=border).points) == (1 if border == 0 else 0)


def test_mirrored_parts_hold_no_candidates():
    prob, dist = balls([(10, 20, 20), (10, 20, 50)], [6, 5])
    assert instances(prob, dist, SPEC, 0.5, 0.4, (20, 40, 40)).points.tolist() == [[10, 20, 20]]


@pytest.mark.parametrize("shape", [(20, 40, 61), (21, 40, 60)])
def test_maps_smaller_than_the_volume_are_refused(shape):
    with pytest.raises(InputError, match="maps of a volume"):
        instances(*balls([], []), SPEC, 0.5, 0.4, shape)


def test_maps_that_disagree_are_refused():
    prob, dist = balls([], [])
    with pytest.raises(InputError, match="48"):
        instances(prob, dist[..., :47], SPEC, 0.5, 0.4, SHAPE)
    with pytest.raises(InputError, match="maps"):
        instances(prob[0], dist, SPEC, 0.5, 0.4, SHAPE)


def test_normalise_puts_percentiles_at_0_and_1():
    volume = np.random.default_rng(0).gamma(2, 50, (10, 30, 40)).astype(np.uint16)
    scaled = normalise(volume)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(np.percentile(scaled, [1, 99.8]), [0, 1], atol=1e-5)
    np.testing.assert_allclose(normalise(volume.astype(np.float64) * 3 + 7), scaled, atol=1e-4)


@pytest.mark.parametrize("volume", [np.zeros((0, 4, 4)), np.full((2, 2, 2), np.nan), np.full((2, 2, 2), np.inf)])
def test_normalise_refuses_what_has_no_brightness(volume):
    with pytest.raises(InputError, match="volume"):
        normalise(volume)


def test_the_brightest_voxel_is_1_where_both_percentiles_are_the_same():
    volume = np.zeros((10, 30, 40), np.uint16)
    volume[5, 5, 5:8] = 100, 300, 200
    np.testing.assert_allclose(normalise(volume)[5, 5, 4:9], [0, 1 / 3, 1, 2 / 3, 0], atol=1e-6)


def test_a_dark_volume_stays_finite():
    assert np.isfinite(normalise(np.full((3, 4, 5), 100, np.uint16))).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 9, 17), (16, 16, 16)])
def test_any_size_of_volume_goes_through(shape):
    prob, dist = predict(StarConvexNet(SPEC).eval(), np.random.default_rng(0).random(shape, np.float32))
    covered = np.array(prob.shape) * SPEC.grid
    assert (covered >= shape).all()
    assert (covered % SPEC.divisor == 0).all()
    assert dist.shape == (*prob.shape, 48)


@pytest.mark.parametrize("volume", [np.zeros((4, 4)), np.zeros((4, 4, 4, 2)), np.zeros((0, 4, 4)), np.full((4, 4, 4), np.nan)])
def test_predict_refuses_other_volumes(volume):
    with pytest.raises(InputError, match="volume: expected"):
        predict(StarConvexNet(SPEC), volume.astype(np.float32))
