"""A 2-D model on volumes: outlines as StarDist finds them in every plane, and nuclei."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from barlowtrack.errors import InputError
from barlowtrack.nn import planes
from barlowtrack.nn.instances import instances, predict
from barlowtrack.nn.planes import find_in_planes, outlines
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, UNet
from barlowtrack.synthetic import preset, simulate

N_RAYS = 32
CIRCLE = {"name": "circle", "kwargs": {"n": N_RAYS}}
SPEC = StarConvexSpec(UNet(n_filter_base=2, kernel_size=(1, 3, 3), pool=(1, 2, 2)), CIRCLE, grid=(1, 2, 2), conv_after=4)
SHAPE = (5, 40, 60)
VOXEL_UM = (1.5, 0.35, 0.35)  # of the synthetic worm


def ellipses(centres, radii, shape=SHAPE):
    """Maps that a perfect network would say: prob falls from 0.9 at the centre, every ray ends at the rim."""
    y, x = np.meshgrid(*(np.arange(0, s, 2) for s in shape[1:]), indexing="ij")
    prob, dist = np.zeros((shape[0], *y.shape), np.float32), np.zeros((shape[0], *y.shape, N_RAYS), np.float32)
    for (z, cy, cx), (ry, rx) in zip(centres, radii, strict=True):
        angle = 2 * np.pi * np.arange(N_RAYS) / N_RAYS  # from x to y
        rays = np.stack([np.sin(angle), np.cos(angle)], axis=1) / (ry, rx)  # (R, 2) in a space where the ellipse is a circle of radius 1
        place = np.stack([(y - cy) / ry, (x - cx) / rx], axis=-1)
        inside = (place**2).sum(-1) < 1
        a, b, c = (rays**2).sum(-1), place[inside] @ rays.T, (place[inside] ** 2).sum(-1)[:, None] - 1
        dist[z][inside] = (-b + np.sqrt(b**2 - a * c)) / a
        prob[z][inside] = 0.9 - 0.5 * np.sqrt((place[inside] ** 2).sum(-1))
    return prob, dist


def number_from_one(labels):
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def test_outlines_are_those_of_stardist(stardist_says):
    said = stardist_says("planes")
    prob, dist = predict(said.model.network(), said.volume)
    found = outlines(prob, dist, said.model.spec, said.model.thresholds.prob, said.model.thresholds.nms, said.volume.shape)
    assert len(found.points) >= 50
    for ours, theirs in zip(found.labels, said.labels, strict=True):
        np.testing.assert_array_equal(number_from_one(ours), number_from_one(theirs))


def test_ellipses_come_back():
    centres, radii = [(0, 12, 12), (0, 12, 40), (2, 24, 30), (4, 20, 20)], [(5, 9), (8, 6), (10, 12), (6, 6)]
    found = outlines(*ellipses(centres, radii), SPEC, 0.5, 0.4, SHAPE)
    assert sorted(map(tuple, found.points.tolist())) == centres
    for k, point in enumerate(found.points):
        z, y, x = np.nonzero(found.labels == k + 1)
        ry, rx = radii[centres.index(tuple(point.tolist()))]
        assert set(z) == {point[0]}
        assert len(y) == pytest.approx(np.pi * ry * rx, rel=0.1)
        assert np.ptp(y) / 2 == pytest.approx(ry, abs=1)
        assert np.ptp(x) / 2 == pytest.approx(rx, abs=1)


def test_an_overlap_keeps_the_more_probable_one_of_the_plane_alone():
    prob, dist = ellipses([(1, 20, 20), (2, 20, 22)], [(8, 8), (8, 8)])
    prob[1, 10, 11] = 0.95
    found = outlines(prob, dist, SPEC, 0.5, 0.3, SHAPE)
    assert found.points.tolist() == [[1, 20, 22], [2, 20, 22]]
    assert found.prob[0] == np.float32(0.95)


def test_the_border_and_mirrored_parts_hold_no_candidates():
    prob, dist = ellipses([(1, 20, 20), (1, 20, 50)], [(6, 6), (6, 6)])
    assert outlines(prob, dist, SPEC, 0.5, 0.4, (5, 40, 40)).points.tolist() == [[1, 20, 20]]
    prob, dist = ellipses([(0, 2, 20), (4, 20, 20)], [(1, 1), (6, 6)])
    assert outlines(prob, dist, SPEC, 0.5, 0.4, SHAPE).points.tolist() == [[4, 20, 20]]  # of y and x, not of z
    assert len(outlines(prob, dist, SPEC, 0.5, 0.4, SHAPE, border=0).points) == 2


def test_empty_planes_hold_no_outlines():
    found = outlines(*ellipses([], []), SPEC, 0.5, 0.4, SHAPE)
    assert not found.labels.any()
    assert found.points.shape == (0, 3)
    assert len(found.prob) == 0


def hits(found, true, least_iou):
    table = np.zeros((found.max() + 1, true.max() + 1), np.int64)
    np.add.at(table, (found.ravel(), true.ravel()), 1)
    shared = table[1:, 1:]
    return int((shared > least_iou * (table.sum(1)[1:, None] + table.sum(0)[1:] - shared)).any(axis=0).sum())


def test_a_worms_nuclei_are_found(stardist_says):
    """The small model that StarDist trained for a minute on this worm's first volumes, on a later one."""
    said = stardist_says("planes")
    worm = simulate(preset("mid", n_volumes=13, volume_shape=(16, 72, 96), n_neurons=45), seed=1)
    true = number_from_one(np.asarray(worm.labels.read(12))[1:14, 3:64, 5:75])
    found = find_in_planes(
        said.model.network(),
        said.volume,
        said.model.thresholds.prob,
        said.model.thresholds.nms,
        voxel_size_um=VOXEL_UM,
        max_diameter_um=3.8,
    )
    n, n_true, n_hit = len(found.points), true.max(), hits(found.labels, true, 0.3)
    assert 2 * n_hit / (n + n_true) >= 0.8
    assert all(found.labels[tuple(point)] == k + 1 for k, point in enumerate(found.points))


def test_planes_at_once_change_nothing(stardist_says, monkeypatch):
    said = stardist_says("planes")

    def find(**options):
        return find_in_planes(
            said.model.network(), said.volume, said.model.thresholds.prob, 0.3, voxel_size_um=VOXEL_UM, max_diameter_um=3.8, **options
        )

    whole = find()
    monkeypatch.setattr(planes, "_PIXELS_AT_ONCE", 5 * said.volume[0].size)
    in_parts = find()
    np.testing.assert_array_equal(in_parts.labels, whole.labels)
    np.testing.assert_array_equal(in_parts.points, whole.points)
    assert len(find(min_planes=2).points) < len(whole.points)


def test_a_second_dark_channel_changes_nothing(stardist_says):
    said = stardist_says("planes")
    options = {"voxel_size_um": VOXEL_UM, "max_diameter_um": 3.8}
    one = find_in_planes(said.model.network(), said.volume, 0.6, 0.3, **options)
    net = StarConvexNet(replace(said.model.spec, n_channel_in=2))
    first = "backbone.to_grid.0.weight"
    seen = said.model.weights[first]
    net.load_state_dict({**said.model.weights, first: torch.cat([seen, torch.ones_like(seen)], dim=1)})
    two = find_in_planes(net.eval(), np.stack([said.volume, 0 * said.volume], axis=-1), 0.6, 0.3, **options)
    np.testing.assert_array_equal(two.labels, one.labels)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4, 2), (0, 4, 4), (4, 0, 4)])
def test_other_volumes_are_refused(shape):
    with pytest.raises(InputError, match="volume: expected"):
        find_in_planes(StarConvexNet(SPEC), np.zeros(shape, np.float32), 0.5, 0.4, voxel_size_um=VOXEL_UM, max_diameter_um=4)


def test_maps_that_do_not_fit_are_refused():
    prob, dist = ellipses([], [])
    for wrong in [(prob[:4], dist[:4]), (prob, dist[..., 1:]), (prob[0], dist[0]), (prob[:, :-1], dist[:, :-1])]:
        with pytest.raises(InputError, match="maps of a volume"):
            outlines(*wrong, SPEC, 0.5, 0.4, SHAPE)


def test_a_2d_model_makes_no_bodies():
    prob, dist = ellipses([(2, 20, 20)], [(8, 8)])
    with pytest.raises(InputError, match="3-D model"):
        instances(prob, dist, SPEC, 0.5, 0.4, SHAPE)


def test_a_3d_model_is_refused():
    spec = StarConvexSpec(UNet(n_filter_base=2), {"name": "Rays_GoldenSpiral", "kwargs": {"n": 8}}, conv_after=4)
    with pytest.raises(InputError, match="expected a 2-D model"):
        find_in_planes(StarConvexNet(spec), np.zeros((8, 8, 8), np.float32), 0.5, 0.4, voxel_size_um=VOXEL_UM, max_diameter_um=4)
