"""Motion and bleaching on the page."""

import numpy as np
import pytest

from barlowtrack.data import UNKNOWN, Bleaching, Detections, Tracks
from barlowtrack.stages.report.animal import animal_part
from barlowtrack.stages.report.bleaching import bleaching_chart
from barlowtrack.stages.report.drawing import TimeAxis, house_style
from barlowtrack.stages.report.motion import FEWEST_NEURONS, motion, motion_chart, rigid_in_plane
from tests.cases import detections_at
from tests.unit.stages.test_report import case, shown_of

TURN_DEG = (0.0, 5.0, -10.0, 40.0, 40.0)


def turning(n: int = 25, shift_um: float = 3.0, seed: int = 0) -> tuple[Detections, Tracks]:
    """A stiff worm that turns by TURN_DEG about the origin and drifts along y."""
    rest = np.random.default_rng(seed).uniform(-20, 20, (n, 3))
    places = []
    for t, degrees in enumerate(TURN_DEG):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        y, x = c * rest[:, 1] - s * rest[:, 2], s * rest[:, 1] + c * rest[:, 2]
        places.append(np.stack([rest[:, 0], y + shift_um * t, x], axis=1))
    t = np.repeat(np.arange(len(TURN_DEG)), n)
    return detections_at(t, np.concatenate(places), len(TURN_DEG)), Tracks(np.tile(np.arange(n), len(TURN_DEG)), np.ones(len(t)), n)


def test_a_stiff_worm_turns_as_it_does_and_does_not_bend():
    found = motion(*turning())
    assert found.turn_deg == pytest.approx(TURN_DEG, abs=1e-4)
    assert found.bent_um[1:] == pytest.approx(np.zeros(4), abs=1e-4)
    assert found.moved_um[4] == pytest.approx(3.0, abs=1e-4)
    assert np.isnan(found.moved_um[0])


def test_a_right_hand_side_that_rises_in_the_picture_turns_counter_clockwise():
    start = np.array([[0, 0, x] for x in range(-3, 4)], float)
    end = np.stack([start[:, 0], -0.1 * start[:, 2], start[:, 2]], axis=1)  # y points down
    assert rigid_in_plane(start, end)[0] > 0


def test_a_few_wrong_identities_do_not_turn_the_whole():
    detections, tracks = turning()
    neuron = tracks.neuron.copy()
    neuron[50:53] = neuron[50:53][::-1]
    found = motion(detections, Tracks(neuron, tracks.probability, tracks.n_neurons))
    assert found.turn_deg == pytest.approx(TURN_DEG, abs=0.5)


def test_a_volume_without_neurons_leaves_a_gap_and_the_turn_goes_on_behind_it():
    detections, tracks = turning()
    neuron = np.where(detections.t == 2, UNKNOWN, tracks.neuron)
    found = motion(detections, Tracks(neuron, tracks.probability, tracks.n_neurons))
    assert np.isnan(found.moved_um).tolist() == [True, False, True, True, False]
    assert np.isnan(found.turn_deg[2])
    assert found.turn_deg[3:] == pytest.approx(TURN_DEG[3:], abs=1e-4)


def test_doubtful_identities_have_no_say():
    detections, tracks = turning()
    doubtful = Tracks(tracks.neuron, np.full(len(tracks), 0.4), tracks.n_neurons)
    assert np.isnan(motion(detections, doubtful).moved_um).all()


def test_the_chart_names_the_fastest_volume_and_too_few_neurons_make_none():
    time = TimeAxis(np.arange(5.0))
    with house_style():
        chart = motion_chart(motion(*turning(shift_um=0.5)), time)
        assert motion_chart(motion(*turning(n=FEWEST_NEURONS - 1)), time) is None
    assert chart is not None
    assert "into volume 3" in chart.alt
    assert "through 50 degrees" in chart.alt


def test_bleaching_says_what_was_divided_out():
    fit = np.stack([np.linspace(1, 0.5, 8), np.ones(8)])
    with house_style():
        chart = bleaching_chart(Bleaching(fit, fit, ("bi", "none")), TimeAxis(np.arange(8.0)))
    assert chart is not None
    assert "red falls to 50\u00a0% of what it was (two exponentials divided out)" in chart.alt
    assert "green is left as it was (nothing divided out)" in chart.alt


def test_bleaching_of_one_channel_and_of_none():
    nan, one = np.full(4, np.nan), np.ones(4)
    with house_style():
        red = bleaching_chart(Bleaching(np.stack([one, nan]), np.stack([one, one]), ("mono", "none")), TimeAxis(nan))
        nothing = Bleaching(np.stack([nan, nan]), np.stack([one, one]), ("none", "none"))
        assert bleaching_chart(nothing, TimeAxis(nan)) is None
        html = animal_part(shown_of(case(n_volumes=4)), nothing)
    assert red is not None
    assert "green" not in red.alt
    assert "No neuron was seen" in html
    assert "Too few neurons" in html
