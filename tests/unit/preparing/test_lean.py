"""Jumps of planes are told from the lean of the worm, on places whose lean and jumps are known."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from barlowtrack.preparing.jitter import settled
from barlowtrack.preparing.lean import PERSISTENCES, SPREADS_VOX, expected_lean

PLANES = 15


def left_over(jump, lean, volumes, draws=20):
    """Root mean square of what is left of jumps of this size beside leans; (T,) lean of the outermost planes of volumes 0 to T - 1."""
    left = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        jumps = jump * rng.normal(size=(volumes, PLANES, 2))
        jumps -= jumps.mean(axis=1, keepdims=True)
        places = jumps + lean(rng, volumes)[:, None, None] * np.linspace(-1, 1, PLANES)[:, None]
        left.append(settled(list(places), [np.ones(PLANES, bool)] * volumes) - jumps)
    return float(np.sqrt(np.mean(np.square(left))))


def upright(rng, volumes):
    return np.zeros(volumes)


def aslant(rng, volumes):
    """It turns by about a tenth from volume to volume."""
    return 4 * np.sin(rng.uniform(0, 2 * np.pi) + 0.1 * np.arange(volumes))


def another(rng, volumes):
    """Volumes that lie far apart in time."""
    return 4 * rng.normal(size=volumes)


@pytest.mark.parametrize(
    ("lean", "volumes", "most"),
    [
        (upright, 6, 0.2),  # jumps seem to lean where volumes are few
        (upright, 50, 0.09),
        (aslant, 6, 0.42),
        (aslant, 50, 0.35),  # the lean goes on, jumps do not
        (another, 6, 0.53),
        (another, 50, 0.53),  # here nothing tells them apart but their size
    ],
)
def test_jumps_are_told_from_the_lean(lean, volumes, most):
    assert left_over(2.0, lean, volumes) < most


def test_planes_that_only_lean_are_left_where_they_are():
    places = 4 * np.linspace(-1, 1, PLANES)[:, None] * np.ones((6, 1, 2))
    assert not settled(list(places), [np.ones(PLANES, bool)] * 6).any()


def test_the_lean_is_followed_where_the_worm_moves_in_depth():
    """Other planes show it then; shapes over them must keep their signs and their volumes, also where one shows nothing."""
    rng = np.random.default_rng(0)
    jumps = rng.normal(size=(60, 22, 2))
    sure = np.zeros((60, 22), bool)
    for t in range(60):
        sure[t, t % 7 : t % 7 + PLANES] = t % 10 != 3
    lean = 4 * np.linspace(-1, 1, 22)[:, None]
    found = settled([np.where(good[:, None], jump + lean, 0) for jump, good in zip(jumps, sure, strict=True)], sure)
    left = [(found[t] - jumps[t])[good] for t, good in enumerate(sure) if good.any()]
    assert np.sqrt(np.mean([np.var(of_it, axis=0) for of_it in left])) < 0.2
    assert not found[~sure].any()


def test_the_expected_lean_is_that_of_a_slow_and_obvious_computation():
    rng = np.random.default_rng(1)
    times, variance = np.array([0, 1, 2, 5, 6, 9]), 0.7
    size = rng.normal(size=(6, 2)) + 1
    total, expected = 0.0, np.zeros((6, 2))
    for persistence, odds in PERSISTENCES.items():
        alike = persistence ** np.abs(times[:, None] - times).astype(float)
        for spread in SPREADS_VOX:
            lean, jumps = spread**2 * alike, variance * np.eye(6)
            likely = odds * np.prod([multivariate_normal(np.zeros(6), lean + jumps).pdf(of_axis) for of_axis in size.T])
            total, expected = total + likely, expected + likely * lean @ np.linalg.solve(lean + jumps, size)
    np.testing.assert_allclose(expected_lean(size, times, variance), expected / total, rtol=1e-9)


def test_one_volume_tells_little_and_is_enough():
    size = np.array([[3.0, -3.0]])
    lean = expected_lean(size, np.array([4]), 1.0)
    assert (np.abs(lean) < np.abs(size)).all()
    assert (lean * size > 0).all()
