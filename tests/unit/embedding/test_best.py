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
    assert best_epoch(round_trips) == best
    assert best_epoch(np.array(round_trips)) == best


def test_views_are_asked_only_where_round_trips_are_not_known():
    assert gauge([0.5, 0.6], [0.1, 0.2]) == ("round trips", [0.5, 0.6])
    assert gauge([NAN, NAN], [0.1, 0.2]) == ("agreement", [0.1, 0.2])
