"""The choice among what was found, without a detector."""

import numpy as np
import pytest

from barlowtrack.detect.found import Found, choose, keep, renumber

SCORE = np.array([0.9, 0.2, 0.5, 0.7, 0.4])
FOUND = Found(np.array([[[0, 1, 2, 3, 4, 5, 5]]], np.int32), SCORE, 10 * SCORE, SCORE, (0.3, 0.45, 0.8))


@pytest.mark.parametrize(
    ("expected", "most", "kept"),
    [
        (None, None, [0, 2, 3]),  # the usual least score
        (None, 2, [0, 3]),
        (1, None, [0]),
        (2, None, [0, 3]),
        (4, None, [0, 2, 3, 4]),
        (99, None, [0, 2, 3, 4]),  # never below the least score
        (99, 1, [0]),
    ],
)
def test_the_surest_are_kept_in_their_old_order(expected, most, kept):
    chosen = choose(FOUND, expected, most)
    np.testing.assert_array_equal(chosen.score, SCORE[kept])
    np.testing.assert_array_equal(chosen.quality, 10 * SCORE[kept])
    np.testing.assert_array_equal(chosen.probability, SCORE[kept])
    np.testing.assert_array_equal(chosen.labels, renumber(FOUND.labels, np.isin(np.arange(5), kept)))
    assert [int(v) for v in np.unique(chosen.labels)] == list(range(len(kept) + 1))


def test_what_is_beyond_doubt_is_never_dropped_for_an_expected_number():
    sure = FOUND._replace(score=np.array([0.9, 0.85, 0.95, 0.8, 0.4]))
    assert len(choose(sure, 1, None).score) == 4


def test_renumbering_keeps_voxels_and_order():
    labels = np.array([[[3, 1, 0, 2, 2]]])
    np.testing.assert_array_equal(renumber(labels, np.array([True, False, True])), [[[2, 1, 0, 0, 0]]])
    assert keep(FOUND, np.ones(5, bool)) is FOUND


def test_nothing_is_chosen_from_nothing():
    nothing = Found(np.zeros((1, 2, 3), np.int32), np.zeros(0), np.zeros(0), np.zeros(0), (0.1, 0.2, 0.3))
    for expected in (None, 1, 50):
        assert len(choose(nothing, expected, 5).score) == 0
