"""What may happen while somebody answers: other runs, late questions, others who write, refusals."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from barlowtrack.answers import Answer, give_all
from barlowtrack.api import Run
from barlowtrack.data import UNKNOWN, Correction, Corrections
from barlowtrack.plugin.listening import Listening
from barlowtrack.plugin.review import saying
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.strokes import in_sight, stroke_of, strokes
from barlowtrack.plugin.review.subjects import of_now, of_row
from barlowtrack.plugin.review.told import headline, where
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution
from tests.plugin.test_review import Now, known_row, run  # noqa: F401 - fixture


class Later:
    """Does work at once, and tells of it when one says so."""

    def __init__(self):
        self.left = []

    def do(self, work, done, failed=None):
        try:
            result = work()
        except Exception as error:
            self.left.append(lambda caught=error: failed(caught))
        else:
            self.left.append(lambda: done(result))

    def tell(self):
        while self.left:
            self.left.pop(0)()


@pytest.fixture
def late(run):  # noqa: F811
    """A desk whose questions come when one says so."""
    made = Desk(Session(), Now(), Later())
    made.who, made.heard = "ada", []
    made.told.connect(lambda text, good: made.heard.append((text, good)))
    made.session.take(Solution.read(run.path))
    return made


def test_questions_that_come_late_take_nobody_away_from_what_they_are_at(late):
    session, solution, seeking = late.session, late.session.solution, late._seeking
    seeking.tell()
    assert late.subject.question is late.questions[0]  # nobody was at anything
    late.ask()
    row = known_row(solution, 4)
    session.show(4)
    session.point(row)
    chosen, shown = late.subject, (session.t, session.chosen)
    seeking.tell()
    assert (late.subject, (session.t, session.chosen)) == (chosen, shown)
    assert where(late) == f"{len(late.questions)} questions wait: N goes to the first."
    assert "an answer" not in where(late)
    late.step(1)
    assert late.subject.question is late.questions[0]
    late.step(1)
    asked = late.question
    session.take(replace(solution))  # solved again
    assert late.subject.question is asked
    seeking.tell()
    assert late.subject.question is asked  # what keys mean does not change by itself
    late.subject = None
    late.ask()
    session.show((session.t + 1) % solution.n_volumes)  # moved on
    t = session.t
    seeking.tell()
    assert (late.subject, session.t) == (None, t)
    assert headline(late, "").endswith("questions wait. N goes to the first.")
    late.held = lambda: True
    late.ask()
    seeking.tell()
    assert late.subject is None


def test_what_was_answered_while_questions_are_looked_for_is_not_asked(late):
    late._seeking.tell()
    first = late.question
    late.ask()
    late.say(saying.accept(late.subject))
    late._seeking.tell()
    assert (first.t, first.label) not in [(question.t, question.label) for question in late.questions]


def test_a_failure_to_ask_is_not_told_as_no_doubt(run):  # noqa: F811
    (run.path / "corrections.csv").write_text("damaged\n")
    desk = Desk(Session(), Now())
    desk.session.take(Solution.read(run.path))
    assert headline(desk, "").startswith("What is in doubt cannot be said: ")
    assert "corrections.csv" in headline(desk, "")


def test_a_nucleus_that_is_nobody_stays_meant_where_the_volume_changes(late):
    late._seeking.tell()
    solution = late.session.solution
    row = known_row(solution, 4)
    neuron = solution.tracks.neuron.copy()
    neuron[row] = UNKNOWN
    late.session.take(replace(solution, tracks=replace(solution.tracks, neuron=neuron)))
    late.session.show(4)
    late.session.point(row)
    subject = late.subject
    late.session.show(5)
    assert late.subject == subject
    assert late.session.t == 5


def test_a_refusal_stays_until_it_was_seen_and_names_what_it_is_about(late):
    solution = late.session.solution
    a, b = known_row(solution, 3), known_row(solution, 4)
    late._take(of_row(solution, a))
    late.say(saying.accept(late.subject))
    late.say(saying.not_a_neuron(late.subject))
    late._take(of_row(solution, b))
    late.say(saying.accept(late.subject))
    text, good = late.heard[-1]
    assert not good
    assert text.startswith(f"Not written (nucleus {solution.detections.label[a]} of volume 3")
    assert "Saved as line 3" in text
    late._take(of_row(solution, a))
    late.say(saying.accept(late.subject))  # it is spoken of again
    assert late.heard[-1] == ("line 2 of corrections.csv says so already; nothing was written.", True)
    late.say(saying.edit_answer(solution, "add", 4, [tuple(float(axis) for axis in solution.detections.position_um[b])]))
    assert late.heard[-1][0].startswith("Not written (a nucleus that is missing in volume 4): ")
    late.seen()
    late.undo()
    assert late.heard[-1][1]
    assert len(late.refusals) == 2  # the list keeps them


@pytest.fixture
def two(run, tmp_path):  # noqa: F811
    """A desk that tells late, and another run."""
    shutil.copytree(run.path, tmp_path / "other.barlowtrack")
    desk = Desk(Session(), Later(), Now())
    desk.heard = []
    desk.told.connect(lambda text, good: desk.heard.append(text))
    desk.session.take(Solution.read(run.path))
    desk._line.tell()
    return desk, Run(tmp_path / "other.barlowtrack")


def test_an_answer_on_its_way_stays_with_its_run(two, run):  # noqa: F811
    desk, other = two
    solution = desk.session.solution
    give_all(other.folder, (Answer("name", neuron=3, other="N3"),), "bo")
    give_all(other.folder, (Answer("name", neuron=4, other="N4"),), "bo")
    desk._take(of_row(solution, known_row(solution, 3)))
    desk.say(saying.swap(solution, desk.subject, int(solution.tracks.neuron[known_row(solution, 3, 1)])))
    desk.session.take(Solution.read(other.path))
    desk._line.tell()
    assert any(text.startswith(f"{run.path.name}: Saved as lines 2, 3") for text in desk.heard)
    desk.undo()
    desk._line.tell()
    assert [row.other for row in other.corrections.in_force] == ["N3"]  # not both, as lines 2 and 3 of the first run
    desk.undo()
    desk.session.take(solution)
    desk._line.tell()
    desk.redo()
    desk._line.tell()
    assert desk.heard[-1] == "Not written: nothing was taken back that could be said again"
    assert len(run.corrections.in_force) == 2


def test_what_others_wrote_is_listed_and_not_taken_back_unseen(late, run):  # noqa: F811
    solution, tables = late.session.solution, []
    late.table.connect(lambda table, _: tables.append(table))
    late._take(of_row(solution, known_row(solution, 3)))
    late.say(saying.accept(late.subject))
    before = len(tables)
    late.look_again()
    assert len(tables) == before  # nothing new
    give_all(run.folder, (Answer("name", neuron=3, other="THEIRS"),), "bo")
    late.undo()
    assert [row.what for row in run.corrections.in_force] == ["name"]
    assert "Somebody else wrote 1 more meanwhile, which stay." in late.heard[-1][0]
    give_all(run.folder, (Answer("name", neuron=4, other="AGAIN"),), "bo")
    late.look_again()
    assert tables[-1].rows[-1].other == "AGAIN"


def test_an_exchange_is_known_from_the_table_when_the_run_is_opened_again(late, run):  # noqa: F811
    solution = late.session.solution
    late._take(of_row(solution, known_row(solution, 3)))
    late.say(saying.swap(solution, late.subject, int(solution.tracks.neuron[known_row(solution, 3, 1)])))
    again = Desk(Session(), Now())
    again.session.take(solution)
    assert again.stroke_of(2, run.corrections) == (3, 2)
    again.take_back(2)
    assert not run.corrections.in_force
    again.redo()
    assert len(run.corrections.in_force) == 2


def test_strokes_are_two_nuclei_of_a_volume_in_one_breath():
    said = {"t": 3, "who": "ada", "when": "2026-01-02T03:04:05Z"}
    a = Correction("is", label=7, position_um=(1.0, 2.0, 3.0), neuron="2", line=2, **said)
    b = Correction("is", label=8, position_um=(4.0, 5.0, 6.0), neuron="1", line=3, **said)
    assert strokes(Corrections((a, b))) == ((2, 3),)
    for other in ({"when": "2026-01-02T03:04:06Z"}, {"who": "bo"}, {"t": 4}, {"line": 4}, {"neuron": "2"}):
        assert strokes(Corrections((a, replace(b, **other)))) == ()
    undo = Correction("undo", other="3", line=4)
    assert stroke_of(2, Corrections((a, b)), [(2,), (3,)]) == (2,)  # who wrote them knows better
    assert stroke_of(2, Corrections((a, b, undo)), []) == (2,)
    assert [row.line for row in in_sight(Corrections((a, b, undo)), {2}).rows] == [2]
    assert [row.line for row in in_sight(Corrections((a, b, undo)), {2, 3}).in_force] == [2]


def test_a_subject_is_the_same_place_in_a_newer_solution(late):
    solution = late.session.solution
    row = known_row(solution, 3)
    subject = of_row(solution, row)
    neuron = (solution.tracks.neuron + 1) % solution.n_neurons
    moved = replace(solution, tracks=replace(solution.tracks, neuron=neuron))
    assert of_now(moved, subject) == of_row(moved, row)
    late._seeking.tell()
    whole = replace(subject, question=replace(late.question, kind="nobody"))
    assert of_now(solution, whole) == whole
    assert of_now(moved, whole) is None
    far = replace(solution.detections, position_um=solution.detections.position_um + np.float32(9))
    assert of_now(replace(solution, detections=far), subject) is None


def test_a_desk_whose_window_is_gone_hears_nothing(run):  # noqa: F811
    listening = Listening()
    desk = Desk(Session(), Now(), listening=listening)
    listening.stop()
    desk.session.take(Solution.read(run.path))
    assert not desk.questions


def test_after_an_exchange_is_solved_the_ring_is_on_the_nucleus_that_keys_mean(late):
    session, solution, seeking = late.session, late.session.solution, late._seeking
    seeking.tell()
    one, other = known_row(solution, 3), known_row(solution, 3, 1)
    a, b = (int(solution.tracks.neuron[row]) for row in (one, other))
    neuron = solution.tracks.neuron.copy()
    neuron[[one, other]] = b, a
    after = replace(solution, tracks=replace(solution.tracks, neuron=neuron))
    for chosen, rings in (((a,), (b,)), ((b, a), (a, b))):
        session.take(solution)
        seeking.tell()
        session.show(3)
        session.choose([])
        session.choose(chosen)
        label = solution.detections.label[one]
        assert (late.subject.label, late.subject.neuron) == (label, a)
        session.take(after)
        assert (late.subject.t, late.subject.label, late.subject.neuron) == (3, label, b)
        assert session.chosen == rings
        assert after.row_of[rings[-1], 3] == one
    neuron[one] = UNKNOWN
    session.take(solution)
    seeking.tell()
    session.choose([a])
    session.take(replace(solution, tracks=replace(solution.tracks, neuron=neuron)))
    assert session.chosen == (a,)
    assert (late.subject.t, late.subject.neuron) == (3, a)
    assert late.subject.label == solution.detections.label[other]
