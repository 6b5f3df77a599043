"""Known movements, told from positions alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from barlowtrack.data import VolumeLooks
from barlowtrack.identity.motion import FALLBACK, MotionRange, Moved, motion_range, summarise, turn_back
from tests.cases import SPACING_UM, arrangement, detections_at, looks_of

POINTS = Path(__file__).parents[4] / "shared/data/nerve_worm1_points/points.csv"


def turned(points: np.ndarray, angle: float, tilt: float = 0.0) -> np.ndarray:
    """Points z, y, x turned in the plane, then tilted about x."""
    c, s, ct, st = np.cos(angle), np.sin(angle), np.cos(tilt), np.sin(tilt)
    in_plane = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_x = np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1]])
    return np.asarray(points @ (about_x @ in_plane).T)


def film(angles: np.ndarray, rng: np.random.Generator, *, jitter: float = 0.0, n: int = 40) -> np.ndarray:
    """(T, n, 3) um; a stiff body turned by angles (rad), its neurons in no order, each off by some neighbour distances."""
    rest = arrangement(n, rng)
    moved = [turned(rest, angle)[rng.permutation(n)] for angle in angles]
    return np.stack(moved) + jitter * SPACING_UM * rng.normal(size=(len(angles), n, 3))


def estimate(position: np.ndarray, seed: int = 0) -> MotionRange:
    t = np.repeat(np.arange(len(position)), position.shape[1])
    detections = detections_at(t, position.reshape(-1, 3), len(position))
    return motion_range(detections, looks_of(detections), seed)


def difference(angles: np.ndarray) -> float:
    """95th percentile of the angle between two volumes, deg."""
    apart = np.abs(angles[:, None] - angles)[np.triu_indices(len(angles), 1)]
    return float(np.rad2deg(np.percentile(apart, 95)))


def test_a_still_worm_does_not_turn() -> None:
    found = estimate(film(np.zeros(12), np.random.default_rng(0)))
    assert found.n_neighbourhoods > 1000
    assert found.rotation_deg < 0.1
    assert found.tilt_deg < 0.1
    assert found.scale < 1e-3
    assert found.local_um < 1e-3


@pytest.mark.parametrize("most_deg", [10, 45, 90])
def test_a_stiff_body_that_turns(most_deg: float) -> None:
    angles = np.deg2rad(most_deg) * np.random.default_rng(1).uniform(-1, 1, 16)
    found = estimate(film(angles, np.random.default_rng(0), jitter=0.05))
    assert found.rotation_deg == pytest.approx(difference(angles), rel=0.1, abs=3)
    assert found.tilt_deg < 15  # of detections that are a little off, not of the body
    assert found.scale < 0.1


def test_detections_that_are_off_are_local_movement_and_little_turn() -> None:
    found = estimate(film(np.zeros(12), np.random.default_rng(0), jitter=0.1))
    assert found.rotation_deg < 10
    assert found.local_um == pytest.approx(0.1 * SPACING_UM * np.sqrt(6), rel=0.35)  # of both volumes, three axes


def test_bending_turns_the_surroundings_of_a_nucleus_though_the_body_stays() -> None:
    rng = np.random.default_rng(0)
    rest = arrangement(40, rng)
    place = rest[:, 2] / np.abs(rest[:, 2]).max()
    volumes = []
    for bend in np.linspace(-0.5, 0.5, 12):
        heading = bend * place  # rad along the body; the ends turn against each other
        y = 0.5 * bend * place**2 * np.abs(rest[:, 2]).max() + rest[:, 1] * np.cos(heading)
        volumes.append(np.stack([rest[:, 0], y, rest[:, 2] - rest[:, 1] * np.sin(heading)], 1))
    found = estimate(np.stack(volumes))
    assert 15 < found.rotation_deg < 60


def test_turn_back_finds_turn_tilt_and_growth() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=(30, 9, 3))
    before -= before.mean(1, keepdims=True)
    angle, tilt = rng.uniform(-3, 3, 30), rng.uniform(0, 0.6, 30)
    after = np.stack([turned(b, a, t) for b, a, t in zip(before, angle, tilt, strict=True)])
    moved = turn_back(before, after)
    assert np.allclose(moved.tilt, tilt, atol=1e-6)
    assert np.allclose(moved.left, 0, atol=1e-9)
    flat = turn_back(before, 1.3 * np.stack([turned(b, a) for b, a in zip(before, angle, strict=True)]))
    assert np.allclose(flat.turn, angle, atol=1e-9)
    assert np.allclose(flat.growth, np.log(1.3))


def test_a_flat_neighbourhood_turns_in_its_plane_and_a_mirror_image_is_no_rotation() -> None:
    before = np.random.default_rng(0).normal(size=(10, 9, 3)) * [0, 1, 1]
    before -= before.mean(1, keepdims=True)
    flat = turn_back(before, turned(before, 0.4))
    assert np.allclose(flat.turn, 0.4)
    assert np.allclose(flat.tilt, 0, atol=1e-6)
    solid = np.random.default_rng(1).normal(size=(10, 9, 3))
    assert turn_back(solid, solid * [1, 1, -1]).left.min() > 0.1


def test_what_fits_badly_is_left_out() -> None:
    good, bad = np.full(100, 0.1), np.full(50, 2.0)
    moved = Moved(*(np.concatenate([good, bad]) for _ in range(4)))
    assert summarise(moved, 1.0) == MotionRange(*(pytest.approx(v) for v in (np.rad2deg(0.1), np.rad2deg(0.1), np.expm1(0.1), 0.1, 100)))
    assert summarise(moved, 0.05) == FALLBACK


@pytest.mark.parametrize(("volumes", "nuclei"), [(0, 0), (1, 40), (2, 40), (20, 0), (20, 1), (20, 2), (20, 8)])
def test_too_little_to_measure_is_said(volumes: int, nuclei: int) -> None:
    position = np.random.default_rng(0).uniform(0, 20, (volumes, nuclei, 3))
    assert estimate(position) == FALLBACK
    assert FALLBACK.n_neighbourhoods == 0


def test_order_and_seed_of_the_same_recording() -> None:
    position = film(np.linspace(-0.4, 0.4, 6), np.random.default_rng(0), jitter=0.05, n=25)
    assert estimate(position) == estimate(position)
    assert estimate(position, seed=1).rotation_deg == pytest.approx(estimate(position).rotation_deg, rel=0.1)


def test_junk_is_not_measured() -> None:
    rng = np.random.default_rng(0)
    still, noise = film(np.zeros(8), rng), rng.uniform(-15, 15, (2, 40, 3))
    position = np.concatenate([still, noise])
    detections = detections_at(np.repeat(np.arange(10), 40), position.reshape(-1, 3), 10)
    contrast = np.array([20.0] * 8 + [0.1] * 2)
    looks = VolumeLooks(np.full(10, 40), contrast, np.ones(10))
    assert looks.is_junk.tolist() == [False] * 8 + [True] * 2
    alone = detections_at(np.repeat(np.arange(8), 40), still.reshape(-1, 3), 8)
    found, wanted = motion_range(detections, looks, 0), motion_range(alone, looks_of(alone), 0)
    assert found.rotation_deg == pytest.approx(wanted.rotation_deg, abs=0.1)
    assert found.n_neighbourhoods == wanted.n_neighbourhoods


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not POINTS.exists(), reason="../shared/data/nerve_worm1_points is not here")
def test_a_freely_moving_worm_turns_far() -> None:
    with POINTS.open() as file:
        rows = list(csv.DictReader(file))
    _, t = np.unique([int(row["volume"]) for row in rows], return_inverse=True)
    position = np.array([[float(row[axis]) for axis in "zyx"] for row in rows])
    some = t % 25 == 0  # 20 volumes, from all over the recording
    _, t = np.unique(t[some], return_inverse=True)
    detections = detections_at(t, position[some], 20)
    found = motion_range(detections, looks_of(detections), 0)
    assert 90 < found.rotation_deg < 180  # 145 by the hand-annotated identities of 60 volumes
    assert 8 < found.tilt_deg < 30
