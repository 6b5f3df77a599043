"""A person corrects a run: what they type, what is written, and what runs again."""

import logging
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import barlowtrack as bt
from barlowtrack import answers
from barlowtrack.cli.main import cli
from barlowtrack.data import UNKNOWN
from barlowtrack.errors import InputError, StorageError


@pytest.fixture
def run(tiny_run, tiny_worm, tmp_path):
    """A run one may correct, beside a copy of its recording."""
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    return bt.Run(tmp_path / "recording.barlowtrack")


def said(*arguments):
    """What the command line prints; the error where it fails."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def stale(run):
    return {item.stage.name: " ".join(item.reasons) for item in bt.prepare(run.path).plan() if item.state != "cached"}


def sure(run, t):
    """Row of a detection of volume t that is somebody."""
    rows = run.detections.rows_of(t)
    return rows.start + int(np.argmax(np.where(run.tracks.neuron[rows] >= 0, run.tracks.probability[rows], -1)))


def test_corrections_make_track_and_what_follows_stale_and_undoing_them_brings_it_back(run):
    before = (run.path / "tracks.parquet").read_bytes()
    row = sure(run, 3)
    label = int(run.detections.label[row])
    text = said("correct", run.path, "--volume", 3, "--label", label, "--not-a-neuron", "--who", "ada")
    assert f"line 2: volume 3: label {label} is not a neuron" in text
    assert f"'barlowtrack run {run.path}' applies it" in text
    assert stale(run)["track"] == "corrections changed: 1 added"
    assert list(stale(run)) == ["track", "trace", "report"]

    bt.prepare(run.path).run(upto="track")
    assert list(stale(run)) == ["trace", "report"]
    assert (run.tracks.neuron[row], run.tracks.probability[row]) == (UNKNOWN, 1)
    once = (run.path / "tracks.parquet").read_bytes()
    (run.path / "tracks.parquet").unlink()
    bt.prepare(run.path).run(upto="track")
    assert (run.path / "tracks.parquet").read_bytes() == once != before

    assert "line 3: line 2 is taken back" in said("correct", run.path, "--undo", 2)
    assert stale(run)["track"] == "corrections changed: 1 taken back"
    bt.prepare(run.path).run(upto="track")
    assert (run.path / "tracks.parquet").read_bytes() == before
    assert stale(run) == {}


def test_names_and_new_neurons_end_up_in_the_tables(run):
    row = sure(run, 2)
    label, neuron = int(run.detections.label[row]), int(run.tracks.neuron[row])
    other = next(k for k in range(run.tracks.n_neurons) if k != neuron)
    said("correct", run.path, "--name", neuron, "AVAL")
    with pytest.raises(InputError, match=r"nobody is called AVAR yet; if neuron \d+, which it is now, is to be called so"):
        said("correct", run.path, "--volume", 2, "--label", label, "--is", "AVAR")
    said("correct", run.path, "--volume", 2, "--label", label, "--is", "AVAR", "--new")
    bt.prepare(run.path).run(upto="track")
    table = run.neurons
    added = len(table) - 1
    assert (table["name"][neuron], table["name"][added]) == ("AVAL", "AVAR")
    assert table["volumes"][added] == 1
    assert pd.isna(table["entry"][added])
    assert run.tracks.neuron[row] == added
    # ids that the tables show are understood, those of added neurons too
    assert run.correct("merge", neuron=other, other=added).other == "AVAR"
    listed = said("correct", run.path, "--list")
    assert f"line 2: {neuron} is called AVAL" in listed
    assert f"line 4: AVAR is {other}" in listed


def test_what_contradicts_is_refused_and_not_written(run):
    row = sure(run, 3)
    label, neuron = int(run.detections.label[row]), int(run.tracks.neuron[row])
    run.correct("is", t=3, label=label, neuron=neuron, who="ada")
    before = (run.path / "corrections.csv").read_bytes()
    with pytest.raises(
        InputError, match=r"lines 2 and 3 clash: .* no neuron and is .*; undo one of them \(line 3 is the new one; nothing was written"
    ):
        run.correct("not-a-neuron", t=3, label=label)
    assert (run.path / "corrections.csv").read_bytes() == before
    run.undo_correction(2)
    assert run.correct("not-a-neuron", t=3, label=label).line == 4
    with pytest.raises(InputError, match="line 2 is undone already"):
        run.undo_correction(2)


def test_of_two_that_contradict_each_other_at_once_the_second_is_refused(run, monkeypatch):
    read = answers.read_corrections

    def and_meanwhile(folder):
        table = read(folder)
        monkeypatch.setattr(answers, "read_corrections", read)
        run.correct("name", neuron=1, other="AVAL")
        return table

    monkeypatch.setattr(answers, "read_corrections", and_meanwhile)
    with pytest.raises(InputError, match=r"lines 2 and 3 clash: .* \(line 3 is the new one; nothing was written"):
        run.correct("name", neuron=2, other="AVAL")
    assert len(run.corrections.rows) == 1


def test_nobody_answers_while_a_table_is_taken_over(run, tmp_path, monkeypatch):
    shutil.copytree(run.path, tmp_path / "bo.barlowtrack")
    bo = bt.Run(tmp_path / "bo.barlowtrack")
    bo.correct("name", neuron=1, other="AVAL")
    merge = answers.merge_corrections

    def and_meanwhile(ours, theirs):
        monkeypatch.setattr(answers, "merge_corrections", merge)
        run.correct("name", neuron=2, other="AVAL")
        return merge(ours, theirs)

    monkeypatch.setattr(answers, "merge_corrections", and_meanwhile)
    with pytest.raises(InputError, match="somebody else wrote an answer meanwhile; take the rows over again"):
        run.take_corrections(bo.path)
    assert [row.neuron for row in run.corrections.rows] == ["2"]


def test_what_another_line_needs_is_not_undone(run):
    run.correct("split", neuron=1, t=3, other="B")
    run.correct("name", neuron="B", other="AVAL")
    with pytest.raises(InputError, match="line 3: nobody is called B once line 2 is undone; undo that one first"):
        run.undo_correction(2)
    assert len(run.corrections.rows) == 2
    run.undo_correction(3)
    run.undo_correction(2)
    assert not run.corrections.in_force


def test_a_table_that_cannot_stand_is_mended_by_one_undo_after_another(run):
    run.correct("name", neuron=1, other="AVAL")
    with (run.path / "corrections.csv").open("a") as file:
        file.write(",,name,,,,,,,2,AVAL,\n,,name,,,,,,,3,AVAL,\n")
    run.undo_correction(3)
    run.undo_correction(4)
    assert len(run.corrections.in_force) == 1
    bt.prepare(run.path, overrides=["track.appearance=false"]).run(only="identify")
    run.undo_correction(2)  # though nobody can see what it says


def test_a_row_says_where_the_detection_lies_and_whose_ids_it_uses(run):
    row = sure(run, 3)
    place = tuple(float(axis) for axis in run.detections.position_um[row])
    neuron = int(run.tracks.neuron[row])
    written = run.correct("is", t=3, position_um=place, neuron=neuron, who="ada")
    assert written.label == run.detections.label[row]
    assert written.position_um == pytest.approx(place, abs=1e-3)
    assert run.corrections.rows == (written,)
    assert list(run.corrections.witnesses) == [written.atlas]


def test_a_sure_neuron_that_is_none_is_perhaps_none_anywhere(run, monkeypatch):
    monkeypatch.setattr("barlowtrack.answers.SURELY_FOLLOWED", 0.0)
    row = sure(run, 3)
    text = said("correct", run.path, "--volume", 3, "--label", int(run.detections.label[row]), "--not-a-neuron")
    assert f"if none of that is a neuron: --not-a-neuron --neuron {run.tracks.neuron[row]}" in text


def test_two_people_put_their_tables_together(run, tmp_path):
    row = sure(run, 3)
    label, neuron = int(run.detections.label[row]), int(run.tracks.neuron[row])
    run.correct("is", t=3, label=label, neuron=neuron, who="ada")
    shutil.copytree(run.path, tmp_path / "bo.barlowtrack")
    bo = bt.Run(tmp_path / "bo.barlowtrack")
    bo.correct("name", neuron=neuron, other="AVAL", who="bo")
    run.correct("absent", t=4, neuron=neuron, who="ada")
    assert "took 1 row over" in said("correct", run.path, "--take", bo.path)
    assert [row.what for row in run.corrections.rows] == ["is", "absent", "name"]
    assert run.take_corrections(bo.path) == 0
    bo.undo_correction(2, who="bo")
    assert run.take_corrections(bo.path) == 1
    assert [row.what for row in run.corrections.in_force] == ["absent", "name"]
    bo.correct("is", t=4, label=1, neuron=neuron, who="bo")
    before = (run.path / "corrections.csv").read_bytes()
    with pytest.raises(InputError, match=r"ada's absent of .* and bo's is of .* clash: .* \(nothing was written"):
        run.take_corrections(bo.path)
    assert (run.path / "corrections.csv").read_bytes() == before


def test_what_was_undone_and_said_again_at_once_is_taken_over(run, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "_signed", lambda who: (who or "bo", "2025-03-01T12:00:00Z"))
    shutil.copytree(run.path, tmp_path / "bo.barlowtrack")
    bo = bt.Run(tmp_path / "bo.barlowtrack")
    bo.correct("name", neuron=1, other="AVAL")
    bo.undo_correction(2)
    bo.correct("name", neuron=1, other="AVAL")
    run.correct("name", neuron=2, other="AVAR")
    assert run.take_corrections(bo.path) == 3
    assert [row.other for row in run.corrections.in_force] == ["AVAR", "AVAL"]
    assert run.take_corrections(bo.path) == 0


def test_the_queue_asks_what_was_not_answered(run, monkeypatch):
    monkeypatch.setattr("barlowtrack.identity.review.LEAST_DOUBT", 0.0)  # an easy worm
    lines = said("review", run.path, "-n", 3).splitlines()
    assert lines[0].split() == ["gain", "volume", "label", "question"]
    assert len(lines) == 4
    first = next(question for question in run.review_queue(50) if question.kind in ("who", "anchor"))
    assert any(f"{first.t:8d}{first.label:7d}  who is it?" in line for line in said("review", run.path, "-n", 50).splitlines())
    run.correct("is", t=first.t, label=first.label, neuron=first.neuron if first.neuron >= 0 else "new one", new=first.neuron < 0)
    assert (first.t, first.label) not in {
        (question.t, question.label) for question in run.review_queue(50) if question.kind in ("who", "anchor")
    }


def test_tracks_that_are_older_than_the_atlas_cannot_be_corrected(run):
    bt.prepare(run.path, overrides=["track.appearance=false"]).run(only="identify")
    with pytest.raises(StorageError, match="tracks are older than the atlas"):
        run.correct("name", neuron=1, other="AVAL")


def test_after_another_atlas_was_learned_names_stay_with_their_neurons(run):
    row = sure(run, 3)
    run.correct("name", neuron=int(run.tracks.neuron[row]), other="AVAL")
    bt.prepare(run.path, overrides=["track.appearance=false"]).run(upto="track")
    assert run.neurons["name"][run.tracks.neuron[row]] == "AVAL"


def test_a_row_that_was_cut_off_stops_nobody(run, caplog):
    run.correct("name", neuron=1, other="AVAL")
    with (run.path / "corrections.csv").open("ab") as file:
        file.write(b"2025-03-01T12:00:00Z,ada,is,3")
    with caplog.at_level(logging.WARNING):
        bt.prepare(run.path).run(upto="track")
    assert "line 3 is cut off and left out" in caplog.text
    assert run.correct("name", neuron=2, other="AVAR").line == 3


WRONG = {
    "nothing said": ([], "correct: expected one of --is, --not-a-neuron"),
    "two things at once": (["--is", "3", "--not-a-neuron", "--volume", "1", "--label", "1"], "--is, --not-a-neuron alone"),
    "no detection": (["--is", "3", "--volume", "1"], "--is: expected --volume and --label or --at beside it, got --volume$"),
    "nowhere": (["--absent", "3"], "--absent: expected --volume beside it, got nothing"),
    "a name for one volume": (["--name", "3", "AVAL", "--volume", "1"], "--name: expected nothing beside it, got --volume"),
    "a neuron and a place": (
        ["--not-a-neuron", "--neuron", "3", "--volume", "1"],
        "expected --neuron beside it, got --volume and --neuron",
    ),
    "a new number": (["--is", "3", "--new", "--volume", "1", "--label", "1"], "a new neuron: expected a name, got the number 3"),
    "name first": (["--name", "AVAL", "3"], r"name: expected a neuron and then a name, got the number 3 .*nothing was written"),
    "nothing to take": (["--take", "."], r"expected a run folder with a corrections\.csv, got none"),
    "merged with nobody": (["--merge", "1", "AVRA"], "line 2: nobody is called AVRA .*nothing was written"),
    "nobody merged": (["--merge", "AVRA", "1"], "line 2: nobody is called AVRA .*nothing was written"),
    "an undo with a place": (["--undo", "2", "--volume", "1"], "--undo: expected nothing beside it, got --volume"),
    "taken by somebody": (["--take", ".", "--who", "ada"], "--take: expected nothing beside it, got --who"),
    "listed for somebody": (["--list", "--who", "ada"], "--list: expected nothing beside it, got --who"),
    "taken from nowhere": (["--take", "/nonexistent"], r"/nonexistent: expected a run folder with a corrections\.csv, got none"),
    "no such detection": (["--is", "3", "--volume", "1", "--label", "999"], "volume 1 has no detection of label 999"),
    "no such neuron": (["--absent", "999", "--volume", "1"], "neuron 999: the atlas knows 0 to"),
    "no such line": (["--undo", "7"], "undo of line 7: there is no such line above it"),
}


@pytest.mark.parametrize(("arguments", "text"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_one_clear_line(run, arguments, text):
    with pytest.raises(InputError, match=text):
        said("correct", run.path, *arguments)
    assert not run.corrections.rows


def test_a_recording_stands_for_its_run_and_one_without_is_refused_as_typed(run, tmp_path):
    assert said("correct", tmp_path / "recording", "--list") == "no corrections yet\n"
    with pytest.raises(StorageError, match=f"^{tmp_path / 'nowhere'}: expected a run folder, or a recording that has one"):
        said("review", tmp_path / "nowhere")


def test_a_wrong_answer_exits_with_code_2(run):
    command = [sys.executable, "-m", "barlowtrack", "correct", str(run.path), "--is", "3", "--volume", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def two_of(run, t):
    """Labels and neurons of two detections of volume t that are somebody."""
    rows = np.arange(run.detections.rows_of(t).start, run.detections.rows_of(t).stop)
    rows = rows[run.tracks.neuron[rows] >= 0][:2]
    return [(int(run.detections.label[row]), int(run.tracks.neuron[row])) for row in rows]


def test_what_is_said_together_is_written_together_or_not_at_all(run):
    (a, first), (b, second) = two_of(run, 3)
    swap = [answers.Answer("is", t=3, label=a, neuron=second), answers.Answer("is", t=3, label=b, neuron=first)]
    with pytest.raises(InputError, match=r"lines 2 and 3 clash: .* two detections in volume 3.*nothing was written"):
        answers.give_all(run.folder, [swap[0], answers.Answer("is", t=3, label=b, neuron=second)])
    assert not len(run.corrections)
    assert [row.line for row in answers.give_all(run.folder, swap)] == [2, 3]
    assert [row.neuron for row in run.corrections.in_force] == [str(second), str(first)]
    run.correct("name", neuron=first, other="AVAL")
    answers.take_all_back(run.folder, [3, 2])
    with pytest.raises(InputError, match="line 2 is undone already"):
        answers.take_all_back(run.folder, [4, 2])
    assert [row.what for row in run.corrections.in_force] == ["name"]
    assert len(run.corrections) == 5


def test_of_two_answers_that_clash_one_yields(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "bo.barlowtrack")
    bo = bt.Run(tmp_path / "bo.barlowtrack")
    run.correct("name", neuron=1, other="AVAL", who="ada")
    bo.correct("name", neuron=1, other="AVAR", who="bo")
    bo.correct("name", neuron=2, other="RIML", who="bo")
    ours, both, clashes = answers.put_together(run.folder, bo.path / "corrections.csv")
    assert (len(ours), len(both), [clash.lines for clash in clashes]) == (1, 3, [(2, 3)])
    assert len(run.corrections) == 1
    assert answers.take_over(run.folder, bo.path, yielding=[2], who="ada") == 2
    assert [(row.neuron, row.other) for row in run.corrections.in_force] == [("1", "AVAR"), ("2", "RIML")]
    assert answers.take_over(run.folder, bo.path) == 0
    run.correct("name", neuron=3, other="SMDV", who="ada")
    bo.correct("name", neuron=4, other="SMDV", who="bo")
    assert answers.take_over(run.folder, bo.path, yielding=[7], who="ada") == 1  # theirs: it comes, and is undone
    assert [row.other for row in run.corrections.in_force] == ["AVAR", "RIML", "SMDV"]
    assert (run.corrections.rows[-1].what, run.corrections.rows[-1].other) == ("undo", "7")
