"""What moves alike in both channels goes; what is green alone stays."""

from __future__ import annotations

import numpy as np
import pytest

from barlowtrack.activity.motion import LARGEST_SLOPE, regress_out, slopes

T = 400


def recording(*, moved: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K, T) green, red and true activity; movement dims both channels by the same share."""
    rng = np.random.default_rng(seed)
    movement = 1 + moved * np.sin(np.arange(T) / 3 + rng.uniform(0, 6, (10, 1)))
    active = np.clip(np.sin(np.arange(T) / 25 + rng.uniform(0, 6, (10, 1))), 0, None)
    usual = rng.uniform(50, 200, (10, 1))
    noise = rng.normal(1, 0.01, (2, 10, T))
    return usual * (1 + active) * movement * noise[0], usual * movement * noise[1], active


def likeness(green: np.ndarray, active: np.ndarray) -> float:
    return float(np.median([np.corrcoef(g, a)[0, 1] for g, a in zip(green, active, strict=True)]))


def test_movement_goes_and_activity_stays() -> None:
    green, red, active = recording(moved=0.3)
    assert likeness(regress_out(green, red), active) > likeness(green, active) + 0.03


def test_without_movement_hardly_anything_changes() -> None:
    green, red, _ = recording(moved=0.0)
    assert (np.abs(regress_out(green, red) / green - 1) < 0.02).mean() > 0.95


def test_where_red_is_as_usual_green_stays() -> None:
    green, red, _ = recording(moved=0.3)
    red[:, ::2] = np.median(red, axis=1, keepdims=True)
    usual = red == np.median(red, axis=1, keepdims=True)
    assert slopes(green, red).min() > 0.1
    np.testing.assert_allclose(regress_out(green, red)[usual], green[usual])


def test_the_share_is_found_and_bounded() -> None:
    rng = np.random.default_rng(0)
    red = 100 * (1 + 0.2 * rng.normal(size=(5, T)))
    for true, expected in ((0.0, 0.0), (0.7, 0.7), (1.0, 1.0), (9.0, LARGEST_SLOPE), (-1.0, 0.0)):
        green = 50 * (1 + true * (red / 100 - 1)) + 0.1 * rng.normal(size=red.shape)
        assert slopes(green, red) == pytest.approx(np.full(5, expected), abs=0.05)


def test_few_noisy_points_are_not_believed() -> None:
    rng = np.random.default_rng(0)
    red, green = 100 * (1 + 0.02 * rng.normal(size=(300, 4))), 100 * (1 + 0.2 * rng.normal(size=(300, 4)))
    assert np.median(slopes(green, red)) < 0.1
    assert (slopes(green, red) > 0.5).mean() < 0.1


def test_bursts_of_activity_do_not_tilt_the_line() -> None:
    green, red, _ = recording(moved=0.2)
    quiet = slopes(green, red)
    green[:, 50:70] *= 4
    assert slopes(green, red) == pytest.approx(quiet, abs=0.2)


@pytest.mark.parametrize("gain", [0.01, 3.0, 1000.0])
def test_gain_of_a_channel_does_not_matter(gain: float) -> None:
    green, red, _ = recording(moved=0.3)
    np.testing.assert_allclose(regress_out(gain * green, red), gain * regress_out(green, red), rtol=1e-6)
    np.testing.assert_allclose(regress_out(green, gain * red), regress_out(green, red), rtol=1e-6)


def test_only_what_counts_is_fitted_but_all_is_corrected() -> None:
    green, red, _ = recording(moved=0.3)
    use = np.zeros(green.shape, bool)
    use[:, :200] = True
    spoilt = green.copy()
    spoilt[:, 200:] = 7.0
    np.testing.assert_array_equal(regress_out(spoilt, red, use)[:, :200], regress_out(green, red, use)[:, :200])
    assert np.isfinite(regress_out(green, red, use)).all()


@pytest.mark.parametrize(
    ("green", "red"),
    [(np.nan, 1.0), (1.0, np.nan), (1.0, 0.0), (0.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)],
    ids=["no_signal", "no_reference", "dark_red", "dark_green", "negative_green", "negative_red", "constant"],
)
def test_where_nothing_can_be_fitted_green_stays(green: float, red: float) -> None:
    expected = green if np.isfinite(red) else np.nan
    np.testing.assert_array_equal(regress_out(np.full((2, 20), green), np.full((2, 20), red)), np.full((2, 20), expected))


@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (2, 1)])
def test_without_much_there_is_nothing_to_fit(shape: tuple[int, int]) -> None:
    assert regress_out(np.ones(shape), np.ones(shape)).shape == shape
