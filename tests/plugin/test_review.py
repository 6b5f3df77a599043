"""The Review panel without its window: what keys mean, what is written, what is told."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from barlowtrack.answers import Answer, give
from barlowtrack.api import Run, prepare
from barlowtrack.cli.main import cli
from barlowtrack.data import UNKNOWN, Correction, Corrections
from barlowtrack.errors import BarlowtrackError, InputError, StorageError
from barlowtrack.identity.review import Question
from barlowtrack.plugin.changes import changes, matched
from barlowtrack.plugin.review import saying
from barlowtrack.plugin.review.choices import choices, nobody
from barlowtrack.plugin.review.clicking import brightest_along
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.merging import HERE, THERE, coming, yielding
from barlowtrack.plugin.review.pictures import MOST, Pictures, opened
from barlowtrack.plugin.review.resolving import Heard, resolve, waiting
from barlowtrack.plugin.review.sightings import sightings
from barlowtrack.plugin.review.subjects import Subject, asked, described, of_neuron, of_question, of_row
from barlowtrack.plugin.review.words import again, in_words, last_said, listed
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution


class Now:
    """Does work at once, in the order in which it comes."""

    def do(self, work, done, failed=None):
        try:
            result = work()
        except Exception as error:
            if failed is None:
                raise
            failed(error)
        else:
            done(result)


@pytest.fixture(scope="module")
def solution(tiny_run):
    return Solution.read(tiny_run.path)


@pytest.fixture
def run(tiny_run, tiny_worm, tmp_path):
    """A run one may correct, beside its recording."""
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    return Run(tmp_path / "recording.barlowtrack")


@pytest.fixture
def desk(run):
    made = Desk(Session(), Now())
    made.who, made.heard = "ada", []
    made.told.connect(lambda text, good: made.heard.append((text, good)))
    made.session.take(Solution.read(run.path))
    return made


def move_away(run):
    """Leaves the run without its recording."""
    about = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**about, "recording": "../nowhere"}))


def known_row(solution, t, nth=0):
    part = solution.detections.rows_of(t)
    rows = part.start + np.flatnonzero(solution.tracks.neuron[part] >= 0)
    return int(rows[nth])


def question(solution, row, kind="who", **said):
    z, y, x = (float(axis) for axis in solution.detections.position_um[row])
    asked = Question(
        kind, int(solution.detections.t[row]), int(solution.detections.label[row]), (z, y, x), int(solution.tracks.neuron[row]), -1, (), 1.0
    )
    return replace(asked, **said)


def test_a_nucleus_may_be_whom_its_candidates_name_and_says_what_is_written(solution):
    row = known_row(solution, 3)
    subject = of_row(solution, row)
    offered = choices(solution, subject)
    neuron = int(solution.tracks.neuron[row])
    assert neuron in [choice.neuron for choice in offered]
    assert [choice.probability for choice in offered] == sorted((choice.probability for choice in offered), reverse=True)
    assert all(choice.answers[0].neuron == choice.neuron and choice.answers[0].label == subject.label for choice in offered)
    assert next(choice for choice in offered if choice.neuron == neuron).note == "who it is now"
    assert f"nucleus {subject.label} of volume 3, now {neuron}" in described(solution, subject)


def test_each_kind_of_question_has_its_own_answers(solution):
    row = known_row(solution, 2)
    neuron, other = int(solution.tracks.neuron[row]), int(solution.tracks.neuron[known_row(solution, 2, 1)])
    same = question(solution, row, "same", neuron=other, other=neuron)
    one, two = choices(solution, of_question(solution, same))
    assert [(answer.what, answer.neuron, answer.other) for answer in one.answers] == [("merge", other, neuron)]
    assert two.answers == ()
    assert asked(solution, same) == f"Are {other} and {neuron} one neuron?"
    yes, no = choices(solution, of_question(solution, question(solution, row, "nobody", candidates=((neuron, 0.3),))))
    assert (yes.answers[0].what, yes.answers[0].neuron, yes.probability) == ("is", neuron, 0.3)
    surest = max(np.flatnonzero(solution.tracks.neuron == neuron), key=lambda at: solution.tracks.probability[at])
    assert (yes.answers[0].t, yes.answers[0].label) == (solution.detections.t[surest], solution.detections.label[surest])
    assert f"nucleus {yes.answers[0].label} of volume {yes.answers[0].t}, its surest, is {neuron}" in yes.note
    assert "%" not in described(solution, of_question(solution, question(solution, row, "nobody")))
    assert (no.answers[0].what, no.answers[0].neuron, no.answers[0].label) == ("not-a-neuron", neuron, None)
    assert "all 8 volumes" in no.text


def test_what_candidates_leave_is_nobody(solution):
    row = known_row(solution, 3)
    subject = of_row(solution, row)
    lines = {"t": [3, 3], "label": [subject.label] * 2, "rank": [0, 1], "neuron": [subject.neuron, 1], "probability": [0.49, 0.07]}
    doubtful = replace(solution, candidates=solution.candidates.iloc[:2].assign(**lines))
    assert nobody(doubtful, subject) == pytest.approx(0.44)
    assert nobody(doubtful, replace(subject, label=None)) is None
    assert nobody(doubtful, replace(subject, question=question(solution, row, "nobody"))) is None


def test_an_exchange_is_two_rows_and_what_makes_no_sense_is_refused_in_words(solution):
    a, b = known_row(solution, 3), known_row(solution, 3, 1)
    subject, other = of_row(solution, a), int(solution.tracks.neuron[b])
    first, second = saying.swap(solution, subject, other)
    assert (first.label, first.neuron) == (subject.label, other)
    assert (second.label, second.neuron) == (int(solution.detections.label[b]), subject.neuron)
    nobody = replace(subject, neuron=UNKNOWN)
    for refused, why in (
        (lambda: saying.swap(solution, subject, subject.neuron), "cannot be exchanged with itself"),
        (lambda: saying.accept(nobody), "is nobody yet; choose who it is"),
        (lambda: saying.absent(nobody), "no neuron that could be absent"),
        (lambda: saying.never_a_neuron(nobody), "this one nucleus is not a neuron"),
        (lambda: saying.split(replace(subject, t=0), ""), "cannot be cut at volume 0"),
        (lambda: saying.assign(Subject(3, None, None, 2), 1), "volume 3 does not show it"),
        (lambda: saying.merge(solution, subject, subject.neuron), "is itself already"),
        (lambda: saying.name_it(subject, ""), "a name is missing"),
    ):
        with pytest.raises(InputError, match=why):
            refused()


def test_who_is_meant_by_what_is_typed(solution):
    named = replace(solution, neurons=solution.neurons.assign(name=["", "AVAL", *[""] * (solution.n_neurons - 2)]))
    assert saying.meant(named, " 2 ") == 2
    assert saying.meant(named, "AVAL") == "AVAL"
    assert saying.meant(named, "AVAL (1)") == 1
    assert saying.meant(named, "AVAR") is None
    assert saying.meant(named, str(named.n_neurons)) is None


def test_a_neuron_is_compared_where_it_is_surely_seen(solution):
    neuron = int(solution.tracks.neuron[known_row(solution, 3)])
    rows = sightings(solution, neuron, 3)
    volumes = solution.detections.t[list(rows)]
    assert len(set(volumes.tolist())) == len(rows) == 3
    assert (solution.tracks.neuron[list(rows)] == neuron).all()
    assert 3 not in volumes
    assert abs(volumes[0] - 3) == min(abs(t - 3) for t in np.flatnonzero(solution.row_of[neuron] >= 0) if t != 3)
    assert sightings(solution, solution.n_neurons + 3, 0) == ()


def test_pictures_are_kept_and_no_more_than_so_many(solution, run, monkeypatch):
    pictures = Pictures.of(Solution.read(run.path))
    rows = list(range(5))
    assert pictures.kept(0) is None
    pictures.read(rows)
    assert all(pictures.kept(row).shape == (48, 48) for row in rows)
    monkeypatch.setattr("barlowtrack.plugin.review.pictures.MOST", 3)
    pictures.kept(0)  # looked at last, so it stays
    pictures.read([7])
    assert [row for row in (*rows, 7) if pictures.kept(row) is not None] == [0, 4, 7]
    assert MOST * 48 * 48 * 4 < 10e6
    move_away(run)
    assert str(opened(Solution.read(run.path))).startswith("No pictures: ")


def test_what_was_said_is_listed_newest_first_and_undone_in_one_stroke():
    rows = (
        Correction("is", t=3, label=7, neuron="2", who="ada", when="2026-01-02T03:04:05Z"),
        Correction("is", t=3, label=8, neuron="1", line=3),
        Correction("name", neuron="2", other="AVAL", line=4),
        Correction("undo", other="4", line=5),
    )
    table = Corrections(rows)
    assert [(said.row.line, said.undone) for said in listed(table)] == [(4, True), (3, False), (2, False)]
    assert listed(table)[-1].signed == "ada, 2026-01-02 03:04:05"
    assert last_said(table, [(2, 3), (4,)]) == (3, 2)
    assert last_said(table, []) == (3,)
    assert last_said(Corrections(), []) == ()
    assert again(rows[0]) == Answer("is", t=3, label=7, neuron="2")
    assert again(Correction("is", t=1, label=2, neuron="AVAR")).new
    assert again(rows[2]) == Answer("name", neuron="2", other="AVAL")
    said = (
        Correction("split", t=4, until=6, neuron="1", other="B"),
        Correction("absent", t=4, neuron="1"),
        Correction("not-a-neuron", neuron="1"),
    )
    assert [in_words(row) for row in said] == ["1 is B from volume 4 to 6", "1 is absent from volume 4", "1 is not a neuron, in no volume"]


def test_answers_are_written_as_they_are_given_and_undone_and_said_again(desk, run):
    solution = desk.session.solution
    assert desk.questions
    for t in (1, 2, 3):
        desk._take(of_row(solution, known_row(solution, t)))
        desk.say(saying.accept(desk.subject))
        assert len(run.corrections.rows) == t  # on the disk before the next
    assert [row.who for row in run.corrections.rows] == ["ada"] * 3
    desk.undo()
    desk.undo()
    assert [row.t for row in run.corrections.in_force] == [1]
    desk.redo()
    assert [row.t for row in run.corrections.in_force] == [1, 2]
    desk.say((Answer("name", neuron=0, other="AVAL"),))
    desk.redo()  # something else was said since
    assert desk.heard[-1] == ("Not written: nothing was taken back that could be said again", False)
    before = (run.path / "corrections.csv").read_bytes()
    desk.say((Answer("name", neuron=1, other="AVAL"),))
    text, good = desk.heard[-1]
    assert not good
    assert "AVAL is the name of two neurons" in text
    assert "nothing was written" in text
    assert (run.path / "corrections.csv").read_bytes() == before


def test_the_same_again_is_not_written_again(desk, run):
    solution = desk.session.solution
    first = desk.question
    assert first.kind == "nobody"
    desk.choose(0)
    assert desk.heard[-1][0].endswith(f", so {first.neuron} is a neuron.")
    n = len(run.corrections)
    desk._take(of_row(solution, known_row(solution, 1)))
    desk.say(saying.accept(desk.subject))
    desk.say(saying.accept(desk.subject))
    assert len(run.corrections) == n + 1
    assert desk.heard[-1] == (f"line {n + 2} of corrections.csv says so already; nothing was written.", True)
    desk.undo()
    desk.say(saying.accept(desk.subject))  # it was taken back, so it is news
    assert desk.heard[-1][0].startswith("Saved as line")


def test_a_desk_out_of_sight_leaves_the_viewer_where_it_is(run):
    desk = Desk(Session(), Now())
    desk.in_sight, went = False, []
    desk.session.looked.connect(went.append)
    desk.session.take(Solution.read(run.path))
    assert desk.subject.question is desk.question
    assert (desk.session.t, went) == (0, [])
    desk.appear(True)
    assert (desk.session.t, len(went)) == (desk.subject.t, 1)
    desk.appear(False)
    desk.appear(True)  # once is enough
    assert len(went) == 1
    desk.ask()
    row = known_row(desk.session.solution, 2)
    desk._take(of_row(desk.session.solution, row))
    desk._asked(desk.session.solution, desk.questions)  # questions come while a person looks at something else
    assert desk.subject == of_row(desk.session.solution, row)


def test_an_exchange_is_undone_and_said_again_as_one(desk, run):
    solution = desk.session.solution
    other = int(solution.tracks.neuron[known_row(solution, 4, 1)])
    desk._take(of_row(solution, known_row(solution, 4)))
    desk.say(saying.swap(solution, desk.subject, other))
    assert len(run.corrections.in_force) == 2
    desk.undo()
    assert not run.corrections.in_force
    desk.redo()
    assert len(run.corrections.in_force) == 2
    desk.undo()
    assert not run.corrections.in_force


def test_keys_mean_the_question_until_another_nucleus_is_chosen(desk):
    session, solution = desk.session, desk.session.solution
    asked = desk.question
    assert (desk.subject.question, session.t) == (asked, desk.subject.t)
    session.show((session.t + 1) % solution.n_volumes)  # looking around changes nothing
    assert desk.subject.question is asked
    neuron = int(solution.tracks.neuron[known_row(solution, session.t, 2)])
    session.choose([neuron])
    assert (desk.subject.neuron, desk.subject.t, desk.subject.question) == (neuron, session.t, None)
    session.show((session.t + 1) % solution.n_volumes)  # it is followed
    assert (desk.subject.neuron, desk.subject.t) == (neuron, session.t)
    session.point(known_row(solution, session.t, 1))
    assert desk.subject == of_row(solution, known_row(solution, session.t, 1))
    nobody_here = replace(desk.subject, neuron=UNKNOWN)
    desk._take(nobody_here)
    session.show((session.t + 1) % solution.n_volumes)  # who is nobody cannot be followed, and the viewer is not taken back
    assert (desk.subject, session.t) == (nobody_here, (nobody_here.t + 1) % solution.n_volumes)
    desk.held = lambda: True  # somebody clicks for another reason
    session.choose([neuron])
    assert desk.subject.neuron != neuron
    desk.held = lambda: False
    desk.step(1)  # back to the question, which has no answer yet
    assert desk.question is asked
    assert desk.subject.question is asked


def test_what_one_cannot_tell_is_not_asked_again(desk, run):
    asked = desk.question
    desk.skip()
    assert desk.question is not asked
    desk.ask()
    assert (asked.kind, asked.t, asked.label) not in [(question.kind, question.t, question.label) for question in desk.questions]
    assert not len(run.corrections)


KILLED = """
import os, signal, sys
from pathlib import Path
from barlowtrack.plugin.review import saying
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.subjects import of_row
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution
from tests.plugin.test_review import Now, known_row

desk = Desk(Session(), Now())
desk.session.take(Solution.read(sys.argv[1]))
said = []
desk.told.connect(lambda text, good: said.append(text))
for t in range(8):
    desk._take(of_row(desk.session.solution, known_row(desk.session.solution, t)))
    desk.say(saying.accept(desk.subject))
    print(said[-1], flush=True)
    if t == 2:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_told_as_saved_is_there_after_a_crash(run):
    from tests.conftest import ROOT

    done = subprocess.run([sys.executable, "-c", KILLED, str(run.path)], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == -9, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [f"Saved as line {line}" for line in (2, 3, 4)]
    assert [row.t for row in run.corrections.in_force] == [0, 1, 2]
    desk = Desk(Session(), Now())
    desk.session.take(Solution.read(run.path))
    desk.undo()  # one goes on where it ended
    assert [row.t for row in run.corrections.in_force] == [0, 1]


def test_another_persons_table_shows_what_comes_and_what_clashes(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "bo.barlowtrack")
    bo, solution = Run(tmp_path / "bo.barlowtrack"), Solution.read(run.path)
    row = known_row(solution, 3)
    label, neuron = int(solution.detections.label[row]), int(solution.tracks.neuron[row])
    run.correct("absent", t=3, neuron=neuron, who="ada")
    bo.correct("is", t=3, label=label, neuron=neuron, who="bo")
    bo.correct("name", neuron=neuron, other="AVAL", who="bo")
    found = coming(solution, bo.path)
    assert [row.what for row in found.rows] == ["is", "name"]
    (clash,) = found.disagreements
    assert clash.stop.t == 3
    assert clash.stop.position_um == pytest.approx(tuple(solution.detections.position_um[row]), abs=1e-3)
    assert clash.stop.cells[1:3] == (f"ada: {neuron} is absent from volume 3", f"bo: nucleus {label} of volume 3 is {neuron}")
    assert yielding(found.disagreements, [HERE]) == {3}
    assert yielding(found.disagreements, [THERE]) == {2}


def test_what_a_new_solution_changes_is_told_by_nucleus(run):
    old = Solution.read(run.path)
    row, other = known_row(old, 5), known_row(old, 5, 1)
    a, b = int(old.tracks.neuron[row]), int(old.tracks.neuron[other])
    give(run.folder, Answer("not-a-neuron", t=5, label=int(old.detections.label[row])))
    give(run.folder, Answer("name", neuron=b, other="AVAL"))
    assert waiting(old)
    heard = Heard()
    found = resolve(old, heard)
    assert heard.stage == "trace"
    assert not waiting(found.solution)
    assert found.solution.traces is not None
    assert found.changes[0].cells == ("all", f"{b} is called AVAL", "")
    assert ("5", f"nucleus {old.detections.label[row]} was {a}, is nobody", "100 %") in [stop.cells for stop in found.changes]
    assert changes(found.solution, found.solution) == ()


def test_exchanges_are_told_once_and_what_is_alike_is_told_together(solution):
    neuron = solution.tracks.neuron.copy()
    a, b = known_row(solution, 5), known_row(solution, 5, 1)
    first, second = int(neuron[a]), int(neuron[b])
    neuron[[a, b]] = neuron[[b, a]]
    gone = int(neuron[known_row(solution, 5, 4)])
    neuron[neuron == gone] = UNKNOWN
    new = replace(solution, tracks=replace(solution.tracks, neuron=neuron))
    together, exchange = changes(solution, new)
    count = int(np.count_nonzero(solution.tracks.neuron == gone))
    assert together.cells[1] == f"{gone} is nobody now, in {count} volumes"
    assert exchange.cells[1] in (f"{first} and {second} are exchanged", f"{second} and {first} are exchanged")
    assert set(exchange.neurons) == {first, second}


def test_nuclei_are_the_same_where_they_lie_though_rows_shift_and_ids_are_anew(solution):
    detections, n = solution.detections, len(solution.detections)
    kept = np.delete(np.arange(n), [3, 40])
    fewer = replace(
        detections,
        **{
            name: getattr(detections, name)[kept]
            for name in detections.__dataclass_fields__
            if isinstance(getattr(detections, name), np.ndarray) and len(getattr(detections, name)) == n
        },
    )
    assert matched(detections, fewer).tolist() == kept.tolist()
    shifted = (solution.tracks.neuron + 1) % solution.n_neurons
    shifted[solution.tracks.neuron < 0] = UNKNOWN
    new = replace(
        solution, detections=fewer, tracks=replace(solution.tracks, neuron=shifted[kept], probability=solution.tracks.probability[kept])
    )
    told = [stop.cells[1] for stop in changes(solution, new)]
    assert len(told) == 2
    assert all("a nucleus is gone" in text for text in told)
    back = [stop.cells[1] for stop in changes(new, replace(solution, tracks=replace(solution.tracks, neuron=shifted)))]
    assert len(back) == 2
    assert all("is new" in text for text in back)


def test_the_brightest_voxel_on_a_line_of_sight():
    volume = np.zeros((5, 6, 7), np.uint16)
    volume[3, 2, 4] = 9
    volume[1, 5, 5] = 99
    assert brightest_along(volume, np.array([0, 2.2, 4]), np.array([4, 1.9, 4])).tolist() == [3, 2, 4]


def test_a_place_of_a_neuron_that_a_volume_does_not_show(solution):
    neuron = int(solution.tracks.neuron[known_row(solution, 3)])
    hidden = solution.tracks.neuron.copy()
    hidden[solution.row_of[neuron, 3]] = UNKNOWN
    without = replace(solution, tracks=replace(solution.tracks, neuron=hidden))
    subject = of_neuron(without, neuron, 3)
    assert subject.label is None
    assert choices(without, subject) == ()
    assert described(without, subject) == f"neuron {neuron}, which volume 3 does not show"


def test_without_its_recording_a_run_is_solved_again_as_with_it(desk, run, tmp_path):
    solution = desk.session.solution
    desk.say(saying.accept(desk.subject))
    row = known_row(solution, 5)
    give(run.folder, Answer("not-a-neuron", t=5, label=int(solution.detections.label[row])))
    with_it = shutil.copytree(run.path, tmp_path / "with.barlowtrack")
    about = json.loads((run.path / "run.json").read_text())
    about["recording"] = os.path.relpath(prepare(run.path).location, with_it)
    (with_it / "run.json").write_text(json.dumps(about))
    move_away(run)
    found = resolve(solution, Heard()).solution
    there = resolve(Solution.read(with_it), Heard()).solution
    assert found.tracks.neuron[row] == UNKNOWN
    assert np.array_equal(found.tracks.neuron, there.tracks.neuron)
    assert np.array_equal(found.tracks.probability, there.tracks.probability)
    assert np.array_equal(found.traces.ratio, there.traces.ratio, equal_nan=True)


def test_where_voxels_are_wanted_one_line_says_which_and_nothing_is_done(desk, run):
    solution = desk.session.solution
    desk.say(saying.accept(desk.subject))
    move_away(run)
    before = (run.path / "keys" / "track.json").read_bytes()
    with pytest.raises(StorageError, match=r"nowhere any more, and report would read it.*--out .*, or do what goes.*--to trace$"):
        prepare(run.path).run()
    assert (run.path / "keys" / "track.json").read_bytes() == before
    done = CliRunner().invoke(cli, ["track", str(run.path)])
    assert done.exit_code == 0, done.output
    assert (run.path / "keys" / "track.json").read_bytes() != before
    z, y, x = (float(axis) for axis in solution.detections.position_um[known_row(solution, 5)])
    desk.say(saying.edit_answer(solution, "divide", 5, [(z, y, x - 0.8), (z, y, x + 0.8)]))
    with pytest.raises(StorageError, match="amend would read it"):
        resolve(solution, Heard())
    with pytest.raises(BarlowtrackError, match="nowhere"):
        prepare(run.path, overrides=["recording.rate_hz=3"]).run(upto="trace")


def test_where_hours_would_be_wanted_nothing_begins(run):
    solution = Solution.read(run.path)
    settings = run.path / "settings.toml"
    settings.write_text(settings.read_text().replace("epochs = 2", "epochs = 3"))
    with pytest.raises(StorageError, match="train would run again, which may take hours"):
        resolve(solution, Heard())


def test_who_is_at_work_in_the_folder_is_said(run):
    with run.folder.lock(), pytest.raises(StorageError, match="in use by process"):
        resolve(Solution.read(run.path), Heard())
