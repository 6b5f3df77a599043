"""The same world seen on other voxels holds the same nuclei; the model that comes with the package against blobs."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.data import Recording
from barlowtrack.detect.starconvex import scale_of
from barlowtrack.errors import InputError
from barlowtrack.evaluate.matching import match_points
from barlowtrack.io.segmenter import SHIPPED, open_segmenter
from barlowtrack.io.stardist_model import read_model_folder
from barlowtrack.stages.segment import finder, region, segment_volume
from barlowtrack.synthetic import preset, simulate

FIELD_UM = (18.0, 30.0, 42.0)
COMPUTE = ComputeConfig(device="cpu", workers=1)
# nuclei are 2 to 3.8 um wide
SIZES = {"3 voxels wide": (1.5, 0.9, 0.9), "7 voxels wide": (1.5, 0.4, 0.4), "12 voxels wide": (0.75, 0.24, 0.24), "cubes": (0.6, 0.6, 0.6)}


@cache
def world(size):
    """One worm, rendered on these voxels."""
    shape = tuple(round(extent / s) for extent, s in zip(FIELD_UM, size, strict=True))
    # a voxel gathers the light that falls on it: as much noise a nucleus, whatever its voxels
    more = {"peak_photons": 150.0 * float(np.prod(size)) / 0.24, "read_noise": 1.0}
    return simulate(preset("easy", n_volumes=1, n_neurons=16, voxel_size_um=size, volume_shape=shape, spacing_um=3.8, **more), seed=6)


@cache
def look(size, method="stardist"):
    film, config = world(size), SegmentConfig(method=method)
    find = finder(film.recording, open_segmenter(config), config, COMPUTE)
    return segment_volume(film.recording.read(0), 0, film.recording, find, config, region(film.recording, config))


def f1(found_um, true_um, gate_um=3.0):
    ours, _ = match_points(found_um, true_um, gate_um)
    return 2 * len(ours) / (len(found_um) + len(true_um))


@pytest.mark.parametrize("name", SIZES)
def test_nuclei_are_found_whatever_the_voxel_size(name):
    film = world(SIZES[name])
    found, true = look(SIZES[name]).detections.position_um, film.truth.position_um
    assert f1(found, true) >= 0.9
    ours, theirs = match_points(found, true, 3.0)
    assert np.abs(np.median(found[ours] - true[theirs], axis=0)).max() < 0.15  # um


@pytest.mark.parametrize("name", [name for name in SIZES if name != "7 voxels wide"])
def test_other_voxels_show_about_the_same_nuclei(name):
    usual, other = look(SIZES["7 voxels wide"]).detections, look(SIZES[name]).detections
    middle, other_middle = (np.median(world(SIZES[n]).truth.position_um, axis=0) for n in ("7 voxels wide", name))
    where = other.position_um + middle - other_middle  # the field is cut to whole voxels, and the worm lies in its middle
    assert f1(where, usual.position_um, 1.5) >= 0.9
    ours, theirs = match_points(where, usual.position_um, 1.5)
    ratio = other.volume_um3[ours] / usual.volume_um3[theirs]
    assert 1 / 1.3 < np.median(ratio) < 1.3
    assert np.abs(np.median(where[ours] - usual.position_um[theirs], axis=0)).max() < 0.15


def enlarged(recording, factor):
    size = tuple(factor * s for s in recording.voxel_size_um)
    return replace(recording, voxel_size_um=size)


@pytest.mark.parametrize("method", ["stardist", "log"])
def test_a_world_twice_as_large_with_nuclei_twice_as_large_is_the_same(method):
    film = world(SIZES["7 voxels wide"])
    large = SegmentConfig(method=method, radius_um=(2.2, 4.4), min_volume_um3=8.0)
    recording = enlarged(film.recording, 2.0)
    one = look(SIZES["7 voxels wide"], method)
    find = finder(recording, open_segmenter(large), large, COMPUTE)
    two = segment_volume(recording.read(0), 0, recording, find, large, region(recording, large))
    np.testing.assert_array_equal(two.labels, one.labels)
    np.testing.assert_allclose(two.detections.position_um, 2 * one.detections.position_um, rtol=1e-5)
    np.testing.assert_allclose(two.detections.volume_um3, 8 * one.detections.volume_um3, rtol=1e-5)
    np.testing.assert_allclose(two.detections.quality, one.detections.quality, rtol=1e-4)
    assert len(one.detections) > 10


def test_what_the_network_sees_is_scaled_as_the_settings_say():
    model, recording = open_segmenter(SegmentConfig()), (2.0, 0.2, 0.2)
    size, (low, high) = model.voxel_size_um, model.radius_um
    assert scale_of(model, recording, SegmentConfig(radius_um=(low, high))) == pytest.approx(size)
    assert scale_of(model, recording, SegmentConfig(radius_um=(3 * low, 3 * high))) == pytest.approx([3 * s for s in size])
    assert scale_of(model, recording, SegmentConfig(model_voxel_um=(1.0, 0.5, 0.5))) == (1.0, 0.5, 0.5)
    silent = replace(model, voxel_size_um=None, radius_um=None)  # a lab's own model says neither
    assert scale_of(silent, recording, SegmentConfig()) == recording
    assert scale_of(replace(model, radius_um=None), recording, SegmentConfig(radius_um=(9.0, 9.0))) == pytest.approx(size)


def film_of(volume, size, signal=None):
    class Memory:
        def read(self, t):
            return volume

    return Recording("case", Memory(), (1, *volume.shape), volume.dtype, size, None, ("red",), 0, signal, "x")


@pytest.mark.parametrize(("planes", "z_um"), [(1, 1.5), (3, 0.1)])
def test_too_few_planes_for_a_3d_model_are_named_with_the_way_out(planes, z_um):
    recording = film_of(np.random.default_rng(0).poisson(100, (1, planes, 40, 40)).astype(np.uint16), (z_um, 0.4, 0.4))
    find = finder(recording, open_segmenter(SegmentConfig()), SegmentConfig(), COMPUTE)
    with pytest.raises(InputError, match=r'case: volume 0: expected at least 2 planes 1\.2 um apart .*, got 1; .*method = "log"'):
        segment_volume(recording.read(0), 0, recording, find, SegmentConfig(), region(recording, SegmentConfig()))


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_volume_of_one_brightness_holds_nothing(value):
    recording = film_of(np.full((1, 8, 40, 40), value, np.uint16), (1.5, 0.4, 0.4))
    for config in (SegmentConfig(), SegmentConfig(expected=100), SegmentConfig(method="log")):
        find = finder(recording, open_segmenter(config), config, COMPUTE)
        result = segment_volume(recording.read(0), 0, recording, find, config, region(recording, config))
        assert len(result.detections) == 0
        assert not result.labels.any()
        assert (result.contrast, result.sharpness) == (0.0, 0.0)


@pytest.mark.parametrize("kind", [None, "unet", "planes"])
def test_few_nuclei_on_nothing_are_found(kind, stardist_says):
    """Background subtracted and clipped: so much is 0 that both percentiles of brightness are."""
    place = np.indices((14, 130, 190)) * np.array([1.5, 0.35, 0.35])[:, None, None, None]
    centres = np.array([[8.0, 20, 20], [12, 30, 60], [10, 38, 40]])
    light = sum(np.exp(-((((place - c[:, None, None, None]) ** 2).sum(0) / 2) ** 2) / 4) for c in centres)
    recording = film_of(np.rint(200 * light)[None].astype(np.uint16), (1.5, 0.35, 0.35))
    assert np.percentile(recording.read(0), 98) == 0
    model = open_segmenter(SegmentConfig()) if kind is None else stardist_says(kind).model
    find = finder(recording, model, SegmentConfig(), COMPUTE)
    found = segment_volume(recording.read(0), 0, recording, find, SegmentConfig(), region(recording, SegmentConfig())).detections
    assert f1(found.position_um, centres, 1.5) >= 0.8


@pytest.mark.parametrize("kind", ["unet", "planes", "resnet"])
def test_a_labs_own_model_finds_nuclei(kind, stardist_says):
    said = stardist_says(kind)
    recording = film_of(said.volume[None], (1.0, 1.0, 1.0))
    config = SegmentConfig(radius_um=(3.0, 6.0))
    find = finder(recording, said.model, config, COMPUTE)
    result = segment_volume(recording.read(0), 0, recording, find, config, region(recording, config))
    assert len(result.detections) >= 10
    if kind != "planes":  # which joins outlines of planes
        assert abs(len(result.detections) - len(np.unique(said.labels)) + 1) <= 2
        assert np.mean((result.labels > 0) == (said.labels > 0)) > 0.98


def score(name, method, shape, n, seed):
    film = simulate(preset(name, n_volumes=2, n_neurons=n, volume_shape=shape), seed=seed)
    config = SegmentConfig(method=method)
    find = finder(film.recording, open_segmenter(config), config, COMPUTE)
    both = []
    for t in range(2):
        found = segment_volume(film.recording.read(t), t, film.recording, find, config, region(film.recording, config)).detections
        both.append(f1(found.position_um, film.truth.position_um[film.truth.t == t]))
    return float(np.mean(both))


def test_the_model_that_comes_along_finds_an_easy_worm():
    assert score("easy", "stardist", (12, 96, 128), 25, 3) >= 0.93


def test_the_model_that_comes_along_beats_blobs_on_a_hard_worm():
    ours, blobs = (score("hard", method, (14, 112, 160), 45, 3) for method in ("stardist", "log"))
    assert ours > blobs + 0.01
    assert ours >= 0.9


def test_the_model_that_comes_along_says_all_that_must_be_known():
    model = read_model_folder(SHIPPED)
    assert model.spec.n_dim == 3
    assert model.voxel_size_um is not None
    assert model.radius_um is not None
