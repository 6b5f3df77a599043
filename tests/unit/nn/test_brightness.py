"""How a model sees brightness: two percentiles, and a curve that lifts the dim."""

import numpy as np
import pytest

from barlowtrack.errors import InputError
from barlowtrack.nn.brightness import LINEAR, Brightness

VOLUME = np.random.default_rng(0).lognormal(4, 1, (6, 30, 30)).astype(np.float32)


def test_two_percentiles_become_0_and_1():
    seen = Brightness(5.0, 95.0)(VOLUME)
    np.testing.assert_allclose(np.percentile(seen, [5, 95]), [0, 1], atol=1e-5)
    np.testing.assert_allclose(
        (seen[0, 0, 0] - seen[1, 2, 3]), (VOLUME[0, 0, 0] - VOLUME[1, 2, 3]) / np.ptp(np.percentile(VOLUME, [5, 95])), rtol=1e-4
    )


@pytest.mark.parametrize("curve", [0.0, 1.0, 20.0])
def test_the_curve_keeps_0_and_1_and_the_order(curve):
    lift = Brightness(curve=curve).lift
    values = np.linspace(-0.5, 3, 200).astype(np.float32)
    lifted = lift(values)
    assert np.all(np.diff(lifted) > 0)
    np.testing.assert_allclose(lift(np.array([0, 1], np.float32)), [0, 1], atol=1e-6)
    np.testing.assert_allclose(lift(-values), -lifted, atol=1e-6)


def test_the_curve_lifts_dim_nuclei_and_a_linear_one_does_not():
    dim = np.array([0.05, 0.2], np.float32)
    np.testing.assert_array_equal(LINEAR.lift(dim), dim)
    assert np.all(Brightness(curve=20.0).lift(dim) > 2 * dim)
    assert Brightness(1.0, 99.8, 0.0) == LINEAR  # as StarDist's users do


@pytest.mark.parametrize("brightness", [LINEAR, Brightness(1.0, 99.8, 20.0)])
def test_gain_and_offset_of_the_camera_do_not_matter(brightness):
    np.testing.assert_allclose(brightness(VOLUME * 7 + 300), brightness(VOLUME), atol=1e-4)


@pytest.mark.parametrize("bad", [np.full((2, 2, 2), np.nan), np.zeros((0, 2, 2))])
def test_what_cannot_be_seen_is_refused(bad):
    with pytest.raises(InputError, match="volume: expected"):
        LINEAR(bad)
