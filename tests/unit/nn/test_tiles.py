"""How volumes are cut, and how far the network sees: tested on the cut itself, and by touching single voxels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from barlowtrack.nn.local import Span, whole_span
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import ResNet, StarConvexSpec, UNet
from barlowtrack.nn.tiles import least, tiles

RAYS = {"name": "Rays_GoldenSpiral", "kwargs": {"n": 8, "anisotropy": None}}
SMALL = StarConvexSpec(UNet(n_filter_base=2), RAYS, conv_after=4)
SPECS = {
    "unet": SMALL,
    "unet, grid 1 2 2": replace(SMALL, grid=(1, 2, 2)),
    "unet, grid 2 2 2, pool 1 2 4": replace(SMALL, backbone=UNet(n_filter_base=2, pool=(1, 2, 4)), grid=(2, 2, 2)),
    "unet, even kernel": replace(SMALL, backbone=UNet(n_filter_base=2, kernel_size=(2, 3, 4), n_conv_per_depth=1), grid=(1, 2, 4)),
    "unet, depth 0": replace(SMALL, backbone=UNet(n_filter_base=2, n_depth=0), grid=(1, 2, 2)),
    "resnet": replace(SMALL, backbone=ResNet(n_filter_base=2, n_blocks=2)),
    "resnet, grid 2 2 2": replace(SMALL, backbone=ResNet(n_filter_base=2, n_blocks=1), grid=(2, 2, 2)),
    "resnet, grid 1 2 4, even kernel": replace(
        SMALL, backbone=ResNet(n_filter_base=2, n_blocks=3, kernel_size=(2, 4, 3), batch_norm=True), grid=(1, 2, 4), conv_after=0
    ),
}


def positive(spec):
    """A network in which nothing is lost: more of any voxel is more of everything that sees it."""
    net = StarConvexNet(spec).eval().double()
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.fill_(0 if name.endswith("bias") else 1)
    return net


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_reach_is_what_the_network_sees(name, axis):
    """Both ends of an aligned core depend on the last voxel of the reach, and on none beyond."""
    net = positive(SPECS[name])
    before, behind = (side[axis] for side in net.reach())
    divisor, grid = net.spec.divisor[axis], net.spec.grid[axis]
    margin = -(-max(before, behind) // divisor) * divisor + divisor
    shape = list(net.spec.divisor)
    shape[axis] = 2 * margin + divisor
    core = slice(margin // grid, (margin + divisor) // grid)

    def said(voxel):
        x = torch.zeros(1, 1, *shape, dtype=torch.float64)
        if voxel is not None:
            x.select(2 + axis, voxel).fill_(1e6)
        with torch.no_grad():
            return net(x)[1].movedim(2 + axis, 0)[core]

    dark = said(None)
    assert not torch.equal(said(margin - before), dark)
    assert torch.equal(said(margin - before - 1), dark)
    assert not torch.equal(said(margin + divisor + behind - 1), dark)
    assert torch.equal(said(margin + divisor + behind), dark)


@pytest.mark.parametrize("most", [10**9, 30_000, 9_000, 4_608])
@pytest.mark.parametrize("box", [((0, 0, 0), (16, 60, 120)), ((4, 8, 32), (12, 60, 64))])
def test_cores_fill_the_box_once_and_windows_fit(most, box):
    shape, unit, around = (16, 60, 120), (4, 4, 8), ((4, 4, 8), (4, 8, 8))
    box = Span(*map(np.array, box))
    cut = tiles(box, shape, unit, around, most)
    count = np.zeros(shape, int)
    for core, window in cut:
        count[core.slices()] += 1
        assert np.prod(window.shape) <= most
        assert (core.low % unit == 0).all()
        np.testing.assert_array_equal(window.low, np.maximum(core.low - around[0], 0))
        np.testing.assert_array_equal(window.high, np.minimum(core.high + around[1], shape))
    assert (count[box.slices()] == 1).all()
    assert count.sum() == np.prod(box.shape)


def test_what_fits_is_one_tile_and_what_does_not_is_cut_along_the_longest_axis():
    shape, unit, around = (16, 60, 120), (4, 4, 8), ((4, 4, 8), (4, 4, 8))
    assert len(tiles(whole_span(shape), shape, unit, around, 16 * 60 * 120)) == 1
    cut = tiles(whole_span(shape), shape, unit, around, 16 * 60 * 120 - 1)
    assert [tile.core.shape for tile in cut] == [(16, 60, 56), (16, 60, 64)]


def test_the_finest_cut_is_the_least():
    shape, unit, around = (16, 60, 120), (4, 4, 8), ((4, 4, 8), (4, 4, 8))
    smallest = least(whole_span(shape), shape, unit, around)
    assert smallest == 12 * 12 * 24
    assert tiles(whole_span(shape), shape, unit, around, smallest)
    assert not tiles(whole_span(shape), shape, unit, around, smallest - 1)
