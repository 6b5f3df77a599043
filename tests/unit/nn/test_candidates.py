"""Candidates by tiles and blocks against the maps of the whole volume, computed layer by layer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from barlowtrack.errors import InputError
from barlowtrack.nn import blocks
from barlowtrack.nn.candidates import candidates, candidates_batch, padded, through
from barlowtrack.nn.instances import draw, instances, predict
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import ResNet, StarConvexSpec, UNet

RAYS = {"name": "Rays_GoldenSpiral", "kwargs": {"n": 8, "anisotropy": None}}
SMALL = StarConvexSpec(UNet(n_filter_base=4), RAYS, conv_after=16)
SPECS = {
    "unet": SMALL,
    "unet, grid 1 2 2": replace(SMALL, grid=(1, 2, 2), backbone=UNet(n_filter_base=4, n_depth=1, batch_norm=True)),
    "unet, grid 2 2 2": replace(SMALL, grid=(2, 2, 2), backbone=UNet(n_filter_base=4, pool=(1, 2, 2))),
    "unet, even kernel": replace(SMALL, backbone=UNet(n_filter_base=4, kernel_size=(2, 3, 4), n_conv_per_depth=1), grid=(1, 2, 4)),
    "unet, depth 0, 2 channels": replace(SMALL, backbone=UNet(n_filter_base=4, n_depth=0), n_channel_in=2),
    "resnet": replace(SMALL, backbone=ResNet(n_filter_base=4, n_blocks=2), conv_after=0),
    "resnet, grid 2 2 2": replace(SMALL, backbone=ResNet(n_filter_base=4, n_blocks=1, batch_norm=True), grid=(2, 2, 2)),
    "resnet, grid 1 2 4, even kernel": replace(SMALL, backbone=ResNet(n_filter_base=4, n_blocks=3, kernel_size=(2, 4, 3)), grid=(1, 2, 4)),
}
SHAPE = (13, 61, 203)  # no multiple of anything; z is shorter than what any of them sees


@pytest.fixture
def small_blocks(monkeypatch):
    """So that a small volume is many blocks."""
    monkeypatch.setattr(blocks, "CPU_BYTES", 50_000)


def network(spec, seed=0):
    """Random weights whose maps are neither flat nor saturated."""
    torch.manual_seed(seed)
    net = StarConvexNet(spec).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn_like(p) * 1.5 / p[0].numel() ** 0.5 if p.ndim > 1 else torch.rand_like(p))
        net.prob.weight -= net.prob.weight.mean()
    return net


def volume(spec, shape=SHAPE):
    channels = (spec.n_channel_in,) if spec.n_channel_in > 1 else ()
    return np.random.default_rng(1).standard_normal((*shape, *channels), np.float32)


def layer_by_layer(net, image):
    """The definition: every layer on the whole padded volume."""
    with torch.no_grad():
        prob, dist = net(torch.from_numpy(padded(net, image[None]).copy()))
    return prob[0, 0].numpy(), dist[0].movedim(0, -1).numpy()


def tiled(net, image, tile_voxels):
    x = padded(net, image[None])
    shape = tuple(s // g for s, g in zip(x.shape[2:], net.spec.grid, strict=True))
    prob, dist = np.full(shape, np.nan, np.float32), np.full((*shape, net.spec.n_rays), np.nan, np.float32)

    def keep(where, said, features):
        assert np.isnan(prob[where.slices()]).all()
        prob[where.slices()], dist[where.slices()] = said[0], net.dist(features)[0].movedim(0, -1)

    through(net, x, keep, tile_voxels, np.ones(shape, bool))
    return prob, dist


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", SPECS)
def test_tiles_say_what_the_whole_volume_says(name):
    net = network(SPECS[name])
    image = volume(net.spec)
    prob, dist = layer_by_layer(net, image)
    assert prob.std() > 1e-3
    for in_parts in (predict(net, image), tiled(net, image, 170_000)):
        np.testing.assert_allclose(in_parts[0], prob, atol=1e-5, rtol=0)
        np.testing.assert_allclose(in_parts[1], dist, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("tile_voxels", [10**9, 170_000])
def test_candidates_are_those_of_the_dense_maps(name, tile_voxels):
    net = network(SPECS[name])
    image = volume(net.spec)
    prob, dist = layer_by_layer(net, image)
    level = np.sort(prob.ravel())
    k = np.argmax(np.diff(level[int(0.9 * len(level)) : int(0.95 * len(level))])) + int(0.9 * len(level))
    threshold = float(level[k] + level[k + 1]) / 2  # between two values, so that rounding moves no candidate across
    found = candidates(net, image, threshold, tile_voxels=tile_voxels, border=(1, 2, 3))
    grid = np.array(net.spec.grid)
    expected = [v for v in np.argwhere(prob > threshold) if (v * grid < SHAPE).all() and (v >= (1, 2, 3)).all()]
    expected = np.array([v for v in expected if (v < np.array(prob.shape) - (1, 2, 3)).all()])
    assert len(expected) > 20
    np.testing.assert_array_equal(found.points, expected * grid)
    np.testing.assert_allclose(found.prob, prob[tuple(expected.T)], atol=1e-5)
    np.testing.assert_allclose(found.dist, dist[tuple(expected.T)], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["unet", "resnet"])
@pytest.mark.parametrize("tile_voxels", [10**9, 60_000])
def test_instances_are_those_of_stardist(kind, tile_voxels, stardist_says):
    said = stardist_says(kind)
    model, shape = said.model, said.volume.shape
    found = candidates(model.network(), said.volume, model.thresholds.prob, tile_voxels=tile_voxels)
    drawn = draw(found, model.spec, model.thresholds.nms, shape)
    np.testing.assert_array_equal(drawn.labels, said.labels)
    dense = instances(*predict(model.network(), said.volume), model.spec, model.thresholds.prob, model.thresholds.nms, shape)
    np.testing.assert_array_equal(drawn.points, dense.points)


def test_a_region_takes_its_candidates_alone_and_computes_less():
    net = network(SPECS["unet, grid 1 2 2"])
    image = volume(net.spec)
    region = np.zeros(SHAPE, bool)
    region[3:9, 30:50, 120:180] = True
    region[5, 10, 20] = True
    threshold = float(np.median(predict(net, image)[0]))
    everywhere = candidates(net, image, threshold)
    inside = region[tuple(everywhere.points.T)]
    assert 0 < inside.sum() < len(inside)
    for tile_voxels in (10**9, 100_000):
        found = candidates(net, image, threshold, region=region, tile_voxels=tile_voxels)
        np.testing.assert_array_equal(found.points, everywhere.points[inside])
        np.testing.assert_allclose(found.dist, everywhere.dist[inside], atol=1e-5)
    region[5, 10, 20] = False
    seen = []
    hook = net.backbone.to_grid[0].register_forward_hook(lambda _, given, __: seen.append(given[0].shape[4]))
    candidates(net, image, threshold, region=region)
    assert max(seen) < SHAPE[2]
    seen.clear()
    assert len(candidates(net, image, threshold, region=np.zeros(SHAPE, bool)).points) == 0
    assert not seen
    hook.remove()


@pytest.mark.parametrize("tile_voxels", [10**9, 3 * 100_000])
def test_a_batch_says_of_every_volume_what_it_alone_says(tile_voxels):
    net = network(SPECS["unet, grid 2 2 2"])
    images = np.random.default_rng(3).standard_normal((3, *SHAPE), np.float32)
    images[1] = images[1].mean()
    together = candidates_batch(net, images, 0.5, tile_voxels=tile_voxels)
    assert len(together[0].points) > 20
    for image, found in zip(images, together, strict=True):
        alone = candidates(net, image, 0.5)
        np.testing.assert_array_equal(found.points, alone.points)
        np.testing.assert_allclose(found.prob, alone.prob, atol=1e-5)
        np.testing.assert_allclose(found.dist, alone.dist, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("border", [2, (0, 2, 2)])
def test_a_single_plane_goes_through(border):
    """StarDist's border leaves a single plane no candidates; without it there are some."""
    net = network(replace(SMALL, backbone=UNet(n_filter_base=4, pool=(1, 2, 2))))
    found = candidates(net, volume(net.spec, (1, 40, 50)), 0.0, border=border)
    assert len(found.points) == (0 if border == 2 else (40 - 4) * (50 - 2))  # x is mirrored up to 52, and the border counts from there
    drawn = draw(found._replace(dist=np.full_like(found.dist, 3)), net.spec, 0.3, (1, 40, 50))
    assert drawn.labels.shape == (1, 40, 50)
    assert (len(drawn.points) > 3) == (border != 2)


def test_nothing_found_keeps_its_shapes():
    found = candidates(network(SMALL), volume(SMALL), 1.0)
    assert [a.shape for a in found] == [(0, 3), (0,), (0, 8)]
    assert draw(found, SMALL, 0.4, SHAPE).points.shape == (0, 3)


@pytest.mark.parametrize(
    ("image", "options", "said"),
    [
        (np.zeros((4, 4)), {}, "volume: expected .* got shape"),
        (np.zeros((0, 4, 4)), {}, "volume: expected .* got shape"),
        (np.full((4, 4, 4), np.nan), {}, "finite"),
        (np.zeros((4, 8, 8)), {"region": np.ones((4, 8, 9), bool)}, r"region: expected the volume's shape \(4, 8, 8\)"),
        (np.zeros((8, 64, 256)), {"tile_voxels": 100}, "tile_voxels: expected at least"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(image, options, said):
    with pytest.raises(InputError, match=said) as error:
        candidates(network(SMALL), image.astype(np.float32), 0.5, **options)
    assert "\n" not in str(error.value)
