"""Times of volumes: the rate, volumes that were dropped, clocks that cannot be right."""

import numpy as np
import pytest

from barlowtrack.errors import InputError
from barlowtrack.io.clock import noted_rate, rate_of


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


def noted(times, planned_hz=None):
    """What noted_rate says of times, and how many of them it asked for."""
    asked = []
    said = noted_rate("DeltaT", lambda t: asked.append(t) or times[t], len(times), planned_hz)
    return *said, len(asked)


def test_noted_times_of_a_long_recording_are_not_all_read():
    rng = np.random.default_rng(0)
    times = np.arange(20_000) * 0.25 + rng.normal(0, 0.01, 20_000)
    rate_hz, odd, asked = noted(times, 4.0)
    assert rate_hz == pytest.approx(4, rel=0.02)
    assert odd == ()
    assert asked < 3000
    rate_hz, (odd,), asked = noted(np.delete(times, [777, 12_345, 12_346]), 4.0)
    assert "after 2 of 19997 volumes the clock jumps, by 3 volumes in all (most after volume 12343: " in odd
    assert asked < 3100


@pytest.mark.parametrize(
    ("n", "lost"),
    [
        (21, [10]),
        (37, [10, 20, 30]),
        (1000, range(15, 1000, 20)),
        (3000, range(5, 3000, 12)),
        (3000, np.unique(np.random.default_rng(1).integers(1, 2999, 90))),
        (15_000, range(7, 14_990, 40)),
    ],
    ids=["one of few", "three of few", "each 20th", "each 12th", "3 % at random", "each 40th of many"],
)
def test_volumes_are_missed_however_often_they_are_dropped(n, lost):
    _, (odd,), _ = noted(np.delete(np.arange(n) / 3, lost))
    assert f"by {len(lost)} volumes in all" in odd


def test_what_was_looked_at_is_said_where_not_all_was():
    _, (odd,), asked = noted(np.delete(np.arange(20_000) / 3, [777]))
    assert asked < 3000
    assert "; the times of " in odd
    _, (odd,), _ = noted(np.delete(np.arange(2000) / 3, [777]))
    assert "were looked at" not in odd


def test_volumes_that_were_noted_late_are_not_missing():
    times = np.arange(60) / 3.0
    times[20] += 0.3  # noted late, the next one in time
    times[40:42] = times[42]  # two wait for a third
    assert noted(times)[1] == ()


def test_volumes_that_came_slower_than_planned():
    rate_hz, (odd,), _ = noted(np.arange(50) * 0.4, 10.0)
    assert rate_hz == pytest.approx(2.5)
    assert odd == "DeltaT: 2.5 volumes a second, where 10 were planned; taken as they came"


def test_a_noted_clock_that_goes_back_is_told_and_not_counted_by():
    rate_hz, (odd,), _ = noted([*range(40), *range(10, 90)], 2.0)
    assert (rate_hz, odd) == (2.0, "DeltaT: the clock goes back after volume 39: are volumes out of order, or recordings joined?")


@pytest.mark.parametrize("times", [[0.0], [0.0] * 9, [None] * 9, [0.0, 1.0, None, 3.0], [0.0, np.inf, 1.0]])
def test_times_that_say_nothing_leave_what_was_planned(times):
    assert noted(times, 3.0)[:2] == (3.0, ())
