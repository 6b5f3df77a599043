import resource
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

from barlowtrack.synthetic import preset, simulate
from barlowtrack.synthetic.config import SyntheticConfig
from barlowtrack.synthetic.render import expose

SMALL = {"n_volumes": 12, "n_neurons": 25, "volume_shape": (16, 96, 160)}


@pytest.fixture(scope="module")
def film():
    return simulate(preset("mid", **SMALL, dropped_volumes=0.0), seed=7)


def test_same_seed_same_voxels_in_any_order_from_any_thread(film):
    again = simulate(preset("mid", **SMALL, dropped_volumes=0.0), seed=7)
    assert again.recording.fingerprint == film.recording.fingerprint
    with ThreadPoolExecutor(4) as pool:
        volumes = list(pool.map(again.recording.read, reversed(range(12))))[::-1]
    for t, volume in enumerate(volumes):
        np.testing.assert_array_equal(volume, film.recording.read(t))


def test_another_seed_is_another_worm(film):
    other = simulate(preset("mid", **SMALL, dropped_volumes=0.0), seed=8)
    assert other.recording.fingerprint != film.recording.fingerprint
    assert not np.array_equal(other.recording.read(0), film.recording.read(0))


def test_recording_says_what_it_is(film):
    volume = film.recording.read(0)
    assert volume.shape == (2, 16, 96, 160)
    assert volume.dtype == film.recording.dtype == np.uint16
    assert film.recording.channel_names == ("red", "green")
    assert (film.recording.reference, film.recording.signal) == (0, 1)


def test_a_long_recording_costs_nothing_before_it_is_read():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    long = simulate(preset("easy", n_volumes=100_000, n_neurons=100), seed=0)
    long.recording.read(99_999)
    assert time.perf_counter() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB; the whole recording would be 600 GB


def test_labels_agree_with_truth(film):
    size = np.array(film.config.voxel_size_um)
    for t in (0, 11):
        labels = film.labels.read(t)
        rows = film.truth.t == t
        neurons, places = film.truth.neuron[rows], film.truth.position_um[rows] / size
        assert set(np.unique(labels)) == {0, *(neurons + 1)}
        centroids = np.array(ndimage.center_of_mass(np.ones_like(labels), labels, neurons + 1))
        assert np.abs(centroids - places).max() < 1.0
        for neuron, place in zip(neurons, np.rint(places).astype(int), strict=True):
            assert labels[tuple(place)] == neuron + 1


def test_nuclei_are_brighter_than_their_surroundings(film):
    red, labels = film.recording.read(3)[0].astype(float), film.labels.read(3)
    outside = red[ndimage.distance_transform_edt(labels == 0) > 4]
    means = ndimage.mean(red, labels, np.unique(labels)[1:])
    assert np.mean(means > outside.mean() + 2 * outside.std()) > 0.9
    assert outside.mean() > film.config.offset + 2  # stray light and glow


def test_voxels_follow_the_true_light(film):
    rows = film.truth.t == 4
    labels = film.labels.read(4)
    for channel, light in enumerate((film.red, film.green)):
        means = ndimage.mean(film.recording.read(4)[channel].astype(float), labels, film.truth.neuron[rows] + 1)
        assert np.corrcoef(means, light[film.truth.neuron[rows], 4])[0, 1] > 0.9


def test_green_follows_activity_and_red_does_not():
    film = simulate(preset("still", **{**SMALL, "n_volumes": 120}, bleach_s=None, brightness_jitter=0.0), seed=1)
    labels = film.labels.read(0)
    index = np.arange(1, 26)
    seen = np.stack([[ndimage.mean(film.recording.read(t)[c], labels, index) for t in range(0, 120, 4)] for c in (0, 1)])
    activity = film.truth.activity.reshape(120, 25)[::4]
    green = [np.corrcoef(seen[1][:, i], activity[:, i])[0, 1] for i in range(25)]
    red = [np.corrcoef(seen[0][:, i], activity[:, i])[0, 1] for i in range(25)]
    assert np.median(green) > 0.9
    assert np.median(np.abs(red)) < 0.4


def test_bleaching_takes_the_light():
    film = simulate(preset("still", **{**SMALL, "n_volumes": 91}, bleach_s=30.0, brightness_jitter=0.0), seed=2)
    assert np.nanmedian(film.red[:, 90] / film.red[:, 0]) == pytest.approx(np.exp(-1))
    first, last = (film.recording.read(t)[0][film.labels.read(t) > 0].mean() - 104 for t in (0, 90))
    assert last / first == pytest.approx(np.exp(-1), abs=0.05)


def test_dropped_volumes_show_nothing_and_have_no_truth():
    film = simulate(preset("mid", **{**SMALL, "n_volumes": 40}, dropped_volumes=0.3), seed=4)
    dropped = [t for t in range(40) if film.is_dropped(t)]
    assert 5 <= len(dropped) <= 20
    assert not film.is_dropped(0)
    for t in dropped[:3]:
        assert film.recording.read(t).max() < film.config.offset + 7 * film.config.read_noise
        assert not film.labels.read(t).any()
        assert not np.any(film.truth.t == t)
        assert np.isnan(film.red[:, t]).all()


def test_missed_planes_are_dark():
    film = simulate(preset("easy", **SMALL, missed_planes=0.5), seed=4)
    planes = film.recording.read(0)[0].reshape(16, -1).mean(axis=1)
    dark = planes < film.config.offset + 0.5
    assert 3 <= dark.sum() <= 13


def test_blurred_volumes_are_smeared_and_keep_their_light():
    sharp, blurred = (
        simulate(preset("still", **SMALL, blurred_volumes=p, blur_um=1.5, brightness_jitter=0.0), seed=4).recording.read(0)[0].astype(float)
        for p in (0.0, 1.0)
    )
    assert blurred.max() - 100 < 0.7 * (sharp.max() - 100)
    assert blurred.mean() - 104 == pytest.approx(sharp.mean() - 104, rel=0.35)


def test_camera_noise_has_the_moments_of_photons():
    config = SyntheticConfig(offset=100.0, read_noise=2.0)
    for photons in (0.0, 3.0, 30.0, 1000.0):
        values = expose(np.full(200_000, photons, np.float32), config, np.random.default_rng(0)).astype(float)
        assert values.mean() == pytest.approx(100 + photons, abs=0.02 + 3e-4 * photons)
        assert values.var() == pytest.approx(photons + 4, rel=0.05)
        if photons:
            skewness = np.mean((values - values.mean()) ** 3) / values.std() ** 3
            assert skewness == pytest.approx(photons / (photons + 4) ** 1.5, abs=0.5 / np.sqrt(photons + 4) + 0.02)


def test_a_single_plane_works():
    film = simulate(preset("easy", n_volumes=3, n_neurons=15, volume_shape=(1, 96, 160)), seed=0)
    assert film.recording.read(2).shape == (2, 1, 96, 160)
    assert len(film.truth) == 45
    assert len(np.unique(film.labels.read(2))) == 16


def test_a_small_volume_is_quick():
    film = simulate(preset("easy", n_volumes=20, n_neurons=30, volume_shape=(16, 96, 160)), seed=0)
    film.recording.read(0)
    started = time.perf_counter()
    for t in range(10):
        film.recording.read(t)
    assert (time.perf_counter() - started) / 10 < 0.1  # 0.01 s on an idle core
