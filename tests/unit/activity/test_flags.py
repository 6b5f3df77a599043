"""Every flag is raised by its cause, by nothing else, and several may hold."""

from __future__ import annotations

import numpy as np
import pytest

from barlowtrack.activity.flags import CROWDED_FROM, DIM_BELOW, excess, flag_identity, flag_light
from barlowtrack.data import Flag, Light, Swaps


def light(n: int = 4, **changed: object) -> Light:
    """Readings against which nothing can be said, but for what is changed."""
    reading = np.full((2, n), 100.0)
    values: dict[str, object] = {
        "mean": reading,
        "soft": reading,
        "brightest": reading,
        "background": reading,
        "shell": reading,
        "shell_spread": reading,
        "voxels": np.full(n, 50),
        "crowding": np.zeros(n),
        "edge": np.zeros(n, bool),
        "saturated": np.zeros(n),
    }
    return Light(**{**values, **changed})  # type: ignore[arg-type]


def reds(*values: float) -> np.ndarray:
    """Means of which red is so much above what is around it; in spreads of the mean of 50 voxels."""
    return np.stack([100.0 + np.array(values) * 7 / np.sqrt(50), np.full(len(values), 500.0)])


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [0, 0]),
        ({"edge": np.array([True, False])}, [Flag.EDGE, 0]),
        ({"saturated": np.array([0.0, 0.01])}, [0, Flag.SATURATED]),
        ({"crowding": np.array([CROWDED_FROM, CROWDED_FROM - 0.01])}, [Flag.CROWDED, 0]),
        ({"mean": reds(DIM_BELOW + 0.1, DIM_BELOW - 0.1)}, [0, Flag.DIM]),
        ({"mean": reds(DIM_BELOW - 0.1, DIM_BELOW - 0.1), "voxels": np.array([60, 50])}, [0, Flag.DIM]),
        ({"mean": reds(np.nan, -1.0)}, [Flag.DIM, Flag.DIM]),
        (
            {"edge": np.array([True, True]), "crowding": np.ones(2), "mean": reds(0, 50)},
            [Flag.EDGE | Flag.CROWDED | Flag.DIM, Flag.EDGE | Flag.CROWDED],
        ),
    ],
    ids=["nothing", "edge", "saturated", "crowded", "dim", "of_fewer_voxels", "no_red", "several"],
)
def test_light_is_flagged_for_what_it_is(changed: dict[str, object], expected: list[int]) -> None:
    usual = {"mean": reds(50, 50), "shell_spread": np.full((2, 2), 7.0)}
    assert flag_light(light(2, **{**usual, **changed})).tolist() == expected


def test_a_value_is_doubtful_or_swapped_only_where_there_is_one() -> None:
    probability = np.array([[0.9, 0.4, np.nan], [0.9, 0.9, 0.9], [0.5, 0.0, 1.0]])
    swaps = Swaps(np.array([1]), np.array([2]), np.array([[0, 2]]), np.array([20.0]))
    both = Flag.DOUBTFUL | Flag.SWAPPED
    assert flag_identity(probability, swaps).tolist() == [[0, both, 0], [0, 0, 0], [0, both, Flag.SWAPPED]]


def test_what_stands_out_does_not_depend_on_the_percentile_of_the_background() -> None:
    usual = excess(light())
    np.testing.assert_array_equal(excess(light(background=np.zeros((2, 4)))), usual)
    assert (usual < 0).all()


def test_without_neurons_there_are_no_flags() -> None:
    nothing = Swaps(np.empty(0, int), np.empty(0, int), np.empty((0, 2), int), np.empty(0))
    assert flag_identity(np.empty((0, 4)), nothing).shape == (0, 4)
    assert len(flag_light(light(0))) == 0
