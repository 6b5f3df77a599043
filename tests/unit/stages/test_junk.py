"""Volumes that are junk: known by what segment measures, and nothing is learned from them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from barlowtrack.config import ComputeConfig, SegmentConfig, TrackConfig
from barlowtrack.data import Detections, Embeddings, Recording, VolumeLooks
from barlowtrack.io.segmenter import open_segmenter
from barlowtrack.stages.segment import segment
from barlowtrack.synthetic import preset, simulate
from tests.cases import CASES, looks_of, tracked

GOOD = simulate(preset("easy", n_volumes=8, n_neurons=18, volume_shape=(12, 72, 96), bleach_s=None), seed=5).recording
OFFSET = 100.0
METHODS = ("stardist", "log")


def blurred(volume):
    return ndimage.gaussian_filter(volume.astype(float), (0, 0.8, 5, 5))


def empty(volume):
    return np.random.default_rng(0).normal(OFFSET, 2, volume.shape)


def black(volume):
    return np.zeros(volume.shape)


def saturated(volume):
    return np.full(volume.shape, 65535.0)


def dimmed(volume):
    """A shutter that was nearly shut: less light by a factor of 25, as much noise."""
    return OFFSET + (volume - OFFSET) / 25 + np.random.default_rng(0).normal(0, 2, volume.shape)


DAMAGE = (blurred, empty, black, saturated, dimmed)


class Film:
    def __init__(self, volumes):
        self.volumes = volumes

    def read(self, t):
        return self.volumes[t]


def film(volumes):
    whole = [np.clip(np.rint(v), 0, 65535).astype(np.uint16) for v in volumes]
    return replace(GOOD, source=Film(whole), shape=(len(whole), *GOOD.shape[1:]))


def looks(recording: Recording, method):
    config = SegmentConfig(method=method)
    rows = list(segment(recording, open_segmenter(config), config=config, compute=ComputeConfig(device="cpu", workers=1)))
    columns = np.array([len(r.detections) for r in rows]), np.array([r.contrast for r in rows]), np.array([r.sharpness for r in rows])
    return VolumeLooks(*columns)


@cache
def good_looks(method):
    return looks(GOOD, method)


def with_damage(method, damage):
    """Looks of the good volumes, the third one damaged; a volume's looks depend on it alone."""
    one, good = looks(film([damage(GOOD.read(2))]), method), good_looks(method)
    columns = [
        np.concatenate([g[:2], o, g[3:]])
        for g, o in zip((good.count, good.contrast, good.sharpness), (one.count, one.contrast, one.sharpness), strict=True)
    ]
    return VolumeLooks(*columns)


@pytest.mark.parametrize("method", METHODS)
def test_good_volumes_are_no_junk(method):
    assert not good_looks(method).is_junk.any()
    assert np.all(good_looks(method).contrast > 0)
    assert np.all(good_looks(method).sharpness > 0)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_volume_is_junk_and_no_other(method, damage):
    assert np.flatnonzero(with_damage(method, damage).is_junk).tolist() == [2]


@pytest.mark.parametrize("method", METHODS)
def test_bleaching_is_no_junk(method):
    bleached = film([OFFSET + (GOOD.read(t) - OFFSET) * np.exp(-t / 9) for t in range(8)])  # to 46 %
    assert not looks(bleached, method).is_junk.any()


def test_a_worm_that_comes_and_goes_all_along_is_no_junk_and_one_that_left_once_is():
    count = np.rint(14 + 6 * np.sin(np.arange(15))).astype(int)
    steady = 20 + 0.1 * np.arange(15)
    assert count.min() < 0.7 * np.median(count)
    assert not VolumeLooks(count, steady, steady / 20).is_junk.any()
    assert VolumeLooks(np.array([20] * 14 + [8]), steady, steady / 20).is_junk.tolist() == [False] * 14 + [True]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_one_or_two_volumes_are_judged_by_what_they_hold(n):
    ones = np.ones(n)
    assert not VolumeLooks(np.full(n, 9), 5 * ones, ones).is_junk.any()
    assert VolumeLooks(np.zeros(n, int), 0 * ones, 0 * ones).is_junk.all()


def test_of_two_volumes_an_empty_one_is_junk():
    assert VolumeLooks(np.array([0, 9]), np.array([0.0, 5]), np.array([0.0, 1])).is_junk.tolist() == [True, False]


@pytest.mark.parametrize("column", ["count", "contrast", "sharpness"])
def test_one_bad_property_is_enough(column):
    columns = {
        "count": np.array([20, 21, 20, 19, 20]),
        "contrast": np.array([9.0, 9, 8.8, 9.1, 9]),
        "sharpness": np.array([0.9, 0.91, 0.9, 0.89, 0.9]),
    }
    assert not VolumeLooks(**columns).is_junk.any()
    columns[column] = columns[column] * np.array([1, 1, 1, 0.5, 1.0])
    assert VolumeLooks(**columns).is_junk.tolist() == [False, False, False, True, False]


def test_order_and_units_do_not_matter():
    rng = np.random.default_rng(0)
    count, contrast, sharpness = rng.integers(5, 30, 20), rng.uniform(3, 9, 20), rng.uniform(0.3, 1, 20)
    junk, order = VolumeLooks(count, contrast, sharpness).is_junk, rng.permutation(20)
    np.testing.assert_array_equal(VolumeLooks(count, 7 * contrast, sharpness / 1000).is_junk, junk)
    np.testing.assert_array_equal(VolumeLooks(count[order], contrast[order], sharpness[order]).is_junk, junk[order])


def mixed(case, junk_places, rng):
    """Puts volumes of nonsense between those of a case; returns detections, which volumes are junk, and which rows are the case's."""
    detections, _, _ = CASES[case](0)
    n = detections.n_volumes + len(junk_places)
    good_t = np.setdiff1d(np.arange(n), junk_places)
    span = np.ptp(detections.position_um, axis=0)
    parts = [replace(detections, t=good_t[detections.t].astype(np.int32), n_volumes=n)]
    for t in junk_places:
        some = Detections(n, *(getattr(detections, name)[:25] for name in list(Detections.__dataclass_fields__)[1:]))
        nonsense = detections.position_um.min(axis=0) + rng.random((25, 3)) * span
        label = np.arange(1, 26)
        parts.append(replace(some, t=np.full(25, t), label=label, position_um=nonsense.astype(np.float32)))
    order = np.argsort(np.concatenate([p.t for p in parts]), kind="stable")
    columns = {name: np.concatenate([getattr(p, name) for p in parts])[order] for name in list(Detections.__dataclass_fields__)[1:]}
    return Detections(n, **columns), np.isin(np.arange(n), junk_places), order < len(detections)


def tracks_of(detections, volumes):
    vectors = Embeddings(np.ones((len(detections), 1), np.float32))
    return tracked(detections, volumes, vectors, config=TrackConfig(appearance=False), compute=ComputeConfig(workers=1), seed=0)


def test_nothing_is_learned_from_junk():
    """Neurons of the good volumes are to the last bit what they are without the junk; junk is identified as well."""
    alone, _, _ = CASES["bend"](0)
    with_junk, junk, ours = mixed("bend", [0, 5, 6, 21, 44], np.random.default_rng(1))
    steady = np.where(junk, 0.2, 1.0)
    looks_said = VolumeLooks(np.bincount(with_junk.t, minlength=with_junk.n_volumes), 20 * steady, steady)
    np.testing.assert_array_equal(looks_said.is_junk, junk)
    apart, together = tracks_of(alone, looks_of(alone)), tracks_of(with_junk, looks_said)
    assert together.n_neurons == apart.n_neurons
    np.testing.assert_array_equal(partition(together.neuron[ours]), partition(apart.neuron))
    taught = tracks_of(with_junk, looks_of(with_junk))  # as good as any, so somebody says
    assert not np.array_equal(taught.probability[ours], together.probability[ours])


def partition(names):
    """Renames neurons by first appearance: names follow mean positions, which junk moves."""
    known = names >= 0
    _, first, inverse = np.unique(names[known], return_index=True, return_inverse=True)
    renamed = np.full(len(names), -1)
    renamed[known] = np.argsort(np.argsort(first))[inverse]
    return renamed


def test_a_recording_of_junk_alone_is_tracked_nevertheless():
    detections, _, _ = CASES["still"](0)
    zero = np.zeros(detections.n_volumes)
    found = tracks_of(detections, VolumeLooks(zero.astype(int), zero, zero))
    assert found.n_neurons == 30
