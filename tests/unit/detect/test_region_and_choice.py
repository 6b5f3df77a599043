"""Which of the found nuclei are kept, and where is looked, with either method."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.errors import ConfigError, InputError
from barlowtrack.io.segmenter import open_segmenter
from barlowtrack.stages.segment import finder, region, segment, segment_volume
from barlowtrack.synthetic import preset, simulate

METHODS = ("stardist", "log")
FILM = simulate(preset("easy", n_volumes=1, n_neurons=18, volume_shape=(12, 80, 96)), seed=2)
CROWD = simulate(preset("hard", n_volumes=1, n_neurons=40, volume_shape=(12, 80, 128)), seed=4)  # where not every nucleus is sure
FILMS = {"few": FILM, "crowd": CROWD}
COMPUTE = ComputeConfig(device="cpu", workers=1)


@cache
def look(name="few", **settings):
    film, config = FILMS[name], SegmentConfig(**settings)
    find = finder(film.recording, open_segmenter(config), config, COMPUTE)
    return segment_volume(film.recording.read(0), 0, film.recording, find, config, region(film.recording, config))


def assert_rows_agree_with_labels(result):
    n, size, red = len(result.detections), FILM.recording.voxel_size_um, FILM.recording.read(0)[0]
    assert set(np.unique(result.labels)) - {0} == set(range(1, n + 1))
    np.testing.assert_array_equal(result.detections.label, np.arange(1, n + 1))
    if n:
        counts = np.bincount(result.labels.ravel())[1:]
        np.testing.assert_allclose(result.detections.volume_um3, counts * np.prod(size), rtol=1e-5)
        np.testing.assert_allclose(result.detections.red_mean, ndimage.mean(red, result.labels, np.arange(1, n + 1)), rtol=1e-5)
        middle = np.array(ndimage.center_of_mass(result.labels > 0, result.labels, np.arange(1, n + 1))) * size
        assert np.linalg.norm(result.detections.position_um - middle, axis=1).max() < 1.5
        assert result.contrast == pytest.approx(np.median(result.detections.quality), rel=1e-5)


SETTINGS = ({}, {"max_nuclei": 7}, {"expected": 9}, {"min_quality": 40.0}, {"min_volume_um3": 25.0}, {"region_um": (2, 5, 5, 14, 20, 25)})


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_labels_have_no_gaps_and_rows_agree_with_them(method, settings):
    assert_rows_agree_with_labels(look(method=method, **settings))


@pytest.mark.parametrize("method", METHODS)
def test_probability_is_a_networks_and_quality_everyones(method):
    rows = look(method=method).detections
    assert len(rows) > 12
    assert np.all(rows.quality > 0)
    if method == "log":
        assert np.isnan(rows.probability).all()
    else:
        assert np.all((rows.probability > 0) & (rows.probability <= 1))


@pytest.mark.parametrize("method", METHODS)
def test_at_most_so_many_and_the_surest_of_them(method):
    every, few = look(method=method).detections, look(method=method, max_nuclei=7).detections
    assert len(few) == 7
    score = "quality" if method == "log" else "probability"
    dropped = np.sort(getattr(every, score))[:-7]
    assert getattr(few, score).min() >= dropped.max()
    assert len(look(method=method, max_nuclei=500).detections) == len(every)


@pytest.mark.parametrize("method", METHODS)
def test_more_are_found_where_more_are_expected_within_bounds(method):
    usual = len(look("crowd", method=method).detections)
    found = [len(look("crowd", method=method, expected=n).detections) for n in (1, usual - 1, usual, 4000)]
    assert found == sorted(found)
    assert found[2] == usual
    assert 10 < found[0] < usual < found[3] < 80  # what is beyond doubt stays, and what nobody would take for a nucleus is not found
    assert len(look("crowd", method=method, expected=4000, max_nuclei=3).detections) == 3


def test_expected_is_met_where_it_can_be():
    everything = look("crowd", expected=4000).detections
    surest = look("crowd", expected=1).detections
    assert len(everything) > len(surest)
    for n in (len(surest) + 1, len(everything) - 1):
        assert len(look("crowd", expected=n).detections) == n
    assert surest.probability.min() >= (1 + 0.3) / 2  # halfway from the usual least probability to certainty, at least


@pytest.mark.parametrize("method", METHODS)
def test_the_least_quality_and_size_are_kept(method):
    every = look(method=method).detections
    least = float(np.median(every.quality))
    bright = look(method=method, min_quality=least).detections
    assert 0 < len(bright) < len(every)
    assert bright.quality.min() >= least * 0.999
    if method == "stardist":  # which does not use it to find nuclei
        assert len(bright) == (every.quality >= least).sum()
    large = look(method=method, min_volume_um3=25.0).detections
    assert len(large) == (every.volume_um3 >= 25.0).sum() < len(every)


@pytest.mark.parametrize("method", METHODS)
def test_a_region_holds_what_lies_in_it_and_nothing_else(method):
    box = (3.0, 6.0, 8.0, 13.5, 22.0, 27.0)
    every, inside = look(method=method), look(method=method, region_um=box)
    place = inside.detections.position_um  # weighted by light; the middle that counts is that of the labels
    assert np.all((place >= np.array(box[:3]) - 0.8) & (place <= np.array(box[3:]) + 0.8))
    assert inside.labels.shape == every.labels.shape
    all_places = every.detections.position_um
    deep = np.all((all_places > np.array(box[:3]) + 0.8) & (all_places < np.array(box[3:]) - 0.8), axis=1)
    assert deep.sum() >= 3
    near = cdist(all_places[deep], inside.detections.position_um).min(axis=1) < 0.5
    assert near.all(), "a nucleus in the region is found as it is in the whole volume"


@pytest.mark.parametrize("method", METHODS)
def test_a_region_of_everything_changes_nothing(method):
    every, inside = look(method=method), look(method=method, region_um=(-100, -100, -100, 1000, 1000, 1000))
    np.testing.assert_array_equal(inside.labels, every.labels)
    np.testing.assert_array_equal(inside.detections.position_um, every.detections.position_um)


def test_a_region_ends_at_the_voxels_whose_centres_it_holds():
    recording = replace(FILM.recording, voxel_size_um=(2.0, 0.5, 0.5))
    assert region(recording, SegmentConfig()) == (slice(None),) * 3
    assert region(recording, SegmentConfig(region_um=(2.0, 0.4, 0.6, 4.0, 1.0, 1.4))) == (slice(1, 3), slice(1, 3), slice(2, 3))


@pytest.mark.parametrize("box", [(50, 0, 0, 60, 9, 9), (-9, 0, 0, -1, 9, 9), (1.6, 0, 0, 2.9, 9, 9)])
def test_a_region_that_holds_no_voxel_is_refused(box):
    with pytest.raises(InputError, match=r"region_um: expected a box in the field, which ends at \(16\.5, 27\.65, 33\.25\) um, got"):
        region(FILM.recording, SegmentConfig(region_um=box))


def test_a_region_whose_corners_are_swapped_is_refused():
    from barlowtrack.config import load

    with pytest.raises(ConfigError, match=r"region_um.*smaller z, y, x first"):
        load(overrides=["segment.region_um=[5, 0, 0, 4, 9, 9]"])


def test_a_method_that_needs_a_model_does_not_go_without():
    with pytest.raises(InputError, match=r'expected a model for .* method = "stardist"'):
        finder(FILM.recording, None, SegmentConfig(), COMPUTE)


def test_a_region_keeps_its_last_plane_whatever_division_leaves():
    recording = replace(FILM.recording, voxel_size_um=(1.2, 0.4, 0.4))
    _, y, x = region(recording, SegmentConfig(region_um=(0, 0, 0, 1.2, 1.2, 5)))
    assert (y, x) == (slice(0, 4), slice(0, 13))


def test_a_volume_that_would_not_fit_is_refused_in_one_line():
    coarse = replace(FILM.recording, voxel_size_um=(50.0, 50.0, 50.0))
    config = SegmentConfig()
    with pytest.raises(InputError, match=r"fits 16 GB, got about \d+ GB.*radius_um"):
        next(segment(coarse, open_segmenter(config), config=config, compute=ComputeConfig()))
