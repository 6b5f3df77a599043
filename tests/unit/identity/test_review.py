"""What the queue asks first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.data import UNKNOWN, Correction, Corrections
from barlowtrack.identity.heed import heed
from barlowtrack.identity.review import doubts, review
from barlowtrack.identity.rulings import rule
from tests.unit.identity.scenes import K, Scene, T, identities_of, scene


@pytest.fixture(scope="module")
def plain() -> Scene:
    return scene()


def asked(here: Scene, *rows: Correction, n: int = 20):
    rulings = rule(Corrections(rows), here.detections, here.identities)
    vectors = np.ones((len(here.detections), 1), np.float32)
    return review(here.detections, heed(rulings, here.detections, vectors, here.learned, here.identities), rulings, n)


def with_probability(here: Scene, probability: np.ndarray) -> Scene:
    return replace(here, identities=replace(here.identities, probability=probability.astype(np.float32)))


def test_where_all_is_sure_nothing_is_asked(plain) -> None:
    assert asked(with_probability(plain, np.ones(len(plain.true)))) == ()


def test_the_most_doubtful_of_a_volume_is_asked_first_and_with_what_it_may_be(plain) -> None:
    row = plain.row(3, 5)
    sure = np.ones(len(plain.true))
    sure[row] = 0.4
    (question,) = asked(with_probability(plain, sure))
    assert (question.kind, question.t, question.label, question.neuron) == ("who", 3, int(plain.detections.label[row]), 5)
    assert question.gain == pytest.approx(0.6)
    assert question.candidates[0][0] == 5
    assert question.position_um == pytest.approx(tuple(plain.detections.position_um[row]))


def test_doubt_around_makes_an_answer_worth_more_and_doubt_far_away_does_not(plain) -> None:
    row = plain.row(3, 5)
    here = np.flatnonzero((plain.detections.t == 3) & (plain.true >= 0))
    distance = np.linalg.norm(plain.detections.position_um[here] - plain.detections.position_um[row], axis=1)
    near, far = here[np.argsort(distance)[1]], here[np.argmax(distance)]
    gain = {}
    for other in (None, near, far):
        sure = np.ones(len(plain.true))
        sure[row] = 0.4
        if other is not None:
            sure[other] = 0.5
        gain[other] = asked(with_probability(plain, sure))[0].gain
    assert gain[None] <= gain[far] < gain[near]
    assert gain[far] < gain[None] + 0.1


def test_no_two_questions_about_one_volume(plain) -> None:
    rng = np.random.default_rng(0)
    questions = asked(with_probability(plain, rng.uniform(0.2, 0.9, len(plain.true))))
    volumes = [question.t for question in questions if question.kind != "same"]
    assert sorted(volumes) == list(range(T))
    assert [question.gain for question in questions] == sorted((question.gain for question in questions), reverse=True)
    assert asked(with_probability(plain, rng.uniform(0.2, 0.9, len(plain.true))), n=2) != ()


def test_what_was_answered_is_not_asked_again(plain) -> None:
    rng = np.random.default_rng(0)
    unsure = with_probability(plain, rng.uniform(0.2, 0.9, len(plain.true)))
    first = next(question for question in asked(unsure) if question.t == 3)
    row = int(np.flatnonzero((plain.detections.t == 3) & (plain.detections.label == first.label))[0])
    again = next(question for question in asked(unsure, plain.on(row, int(plain.true[row]))) if question.t == 3)
    assert again.label != first.label


def test_a_volume_in_which_the_atlas_slipped_is_asked_about_first(plain) -> None:
    entry = plain.identities.neuron.copy()
    lost = (plain.detections.t == 4) & (plain.true >= 4)
    entry[lost] = UNKNOWN
    slipped = replace(plain, identities=identities_of(plain.detections, entry))
    first = asked(slipped)[0]
    assert (first.kind, first.t) == ("anchor", 4)
    assert first.gain > 3
    rulings = rule(Corrections(), slipped.detections, slipped.identities)
    vectors = np.ones((len(entry), 1), np.float32)
    doubt = doubts(slipped.detections, heed(rulings, slipped.detections, vectors, slipped.learned, slipped.identities))
    assert doubt[entry < 0].sum() == pytest.approx(K - 4, abs=1.01)


def test_two_halves_of_one_neuron_are_asked_about_once_for_all() -> None:
    many = scene()
    entry = many.identities.neuron.copy()
    # entry 1 is gone, and entry 0 is called 1 in every second volume: never both
    entry[entry == 1] = UNKNOWN
    entry[(entry == 0) & (many.detections.t % 2 == 1)] = 1
    halves = replace(many, identities=identities_of(many.detections, entry, 0.97))
    assert not any(question.kind == "same" for question in asked(many))
    (question,) = [question for question in asked(halves) if question.kind == "same"]
    ids = {int(k) for k in np.unique(halves.tracked().tracks.neuron[many.identities.neuron == 0])}
    assert len(ids) == 2
    assert {question.neuron, question.other} == ids


def with_nobody(here: Scene, neuron: int, left: float) -> Scene:
    """A scene whose detections of one neuron are nobody we know with some probability."""
    who = here.identities
    rows = here.true == neuron
    share = who.candidates.probability.copy()
    share[rows] = 0
    share[rows, 0] = 1 - left
    candidates = replace(who.candidates, probability=share)
    sure = np.where(rows, 1 - left, 1.0).astype(np.float32)
    return replace(here, identities=replace(who, probability=sure, candidates=candidates))


def test_whether_a_neuron_is_one_at_all_is_asked_once_for_all_volumes(plain) -> None:
    (question,) = asked(with_nobody(plain, 5, 0.7))
    assert (question.kind, question.neuron) == ("nobody", 5)
    assert question.gain == pytest.approx(0.7 * (plain.true == 5).sum(), rel=1e-5)
    assert "5" in question.text
    assert not any(question.kind == "nobody" for question in asked(with_nobody(plain, 5, 0.04)))


def test_a_neuron_that_a_person_named_or_pinned_is_one(plain) -> None:
    doubtful = with_nobody(plain, 5, 0.7)
    named = Correction("name", neuron="5", other="AVAL", line=2)
    assert not any(question.kind == "nobody" for question in asked(doubtful, named))
    assert not any(question.kind == "nobody" for question in asked(doubtful, plain.on(plain.row(3, 5), 5)))


def test_one_volume_that_is_nobody_does_not_make_a_neuron_none(plain) -> None:
    share = plain.identities.candidates.probability.copy()
    row = plain.row(3, 5)
    share[row] = 0
    sure = np.ones(len(plain.true))
    sure[row] = 0.1
    here = with_probability(plain, sure)
    candidates = replace(here.identities.candidates, probability=share)
    (question,) = asked(replace(here, identities=replace(here.identities, candidates=candidates)))
    assert question.kind == "who"


def test_doubt_that_a_neuron_has_everywhere_is_no_question_about_a_volume(plain) -> None:
    assert asked(with_nobody(plain, 5, 0.04)) == ()
    named = Correction("name", neuron="5", other="AVAL", line=2)
    assert asked(with_nobody(plain, 5, 0.7), named) == ()
