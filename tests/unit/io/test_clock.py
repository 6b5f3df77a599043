"""Times of volumes: the rate, volumes that were dropped, clocks that cannot be right."""

import numpy as np
import pytest

from barlowtrack.errors import InputError
from barlowtrack.io.readers.clock import rate_of


def test_even_times_say_nothing():
    times = np.arange(20) * 0.25 + np.random.default_rng(0).normal(0, 0.01, 20)
    rate_hz, odd = rate_of("worm.nwb", times)
    assert rate_hz == pytest.approx(4, rel=0.05)
    assert odd == ()


def test_dropped_volumes_are_counted():
    times = np.delete(np.arange(20) * 0.25, [5, 11, 12])
    rate_hz, (odd,) = rate_of("worm.nwb", times)
    assert rate_hz == pytest.approx(4)
    assert "after 2 of 17 volumes the clock jumps, by 3 volumes in all (most after volume 9: 0.75 s, usually 0.25 s)" in odd


@pytest.mark.parametrize("times", [[0, 1, 2, 1.5], [0, 0, 0], [0, np.nan, 2]])
def test_a_clock_that_cannot_be_right_is_refused(times):
    with pytest.raises(InputError, match=r"worm\.nwb: the clock goes from .* --rate HZ"):
        rate_of("worm.nwb", np.array(times, float))
