import csv
import threading
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.data import Recording
from barlowtrack.errors import InputError
from barlowtrack.stages.segment import finder, region, segment, segment_volume
from barlowtrack.synthetic import preset, simulate

SIZE = (1.5, 0.35, 0.35)
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "targettrack_worm"
CONFIG = SegmentConfig(method="log")


class Stack:
    """Volumes that are in memory anyway; counts who is reading at once."""

    def __init__(self, volumes):
        self.volumes, self.reads, self.lock = volumes, [], threading.Lock()

    def read(self, t):
        with self.lock:
            self.reads.append(t)
        return self.volumes[t]


def film(*volumes, size=SIZE, signal=1):
    shape = (len(volumes), *volumes[0].shape)
    names = ("red", "green", "blue")[: shape[1]]
    return Recording("case", Stack(volumes), shape, volumes[0].dtype, size, 3.0, names, 0, signal if shape[1] > 1 else None, "x")


def find(volume, size=SIZE, config=CONFIG):
    return look(volume, 0, film(volume, size=size), config)


def look(volume, t, recording, config=CONFIG):
    return segment_volume(volume, t, recording, finder(recording, None, config, ComputeConfig()), config, region(recording, config))


def balls(places_um, shape=(14, 80, 120), size=SIZE, radius=1.6, peak=200.0, noise=2.0, dtype=np.float32, seed=0):
    """Two channels of soft balls on an offset of 100; green is half of red."""
    grid = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, size, strict=True)), indexing="ij"), axis=-1)
    light = np.zeros(shape)
    for place in places_um:
        light += 1 / (1 + np.exp((np.linalg.norm(grid - place, axis=-1) - radius) / 0.3))
    rng = np.random.default_rng(seed)
    volume = 100 + peak * np.stack([light, light / 2]) + rng.normal(0, noise, (2, *shape)) * (noise > 0)
    return (
        np.rint(volume).clip(0, 255 if dtype == np.uint8 else 65535).astype(dtype)
        if np.issubdtype(dtype, np.integer)
        else volume.astype(dtype)
    )


PLACES = np.array([[6.0, 8.0, 9.0], [9.0, 9.0, 30.0], [12.0, 20.0, 14.0], [7.5, 21.0, 33.0], [12.0, 14.0, 24.0]])


def assert_places(found, expected, within=0.3):
    assert len(found) == len(expected)
    if not len(expected):
        return
    distance = cdist(found, expected)
    rows, columns = linear_sum_assignment(distance)
    assert distance[rows, columns].max() < within


@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_finds_every_nucleus_whatever_the_type(n, dtype):
    result = find(balls(PLACES[:n], peak=120, dtype=dtype))
    assert_places(result.detections.position_um, PLACES[:n])
    assert result.labels.max() == n
    assert result.labels.shape == (14, 80, 120)


@pytest.mark.parametrize("size", [(1.5, 0.35, 0.35), (1.0, 0.5, 0.5), (0.6, 0.3, 0.3), (2.0, 0.16, 0.16), (0.8, 0.8, 0.8)])
def test_finds_nuclei_at_any_voxel_size(size):
    shape = tuple(int(np.ceil(extent / s)) for extent, s in zip((20, 28, 42), size, strict=True))
    assert_places(find(balls(PLACES, shape=shape, size=size), size=size).detections.position_um, PLACES, max(0.3, size[0] / 4))


def test_one_plane_is_a_volume():
    places = PLACES * (0, 1, 1)
    assert_places(find(balls(places, shape=(1, 80, 120))).detections.position_um, places)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3), (1, 5, 200), (40, 2, 2)])
def test_the_smallest_volumes_do_not_crash(shape):
    assert len(find(np.zeros((2, *shape), np.uint16)).detections) == 0
    find(np.random.default_rng(0).normal(0, 1, (2, *shape)).astype(np.float32))


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_volume_holds_nothing(value):
    result = find(np.full((2, 8, 40, 40), value, np.uint8))
    assert len(result.detections) == 0
    assert not result.labels.any()
    assert result.detections.position_um.shape == (0, 3)


def test_noise_alone_holds_almost_nothing():
    found = [len(find(balls([], seed=seed)).detections) for seed in range(5)]
    assert sum(found) <= 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_is_refused_by_name(bad):
    volume = balls(PLACES)
    volume[1, 3, 4, 5] = bad
    with pytest.raises(InputError, match="case: volume 0: expected finite numbers"):
        find(volume)


@pytest.mark.parametrize("value", [0, 100, 4095])
def test_survives_dark_and_saturated_planes(value):
    volume = balls(PLACES)
    volume[:, 6] = value
    found = find(volume).detections.position_um
    assert_places(found, PLACES, within=1.5)


def test_saturated_nuclei_are_found():
    volume = np.minimum(balls(PLACES, peak=2000), 255).astype(np.uint8)
    assert_places(find(volume).detections.position_um, PLACES)


def test_nuclei_at_the_edges_are_found():
    places = np.array([[0.0, 0.0, 0.0], [19.5, 27.6, 41.6], [9.0, 14.0, 0.0], [0.0, 14.0, 20.0]])
    assert_places(find(balls(places)).detections.position_um, places, within=1.2)


def test_shifting_the_volume_shifts_the_nuclei():
    volume = balls(PLACES, noise=0)
    shift = (1, 3, -5)
    before, after = find(volume), find(np.roll(volume, shift, axis=(1, 2, 3)))
    np.testing.assert_allclose(after.detections.position_um, before.detections.position_um + np.multiply(shift, SIZE), atol=0.05)
    np.testing.assert_allclose(after.detections.volume_um3, before.detections.volume_um3, rtol=0.05)


def test_padding_one_side_changes_nothing_but_places():
    volume = balls(PLACES)
    rng = np.random.default_rng(1)
    padded = np.concatenate([rng.normal(100, 2, (2, 14, 80, 24)).astype(np.float32), volume], axis=3)
    before, after = find(volume), find(padded)
    np.testing.assert_allclose(after.detections.position_um - [0, 0, 24 * 0.35], before.detections.position_um, atol=0.1)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_mirroring_mirrors(axis):
    volume = balls(PLACES)
    mirrored = find(np.flip(volume, axis)).detections.position_um.copy()
    mirrored[:, axis - 1] = (volume.shape[axis] - 1) * SIZE[axis - 1] - mirrored[:, axis - 1]
    assert_places(mirrored, find(volume).detections.position_um, within=0.05)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_brightness_changes_no_label(factor):
    volume = balls(PLACES)
    before, after = find(volume), find(volume * np.float32(factor))
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_allclose(after.detections.quality, before.detections.quality, rtol=1e-4)
    for name in ("red_mean", "red_peak", "green_mean", "green_peak"):
        np.testing.assert_allclose(getattr(after.detections, name), factor * getattr(before.detections, name), rtol=1e-5)


def test_an_offset_changes_no_place():
    volume = balls(PLACES)
    before, after = find(volume), find(volume + np.float32(400))
    np.testing.assert_allclose(after.detections.position_um, before.detections.position_um, atol=0.01)
    np.testing.assert_allclose(after.detections.red_mean, before.detections.red_mean + 400, rtol=1e-3)


def test_green_changes_no_label():
    volume = balls(PLACES)
    other = volume.copy()
    other[1] = 0
    np.testing.assert_array_equal(find(volume).labels, find(other).labels)


def test_rows_say_what_the_labels_hold():
    volume = balls(PLACES)
    result = find(volume)
    index = result.detections.label
    np.testing.assert_array_equal(index, np.arange(1, 6))
    np.testing.assert_allclose(result.detections.red_mean, ndimage.mean(volume[0], result.labels, index), rtol=1e-5)
    np.testing.assert_allclose(result.detections.red_peak, ndimage.maximum(volume[0], result.labels, index), rtol=1e-6)
    np.testing.assert_allclose(result.detections.green_mean, ndimage.mean(volume[1], result.labels, index), rtol=1e-5)
    np.testing.assert_allclose(result.detections.green_peak, ndimage.maximum(volume[1], result.labels, index), rtol=1e-6)
    counts = np.bincount(result.labels.ravel())[1:]
    np.testing.assert_allclose(result.detections.volume_um3, counts * np.prod(SIZE), rtol=1e-5)
    assert np.all(np.abs(result.detections.volume_um3 / (4 / 3 * np.pi * 1.6**3) - 1) < 0.6)


def test_a_single_channel_has_no_green():
    detections = find(balls(PLACES)[:1]).detections
    assert len(detections) == 5
    assert np.isnan(detections.green_mean).all()
    assert np.isnan(detections.green_peak).all()


def test_the_reference_channel_decides():
    volume = balls(PLACES)
    swapped = np.stack([np.full_like(volume[0], 100), volume[0]])
    recording = film(swapped)
    flipped = Recording("case", recording.source, recording.shape, recording.dtype, SIZE, None, ("g", "r"), 1, 0, "x")
    assert len(look(swapped, 0, recording).detections) == 0
    assert len(look(swapped, 0, flipped).detections) == 5


def test_settings_are_used():
    volume = balls(PLACES[:3]) + balls(PLACES[3:], peak=40)
    quality = np.sort(find(volume).detections.quality)
    assert quality[2] > 3 * quality[1]
    assert len(find(volume, config=SegmentConfig(method="log", min_quality=float(quality[1:3].mean()))).detections) == 3
    assert len(find(volume, config=SegmentConfig(method="log", min_volume_um3=500.0)).detections) == 0
    assert len(find(volume, config=SegmentConfig(method="log", n_scales=1, radius_um=(1.6, 1.6))).detections) == 5


def test_touching_nuclei_are_two():
    places = np.array([[9.0, 14.0, 14.0], [9.0, 14.0, 17.3]])
    assert_places(find(balls(places)).detections.position_um, places, within=0.5)


def test_every_instance_is_in_one_piece():
    film = simulate(preset("mid", n_volumes=3), seed=4)
    labels = look(film.recording.read(1), 1, film.recording).labels
    assert labels.max() > 80
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == label)[1] == 1


@pytest.fixture(scope="module")
def worm():
    return simulate(preset("mid", n_volumes=7, n_neurons=25, volume_shape=(14, 96, 160)), seed=3)


def run(recording, workers=1, start=0, memory_gb=4.0, **more):
    return segment(recording, None, config=CONFIG, compute=ComputeConfig(workers=workers, memory_gb=memory_gb), start=start, **more)


def test_any_number_of_workers_gives_the_same(worm):
    alone = list(run(worm.recording))
    assert [result.t for result in alone] == list(range(7))
    for workers in (2, 5):
        for one, other in zip(alone, run(worm.recording, workers), strict=True):
            np.testing.assert_array_equal(one.labels, other.labels)
            np.testing.assert_array_equal(one.detections.position_um, other.detections.position_um)


def test_starts_where_a_killed_run_stopped(worm):
    whole, rest = list(run(worm.recording)), list(run(worm.recording, start=4))
    assert [result.t for result in rest] == [4, 5, 6]
    for one, other in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
    assert list(run(worm.recording, start=7)) == []


def test_tells_progress(worm):
    said = []
    list(run(worm.recording, workers=2, progress=lambda done, total: said.append((done, total))))
    assert said == [(t + 1, 7) for t in range(7)]


@pytest.mark.parametrize(("workers", "memory_gb", "at_once"), [(3, 4.0, 4), (3, 1e-6, 1)])
def test_reads_no_further_ahead_than_memory_allows(workers, memory_gb, at_once):
    recording = film(*[np.zeros((2, 4, 16, 16), np.uint16)] * 30)
    results = run(recording, workers, memory_gb=memory_gb)
    next(results)
    assert len(recording.source.reads) <= at_once
    results.close()
    assert len(recording.source.reads) <= at_once


def test_a_bad_volume_is_named_after_the_good_ones():
    good, bad = balls(PLACES), balls(PLACES)
    bad[0, 0, 0, 0] = np.nan
    results = run(film(good, good, bad, good), workers=3)
    assert [next(results).t, next(results).t] == [0, 1]
    with pytest.raises(InputError, match="volume 2"):
        next(results)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("still", 0.85), ("easy", 0.85), ("mid", 0.85), ("hard", 0.8)])
def test_presets_are_found(name, least):
    film = simulate(preset(name, n_volumes=40), seed=11)
    pairs = found = true = 0
    for t in (0, 20, 39):
        result = look(film.recording.read(t), t, film.recording)
        places = film.truth.position_um[film.truth.t == t]
        distance = cdist(result.detections.position_um, places)
        i, j = linear_sum_assignment(np.where(distance < 3, distance, 1e3))
        pairs, found, true = pairs + int((distance[i, j] < 3).sum()), found + len(result.detections), true + len(places)
    assert 2 * pairs / (found + true) > least


@pytest.mark.real_data
@pytest.mark.parametrize("t", [0, 2])
def test_real_nuclei_are_found(t):
    if not REAL.exists():
        pytest.skip("the real volumes are not part of the project: ../shared/data/targettrack_worm is absent")
    tifffile = pytest.importorskip("tifffile")
    volume = tifffile.imread(REAL / "recording" / f"volume_{t:04d}.ome.tif")
    found = find(volume).detections.position_um / SIZE
    rows = [row for row in csv.DictReader((REAL / "points.csv").read_text().splitlines()) if int(row["volume"]) == t]
    true = np.array([[float(row[key]) for key in "zyx"] for row in rows])
    distance = np.where(np.abs(found[:, None, 0] - true[None, :, 0]) <= 2, cdist(found[:, 1:], true[:, 1:]), np.inf)
    i, j = linear_sum_assignment(np.where(distance <= 4, distance, 1e3))
    assert np.sum(distance[i, j] <= 4) / len(true) > 0.5


def test_rounding_is_noise_where_the_background_is_clipped_away():
    ramp = (np.arange(120) // 20).astype(np.uint8)  # the background that is subtracted is no whole number then
    volume = np.clip(balls(PLACES, noise=0) - 101, 0, 200).astype(np.uint8) + ramp
    specks = np.random.default_rng(0).integers(0, (14, 80, 120), (60, 3))
    volume[0][tuple(specks.T)] += 1
    assert_places(find(volume).detections.position_um, PLACES)
