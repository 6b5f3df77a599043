"""Fading that is put in comes out; activity and noise are not taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barlowtrack.activity.bleaching import FEWEST_NEURONS, fit_bleaching, population_level, undo

MONO = {"mono": lambda u: np.exp(-1.2 * u)}
CURVES = {**MONO, "bi": lambda u: 0.4 * np.exp(-12 * u) + 0.6 * np.exp(-0.5 * u), "flat": np.ones_like}


def light(curve: np.ndarray, *, k: int = 60, shared: float = 0.0, seed: int = 0) -> np.ndarray:
    """(K, T) neurons of different brightness, a tenth of the values missing; activity is shared by all, each by another share."""
    rng = np.random.default_rng(seed)
    n = len(curve)
    beat = np.sin(2 * np.pi * np.arange(n) / 60 + seed) + np.sin(2 * np.pi * np.arange(n) / 37)
    active = 1 + shared * beat * rng.uniform(0, 1, (k, 1))
    values = np.exp(rng.normal(4, 0.7, (k, 1)) + 0.1 * rng.normal(size=(k, n)) + 0.02 * rng.normal(size=n)) * active * curve
    values[rng.random((k, n)) < 0.1] = np.nan
    return values


def shape_error(curve: np.ndarray, true: np.ndarray) -> float:
    """Largest difference of the two as shares, whatever their scale."""
    off = np.log(curve / true)
    return float(np.abs(off - np.median(off)).max())


@pytest.mark.parametrize("name", CURVES)
def test_the_fading_put_in_is_found(name: str) -> None:
    true = CURVES[name](np.linspace(0, 1, 300))
    found = fit_bleaching(light(true), light(true, shared=0.1, seed=1), np.arange(300) / 3.0)
    assert found.kind[0] == {"flat": "none"}.get(name, name)
    assert shape_error(found.fit[0], true) < 0.05
    assert shape_error(found.fit[1], true) < 0.15
    assert found.fit[:, 0] == pytest.approx(1)
    assert (np.diff(found.fit, axis=1) <= 1e-12).all()


@pytest.mark.parametrize("seed", range(6))
def test_shared_activity_is_no_fading(seed: int) -> None:
    found = fit_bleaching(light(np.ones(100), seed=seed), light(np.ones(100), shared=0.3, seed=seed), np.arange(100.0))
    assert found.kind == ("none", "none")
    assert (found.fit == 1).all()


def test_light_that_grows_is_no_fading() -> None:
    rising = light(np.exp(np.linspace(0, 1, 100)))
    for kind in ("auto", "mono", "bi"):
        assert np.ptp(fit_bleaching(rising, rising, np.arange(100.0), kind).fit) < 0.01


def test_dark_volumes_do_not_bend_the_curve() -> None:
    true = CURVES["mono"](np.linspace(0, 1, 200))
    values = light(true)
    values[:, ::15] *= 0.02
    assert shape_error(fit_bleaching(values, values, np.arange(200.0)).fit[0], true) < 0.05


def test_neurons_seen_only_early_or_late_do_no_harm() -> None:
    true = CURVES["mono"](np.linspace(0, 1, 300))
    values = light(true)
    values[:25, 130:] = np.nan
    values[25:50, :170] = np.nan
    assert shape_error(fit_bleaching(values, values, np.arange(300.0)).fit[0], true) < 0.05


def test_without_a_rate_volumes_count() -> None:
    values = light(CURVES["mono"](np.linspace(0, 1, 120)))
    timed, untimed = (fit_bleaching(values, values, time) for time in (np.arange(120) / 3.0, np.full(120, np.nan)))
    np.testing.assert_allclose(timed.fit, untimed.fit, rtol=1e-6)


def test_undone_light_no_longer_falls() -> None:
    values = light(CURVES["bi"](np.linspace(0, 1, 300)))
    found = fit_bleaching(values, values, np.arange(300.0))
    level = population_level(undo(values, found.fit[0]))
    assert abs(np.log(level[:30].mean() / level[-30:].mean())) < 0.03
    np.testing.assert_array_equal(np.isnan(undo(values, found.fit[0])), np.isnan(values))


@pytest.mark.parametrize(
    "values",
    [
        np.empty((0, 20)),
        np.empty((3, 0)),
        np.full((3, 20), np.nan),
        np.ones((3, 20)),
        -np.ones((3, 20)),
        np.zeros((3, 20)),
        np.ones((1, 1)),
    ],
    ids=["no_neuron", "no_volume", "never_seen", "constant", "negative", "dark", "one_volume"],
)
@pytest.mark.parametrize("kind", ["auto", "mono", "bi", "none"])
def test_nothing_to_fit_leaves_everything_as_it_is(values: np.ndarray, kind: str) -> None:
    found = fit_bleaching(values, values, np.arange(values.shape[1]) / 3.0, kind)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.fit, 1, atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 5))
def test_gain_and_order_do_not_matter(factor: float, seed: int) -> None:
    values = light(CURVES["mono"](np.linspace(0, 1, 60)), k=12, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(values) * factor
    one, other = (fit_bleaching(x, x, np.arange(60.0), "mono") for x in (values, shuffled))
    np.testing.assert_allclose(one.level, other.level, rtol=1e-6)
    np.testing.assert_allclose(one.fit, other.fit, rtol=1e-3)


def test_a_few_neurons_are_not_asked_whether_light_fades() -> None:
    fading = np.exp(-np.linspace(0, 1.5, 200))
    for k, expected in ((FEWEST_NEURONS - 1, "none"), (FEWEST_NEURONS, "mono")):
        assert fit_bleaching(light(fading, k=k), light(fading, k=k), np.arange(200.0)).kind == (expected, expected)
    few = light(fading, k=2)
    assert fit_bleaching(few, few, np.arange(200.0), "mono").kind == ("mono", "mono")  # who asks for it gets it
