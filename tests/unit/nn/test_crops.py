import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from barlowtrack.nn.crops import crop_volume, larger_grid
from barlowtrack.nn.scale import background, scale_volume

VOXEL = (1.5, 0.5, 0.5)


def reference(volume: np.ndarray, position: np.ndarray, voxel: tuple, size: tuple, grid: tuple) -> np.ndarray:
    """Trilinear sampling with background 0 outside, one crop at a time."""
    padded = np.pad(volume, 1)
    axes = [np.arange(g) - (g - 1) / 2 for g in grid]
    crops = []
    for centre in position:
        points = [(c + a * s / g) / v + 1 for c, a, s, g, v in zip(centre, axes, size, grid, voxel, strict=True)]
        crops.append(map_coordinates(padded, np.meshgrid(*points, indexing="ij"), order=1, mode="constant", cval=0))
    return np.array(crops)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_equals_trilinear_sampling_where_the_grid_is_finer_than_the_voxels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    volume = rng.random((7, 20, 24)).astype(np.float32)
    position = rng.random((5, 3)) * (9, 9.5, 11.5)
    size, grid = (8.0, 4.0, 3.5), (6, 9, 8)
    got = crop_volume(torch.from_numpy(volume), torch.from_numpy(position), VOXEL, size, grid)
    np.testing.assert_allclose(got, reference(volume, position, VOXEL, size, grid), atol=1e-5)


def blob(shape: tuple[int, int, int], centre_um: np.ndarray) -> np.ndarray:
    z, y, x = (np.arange(n) * v - c for n, v, c in zip(shape, VOXEL, centre_um, strict=True))
    r2 = (z[:, None, None] / 2) ** 2 + y[:, None] ** 2 + x**2
    return np.exp(-r2 / 2).astype(np.float32)


@pytest.mark.parametrize("where", list(itertools.product([0.0, 0.5, 1.0], repeat=3)))
@pytest.mark.parametrize("grid", [(8, 32, 32), (7, 15, 15)])
def test_a_nucleus_at_every_edge_and_corner_stays_centred(where: tuple[float, float, float], grid: tuple[int, int, int]) -> None:
    shape = (9, 40, 48)
    last = (np.array(shape) - 1) * VOXEL
    centre = np.array(where) * last
    size = (12.0, 16.0, 16.0)
    crop = crop_volume(torch.from_numpy(blob(shape, centre)), torch.from_numpy(centre[None]), VOXEL, size, grid)[0].numpy()
    # half a blob is cut off at an edge: what remains must lie on the right side of the middle, the middle be the brightest
    for axis, (n, side) in enumerate(zip(grid, where, strict=True)):
        profile = np.moveaxis(crop, axis, 0)[:, *(g // 2 for i, g in enumerate(grid) if i != axis)]
        offset = np.arange(n) - (n - 1) / 2
        step = size[axis] / n
        inside = {0.0: offset * step >= 0, 0.5: np.full(n, True), 1.0: offset * step <= 0}[side]
        assert abs(offset[profile.argmax()]) <= 0.5
        assert np.all(profile[~inside & (np.abs(offset) * step > VOXEL[axis])] < 1e-6)
        mirrored = profile[::-1]
        if side == 0.5:
            np.testing.assert_allclose(profile, mirrored, atol=1e-4)


def test_edge_crops_are_the_middle_crop_cut_off() -> None:
    """Moving nucleus and volume border together, what is inside the volume must not change."""
    volume = blob((9, 41, 41), np.array([6.0, 10.0, 10.0]))
    whole = crop_volume(torch.from_numpy(volume), torch.tensor([[6.0, 10.0, 10.0]]), VOXEL, (6.0, 8.0, 8.0), (4, 16, 16))
    cut = crop_volume(torch.from_numpy(volume[:, 20:, :]), torch.tensor([[6.0, 0.0, 10.0]]), VOXEL, (6.0, 8.0, 8.0), (4, 16, 16))
    np.testing.assert_allclose(cut[:, :, 8:], whole[:, :, 8:], atol=1e-6)
    assert cut[:, :, :7].abs().max() == 0


def test_the_box_is_in_um_whatever_the_voxels() -> None:
    def smooth(voxel: float) -> torch.Tensor:
        n = round(24 / voxel) + 1
        axis = np.arange(n) * voxel
        wave = np.sin(axis / 3)
        return torch.from_numpy((wave[:, None, None] + 2 * wave[:, None] * wave).astype(np.float32))

    position = torch.tensor([[12.0, 11.0, 13.0]])
    coarse = crop_volume(smooth(0.5), position, (0.5,) * 3, (8.0,) * 3, (16, 16, 16))
    fine = crop_volume(smooth(0.25), position, (0.25,) * 3, (8.0,) * 3, (16, 16, 16))
    np.testing.assert_allclose(coarse, fine, atol=0.03)


def test_a_finer_recording_is_smoothed_not_aliased() -> None:
    checker = (np.indices((40, 40, 40)).sum(0) % 2).astype(np.float32)  # finest pattern possible; its mean is 0.5
    crop = crop_volume(torch.from_numpy(checker), torch.tensor([[4.0, 4.0, 4.0]]), (0.2,) * 3, (4.0,) * 3, (7, 7, 7))
    np.testing.assert_allclose(crop, 0.5, atol=0.05)


def test_rows_do_not_depend_on_each_other_nor_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    volume, position = torch.from_numpy(rng.random((8, 30, 30)).astype(np.float32)), torch.from_numpy(rng.random((9, 3)) * 10)
    whole = crop_volume(volume, position, VOXEL, (6.0, 6.0, 6.0), (4, 12, 12))
    monkeypatch.setattr("barlowtrack.nn.crops._GATHER_BYTES", 1)
    np.testing.assert_allclose(crop_volume(volume, position, VOXEL, (6.0, 6.0, 6.0), (4, 12, 12)), whole, atol=1e-6)
    assert crop_volume(volume, position[:0], VOXEL, (6.0, 6.0, 6.0), (4, 12, 12)).shape == (0, 4, 12, 12)


@given(st.tuples(*[st.integers(1, 64)] * 3), st.floats(1, 3))
def test_larger_grid_is_large_enough_and_shares_the_centre(grid: tuple[int, int, int], margin: float) -> None:
    for small, large in zip(grid, larger_grid(grid, margin), strict=True):
        assert small * margin - 1e-6 <= large < small * margin + 2
        assert (large - small) % 2 == 0


def test_the_window_of_a_larger_crop_is_the_crop() -> None:
    rng = np.random.default_rng(1)
    volume, position = torch.from_numpy(rng.random((10, 40, 40)).astype(np.float32)), torch.from_numpy(rng.random((4, 3)) * 14)
    small, size = (5, 8, 9), (6.0, 5.0, 5.0)
    large = larger_grid(small, 1.4)
    large_size = tuple(s * m / n for s, m, n in zip(size, large, small, strict=True))
    inner = [slice((m - n) // 2, (m - n) // 2 + n) for m, n in zip(large, small, strict=True)]
    whole = crop_volume(volume, position, VOXEL, large_size, large)  # type: ignore[arg-type]
    np.testing.assert_allclose(whole[:, *inner], crop_volume(volume, position, VOXEL, size, small), atol=1e-5)


def test_background_is_that_of_the_background() -> None:
    rng = np.random.default_rng(0)
    volume = rng.normal(100, 3, (16, 100, 100))
    volume[:, 20:60, 20:60] += 500
    assert background(volume) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("offset", [0, 90, 400])
@pytest.mark.parametrize("gain", [0.3, 1.0, 7.0])
def test_scaling_takes_out_offset_and_gain_and_leaves_relative_brightness(offset: float, gain: float) -> None:
    rng = np.random.default_rng(0)
    volume = rng.random((8, 40, 40))
    peaks = np.linspace(20, 200, 30)
    volume.reshape(-1)[7 : 7 + 30 * 41 : 41] = peaks
    plain = scale_volume(volume, peaks)
    changed = scale_volume((gain * volume + offset), gain * peaks + offset)
    np.testing.assert_allclose(changed, plain, atol=1e-4)
    at = plain.reshape(-1)[7 : 7 + 30 * 41 : 41]
    assert at[-1] / at[9] == pytest.approx((peaks[-1] - 0.5) / (peaks[9] - 0.5), rel=0.01)
    assert np.percentile(at, 90) == pytest.approx(1, abs=0.01)


def test_scaling_needs_neither_detections_nor_light() -> None:
    dark = scale_volume(np.full((4, 8, 8), 100, np.uint16), np.zeros(0, np.float32))
    assert dark.dtype == np.float32
    assert np.all(dark == 0)
    assert np.isfinite(scale_volume(np.full((4, 8, 8), 100, np.uint16), np.array([50.0]))).all()


def test_a_hot_pixel_is_clipped() -> None:
    volume = np.full((4, 8, 8), 100.0)
    volume[2, 2, 2] = 65535
    assert scale_volume(volume, np.array([200.0, 210.0])).max() == 4
