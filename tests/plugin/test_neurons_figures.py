"""What the Neurons panel computes, without a window."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from barlowtrack.data import Flag, Source, Traces
from barlowtrack.plugin.neurons import lines
from barlowtrack.plugin.neurons.figures import FEWEST_COMMON, Figures, figures_of, r_to_neighbours, stretches
from barlowtrack.plugin.neurons.lines import Stroke
from barlowtrack.plugin.neurons.searching import Search
from barlowtrack.plugin.picking import Ways, hit_by_ray, hit_in_plane
from barlowtrack.plugin.solution import Solution
from barlowtrack.showing.colours import colour_of, glow_of, ink_of


@pytest.fixture(scope="module")
def solution(tiny_run):
    return Solution.read(tiny_run.path)


def traces_of(ratio, *, source=None, flags=None, probability=None):
    blank = np.full(ratio.shape, np.nan, np.float32)
    source = np.where(np.isfinite(ratio), Source.SEEN, Source.NONE).astype(np.uint8) if source is None else source
    flags = np.zeros(ratio.shape, np.uint8) if flags is None else flags
    probability = np.where(np.isfinite(ratio), 0.9, np.nan) if probability is None else probability
    return Traces(np.full(ratio.shape[1], np.nan), blank, blank, ratio, blank, blank, probability, source, flags)


def slow_r(values, seen, places, n=3):
    made = []
    for k in range(len(values)):
        others = [j for j in range(len(values)) if j != k and np.isfinite(places[[k, j]]).all()]
        others.sort(key=lambda j: np.linalg.norm(places[j] - places[k]))
        each = []
        for j in others[:n]:
            both = [t for t in range(values.shape[1]) if seen[k, t] and seen[j, t] and np.isfinite(values[[k, j], t]).all()]
            if len(both) >= FEWEST_COMMON:
                each.append(np.corrcoef(values[k, both], values[j, both])[0, 1])
        made.append(np.median(each) if each else np.nan)
    return np.array(made)


def test_figures_are_what_one_counts_by_hand(solution):
    figures, tracks = figures_of(solution), solution.tracks
    assert list(figures.neuron) == sorted(set(tracks.neuron[tracks.neuron >= 0]))
    for i, neuron in enumerate(figures.neuron):
        rows = np.flatnonzero(tracks.neuron == neuron)
        assert figures.coverage[i] == pytest.approx(len(rows) / solution.n_volumes)
        assert figures.probability[i] == pytest.approx(np.mean(tracks.probability[rows]), abs=1e-6)
    told = solution.neurons.set_index("neuron").loc[figures.neuron]
    assert np.allclose(told["probability"], figures.probability, atol=1e-5)


def test_a_neuron_without_detections_is_listed_only_if_it_has_a_name(solution):
    nobody = np.where(solution.tracks.neuron < 2, -1, solution.tracks.neuron).astype(np.int32)
    table = solution.neurons.assign(name=["AVAL", *[""] * (solution.n_neurons - 1)])
    figures = figures_of(replace(solution, tracks=replace(solution.tracks, neuron=nobody), neurons=table))
    assert 0 in figures.neuron
    assert 1 not in figures.neuron
    assert np.isnan(figures.probability[0])
    assert figures.coverage[0] == 0


def test_without_traces_nothing_is_said_of_light(solution):
    figures = figures_of(replace(solution, traces=None))
    assert np.isnan(figures.r).all()
    assert np.isnan(figures.swaps).all()


def test_r_is_that_of_the_slow_way():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(9, 60)) + rng.normal(size=60)
    values[rng.random(values.shape) < 0.3] = np.nan
    values[4, 7:] = np.nan  # too few to be compared with anybody
    seen = rng.random(values.shape) < 0.9
    places = rng.uniform(0, 50, (9, 3))
    places[2] = np.nan
    made = r_to_neighbours(values, seen, places)
    assert np.isnan(made[[2, 4]]).all()
    assert np.allclose(made, slow_r(values, seen, places), equal_nan=True)


def test_neighbours_that_do_the_same_have_r_of_one_and_constant_ones_none():
    values = np.tile(np.sin(np.arange(40.0)), (4, 1)) * np.array([[1], [2], [3], [5]]) + 7
    places = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 9]])  # two in one place: nobody is his own neighbour
    seen = np.ones(values.shape, bool)
    assert np.allclose(r_to_neighbours(values, seen, places), 1)
    assert np.isnan(r_to_neighbours(np.ones_like(values), seen, places)).all()
    assert np.isnan(r_to_neighbours(values[:1], seen[:1], places[:1])).all()


def test_stretches_of_a_flag_are_counted_not_volumes():
    flags = np.zeros((2, 8), np.uint8)
    flags[0, [0, 1, 4, 7]] = Flag.SWAPPED
    flags[1, 2:5] = Flag.EDGE
    assert list(stretches(traces_of(np.ones((2, 8), np.float32), flags=flags), Flag.SWAPPED)) == [3, 0]


FIGURES = Figures(
    np.array([3, 12, 31]),
    ("", "AVAL", "RIM"),
    np.array([0.2, 0.6, 1.0]),
    np.array([0.95, 0.5, np.nan]),
    np.array([np.nan, 0.9, -0.2]),
    np.array([0.0, 2, 0]),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [3, 12, 31]),
        ("3", [3, 31]),
        ("ava", [12]),
        ("probability<0.9", [12]),
        ("prob < .9", [12]),
        ("coverage>50%", [12, 31]),
        ("coverage>50% r<0", [31]),
        ("swaps>0 rim", []),
        ("id=3", [3]),
        ("probability<", [3, 12, 31]),
        ("name=AVA", [12]),
    ],
)
def test_search(text, found):
    search = Search.read(text)
    assert (list(FIGURES.neuron[search.finds(FIGURES)]), search.wrong) == (found, "")


def test_search_says_which_columns_there_are():
    assert "no column 'qality'" in Search.read("qality<3").wrong


def test_every_step_between_two_values_is_drawn_once_and_as_what_is_less_known():
    rng = np.random.default_rng(0)
    stroke = rng.choice(len(Stroke), 200)
    drawn = {}
    for kind in (Stroke.SURE, Stroke.UNSURE, Stroke.BRIDGED, Stroke.EXPECTED):
        at = lines.pieces(stroke, kind)
        for one, other in pairwise(at):
            if one >= 0 and other >= 0:
                assert other == one + 1
                assert drawn.setdefault(int(one), kind) is kind
    expected = {t: Stroke(max(stroke[t], stroke[t + 1])) for t in range(199) if max(stroke[t], stroke[t + 1]) != Stroke.NONE}
    assert drawn == expected
    shown = set(drawn) | {t + 1 for t in drawn} | set(lines.alone(stroke))
    assert shown == set(np.flatnonzero(stroke != Stroke.NONE))


def test_strokes_limits_shades_and_words():
    ratio = np.array([[1.0, 2, 3, 50, np.nan]], np.float32)
    source = np.array([[Source.SEEN, Source.SEEN, Source.INTERPOLATED, Source.PREDICTED, Source.NONE]], np.uint8)
    flags = np.array([[Flag.EDGE, Flag.DOUBTFUL, 0, Flag.SWAPPED | Flag.CROWDED, 0]], np.uint8)
    probability = np.array([[1.0, 0.25, 0.8, 0.6, np.nan]])
    traces = traces_of(ratio, source=source, flags=flags, probability=probability)
    stroke = lines.strokes(traces, 0, ratio[0])
    assert list(stroke) == [Stroke.SURE, Stroke.UNSURE, Stroke.BRIDGED, Stroke.EXPECTED, Stroke.NONE]
    low, high = lines.limits(ratio[0, :3], np.array([True, True, False]))
    assert low < 1 < 2 < high < 3
    assert lines.limits(np.array([np.nan]), np.array([True])) == (0.0, 1.0)
    alpha = lines.shade(probability)[0, :, 3]
    assert alpha[0] == alpha[4] == 0
    assert alpha[1] > alpha[3] > alpha[2] > 0
    strip = lines.flag_strip(flags)
    assert np.allclose(strip[0, 3, :3], lines.FLAGS[Flag.SWAPPED][1])  # the gravest
    assert strip[0, 1, 3] == strip[0, 2, 3] == 0
    assert lines.flags_among(flags) == [Flag.SWAPPED, Flag.EDGE, Flag.CROWDED]
    assert lines.in_words(traces, "ratio", 0, 0) == "1, seen, more than 99% sure, at the edge of the volume"
    assert lines.in_words(traces, "ratio", 0, 4) == "no value"
    assert lines.times(traces)[1] == "volume"


def test_colours_can_be_read_on_either_ground():
    weights = np.array([0.2126, 0.7152, 0.0722])
    for neuron in range(60):
        assert weights @ glow_of(neuron) >= 0.449
        assert weights @ ink_of(neuron) <= 0.451
        assert np.argmax(glow_of(neuron)) == np.argmax(colour_of(neuron))  # still its own hue


def test_ways_go_straight_between_what_was_seen(solution):
    ways = Ways(solution)
    neuron = int(np.argmax(np.bincount(solution.tracks.neuron[solution.tracks.neuron >= 0])))
    seen = solution.row_of[neuron] >= 0
    assert np.allclose(ways[neuron].place_um[seen], solution.detections.position_um[solution.row_of[neuron][seen]])
    rows = np.flatnonzero((solution.tracks.neuron == neuron) & np.isin(solution.detections.t, (0, 4)))
    only = np.full(len(solution.tracks), -1, np.int32)
    only[rows] = neuron
    way = Ways(replace(solution, tracks=replace(solution.tracks, neuron=only)))[neuron]
    first, last = solution.detections.position_um[rows]
    assert list(np.flatnonzero(way.seen)) == [0, 4]
    assert np.allclose(way.place_um[1], 0.75 * first + 0.25 * last, atol=1e-4)
    assert np.allclose(way.place_um[7], last)  # later, where it was seen last
    nobody = Ways(replace(solution, tracks=replace(solution.tracks, neuron=np.full_like(only, -1))))[neuron]
    assert np.isnan(nobody.place_um).all()


def test_pointing_in_a_plane_and_along_a_ray():
    places = np.array([[0.0, 0, 0], [0, 3, 0], [5, 0, 0], [9, 9, 9]])
    radii = np.full(4, 2.0)
    assert hit_in_plane(places, radii, np.array([0.5, 1.4, 0]), axis=0) == 0
    assert hit_in_plane(places, radii, np.array([0.5, 1.6, 0]), axis=0) == 1
    assert hit_in_plane(places, radii, np.array([2.5, 0, 0]), axis=0) is None
    assert hit_in_plane(places, radii, np.array([2.4, 0, 0]), axis=0, slack_um=1.0) == 0
    assert hit_in_plane(places, radii, np.array([0, 0, -4.0]), axis=0) is None
    assert hit_in_plane(places, radii, np.array([0, 0, -4.0]), axis=0, least_um=5.0) == 0
    assert hit_in_plane(places[:0], radii[:0], np.zeros(3), axis=0) is None
    assert hit_by_ray(places, radii, np.array([100.0, 0.2, 0]), np.array([1.0, 0, 0])) in (0, 2)  # one behind the other
    assert hit_by_ray(places, radii, np.array([100.0, 2.5, 0]), np.array([-3.0, 0, 0])) == 1
    assert hit_by_ray(places, radii, np.array([7.0, 7, 7]), np.array([1.0, 1, 1])) in (0, 3)
    assert hit_by_ray(places, radii, np.array([0, 0, 30.0]), np.array([1.0, 0, 0])) is None
    assert hit_by_ray(places, radii, np.array([0, 0, 30.0]), np.zeros(3)) is None
