"""The nouns: what they are made of stays together."""

import numpy as np
import pytest

from barlowtrack.data import Detections, medians_by
from barlowtrack.errors import InputError
from tests.cases import CASES


def test_a_subset_keeps_rows_whole_and_volumes_their_numbers() -> None:
    detections, _, _ = CASES["dropout"](0)
    rows = np.flatnonzero(np.random.default_rng(0).random(len(detections)) < 0.3)
    some = detections.subset(rows)
    assert len(some) == len(rows)
    assert some.n_volumes == detections.n_volumes
    for name in Detections.__dataclass_fields__:
        if name != "n_volumes":
            assert np.array_equal(getattr(some, name), getattr(detections, name)[rows], equal_nan=True), name
    for t in (0, 13, 39):
        assert np.array_equal(some.position_um[some.rows_of(t)], detections.position_um[rows[detections.t[rows] == t]])


def test_all_rows_and_none_are_subsets() -> None:
    detections, _, _ = CASES["still"](0)
    assert np.array_equal(detections.subset(np.arange(len(detections))).label, detections.label)
    assert len(detections.subset(np.zeros(0, int))) == 0
    assert detections.subset(np.zeros(0, int)).n_volumes == 20


def test_rows_of_a_subset_rise() -> None:
    detections, _, _ = CASES["still"](0)
    with pytest.raises(InputError, match="rows sorted by t"):
        detections.subset(np.array([3, 2]))


def test_medians_by_group_are_those_of_each_group_alone():
    rng = np.random.default_rng(0)
    values, group = rng.normal(size=50), rng.integers(-1, 4, 50)
    found = medians_by(values, group, 6)
    assert found[:4].tolist() == [np.median(values[group == k]) for k in range(4)]
    assert np.isnan(found[4:]).all()
