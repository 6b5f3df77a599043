"""Volumes on another voxel size: the same places, the same light, the same labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barlowtrack.nn.resample import resample, resample_labels, resampled_shape

FINE, MIDDLE, COARSE = (0.5, 0.25, 0.25), (1.5, 0.35, 0.4), (3.0, 0.9, 1.1)


def ramp(shape, size_um, slope=(2.0, -3.0, 5.0)):
    """Light that rises evenly along every axis, per um."""
    axes = (np.arange(n) * s * rise for n, s, rise in zip(shape, size_um, slope, strict=True))
    return sum(np.meshgrid(*axes, indexing="ij"))


def blob(centre_um, shape, size_um, sigma_um):
    axes = (np.arange(n) * s - c for n, s, c in zip(shape, size_um, centre_um, strict=True))
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.exp(-(z**2 + y**2 + x**2) / (2 * sigma_um**2))


def centre(volume, size_um):
    return np.array([(volume * place).sum() / volume.sum() for place in np.indices(volume.shape)]) * size_um


def slowly(volume, from_um, to_um):
    """The definition, voxel by voxel and axis by axis: a triangle as wide as the wider of both voxels."""
    for axis, (a, b) in enumerate(zip(from_um, to_um, strict=True)):
        lines = np.moveaxis(volume, axis, 0)
        out = []
        place = 0
        while place * b <= (lines.shape[0] - 0.5) * a:
            weight = np.array([max(0.0, 1 - abs(place * b - i * a) / max(a, b)) for i in range(lines.shape[0])])
            out.append(np.tensordot(weight / weight.sum(), lines, axes=1) if weight.sum() > 1e-9 else lines[-1])
            place += 1
        volume = np.moveaxis(np.array(out[: max(1, int((lines.shape[0] - 0.5) * a / b + 0.5))]), 0, axis)
    return volume


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_equal_sizes_change_no_bit(dtype):
    volume = np.random.default_rng(0).integers(0, 250, (5, 9, 7)).astype(dtype)
    same = resample(volume, MIDDLE, MIDDLE)
    assert same.dtype == np.float32
    np.testing.assert_array_equal(same, volume.astype(np.float32))
    np.testing.assert_array_equal(resample_labels(volume, MIDDLE, MIDDLE), volume)


@pytest.mark.parametrize(("from_um", "to_um"), [(MIDDLE, FINE), (FINE, MIDDLE), (MIDDLE, COARSE), (COARSE, FINE), (FINE, (0.25, 0.5, 0.3))])
def test_equals_a_slow_obvious_recomputation(from_um, to_um):
    volume = np.random.default_rng(1).normal(size=(8, 17, 14))
    np.testing.assert_allclose(resample(volume, from_um, to_um), slowly(volume, from_um, to_um), atol=1e-5)


@pytest.mark.parametrize("to_um", [FINE, (1.5, 0.1, 0.39), (0.31, 0.35, 0.4)])
def test_a_ramp_stays_a_ramp_on_smaller_voxels(to_um):
    volume = resample(ramp((9, 20, 18), MIDDLE), MIDDLE, to_um)
    z, y, x = (int((n - 1) * a / b) for n, a, b in zip((9, 20, 18), MIDDLE, to_um, strict=True))  # centres between those of voxels
    np.testing.assert_allclose(volume[: z + 1, : y + 1, : x + 1], ramp((z + 1, y + 1, x + 1), to_um), atol=1e-3)


@pytest.mark.parametrize("times", [(2, 3, 4), (1, 2, 1), (1.5, 2.5, 1.0)])
def test_a_ramp_stays_a_ramp_on_larger_voxels(times):
    to_um = tuple(t * s for t, s in zip(times, FINE, strict=True))
    volume = resample(ramp((20, 30, 40), FINE), FINE, to_um)
    inside = tuple(slice(1, -2) for _ in times)  # a triangle that reaches beyond the end is lopsided
    np.testing.assert_allclose(volume[inside], ramp(volume.shape, to_um)[inside], atol=1e-3)


@pytest.mark.parametrize("to_um", [FINE, COARSE, (1.2, 0.4, 0.4), (0.7, 0.7, 0.7)])
def test_a_blob_keeps_its_place(to_um):
    where, shape = (9.1, 6.3, 7.7), (14, 40, 40)
    volume = resample(blob(where, shape, MIDDLE, 1.6), MIDDLE, to_um)
    assert np.abs(centre(volume, to_um) - where).max() < 0.03
    brightest = np.array(np.unravel_index(volume.argmax(), volume.shape)) * to_um
    assert np.all(np.abs(brightest - where) <= 0.5 * np.maximum(to_um, MIDDLE) + 0.05)


def test_there_and_back_gives_a_smooth_volume_back():
    volume = blob((9.1, 6.3, 7.7), (14, 40, 40), MIDDLE, 2.0)
    fine = resample(volume, MIDDLE, (0.3, 0.1, 0.1))
    back = resample(fine, (0.3, 0.1, 0.1), MIDDLE)  # half a voxel shorter at the far ends
    assert np.abs(back - volume[tuple(slice(n) for n in back.shape)]).max() < 0.1  # smeared by the triangle,
    assert np.abs(centre(back, MIDDLE) - centre(volume, MIDDLE)).max() < 0.02  # moved nowhere


def test_larger_voxels_keep_the_light():
    volume = np.random.default_rng(2).random((24, 60, 66)) * blob((5.5, 7.0, 8.0), (24, 60, 66), FINE, 1.5)
    to_um = (1.5, 0.75, 1.0)
    seen = resample(volume, FINE, to_um)
    assert seen.sum() * np.prod(to_um) == pytest.approx(volume.sum() * np.prod(FINE), rel=0.01)


def test_larger_voxels_calm_noise():
    noise = np.random.default_rng(3).normal(size=(12, 80, 80))
    assert resample(noise, FINE, (0.5, 1.0, 1.0)).std() < 0.25 * noise.std()


@pytest.mark.parametrize("size", [0.05, 0.16, 0.35, 0.7, 1.1])
@pytest.mark.parametrize("n", [1, 2, 15, 22, 27, 56, 512])
def test_equal_sizes_take_no_voxel_away(n, size):
    assert resampled_shape((n, 1, 1), (size,) * 3, (size,) * 3) == (n, 1, 1)
    assert resampled_shape((2 * n, 1, 1), (size,) * 3, (2 * size,) * 3) == (n, 1, 1)
    assert resample_labels(np.zeros((n, 1, 1), int), (size,) * 3, (size,) * 3).shape == (n, 1, 1)


@given(st.integers(1, 30), st.floats(0.05, 5), st.floats(0.05, 5))
@settings(max_examples=200, deadline=None)
def test_shape_never_ends_early_nor_late(n, a, b):
    """As many centres as lie over the volume, which ends half a voxel beyond its last centre; half a new voxel is given or taken."""
    m, _, _ = resampled_shape((n, 1, 1), (a, 1, 1), (b, 1, 1))
    assert m >= 1
    assert (m - 1) * b <= (n - 0.5) * a + 1e-6
    assert (m - 0.5) * b >= (n - 1.0) * a - b - 1e-6
    volume = resample(np.full((n, 1, 1), 7.0), (a, 1, 1), (b, 1, 1))
    np.testing.assert_allclose(volume, np.full((m, 1, 1), 7.0), rtol=1e-5)


@pytest.mark.parametrize("to_um", [FINE, COARSE, (1.2, 0.4, 0.4)])
def test_a_label_is_that_of_the_nearest_voxel(to_um):
    labels = np.random.default_rng(4).integers(0, 500, (9, 14, 15))
    near = resample_labels(labels, MIDDLE, to_um)
    assert near.shape == resample(labels.astype(np.float32), MIDDLE, to_um).shape
    for place in np.random.default_rng(5).integers(0, near.shape, (100, 3)):
        distance = [np.abs(p * b - np.arange(n) * a) for p, n, a, b in zip(place, labels.shape, MIDDLE, to_um, strict=True)]
        candidates = [np.flatnonzero(d <= d.min() + 1e-9) for d in distance]
        assert near[tuple(place)] in labels[np.ix_(*candidates)]


def test_labels_lie_where_their_image_lies():
    labels = (blob((9.1, 6.3, 7.7), (14, 40, 40), MIDDLE, 1.6) > 0.1).astype(np.int32)
    for to_um in (FINE, (1.2, 0.4, 0.4), (0.7, 0.7, 0.7)):
        image, near = resample(labels.astype(np.float32), MIDDLE, to_um), resample_labels(labels, MIDDLE, to_um)
        assert np.abs(centre(image, to_um) - centre(near, to_um)).max() < 0.15
        assert near.sum() * np.prod(to_um) == pytest.approx(labels.sum() * np.prod(MIDDLE), rel=0.15)
