import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from barlowtrack.errors import ConfigError, InputError
from barlowtrack.synthetic import measure_motion, preset, simulate
from barlowtrack.synthetic.config import SyntheticConfig
from barlowtrack.synthetic.worm import Worm


@pytest.mark.parametrize(("name", "expected"), [("still", 0.0), ("easy", 0.2), ("mid", 0.5), ("hard", 1.3)])
def test_preset_moves_as_promised(name, expected):
    truth = simulate(preset(name, n_volumes=300, n_neurons=60, volume_shape=(20, 128, 256)), seed=5).truth
    assert measure_motion(truth) == pytest.approx(expected, rel=0.2, abs=1e-6)


def test_still_worm_keeps_its_posture():
    truth = simulate(preset("still", n_volumes=5, n_neurons=20), seed=0).truth
    first = truth.position_um[truth.t == 0]
    for t in range(1, 5):
        np.testing.assert_array_equal(truth.position_um[truth.t == t], first)


def test_movement_is_more_than_rigid():
    film = simulate(preset("mid", n_volumes=40, n_neurons=40), seed=2)
    distances = np.stack([pdist(film._worm.pose(t).position_um[:40]) for t in range(40)])
    assert np.median(distances.std(axis=0)) > 0.5  # um; a rigid body keeps its distances


def test_worm_turns_and_keeps_its_anatomy():
    worm = Worm.grow(preset("hard", n_neurons=80), 1)
    headings = [np.rad2deg(worm.pose(t).heading_rad.mean()) for t in range(100)]
    assert np.ptp(headings) > 40
    rest = squareform(pdist(np.c_[worm.along * worm.length_um, worm.across_um][:80]))
    nearest = np.argsort(rest, axis=1)[:, 1:6]
    for t in (0, 30, 90):
        now = squareform(pdist(worm.pose(t).position_um[:80]))
        kept = np.mean([len(set(nearest[i]) & set(np.argsort(now[i])[1:8])) / 5 for i in range(80)])
        assert kept > 0.8


def test_nuclei_cluster_around_a_gap_and_a_hollow():
    worm = Worm.grow(SyntheticConfig(n_neurons=200, granules=0, volume_shape=(30, 256, 512)), 4)
    ring = np.mean((worm.along > 0.21) & (worm.along < 0.33)) / 0.12
    ganglia = np.mean((worm.along > 0.35) & (worm.along < 0.6)) / 0.25
    assert ring < 0.4 * ganglia
    assert np.mean(np.linalg.norm(worm.across_um, axis=1) < 0.2 * worm.body_radius_um) < 0.02


@pytest.mark.parametrize("n_neurons", [0, 1, 2, 20, 120, 300])
def test_nuclei_do_not_sit_in_each_other(n_neurons):
    config = SyntheticConfig(n_neurons=n_neurons, n_volumes=2, volume_shape=(26, 256, 512))
    film = simulate(config, seed=1)
    assert len(film.truth) == 2 * n_neurons
    if n_neurons > 1:
        worm = film._worm
        rest = np.c_[worm.along * worm.length_um, worm.across_um][:n_neurons]
        radius = worm.radius_um[:n_neurons]
        touching = pdist(rest) / pdist(radius[:, None], lambda a, b: a[0] + b[0])
        assert touching.min() >= 0.85 - 1e-9


def test_too_many_nuclei_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        simulate(SyntheticConfig(n_neurons=400, volume_shape=(6, 32, 48)), seed=0)


def test_a_longer_recording_begins_with_the_shorter_one():
    short, long = (simulate(preset("mid", n_volumes=n, n_neurons=10, volume_shape=(8, 48, 96)), seed=3) for n in (4, 9))
    np.testing.assert_array_equal(short.recording.read(3), long.recording.read(3))


def test_activity_stays_in_bounds_and_differs_between_neurons():
    worm = Worm.grow(preset("easy", n_neurons=30), 0)
    activity = np.stack([worm.activity(t) for t in range(400)])
    assert activity.min() >= 0
    assert activity.max() <= 1.5
    assert np.median(np.ptp(activity, axis=0)) > 0.7
    assert np.median(np.abs(np.corrcoef(activity.T)[np.triu_indices(30, 1)])) < 0.5


def test_unknown_settings_are_refused():
    with pytest.raises(ConfigError, match="expected one of still, easy, mid, hard, got medium"):
        preset("medium")
    with pytest.raises(ConfigError, match="n_neuron"):
        preset("easy", n_neuron=3)
    with pytest.raises(ConfigError, match="motion"):
        preset("easy", motion=-1)
    with pytest.raises(ConfigError, match="radius_um"):
        preset("easy", radius_um=(2.0, 1.0))
