"""Every flag is raised by its cause, by nothing else, and several may hold."""

from __future__ import annotations

import numpy as np
import pytest

from barlowtrack.activity.flags import CROWDED_FROM, DIM_BELOW, background_noise, flag_identity, flag_light
from barlowtrack.data import Flag, Light, Swaps


def light(n: int = 4, **changed: object) -> Light:
    """Readings against which nothing can be said, but for what is changed."""
    reading = np.full((2, n), 100.0)
    values: dict[str, object] = {
        "mean": reading,
        "soft": reading,
        "brightest": reading,
        "background": reading,
        "voxels": np.full(n, 50),
        "crowding": np.zeros(n),
        "edge": np.zeros(n, bool),
        "saturated": np.zeros(n),
    }
    return Light(**{**values, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "red", "expected"),
    [
        ({}, [50.0, 50.0], [0, 0]),
        ({"edge": np.array([True, False])}, [50.0, 50.0], [Flag.EDGE, 0]),
        ({"saturated": np.array([0.0, 0.01])}, [50.0, 50.0], [0, Flag.SATURATED]),
        ({"crowding": np.array([CROWDED_FROM, CROWDED_FROM - 0.01])}, [50.0, 50.0], [Flag.CROWDED, 0]),
        ({}, [2 * DIM_BELOW + 0.1, 2 * DIM_BELOW], [0, Flag.DIM]),
        ({}, [np.nan, -1.0], [Flag.DIM, Flag.DIM]),
        (
            {"edge": np.array([True, True]), "crowding": np.ones(2)},
            [0.0, 50.0],
            [Flag.EDGE | Flag.CROWDED | Flag.DIM, Flag.EDGE | Flag.CROWDED],
        ),
    ],
    ids=["nothing", "edge", "saturated", "crowded", "dim", "no_red", "several"],
)
def test_light_is_flagged_for_what_it_is(changed: dict[str, object], red: list[float], expected: list[int]) -> None:
    assert flag_light(light(2, **changed), np.array(red), noise=2.0).tolist() == expected


def test_a_value_is_doubtful_or_swapped_only_where_there_is_one() -> None:
    probability = np.array([[0.9, 0.4, np.nan], [0.9, 0.9, 0.9], [0.5, 0.0, 1.0]])
    swaps = Swaps(np.array([1]), np.array([2]), np.array([[0, 2]]), np.array([20.0]))
    both = Flag.DOUBTFUL | Flag.SWAPPED
    assert flag_identity(probability, swaps).tolist() == [[0, both, 0], [0, 0, 0], [0, both, Flag.SWAPPED]]


def test_noise_of_a_background_is_that_of_its_readings() -> None:
    rng = np.random.default_rng(0)
    background = rng.uniform(90, 200, (40, 1)) + 3.0 * rng.normal(size=(40, 300))
    background[rng.random(background.shape) < 0.2] = np.nan
    assert background_noise(background) == pytest.approx(3.0, rel=0.1)
    assert background_noise(np.full((2, 5), np.nan)) == background_noise(np.ones((2, 1))) == background_noise(np.empty((0, 5))) == 0


def test_without_neurons_there_are_no_flags() -> None:
    nothing = Swaps(np.empty(0, int), np.empty(0, int), np.empty((0, 2), int), np.empty(0))
    assert flag_identity(np.empty((0, 4)), nothing).shape == (0, 4)
    assert len(flag_light(light(0), np.empty(0), 1.0)) == 0
