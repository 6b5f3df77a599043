"""The questions of the page: their pictures, and commands that do what they say."""

import shlex

import numpy as np
import pytest

from barlowtrack.cli.correcting import correct
from barlowtrack.data import UNKNOWN, Correction, Corrections, StageCost, Tracks
from barlowtrack.identity.review import Question
from barlowtrack.stages.report.costs import BEGIN, END, costs_part, without_costs
from barlowtrack.stages.report.drawing import house_style
from barlowtrack.stages.report.questions import MOST_QUESTIONS, commands, missing_here, questions_part, sure_sightings
from tests.unit.stages.test_report import Tags, case, identities_of, page_of, shown_of

WHO = Question("anchor", 3, 2, (3.0, 3.5, 5.0), 1, UNKNOWN, ((2, 0.6), (1, 0.3), (4, 0.01)), 2.0)
NOBODY = Question("who", 3, 2, (3.0, 3.5, 5.0), UNKNOWN, UNKNOWN, (), 1.0)
NONE = Question("nobody", 3, 2, (3.0, 3.5, 5.0), 1, UNKNOWN, ((1, 0.2),), 4.8)
SAME = Question("same", 2, 5, (3.0, 8.0, 11.0), 0, 4, ((4, 0.9),), 3.0)


def part_of(questions, run=None, names=None) -> str:
    with house_style():
        return questions_part(shown_of(run or case(), names), questions)


def test_a_question_offers_who_it_may_be():
    text = Tags(part_of([WHO])).text
    assert "1. Who is nucleus 2 of volume 3? It is 1 now." in text
    assert "2: 60\u00a0% (found elsewhere in this volume); 1: 30\u00a0%; nobody we know: 9\u00a0%." in text
    assert "--volume 3 --label 2 --is 2\n" in text
    assert "--is 4" not in text  # hardly likely
    assert "Its part of the volume is in doubt too" in text


def test_two_neurons_that_may_be_one():
    html = part_of([SAME, WHO], names=("<script>alert(1)</script>", "", "", "", "AVAR"))
    tags = Tags(html)
    assert "Are <script>alert(1)</script> (0) and AVAR (4) one neuron?" in tags.text
    assert "barlowtrack correct RUN --merge 0 4" in tags.text
    assert "script" not in {tag for tag, _ in tags.tags}
    assert len([tag for tag, _ in tags.tags if tag == "img"]) == 2


@pytest.mark.parametrize("question", [WHO, NOBODY, NONE, SAME])
def test_every_command_is_one(question, tmp_path):
    for line in commands(question, (3,)):
        program, verb, run, *rest = shlex.split(line)
        assert (program, verb, run) == ("barlowtrack", "correct", "RUN")
        given = correct.make_context("correct", [str(tmp_path), *rest]).params
        assert question.kind == "same" or (given["t"], given["label"]) in ((3, 2), (None, None))


def test_pictures_are_of_other_volumes_those_that_are_sure_and_read_anyway_first():
    run = case(n_volumes=20)
    probability = np.where(np.isin(run["detections"].t, (4, 9)), 0.5, 0.95)
    tracks = Tracks(run["tracks"].neuron, probability, 5)
    row = 3 * 5 + 1
    found = sure_sightings(run["detections"], tracks, 2, row, [3, 9, 17])
    assert run["detections"].t[list(found)].tolist() == [17, 2]  # 3 is its own volume, 9 is not sure
    assert (tracks.neuron[list(found)] == 2).all()
    assert sure_sightings(run["detections"], tracks, UNKNOWN - 1, row, [3]) == ()


def test_where_nobody_is_a_candidate_those_that_are_missing_there_are_offered():
    run = case(n_volumes=6, n_neurons=9)
    neuron = run["tracks"].neuron.copy()
    lost = (run["detections"].t == 3) & np.isin(neuron, (1, 8))
    neuron[lost] = UNKNOWN
    tracks = Tracks(neuron, run["tracks"].probability, 9)
    assert missing_here(run["detections"], tracks, 3 * 9 + 1)[0] == 1
    assert missing_here(run["detections"], tracks, 3 * 9 + 8)[0] == 8
    assert missing_here(run["detections"], run["tracks"], 3 * 9) == ()
    text = Tags(part_of([NOBODY], run | {"tracks": tracks})).text
    assert "Nobody we know: 100\u00a0%. Not found in this volume, and about here in a volume close by: 1" in text
    assert "--label 2 --is 1\n" in text


def test_who_may_be_no_neuron_is_asked_about_for_all_volumes():
    run = case(n_volumes=6)
    html = part_of([NONE], run, names=("", "<b>x</b>", "", "", ""))
    text = Tags(html).text
    assert "Is <b>x</b> (1) a neuron at all?" in text
    assert "followed through 6 volumes" in text
    assert "nobody we know, 80\u00a0%" in text
    assert "barlowtrack correct RUN --not-a-neuron --neuron 1\nbarlowtrack correct RUN --volume 3 --label 2 --is 1" in text
    assert "<b>x" not in html


def test_no_more_questions_than_a_person_answers_and_none_where_nothing_is_in_doubt():
    many = [Question("who", t, 1, (3.0, 2.0, 3.0), 0, UNKNOWN, ((0, 0.5),), 1.0) for t in range(MOST_QUESTIONS + 3)]
    assert part_of(many, case(n_volumes=20)).count('class="card"') == MOST_QUESTIONS
    assert "Nothing is in doubt" in part_of([])


def test_what_a_person_said_is_named_and_not_asked_again():
    run = case(n_volumes=3)
    probability = np.where(run["detections"].t == 1, 0.4, 1.0)
    run["tracks"] = Tracks(run["tracks"].neuron, probability, 5)
    run["identities"] = identities_of(run["tracks"], 3, run["detections"].t)
    evil, mark = "<script>alert(1)</script>", run["identities"].mark
    said = Correction("name", neuron="2", other=evil, atlas=mark, line=2)
    html = page_of(run | {"corrections": Corrections((said,))})
    assert f"{evil} (2)" in Tags(html).text
    assert "script" not in {tag for tag, _ in Tags(html).tags}
    assert "Who is nucleus" in html
    assert "Answer the 1 question below" not in html  # two or three identities are not worth a step of their own


def test_the_cost_stands_apart_from_what_lasts():
    cheap, dear = ((StageCost("segment", seconds, 512.4),) for seconds in (3.0, 7330.0))
    first, second = costs_part(cheap), costs_part(dear)
    assert "<td>3.0 s</td><td>100\u00a0%</td><td>512 MB</td>" in first
    assert "<td>2 h 2 min</td>" in second
    assert first.startswith(BEGIN)
    assert first.endswith(END)
    assert without_costs(f"a{first}b") == without_costs(f"a{second}b") == "ab"
    assert "Nobody wrote down" in costs_part(())


def test_pages_of_one_result_differ_by_their_cost_alone():
    run = case(n_volumes=1, n_neurons=1)
    one, other = (page_of(run | {"costs": (StageCost("embed", seconds, 100.0),)}) for seconds in (1.0, 99.0))
    assert one != other
    assert without_costs(one) == without_costs(other)
