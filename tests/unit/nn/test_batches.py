"""Volumes through the network together, and what happens where memory does not hold them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from barlowtrack.errors import InputError
from barlowtrack.nn import batches
from barlowtrack.nn.batches import candidates_in_passes, volumes_at_once
from barlowtrack.nn.candidates import candidates, least_tile
from tests.unit.nn.test_candidates import SPECS, network

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def limited():
    """Makes a network that fits no more than so many voxels at once into its memory, and says what it was given."""
    hooks = []

    def limit(net, voxels):
        given = []

        def look(_, inputs):
            given.append((len(inputs[0]), inputs[0].numel()))
            if inputs[0].numel() > voxels:
                raise torch.OutOfMemoryError("CUDA out of memory")

        hooks.append(net.backbone.to_grid[0].register_forward_pre_hook(look))
        return given

    yield limit
    for hook in hooks:
        hook.remove()


def assert_same(found, net, images):
    assert len(found) == len(images)
    for one, image in zip(found, images, strict=True):
        alone = candidates(net, image, 0.5, border=0)
        assert len(alone.points) > 20
        np.testing.assert_array_equal(one.points, alone.points)
        np.testing.assert_allclose(one.prob, alone.prob, atol=1e-5)
        np.testing.assert_allclose(one.dist, alone.dist, atol=1e-5, rtol=1e-5)


def test_no_tile_is_smaller_than_the_network_can_do(limited, monkeypatch):
    monkeypatch.setattr(batches, "LEAST_TILE", 1)
    net, image = network(SPECS["unet, grid 1 2 2"]), np.random.default_rng(0).standard_normal((1, 4, 16, 96), np.float32)
    found = candidates_in_passes(net, image, 0.5, border=0, tile_voxels=1)
    assert_same(found, net, image)
    limited(net, 0)
    with pytest.raises(InputError, match="expected more free memory on the GPU"):
        candidates_in_passes(net, image, 0.5, border=0)
    smallest = least_tile(net, image.shape[1:], 0)
    assert smallest < image.size
    with pytest.raises(InputError, match=f"tile_voxels: expected at least {smallest} for this network"):
        candidates(net, image[0], 0.5, border=0, tile_voxels=smallest - 1)


@pytest.mark.parametrize(("fits", "passes"), [(5, [5]), (3, [5, 2, 3]), (2, [5, 2, 3, 1, 2]), (1, [5, 2, 1, 1, 3, 1, 2, 1, 1])])
def test_as_many_at_once_as_memory_holds(fits, passes, limited):
    net, shape = network(SPECS["unet, grid 1 2 2"]), (8, 32, 48)
    images = np.random.default_rng(0).standard_normal((5, *shape), np.float32)
    given = limited(net, fits * np.prod(shape))
    found = candidates_in_passes(net, images, 0.5, border=0)
    assert [n for n, _ in given] == passes
    given.clear()
    assert_same(found, net, images)


def test_one_volume_that_is_too_large_goes_through_in_tiles(limited, monkeypatch):
    monkeypatch.setattr(batches, "LEAST_TILE", 1000)
    net, shape = network(SPECS["unet, grid 1 2 2"]), (8, 64, 400)
    image = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    given = limited(net, 0.6 * image.size)
    found = candidates_in_passes(net, image, 0.5, border=0, tile_voxels=10**9)
    sizes = [voxels for _, voxels in given]
    assert sizes[0] == image.size
    assert len(sizes) > 2
    assert max(sizes[1:]) <= image.size // 2
    (tiled,), (whole,) = found, candidates_in_passes(network(net.spec), image, 0.5, border=0)
    np.testing.assert_array_equal(tiled.points, whole.points)
    np.testing.assert_allclose(tiled.dist, whole.dist, atol=1e-5, rtol=1e-5)


def test_where_nothing_fits_it_says_so_in_one_line(limited):
    net = network(SPECS["unet, grid 1 2 2"])
    limited(net, 0)
    with pytest.raises(InputError, match=r"expected more free memory on the GPU.*device") as error:
        candidates_in_passes(net, np.random.default_rng(0).standard_normal((3, 8, 32, 48), np.float32), 0.5, border=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("device", "volume", "tile", "most", "expected"),
    [(CPU, 10, 1000, 8, 1), (GPU, 10, 1000, 8, 8), (GPU, 10, 39, 8, 3), (GPU, 10, 9, 8, 1), (GPU, 10, 1000, 0, 1)],
)
def test_how_many_go_together(device, volume, tile, most, expected):
    assert volumes_at_once(device, volume, tile, most) == expected


def test_on_a_gpu_one_pass_is_made_at_a_time_and_repeats():
    inside, most = [], []

    def visit(_):
        with batches._turn(GPU):
            inside.append(1)
            most.append((len(inside), torch.are_deterministic_algorithms_enabled()))
            time.sleep(0.01)
            inside.pop()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(visit, range(6)))
    assert most == [(1, True)] * 6
    assert not torch.are_deterministic_algorithms_enabled()


def test_on_a_cpu_all_go_at_once():
    meeting = threading.Barrier(2, timeout=10)

    def visit(_):
        with batches._turn(CPU):
            meeting.wait()
            return torch.are_deterministic_algorithms_enabled()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(visit, range(2))) == [False, False]
