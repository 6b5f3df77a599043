"""What becomes of tracks when people are heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.config import TrackConfig
from barlowtrack.data import UNKNOWN, Correction, Corrections, Tracked
from barlowtrack.errors import InputError
from barlowtrack.identity.heed import heed
from barlowtrack.identity.rulings import rule, witnesses_of
from barlowtrack.identity.solve import sight
from tests.cases import detections_at
from tests.unit.identity.scenes import K, Scene, T, identities_of, scene


@pytest.fixture(scope="module")
def plain() -> Scene:
    return scene()


@pytest.fixture(scope="module")
def swapped() -> Scene:
    return scene(swapped=True)


def same(a: Tracked, b: Tracked, rows: np.ndarray | slice = slice(None)) -> bool:
    return (
        np.array_equal(a.tracks.neuron[rows], b.tracks.neuron[rows])
        and np.array_equal(a.tracks.probability[rows], b.tracks.probability[rows])
        and np.array_equal(a.candidates.neuron[rows], b.candidates.neuron[rows])
    )


def consistent(found: Tracked, here: Scene) -> bool:
    """No neuron twice in a volume; absent, with a number, exactly where it is not assigned."""
    t, known = here.detections.t, found.tracks.neuron >= 0
    assigned = np.zeros(found.neurons.absent.shape, int)
    np.add.at(assigned, (t[known], found.tracks.neuron[known]), 1)
    return assigned.max() <= 1 and np.array_equal(np.isnan(found.neurons.absent), assigned == 1)


def test_without_corrections_ids_are_those_of_the_atlas_by_mean_position(plain) -> None:
    found = plain.tracked()
    assert np.array_equal(found.tracks.neuron, plain.true)
    means = np.array([plain.detections.position_um[plain.true == k].mean(0) for k in range(K)])
    assert np.array_equal(np.lexsort(means.T), np.arange(K))
    assert consistent(found, plain)


def test_how_sure_one_wants_to_be_moves_no_id(plain) -> None:
    doubtful = plain.identities.probability.copy()
    doubtful[plain.true < 3] = 0.1
    unsure = replace(plain, identities=replace(plain.identities, probability=doubtful))
    found = unsure.tracked(config=TrackConfig(min_probability=0.5))
    assert np.array_equal(found.tracks.neuron, np.where(plain.true < 3, UNKNOWN, plain.true))
    assert found.tracks.n_neurons == K


def test_a_neuron_should_lie_where_its_entry_does_and_one_that_people_added_anywhere(plain) -> None:
    place_um = np.random.default_rng(0).normal(size=(T, K, 3)).astype(np.float32)
    known = replace(plain.identities, place_um=place_um)
    row = int(np.flatnonzero(plain.true == UNKNOWN)[0])
    said = Corrections((plain.on(row, "extra"),), {})
    rulings = rule(said, plain.detections, known)
    heard = heed(rulings, plain.detections, np.ones((len(plain.detections), 1), np.float32), plain.learned, known)
    assert np.array_equal(heard.place_um[:, :K], place_um[:, rulings.entry[:K]])
    assert np.isnan(heard.place_um[:, K:]).all()
    assert heard.place_um.shape[1] == K + 1


def test_a_correction_that_agrees_changes_nothing_but_its_own_probability(plain) -> None:
    before, row = plain.tracked(), plain.row(2, 5)
    found = plain.tracked(plain.on(row, 5))
    others = np.arange(len(plain.true)) != row
    assert same(before, found, others & ~(before.candidates.neuron == 5).any(1))
    assert np.array_equal(before.tracks.neuron, found.tracks.neuron)
    assert np.array_equal(before.tracks.probability[others], found.tracks.probability[others])
    assert not (found.candidates.neuron[(plain.detections.t == 2) & others] == 5).any()  # nobody else is
    assert (found.tracks.neuron[row], found.tracks.probability[row]) == (5, 1)
    assert found.candidates.neuron[row].tolist() == [5, UNKNOWN, UNKNOWN]


def test_one_of_two_that_were_mistaken_for_each_other_puts_both_right(swapped) -> None:
    wrong = np.flatnonzero(swapped.tracked().tracks.neuron != swapped.true)
    assert len(wrong) == 2
    found = swapped.tracked(swapped.on(int(wrong[0]), swapped.true[wrong[0]]))
    assert np.array_equal(found.tracks.neuron, swapped.true)
    assert found.tracks.probability[wrong[0]] == 1
    assert found.tracks.probability[wrong[1]] <= 0.95
    assert consistent(found, swapped)


def test_only_volumes_that_people_spoke_of_are_solved_again(swapped, monkeypatch) -> None:
    solved = []
    monkeypatch.setattr("barlowtrack.identity.heed.sight", lambda volume, *a, **k: solved.append(volume.rows[0]) or sight(volume, *a, **k))
    wrong = int(np.flatnonzero(swapped.tracked().tracks.neuron != swapped.true)[0])
    swapped.tracked(
        swapped.on(wrong, swapped.true[wrong]), swapped.on(swapped.row(4, 3), 3, 3), Correction("name", neuron="3", other="A", line=4)
    )
    assert [int(swapped.detections.t[row]) for row in solved] == [2]


@pytest.mark.parametrize("who", ["7", "AVAL", None])
def test_the_corrected_detection_is_what_was_said_however_badly_it_fits(plain, who) -> None:
    row = plain.row(3, 2)
    found = plain.tracked(plain.on(row, who))
    says = {"7": 7, "AVAL": K, None: UNKNOWN}[who]
    assert (found.tracks.neuron[row], found.tracks.probability[row]) == (says, 1)
    assert consistent(found, plain)
    assert np.array_equal(found.tracks.neuron[plain.detections.t != 3], plain.true[plain.detections.t != 3])


def test_a_person_is_believed_about_absence(plain) -> None:
    found = plain.tracked(Correction("absent", t=3, neuron="7"))
    here = plain.detections.t == 3
    assert 7 not in found.tracks.neuron[here]
    assert found.neurons.absent[3, 7] == 1
    assert 7 not in found.candidates.neuron[here]
    assert consistent(found, plain)


def test_added_neurons_come_last_in_the_order_in_which_they_were_named(plain) -> None:
    rows = [plain.on(plain.row(4, 1), "B", 2), plain.on(plain.row(2, 1), "A", 3), plain.on(plain.row(3, 1), "B", 4)]
    found = plain.tracked(*rows)
    assert found.neurons.name[K:] == ("B", "A")
    assert found.neurons.entry[K:].tolist() == [UNKNOWN, UNKNOWN]
    assert np.bincount(found.tracks.neuron[found.tracks.neuron >= 0])[K:].tolist() == [2, 1]


def test_a_whole_neuron_that_is_none_leaves_a_gap(plain) -> None:
    found = plain.tracked(Correction("not-a-neuron", neuron="7"))
    assert np.array_equal(found.tracks.neuron, np.where(plain.true == 7, UNKNOWN, plain.true))
    assert found.tracks.n_neurons == K
    assert (found.neurons.absent[:, 7] == 1).all()
    assert 7 not in found.candidates.neuron


def test_a_name_is_a_name(plain) -> None:
    found = plain.tracked(Correction("name", neuron="7", other="AVAL"))
    assert same(found, plain.tracked())
    assert found.neurons.name == tuple("AVAL" if k == 7 else "" for k in range(K))


def test_of_two_that_are_one_the_surer_stays(plain) -> None:
    sure = plain.identities.probability.copy()
    sure[plain.row(3, 5)] = 0.99
    found = replace(plain, identities=replace(plain.identities, probability=sure)).tracked(Correction("merge", neuron="2", other="5"))
    assert found.tracks.neuron[plain.row(3, 5)] == 2
    assert found.tracks.neuron[plain.row(3, 2)] == UNKNOWN
    assert found.tracks.neuron[plain.row(1, 2)] == 2
    assert 5 not in found.tracks.neuron
    assert found.tracks.n_neurons == K
    assert consistent(found, plain)


def test_a_split_gives_the_rest_of_the_recording_to_another_neuron(plain) -> None:
    found = plain.tracked(Correction("split", t=2, until=3, neuron="7", other="B"))
    between = (plain.true == 7) & np.isin(plain.detections.t, [2, 3])
    assert np.array_equal(found.tracks.neuron, np.where(between, K, plain.true))
    assert found.neurons.name[K] == "B"
    assert consistent(found, plain)


def test_a_piece_can_be_corrected_like_any_neuron(plain) -> None:
    split = Correction("split", t=2, neuron="7", other="B")
    found = plain.tracked(split, plain.on(plain.row(4, 9), "B", 3))
    assert found.tracks.neuron[plain.row(4, 9)] == K
    assert consistent(found, plain)
    dead = plain.tracked(split, Correction("not-a-neuron", neuron="B", line=3))
    assert np.array_equal(dead.tracks.neuron == UNKNOWN, (plain.true < 0) | ((plain.true == 7) & (plain.detections.t >= 2)))


def test_a_place_stands_for_the_detection_that_lies_there(plain) -> None:
    row = plain.row(3, 2)
    z, y, x = (float(axis) for axis in plain.detections.position_um[row])
    by_label = plain.tracked(plain.on(row, "A"))
    for label in (None, int(plain.detections.label[row]), int(plain.detections.label[plain.row(3, 4)])):
        there = Correction("is", t=3, label=label, position_um=(z + 0.3, y, x), neuron="A")
        assert same(plain.tracked(there), by_label)


STRANGE = {
    "no such volume": (Correction("is", t=T, label=1, neuron="1"), "line 2: t: expected a volume from 0 to 5, got 6"),
    "no such label": (Correction("is", t=1, label=99, neuron="1"), "line 2: volume 1 has no detection of label 99"),
    "nothing there": (Correction("is", t=1, position_um=(0.0, 900.0, 0.0), neuron="1"), "no detection within .* um of z, y, x = 0, 900, 0"),
    "no such id": (Correction("absent", t=1, neuron="16"), "neuron 16: the atlas knows 0 to 15; call one that a person added by its name"),
    "no such name": (Correction("absent", t=1, neuron="AVA"), "line 2: nobody is called AVA"),
    "another atlas": (Correction("absent", t=1, neuron="3", atlas="a0"), r"another atlas \(a0\) of which nothing is known"),
}


@pytest.mark.parametrize(("row", "said"), STRANGE.values(), ids=STRANGE.keys())
def test_what_is_not_there_is_refused_by_line(plain, row, said) -> None:
    with pytest.raises(InputError, match=said):
        plain.tracked(row)


def test_label_and_place_of_one_detection_clash_with_another_answer(plain) -> None:
    row = plain.row(3, 2)
    there = Correction("is", t=3, position_um=tuple(map(float, plain.detections.position_um[row])), neuron="4", line=3)
    with pytest.raises(InputError, match="lines 2 and 3 clash: one detection of volume 3 is 2 and 4"):
        plain.tracked(plain.on(row, 2), there)


def renumbered(here: Scene) -> Scene:
    """The same detections under another atlas, whose entries and ids are others: the neuron of id 0 is not known to it."""
    lost = here.true == 0
    entry = np.where(here.true >= 0, (here.true * 5 + 3) % K, UNKNOWN)
    return replace(here, identities=identities_of(here.detections, np.where(lost, UNKNOWN, entry)))


def test_under_another_atlas_a_row_speaks_of_the_same_neuron(plain) -> None:
    mark, witnesses = plain.identities.mark, {plain.identities.mark: witnesses_of(plain.detections, plain.identities)}
    other = renumbered(plain)
    assert other.identities.mark != mark
    row = plain.row(3, 2)
    found = other.tracked(
        replace(plain.on(row, 9), atlas=mark), Correction("name", neuron="9", other="AVAL", atlas=mark, line=3), witnesses=witnesses
    )
    aval = found.neurons.name.index("AVAL")
    assert aval != 9
    elsewhere = plain.detections.t != 3
    assert np.array_equal(found.tracks.neuron[elsewhere] == aval, plain.true[elsewhere] == 9)
    assert found.tracks.neuron[row] == aval


def test_a_neuron_that_another_atlas_does_not_have_is_refused(plain) -> None:
    mark, witnesses = plain.identities.mark, {plain.identities.mark: witnesses_of(plain.detections, plain.identities)}
    with pytest.raises(InputError, match=f"line 2: neuron 0 of another atlas .{mark}. is not found in this one"):
        renumbered(plain).tracked(Correction("absent", t=1, neuron="0", atlas=mark), witnesses=witnesses)


def test_witnesses_are_found_again_where_they_moved_a_little_and_labels_changed(plain) -> None:
    mark, witnesses = plain.identities.mark, {plain.identities.mark: witnesses_of(plain.detections, plain.identities)}
    backwards = np.concatenate([np.arange(*part)[::-1] for part in ((s.start, s.stop) for s in map(plain.detections.rows_of, range(T)))])
    moved = detections_at(plain.detections.t, plain.detections.position_um[backwards] + 0.2, T)
    again = replace(
        plain, detections=moved, identities=identities_of(moved, plain.identities.neuron[backwards]), true=plain.true[backwards]
    )
    row = plain.row(3, 2)
    place = tuple(map(float, plain.detections.position_um[row]))
    said = replace(plain.on(row, 9), atlas=mark, position_um=place)
    found = again.tracked(said, witnesses=witnesses)
    assert found.tracks.neuron[again.row(3, 2)] == 9
    assert again.tracked().tracks.neuron[again.row(3, 9)] == 9
