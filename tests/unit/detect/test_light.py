"""The light of nuclei and places: equal to a slow, obvious reading, one body at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from barlowtrack.config import MeasureConfig
from barlowtrack.data.light import READINGS
from barlowtrack.detect import bodies
from barlowtrack.detect import light as module
from barlowtrack.detect.light import Volume, nuclei_light, places_light

SIZE_UM = (1.5, 0.4, 0.5)
SHAPE = (7, 24, 22)
NAMES = ("mean", "soft", "brightest", "background", "shell", "shell_spread", "voxels", "crowding", "edge", "saturated")


def scene(seed: int, n: int = 6, end: float = 240.0) -> Volume:
    """Balls that may touch each other and the border; their labels have gaps."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(k) * s for k, s in zip(SHAPE, SIZE_UM, strict=True)], indexing="ij"), -1)
    labels = np.zeros(SHAPE, np.int32)
    for i in range(n):
        centre = rng.uniform(0, 1, 3) * np.array(SHAPE) * SIZE_UM
        labels[np.linalg.norm(grid - centre, axis=-1) < rng.uniform(0.8, 2.4)] = 2 * i + 1
    channels = rng.poisson(40, (2, *SHAPE)).astype(np.uint16) + (labels > 0) * rng.integers(0, 210, (2, *SHAPE)).astype(np.uint16)
    return Volume(channels, labels, SIZE_UM, np.full(2, end))


def darker_half(values: np.ndarray) -> float:
    """Mean distance of what lies below the median, in which what lies at it counts half, for a normal distribution its spread."""
    off = np.median(values) - values.astype(float)
    below, at = off[off > 0], (off == 0).sum()
    return float(np.sqrt(np.pi / 2) * below.sum() / (len(below) + at / 2))


def slowly(volume: Volume, body: np.ndarray, read: np.ndarray, config: MeasureConfig) -> dict[str, object]:
    """Reads one body with a distance transform of the whole volume."""
    far = ndimage.distance_transform_edt(~body, sampling=SIZE_UM)
    shell = (far <= config.shell_um) & ~body
    free = shell & (volume.labels == 0)
    rim = np.where(body, 1, 0)
    depth = ndimage.distance_transform_edt(rim, sampling=SIZE_UM) if (rim == 0).any() else np.ones(SHAPE)
    weight = (depth / depth.max())[read]
    where = free if free.sum() >= module.FEWEST_SHELL_VOXELS else volume.labels == 0
    values = volume.channels[:, read].astype(float)
    places = np.argwhere(body)
    return {
        "mean": values.mean(1),
        "soft": (values * weight).sum(1) / weight.sum(),
        "brightest": np.sort(values, axis=1)[:, -config.brightest_voxels :].mean(1),
        "background": np.percentile(volume.channels[:, where], config.background_percentile, axis=1),
        "shell": np.median(volume.channels[:, where], axis=1),
        "shell_spread": [darker_half(channel[where]) for channel in volume.channels],
        "voxels": read.sum(),
        "crowding": (shell & (volume.labels > 0)).sum() / shell.sum() if shell.any() else np.nan,
        "edge": bool((places == 0).any() or (places == np.array(SHAPE) - 1).any()),
        "saturated": (values >= volume.saturated_at[:, None]).any(0).mean(),
    }


@pytest.mark.parametrize("shell_um", [0.1, 1.3, 4.0, 20.0])
@pytest.mark.parametrize("seed", range(4))
def test_nuclei_are_read_as_one_by_one(seed: int, shell_um: float) -> None:
    volume, config = scene(seed), MeasureConfig(shell_um=shell_um, brightest_voxels=7, background_percentile=33)
    labels = np.unique(volume.labels)[1:]
    found = nuclei_light(volume, labels, config)
    for i, label in enumerate(labels):
        body = volume.labels == label
        for name, expected in slowly(volume, body, body, config).items():
            np.testing.assert_allclose(
                np.asarray(getattr(found, name), float)[..., i], np.asarray(expected, float), rtol=1e-5, err_msg=name
            )


@pytest.mark.parametrize("seed", range(3))
def test_places_are_read_without_the_voxels_of_nuclei(seed: int) -> None:
    volume, config = scene(seed, n=4), MeasureConfig(shell_um=1.5, brightest_voxels=7)
    rng = np.random.default_rng(seed + 10)
    extent = np.array(SHAPE) * SIZE_UM
    places, radius = rng.uniform(-0.2, 1.2, (40, 3)) * extent, rng.uniform(1.0, 2.0, 40)
    which, found = places_light(volume, places, radius, config)
    wide = np.stack(np.meshgrid(*[np.arange(-9, k + 9) * s for k, s in zip(SHAPE, SIZE_UM, strict=True)], indexing="ij"), -1)
    inner = (slice(9, -9),) * 3
    readable = []
    for i, (place, r) in enumerate(zip(places, radius, strict=True)):
        ball = np.linalg.norm(wide - place, axis=-1) <= r
        read = ball[inner] & (volume.labels == 0)
        if read.sum() >= module.LEAST_FREE * ball.sum():
            readable.append(i)
            row = which.tolist().index(i)
            expected = slowly(volume, ball[inner], read, config)
            if not expected.pop("edge") and ball.sum() == ball[inner].sum():
                assert not found.edge[row]
                for name, value in expected.items():
                    np.testing.assert_allclose(np.asarray(getattr(found, name), float)[..., row], value, rtol=1e-5, err_msg=name)
            else:
                assert found.edge[row]
    assert which.tolist() == readable
    assert 3 < len(readable) < 40


def test_who_nobody_knows_the_place_of_or_who_is_far_away_is_not_read() -> None:
    volume = scene(0, n=0)
    places = np.array([[4.0, 4, 4], [np.nan, 4, 4], [1e30, 4, 4], [4, -500, 4], [4, 4, np.inf], [5, 5, 5]])
    which, light = places_light(volume, places, np.array([1.0, 1, 1, 1, 1, np.nan]), MeasureConfig())
    assert which.tolist() == [0]
    assert len(light) == 1
    assert np.isfinite(light.mean).all()


def test_a_place_smaller_than_a_voxel_is_its_nearest_voxel() -> None:
    volume = scene(0, n=0)
    _, light = places_light(volume, np.array([[3.1, 4.1, 4.9]]), np.array([0.01]), MeasureConfig())
    assert light.voxels.tolist() == [1]
    np.testing.assert_allclose(light.mean[:, 0], volume.channels[:, 2, 10, 10])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.integers(1, 5))
def test_what_labels_are_called_and_how_bodies_are_grouped_changes_nothing(seed: int, shift: int) -> None:
    volume, config = scene(seed), MeasureConfig()
    labels = np.unique(volume.labels)[1:]
    whole = nuclei_light(volume, labels, config)
    renamed = Volume(volume.channels, np.where(volume.labels > 0, 12 + shift - volume.labels, 0), SIZE_UM, volume.saturated_at)
    usual, bodies.BATCH_VOXELS = bodies.BATCH_VOXELS, 1
    try:
        alone = nuclei_light(renamed, 12 + shift - labels, config)
    finally:
        bodies.BATCH_VOXELS = usual
    for name in NAMES:
        np.testing.assert_allclose(getattr(alone, name), getattr(whole, name), rtol=1e-6, err_msg=name)


def test_a_label_without_voxels_is_read_as_nothing() -> None:
    volume = scene(1)
    light = nuclei_light(volume, np.array([2, 500]), MeasureConfig())
    assert light.voxels.tolist() == [0, 0]
    assert np.isnan(light.mean).all()


def test_one_channel_leaves_green_unknown() -> None:
    volume = scene(2)
    labels = np.unique(volume.labels)[1:]
    light = nuclei_light(Volume(volume.channels[:1], volume.labels, SIZE_UM, volume.saturated_at[:1]), labels, MeasureConfig())
    for name in READINGS:
        assert np.isfinite(getattr(light, name)[0]).all()
        assert np.isnan(getattr(light, name)[1]).all()


def test_a_plane_has_no_border_above_and_below() -> None:
    volume = scene(3)
    labels = np.zeros((1, 24, 22), np.int32)
    labels[0, 8:12, 8:12], labels[0, 0:3, 4:8] = 1, 2
    flat = Volume(volume.channels[:, :1], labels, SIZE_UM, np.full(2, 240.0))
    assert nuclei_light(flat, np.array([1, 2]), MeasureConfig()).edge.tolist() == [False, True]


def test_a_nucleus_that_fills_the_volume_has_no_rim_and_no_background() -> None:
    volume = scene(4)
    full = Volume(volume.channels, np.ones(SHAPE, np.int32), SIZE_UM, np.full(2, 240.0))
    light = nuclei_light(full, np.array([1]), MeasureConfig())
    np.testing.assert_allclose(light.soft, light.mean)
    assert np.isnan(light.background).all()
    assert np.isnan(light.crowding).all()


@pytest.mark.parametrize("sd", [1.5, 5.0, 20.0])
def test_the_spread_of_a_shell_is_the_noise_of_a_voxel_whatever_shines_nearby(sd: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros(SHAPE, np.int32)
    labels[3:5, 8:12, 8:12] = 1
    noise = rng.normal(200, sd, (2, *SHAPE))
    noise[1][labels == 0] += np.where(rng.random((labels == 0).sum()) < 0.08, 500, 0)
    light = nuclei_light(Volume(np.rint(noise).astype(np.uint16), labels, SIZE_UM, np.full(2, np.inf)), np.array([1]), MeasureConfig())
    np.testing.assert_allclose(light.shell_spread[0], sd, rtol=0.12)
    np.testing.assert_allclose(light.shell_spread[1], sd, rtol=0.3)
    assert light.shell[0, 0] == pytest.approx(200, abs=0.2 * sd)
