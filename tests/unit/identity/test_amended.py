"""Who is who once people have added or divided detections: ids stay, and the atlas says who the new ones are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.data import (
    UNKNOWN,
    AmendedVolume,
    Amendments,
    Correction,
    Corrections,
    Detections,
    Embeddings,
    Identities,
    Labels,
    Light,
    Places,
)
from barlowtrack.errors import InputError
from barlowtrack.identity.rulings import clicks_of, entries_of, locate, number, place_of, rule, touched, witnesses_of
from tests.cases import detections_at
from tests.unit.identity.scenes import K, Scene, identities_of, scene

T_EDITED, NEURON = 2, 5


@pytest.fixture(scope="module")
def whole() -> Scene:
    return scene()


@pytest.fixture(scope="module")
def missed(whole: Scene) -> Scene:
    """The same without one detection."""
    rows = np.delete(np.arange(len(whole.true)), whole.row(T_EDITED, NEURON))
    return without(whole, rows)


def without(here: Scene, rows: np.ndarray) -> Scene:
    entry = here.identities.neuron[rows]
    detections = here.detections.subset(rows)
    return Scene(detections, here.learned, identities_of(detections, entry), here.true[rows])


def volume_with(
    found: Detections, t: int, place_um: np.ndarray, gone: tuple[int, ...] = (), click_um: np.ndarray | None = None
) -> AmendedVolume:
    """A volume to which people added one detection; gone: rows that it stands in for; click_um: where it was put, if elsewhere."""
    part = found.rows_of(t)
    stays = np.setdiff1d(np.arange(part.start, part.stop), gone)
    people = replace(detections_at(np.array([t]), place_um[None], found.n_volumes), label=np.array([1000]))
    now, origin = found.subset(stays).joined(people, stays)
    n, none, clicks = len(now), np.zeros(0, np.int64), np.asarray(place_um if click_um is None else click_um, np.float64)[None]
    vectors, nowhere = np.ones((n, 1), np.float32), Places.concatenate([])
    return AmendedVolume(t, "1 of them", origin, now, vectors, Light.dark(n), nowhere, none, none, clicks, np.array([1000]))


def edition(here: Scene, *volumes: AmendedVolume) -> Scene:
    made = Amendments(volumes)
    identities = made.identities(here.detections, here.identities, number(here.detections, here.identities.neuron))
    origin = made.origin(here.detections)
    true = np.where(origin >= 0, here.true[origin], UNKNOWN)
    return Scene(made.detections(here.detections), here.learned, identities, true)


def test_a_nucleus_that_was_missed_and_added_is_who_it_is(whole, missed) -> None:
    place = whole.detections.position_um[whole.row(T_EDITED, NEURON)]
    before, now = missed.tracked(), edition(missed, volume_with(missed.detections, T_EDITED, place))
    after = now.tracked()
    new = int(np.flatnonzero(now.identities.amended.fresh)[0])
    assert after.tracks.neuron[new] == NEURON
    assert 0.5 < after.tracks.probability[new] <= 0.95
    assert after.candidates.neuron[new, 0] == NEURON
    assert np.array_equal(np.delete(after.tracks.neuron, new), before.tracks.neuron)
    assert np.array_equal(np.delete(after.tracks.probability, new), before.tracks.probability)
    assert np.isnan(after.neurons.absent[T_EDITED, NEURON])
    assert touched(rule(Corrections(), now.detections, now.identities), now.detections, now.identities).tolist() == [T_EDITED]


def test_ids_and_the_mark_stay_where_places_would_order_them_otherwise(whole) -> None:
    """The only thing that a new place may not move is what neurons are called."""
    row = whole.row(T_EDITED, 0)
    far = whole.detections.position_um[row] + [0, 0, 1000.0]
    now = edition(whole, volume_with(whole.detections, T_EDITED, far, (row,)))
    as_it_was = number(whole.detections, whole.identities.neuron)
    moved = replace(now.identities, neuron=np.where(now.identities.amended.fresh, as_it_was[0], now.identities.neuron))
    assert not np.array_equal(number(now.detections, moved.neuron), as_it_was)
    assert np.array_equal(entries_of(now.detections, now.identities), as_it_was)
    assert now.identities.mark == whole.identities.mark
    found = now.tracked()
    elsewhere = now.detections.t != T_EDITED
    assert np.array_equal(found.tracks.neuron[elsewhere], whole.true[whole.detections.t != T_EDITED])


def test_a_neuron_whose_only_detection_was_divided_keeps_its_id_and_has_no_witness(whole) -> None:
    alone = without(whole, np.flatnonzero((whole.true != NEURON) | (whole.detections.t == T_EDITED)))
    row = alone.row(T_EDITED, NEURON)
    now = edition(alone, volume_with(alone.detections, T_EDITED, alone.detections.position_um[row] + 0.1, (row,)))
    told = witnesses_of(now.detections, now.identities)
    ours = number(alone.detections, alone.identities.neuron).tolist().index(alone.identities.neuron[row])
    assert set(told.neuron.tolist()) == set(range(K)) - {ours}
    assert now.tracked().tracks.n_neurons == K
    assert now.identities.absent[T_EDITED, alone.identities.neuron[row]] == 0.5


def test_what_a_person_says_of_the_new_is_certain(whole, missed) -> None:
    place = whole.detections.position_um[whole.row(T_EDITED, NEURON)]
    now = edition(missed, volume_with(missed.detections, T_EDITED, place))
    new = int(np.flatnonzero(now.identities.amended.fresh)[0])
    for who, expected in (("newcomer", K), (None, UNKNOWN)):
        found = now.tracked(now.on(new, who))
        assert (found.tracks.neuron[new], found.tracks.probability[new]) == (expected, 1)


def test_a_row_means_what_was_made_of_its_click_wherever_light_put_it(whole) -> None:
    """The place of a row is the click; nearer to it than what was made lies another one, and its label is another's by now."""
    near = whole.row(T_EDITED, NEURON)
    click = np.round(whole.detections.position_um[near].astype(np.float64) + 0.1, 4)
    now = edition(whole, volume_with(whole.detections, T_EDITED, click + 300.0, click_um=click))
    new = int(np.flatnonzero(now.identities.amended.fresh)[0])
    assert place_of(new, now.detections, now.identities) == tuple(click)
    other = int(now.detections.label[now.row(T_EDITED, NEURON)])
    for label in (1000, other, None):
        row = Correction("is", t=T_EDITED, label=label, position_um=tuple(click), neuron="AVAL")
        assert rule(Corrections((row,)), now.detections, now.identities).row.tolist() == [new]


def test_what_is_said_of_a_nucleus_that_could_not_be_made_is_said_of_no_other_one(whole) -> None:
    click = whole.detections.position_um[whole.row(T_EDITED, NEURON)].astype(np.float64)
    made = replace(volume_with(whole.detections, T_EDITED, click + 50.0, click_um=click), clicked=np.zeros(1, np.int64))
    now = edition(whole, made)
    rows = [Correction("is", t=T_EDITED, label=1000, position_um=tuple(click), neuron="AVAL", line=2)]
    ruled = rule(Corrections((*rows, Correction("name", neuron="AVAL", other="AVAR", line=3))), now.detections, now.identities)
    assert not len(ruled.row)
    with pytest.raises(InputError, match="line 2: the nucleus that was to be there in volume 2 could not be made"):
        locate(rows[0], now.detections, clicks=clicks_of(now.identities))


@pytest.mark.parametrize("t", [0, 3, 5])
def test_tables_without_amendments_and_of_volumes_that_were_empty(whole, t) -> None:
    empty = without(whole, np.flatnonzero(whole.detections.t != t))
    assert np.array_equal(Amendments().origin(empty.detections), np.arange(len(empty.detections)))
    now = edition(empty, volume_with(empty.detections, t, np.array([5.0, 5.0, 5.0])))
    assert len(now.detections) == len(empty.detections) + 1
    assert now.detections.rows_of(t).stop - now.detections.rows_of(t).start == 1
    found = now.tracked()  # one detection in a volume is no hindrance
    assert len(found.tracks) == len(now.detections)


def test_where_nothing_was_found_at_all_the_first_may_be_added() -> None:
    nothing = detections_at(np.zeros(0, int), np.zeros((0, 3)), 3)
    identities = identities_of(nothing, np.zeros(0, int))
    made = Amendments((volume_with(nothing, 1, np.zeros(3)),))
    assert isinstance(made.identities(nothing, identities, np.zeros(0, int)), Identities)
    assert len(made.embeddings(nothing, Embeddings(np.zeros((0, 1), np.float32)))) == len(made.detections(nothing)) == 1


def test_places_and_labels_of_other_volumes_stay() -> None:
    nothing = detections_at(np.zeros(0, int), np.zeros((0, 3)), 4)
    places = Places(np.array([0, 0, 1, 3]), np.arange(4), np.zeros((4, 3), np.float32), Light.dark(4))
    own = Places(np.array([1, 1]), np.array([7, 8]), np.zeros((2, 3), np.float32), Light.dark(2))
    made = Amendments((replace(volume_with(nothing, 1, np.zeros(3)), places=own, voxels=np.array([5]), labels=np.array([9])),))
    assert made.places(places).entry.tolist() == [0, 1, 7, 8, 3]

    class Source:
        def read(self, t: int) -> np.ndarray:
            return np.full((1, 2, 3), t, np.uint16)

    labels = made.labels(Labels(Source(), (4, 1, 2, 3)))
    assert labels.read(1).ravel().tolist() == [1, 1, 1, 1, 1, 9]
    assert labels.read(3).ravel().tolist() == [3] * 6
