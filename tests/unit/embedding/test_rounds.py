"""When rounds of self-training begin, and when they are given up."""

import pytest

from barlowtrack.embedding.rounds import led_astray, round_starts

NAN = float("nan")


@pytest.mark.parametrize(
    ("rounds", "n_epochs", "starts"),
    [(0, 5, []), (1, 5, [0]), (2, 5, [0, 2]), (2, 4, [0, 2]), (3, 9, [0, 3, 6]), (5, 5, [0, 1, 2, 3, 4]), (7, 2, [0, 1]), (3, 0, [0])],
)
def test_rounds_are_spread_over_the_epochs(rounds: int, n_epochs: int, starts: list[int]) -> None:
    assert round_starts(rounds, n_epochs) == starts


# (round trips of the start and of every epoch so far, rounds of 6 epochs, led astray)
CASES = {
    "the first round may always begin": ([0.5], 3, False),
    "within a round nothing is judged": ([0.5, 0.1], 3, False),
    "a round without any gain": ([0.5, 0.4, 0.3], 3, True),
    "one epoch of it as good is enough": ([0.5, 0.5, 0.3], 3, False),
    "a gain": ([0.5, 0.6, 0.7], 3, False),
    "a gain, in the middle of the next round": ([0.5, 0.6, 0.7, 0.1], 3, False),
    "a later round without any gain": ([0.5, 0.6, 0.7, 0.6, 0.6], 3, True),
    "a later round is held against the best, not against the last": ([0.8, 0.8, 0.2, 0.3, 0.4], 3, True),
    "the end is no beginning": ([0.5, 0.6, 0.7, 0.7, 0.7, 0.1, 0.1], 3, False),
    "no rounds": ([0.5, 0.1, 0.1], 0, False),
    "a single round": ([0.5, 0.1, 0.1], 1, False),
    "more rounds than epochs: each is judged": ([0.5, 0.4], 20, True),
    "nothing can be told": ([NAN, NAN, NAN], 3, False),
}


@pytest.mark.parametrize(("trips", "rounds", "astray"), CASES.values(), ids=CASES.keys())
def test_a_round_that_gained_nothing_was_the_last(trips: list[float], rounds: int, astray: bool) -> None:
    assert led_astray(trips, rounds, 6) == astray
