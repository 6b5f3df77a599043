"""Which epoch counts."""

import numpy as np
import pytest

from barlowtrack.embedding import best_epoch, gauge

NAN = float("nan")


@pytest.mark.parametrize(
    ("round_trips", "best"),
    [
        ([0.5], 0),
        ([0.5, 0.6, 0.4], 1),
        ([0.5, 0.4, 0.3], 0),
        ([0.5, 0.6, 0.6], 2),  # of equals the last: it has learned longest
        ([NAN, NAN, NAN], 2),
    ],
)
def test_the_best_epoch_is_the_last_of_the_best(round_trips: list[float], best: int):
    rank = [20.0] * len(round_trips)
    assert best_epoch(round_trips, rank) == best
    assert best_epoch(np.array(round_trips), np.array(rank)) == best


@pytest.mark.parametrize(
    ("rank", "best"),
    [
        ([20.0, 10.0, 1.5], 1),  # the last has collapsed
        ([1.2, 1.4, 1.5], 2),  # all have: nothing better is at hand
        ([1.2, 30.0, 1.5], 1),
    ],
)
def test_an_epoch_that_has_collapsed_is_none_of_the_best(rank: list[float], best: int):
    assert best_epoch([0.5, 0.6, 1.0], rank) == best


def test_views_are_asked_only_where_round_trips_are_not_known():
    assert gauge([0.5, 0.6], [0.1, 0.2]) == ("round trips", [0.5, 0.6])
    assert gauge([NAN, NAN], [0.1, 0.2]) == ("agreement", [0.1, 0.2])
