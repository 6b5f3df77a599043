"""What the Compare panel lists, without a window: the same rights and wrongs as `evaluate` and `report --compare`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barlowtrack.comparing import compare_sides
from barlowtrack.data import Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate import evaluate
from barlowtrack.io.tables import read_truth
from barlowtrack.plugin.comparing.against import against_run, against_truth, read_other
from barlowtrack.plugin.comparing.disagreements import Kind
from barlowtrack.plugin.comparing.listed import COLUMNS, Words, chosen, in_order, stop_of, their_points
from barlowtrack.plugin.comparing.truth import read_truth_of
from barlowtrack.plugin.solution import Solution
from tests.unit.comparing.tables import K, T, exchanged, given_up, side


def solution(one):
    """What the viewer holds of a side."""
    names = pd.DataFrame({"neuron": np.arange(one.tracks.n_neurons), "name": one.neuron_names})
    nothing = pd.DataFrame()
    return Solution(Path("run.barlowtrack"), one.detections, one.tracks, names, nothing, nothing, None, (1.0, 1.0, 1.0), None)


def truth(one=None):
    """True neurons 100, 101, ... where the nuclei of a side are."""
    one = one or side()
    return Truth(one.detections.t, one.detections.label + 99, one.detections.position_um)


def without(one, rows):
    """A side that has not found some nuclei."""
    kept = {name: getattr(one.detections, name)[~rows] for name in list(one.detections.__dataclass_fields__)[1:]}
    tracks = replace(one.tracks, neuron=one.tracks.neuron[~rows], probability=one.tracks.probability[~rows])
    return replace(one, detections=replace(one.detections, **kept), tracks=tracks, traces=None)


def said(against):
    """Kind, first and last volume, nuclei, our neurons."""
    return [(one.kind, one.first, one.last, one.count, one.neurons) for one in against.found]


def cells(against, ours):
    return [stop_of(one, Words(ours.names, against.truth)).cells for one in against.found]


def test_the_truth_itself_leaves_nothing_to_look_at():
    found = against_truth(solution(side()), truth(), 3.0)
    assert (found.found, found.doubt, found.count(Kind.AGREES)) == ((), "", T * K)
    assert found.headline.startswith(f"100.0% of {T * K} true nuclei in {T} volumes carry the right identity: 0 wrong")


def test_two_that_are_exchanged_are_one_swapped_pair():
    ours = solution(exchanged(side(), 3, 6, 1, 4))
    found = against_truth(ours, truth(), 3.0)
    assert said(found) == [(Kind.SWAPPED, 3, 6, 8, (1, 4))]
    assert cells(found, ours) == [("3-6", "8", "swapped pair", "1 and 4")]
    assert stop_of(found.found[0], Words(ours.names, True)).t == 3


def test_a_wrong_stretch_ends_where_the_neuron_is_right_again_or_somebody_else():
    one = side()
    t, who = one.detections.t, one.detections.label - 1
    neuron = one.tracks.neuron.copy()
    neuron[(who == 2) & (t >= 4)] = -1  # make room
    for volumes, really in (((5, 6), 3), ((7,), 1), ((8, 9), 3)):  # the nuclei of others are called 2
        neuron[np.isin(t, volumes) & (who == really)] = 2
    ours = solution(replace(one, tracks=replace(one.tracks, neuron=neuron), traces=None))
    found = against_truth(ours, truth(), 3.0)
    assert [row for row in cells(found, ours) if row[2] == "wrong identity"] == [
        ("5-6", "2", "wrong identity", "called 2, is 3"),
        ("8-9", "2", "wrong identity", "called 2, is 3"),
        ("7", "1", "wrong identity", "called 2, is 1"),
    ]
    assert ("4-9", "6", "not identified", "2") in cells(found, ours)


def test_a_volume_that_nobody_annotated_ends_no_stretch_and_counts_nothing():
    known = truth()
    rows = known.t != 5
    part = Truth(known.t[rows], known.neuron[rows], known.position_um[rows])
    found = against_truth(solution(exchanged(side(), 4, 6, 0, 1)), part, 3.0)
    assert said(found) == [(Kind.SWAPPED, 4, 6, 4, (0, 1))]
    assert len(found.nuclei.t) == (T - 1) * K


def test_missed_false_and_unknown_nuclei_are_told_apart():
    one = side()
    t, who = one.detections.t, one.detections.label - 1
    missed, unknown = (who == 5) & (t > 7), (who == 0) & np.isin(t, (2, 3))
    ours = solution(without(given_up(one, unknown), missed))
    known = truth()
    there = ~((known.neuron == 103) & (known.t < 2))  # nobody annotated it, or ours is false
    found = against_truth(ours, Truth(known.t[there], known.neuron[there], known.position_um[there]), 3.0)
    assert sorted(said(found)) == [(Kind.UNKNOWN, 2, 3, 2, (0,)), (Kind.MISSED, 8, 9, 2, (5,)), (Kind.FALSE, 0, 1, 2, (3,))]
    by_kind = {one.kind: one for one in found.found}
    assert by_kind[Kind.MISSED].position_um == tuple(known.position_um[(known.neuron == 105) & (known.t == 8)][0])
    assert "0 wrong, 2 unknown, 2 missed. 2 nuclei of ours are at no true neuron" in found.headline


def test_a_nucleus_without_a_number_on_either_side_stands_alone():
    one = side()
    rows = one.detections.label == 1
    known = truth()
    there = known.neuron != 100
    found = against_truth(solution(given_up(one, rows)), Truth(known.t[there], known.neuron[there], known.position_um[there]), 3.0)
    assert said(found) == [(Kind.FALSE, t, t, 1, ()) for t in range(T)]


def test_a_truth_of_something_else_is_doubted_or_refused():
    ours, known = solution(side()), truth()
    far = Truth(known.t, known.neuron, known.position_um + 50)
    assert "is it this recording's truth" in against_truth(ours, far, 3.0).doubt
    with pytest.raises(InputError, match="nothing to compare"):
        against_truth(ours, Truth(known.t[:0], known.neuron[:0], known.position_um[:0]), 3.0)
    with pytest.raises(InputError, match=f"expected volumes 0 to {T - 1}"):
        against_truth(ours, Truth(known.t + T, known.neuron, known.position_um), 3.0)


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_evaluate_whatever_goes_wrong(seed):
    chance = np.random.default_rng(seed)
    one = side()
    for first, a, b in chance.integers(0, (T, K, K), (6, 3)):
        one = exchanged(one, first, min(first + 2, T - 1), a, b) if a != b else one
    one = without(given_up(one, chance.random(T * K) < 0.1), chance.random(T * K) < 0.1)
    known = truth()
    there = chance.random(len(known)) > 0.1
    known = Truth(known.t[there], known.neuron[there], known.position_um[there])
    ours = solution(one)
    found, scores = against_truth(ours, known, 3.0), evaluate(ours.detections, ours.tracks, known)
    assert found.count(Kind.WRONG) + found.count(Kind.SWAPPED) == scores.neurons.mismatched.sum()
    assert found.count(Kind.UNKNOWN) == scores.neurons.unidentified.sum()
    assert found.count(Kind.MISSED) == scores.neurons.undetected.sum()
    assert found.count(Kind.FALSE) == scores.n_detections - (scores.n_true - scores.neurons.undetected.sum())
    assert found.headline.startswith(f"{scores.identity_accuracy:.1%} of {scores.n_true} true nuclei")
    for kind in list(Kind)[1:]:
        assert sum(one.count for one in found.found if one.kind == kind) == found.count(kind)


@pytest.mark.parametrize("seed", range(5))
def test_against_another_run_the_counts_are_those_of_compare(seed):
    chance = np.random.default_rng(seed)
    a, b = side(), side(ids=[3, 4, 5, 0, 1, 2])  # other numbers are no change
    b = exchanged(b, 2, 4, 0, 5)
    a = given_up(a, chance.random(T * K) < 0.1)
    b = without(given_up(b, chance.random(T * K) < 0.1), chance.random(T * K) < 0.05)
    compared, found = compare_sides(a, b), against_run(solution(a), solution(b))
    assert found.count(Kind.WRONG) + found.count(Kind.SWAPPED) == compared.n_another
    assert (found.count(Kind.ONLY_OURS), found.count(Kind.UNKNOWN)) == compared.n_given_up
    assert (found.count(Kind.FALSE), found.count(Kind.MISSED)) == tuple(count.sum() for count in compared.unshared)
    for kind in list(Kind)[1:]:
        assert sum(one.count for one in found.found if one.kind == kind) == found.count(kind)


def test_against_another_run_their_neurons_have_our_numbers():
    a = solution(side())
    b = solution(exchanged(side(ids=[3, 4, 5, 0, 1, 2]), 2, 4, 0, 5))
    assert cells(against_run(a, b), a) == [("2-4", "6", "swapped pair", "2 and 3")]
    other = replace(b, voxel_size_um=(2.0, 2.0, 2.0), detections=replace(b.detections, position_um=2 * b.detections.position_um))
    assert cells(against_run(a, other), a) == [("2-4", "6", "swapped pair", "2 and 3")]  # somebody gave it another voxel size
    assert against_run(a, a).found == ()


def test_a_list_is_sorted_and_filtered():
    one = given_up(exchanged(side(), 3, 6, 1, 4), (side().detections.label == 1) & (side().detections.t > 7))
    found = against_truth(solution(one), truth(), 3.0).found
    assert [(one.kind, one.first) for one in found] == [(Kind.SWAPPED, 3), (Kind.UNKNOWN, 8)]
    assert [one.first for one in in_order(found, COLUMNS.index("volumes"), falling=True)] == [8, 3]
    assert [one.count for one in in_order(found, COLUMNS.index("nuclei"), falling=False)] == [2, 8]
    assert [one.kind for one in chosen(found, {Kind.UNKNOWN})] == [Kind.UNKNOWN]


def test_points_of_the_truth_say_by_their_colour_what_became_of_them():
    one = exchanged(side(), 0, 0, 0, 1)
    ours = solution(without(one, (one.detections.label == 4) & (one.detections.t == 1)))
    against = against_truth(ours, truth(), 3.0)
    points = their_points(against.nuclei, Words(ours.names, True), (2.0, 1.0, 0.5))
    assert len(points.data) == T * K
    what = pd.Series(points.features["what"]).value_counts().to_dict()
    assert what == {"agrees": T * K - 3, "swapped pair": 2, "missed nucleus": 1}
    missed = points.features["what"].index("missed nucleus")
    t, z, y, x = points.data[missed]
    assert (t, points.features["neuron"][missed]) == (1, 103)
    np.testing.assert_allclose([2 * z, y, 0.5 * x], truth().position_um[(truth().neuron == 103) & (truth().t == 1)][0])
    assert len(np.unique(points.colour, axis=0)) == 3


def test_a_real_run_against_its_truth_agrees_with_evaluate(tiny_run, tiny_worm):
    ours, known = Solution.read(tiny_run.path), read_truth(tiny_worm / "truth.csv")
    scores = evaluate(ours.detections, ours.tracks, known)
    found = against_truth(ours, known, 3.0)
    assert found.count(Kind.AGREES) == scores.neurons.correct.sum() > 100
    assert sum(one.count for one in found.found) == (scores.n_true - scores.neurons.correct.sum()) + found.count(Kind.FALSE)


def test_a_truth_in_voxels_is_read_with_their_size(tmp_path):
    frame = pd.DataFrame({"volume": [0, 1], "neuron": [7, 7], "z": [1, 2], "y": [3, 4], "x": [5, 6]})
    frame.to_csv(tmp_path / "voxels.csv", index=False)
    read = read_truth_of(tmp_path / "voxels.csv", (2.0, 1.0, 0.5))
    assert read.in_voxels
    np.testing.assert_allclose(read.truth.position_um, [[2, 3, 2.5], [4, 4, 3]])
    frame.rename(columns={axis: f"{axis}_um" for axis in "zyx"}).to_csv(tmp_path / "um.csv", index=False)
    read = read_truth_of(tmp_path / "um.csv", (2.0, 1.0, 0.5))
    assert not read.in_voxels
    np.testing.assert_allclose(read.truth.position_um[0], [1, 3, 5])


def test_a_run_of_another_recording_is_refused(tiny_run, tmp_path):
    import shutil

    other = shutil.copytree(tiny_run.path, tmp_path / "other.barlowtrack")
    ours = Solution.read(tiny_run.path)
    assert against_run(ours, read_other(other, ours)).found == ()
    about = other / "run.json"
    about.write_text(about.read_text().replace(tiny_run.folder.about()["card"]["content"], "f" * 32))
    with pytest.raises(InputError, match="a run of another recording"):
        read_other(other, ours)
