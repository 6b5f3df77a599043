"""Channels with clocks of their own."""

import numpy as np
import pytest

from barlowtrack.errors import InputError
from barlowtrack.io.together import refuse_apart

EVEN = np.arange(40) / 4


def late(clock: np.ndarray, t: int, by_s: float, *, stays: bool = True) -> np.ndarray:
    clock = clock.copy()
    clock[t : None if stays else t + 1] += by_s
    return clock


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (late(EVEN, 9, 0.25), "part after volume 8: "),
        (late(EVEN, 39, 0.25), "part after volume 38: "),
        (late(EVEN, 1, 0.5), "part after volume 0: "),
        (late(EVEN, 9, -0.25), "part after volume 8: "),
        (EVEN * 2, "red has 4 volumes a second and green 2: "),
    ],
)
def test_clocks_that_part(other: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=f"worm: .*{said}.*--rate"):
        refuse_apart("worm", {"red": EVEN, "green": other})


def test_clocks_that_are_no_worse_than_clocks_are() -> None:
    shaken = EVEN + np.random.default_rng(0).uniform(0, 0.1, 40)
    for other in (EVEN, shaken, EVEN * 1.01 + 0.05, late(EVEN, 20, 0.2, stays=False), EVEN[:1], np.zeros(40)):
        assert refuse_apart("worm", {"red": EVEN, "green": other}) == ()
    dropped = late(EVEN, 9, 1)
    assert refuse_apart("worm", {"red": dropped, "green": dropped}) == ()
    assert refuse_apart("worm", {"red": EVEN, "green": EVEN + 7}) == (
        "the clock of green is 7 s from that of red; taken as volumes of the same moments",
    )
