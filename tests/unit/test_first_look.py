"""A quick look at nuclei: about the right number and movement, against the truth of simulated worms; each verdict can go either way."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from barlowtrack.check import FEWEST_NUCLEI, _light, _nuclei
from barlowtrack.config import SegmentConfig
from barlowtrack.first_look import N_PAIRS, Sight, look_at_nuclei
from barlowtrack.synthetic import preset, simulate
from tests.unit.test_check import Noise, recording

SEEN = Sight((3, 9), 120.0, (12.0, 8.0), 3.6, 0.7, 0.98)


@pytest.fixture(scope="module", params=["easy", "hard"])
def worm(request):
    made = simulate(preset(request.param, n_volumes=10, volume_shape=(16, 128, 224), n_neurons=50), seed=1)
    return request.param, made


def moved_um(truth):
    """Returns the median way of a neuron from one volume to the next, and the distance of neighbours."""
    ways, apart = [], []
    for t in range(9):
        before, after = (dict(zip(truth.neuron[truth.t == at], truth.position_um[truth.t == at], strict=True)) for at in (t, t + 1))
        ways += [np.linalg.norm(after[neuron] - before[neuron]) for neuron in before if neuron in after]
        places = np.array(list(before.values()))
        apart += cKDTree(places).query(places, k=2)[0][:, 1].tolist()
    return np.median(ways), np.median(apart)


def test_a_simulated_worm(worm):
    name, made = worm
    seen = look_at_nuclei(made.recording, SegmentConfig())
    moved, apart = moved_um(made.truth)
    assert len(seen.times) == N_PAIRS
    assert 0.75 < seen.nuclei / 50 < 1.3
    assert 0.75 < seen.spacing_um / apart < 1.3
    assert seen.moved_um < 1.3 * moved
    assert (seen.moved_um > 0.7 * moved) or name == "hard"  # what moves beyond its neighbour cannot be followed
    said = [finding.level for finding in _nuclei(seen)]
    assert ("warn" in said) == (name == "hard")


def test_light_above_the_noise():
    """The faint one lies below, the bright one above; both have the same noise."""
    seen = {light: look_at_nuclei(recording(Noise(light=light)), SegmentConfig()) for light in (60, 100)}
    assert seen[60].contrast[0] < seen[100].contrast[0]
    levels = {light: {finding.level for finding in _light(recording(), sight)} for light, sight in seen.items()}
    assert levels == {60: {"warn", "ok"}, 100: {"ok"}}


@pytest.mark.parametrize(
    ("sight", "level", "said"),
    [
        (SEEN, "ok", "expect about 120 neurons"),
        (replace(SEEN, nuclei=0.0), "warn", "no nucleus was found in volumes 3, 9"),
        (replace(SEEN, nuclei=FEWEST_NUCLEI - 1), "warn", "too few to know each by its neighbours"),
        (SEEN, "ok", "nuclei move about 0.7 um"),
        (replace(SEEN, moved_um=2.0), "warn", "nuclei move 2.0 um or more"),
        (replace(SEEN, followed=0.3), "warn", "nuclei jump too far to be followed"),
        (None, "ok", "were not looked for"),
    ],
)
def test_verdicts_go_either_way(sight, level, said):
    assert {finding.level for finding in _nuclei(sight) if said in finding.what} == {level}


@pytest.mark.parametrize(("contrast", "level"), [((12.0, 8.0), {"ok"}), ((2.0, 8.0), {"ok", "warn"}), ((12.0, 0.4), {"ok", "warn"})])
def test_faint_light_is_said_of_the_channel_it_concerns(contrast, level):
    found = list(_light(recording(), replace(SEEN, contrast=contrast)))
    assert {finding.level for finding in found} == level
    assert all(("red" in finding.what) == (contrast[0] < 3) for finding in found if finding.level == "warn")


def test_volumes_too_large_or_damaged_are_left_out():
    made = recording(Noise())
    assert look_at_nuclei(replace(made, shape=(40, 2, 1000, 1000, 1000)), SegmentConfig()) is None

    def spoil(volume):
        volume[0, 0, 0, 0] = np.nan
        return volume

    assert look_at_nuclei(recording(Noise(dict.fromkeys(range(40), spoil), "float32")), SegmentConfig()) is None
    assert look_at_nuclei(replace(made, shape=(1, *made.shape[1:])), SegmentConfig()).times == (0,)
