"""One encoder of the crops of several recordings: from run folders to a file that all can start from."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import barlowtrack as bt
from barlowtrack.batch import find_recordings
from barlowtrack.batch.jobs import Needs
from barlowtrack.batch.together import Memory, Together
from barlowtrack.batch.worklist import make_work
from barlowtrack.cli.main import cli
from barlowtrack.config import load
from barlowtrack.errors import InputError, StorageError
from barlowtrack.one_encoder import train_together
from barlowtrack.storage.shared_encoder import made_from
from tests.conftest import FAST

CONFIG = load(None, FAST)


@pytest.fixture(scope="module")
def cropped(tiny_worm, tmp_path_factory):
    """Run folders of two animals, done to their crops; not to be changed."""
    folder = tmp_path_factory.mktemp("season")
    words = ["simulate", str(folder / "other"), "--preset", "easy", "--volumes", "8", "--neurons", "20", "--shape", "12", "72", "120"]
    assert CliRunner().invoke(cli, [*words, "--seed", "1", "--quiet"]).exit_code == 0
    shutil.copytree(tiny_worm / "recording", folder / "a")
    (folder / "other" / "recording").rename(folder / "b")
    for name in ("a", "b"):
        bt.prepare(folder / name, overrides=[*FAST, "segment.method=log"]).run(upto="crop")
    return folder


def runs(folder, *names):
    return [folder / f"{name}.barlowtrack" for name in names]


@pytest.fixture(scope="module")
def trained(cropped, tmp_path_factory):
    out = tmp_path_factory.mktemp("encoder") / "one.safetensors"
    made, lost, did = train_together(runs(cropped, "a", "b"), out, CONFIG)
    assert (made.recordings, lost, did) == (("a", "b"), {}, True)
    assert made_from(out).epoch == made.epoch
    assert sorted(path.name for path in out.parent.iterdir()) == ["one.safetensors", "one.safetensors.json"]
    return out


def test_the_same_recordings_make_the_same_bytes_in_any_order_and_nothing_twice(cropped, trained, tmp_path):
    out = tmp_path / "again.safetensors"
    train_together(runs(cropped, "b", "a", "b"), out, CONFIG)
    assert out.read_bytes() == trained.read_bytes()
    before = out.stat().st_mtime_ns
    assert made_from(out).whole
    assert train_together(runs(cropped, "a", "b"), out, CONFIG)[2] is False
    assert out.stat().st_mtime_ns == before
    train_together(runs(cropped, "a"), out, CONFIG)
    assert made_from(out).recordings == ("a",)
    assert out.read_bytes() != trained.read_bytes()
    other = load(None, ["seed=1"], base=CONFIG)
    train_together(runs(cropped, "a"), out, other)
    assert made_from(out).key != made_from(trained).key


class KilledError(Exception):
    pass


def test_a_training_that_is_killed_goes_on_and_ends_with_the_same_bytes(cropped, trained, tmp_path, caplog):
    out = tmp_path / "one.safetensors"

    def kill(done, total):
        if done == 1:
            raise KilledError

    with pytest.raises(KilledError):
        train_together(runs(cropped, "a", "b"), out, CONFIG, progress=kill)
    assert not out.exists()
    seen = []
    train_together(runs(cropped, "a", "b"), out, CONFIG, progress=lambda done, total: seen.append(done))
    assert seen == [1, 2]
    assert "goes on after epoch 1" in caplog.text
    assert out.read_bytes() == trained.read_bytes()


def test_all_recordings_take_it_as_it_is(cropped, trained, tmp_path):
    shutil.copytree(cropped, tmp_path / "season")
    own = ["train.mode=zero-shot", f"train.start={trained}"]
    for name in ("a", "b"):
        bt.prepare(tmp_path / "season" / name, overrides=own).run(upto="embed")
        vectors = bt.Run(runs(tmp_path / "season", name)[0]).embeddings.vectors
        assert vectors.shape[1] == 8
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_a_recording_without_crops_is_refused_or_left_out_and_told(cropped, trained, tmp_path):
    shutil.copytree(cropped, tmp_path / "season")
    lost = tmp_path / "season" / "lost.barlowtrack"
    with pytest.raises(StorageError, match="no run folder"):
        train_together([*runs(tmp_path / "season", "a"), lost], tmp_path / "x.safetensors", CONFIG)
    shutil.rmtree(runs(tmp_path / "season", "b")[0] / "crops.zarr")
    words = ["train-encoder", *map(str, runs(tmp_path / "season", "a", "b")), "--out", str(tmp_path / "x.safetensors"), "--leave-out"]
    result = CliRunner().invoke(cli, [*words, "--quiet", *(part for text in FAST for part in ("--set", text))])
    assert result.exit_code == 0, result.output
    assert "left out: b: " in result.output
    assert "trained on a\n" in result.output
    assert made_from(tmp_path / "x.safetensors").recordings == ("a",)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.mode=zero-shot", "expected fine-tune or scratch"),
        ("train.rounds=1", "through one recording"),
        ("train.objective=moco", "other animals"),
    ],
)
def test_what_asks_something_of_two_recordings_at_once_is_refused(cropped, tmp_path, setting, said):
    with pytest.raises(InputError, match=said):
        train_together(runs(cropped, "a", "b"), tmp_path / "x.safetensors", load(None, [setting], base=CONFIG))


def test_a_file_that_is_no_encoder_for_many_is_not_replaced(cropped, tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"precious")
    with pytest.raises(InputError, match="free place"):
        train_together(runs(cropped, "a"), tmp_path / "mine.safetensors", CONFIG)


@pytest.fixture
def season(cropped, trained, tmp_path):
    """A copy of both animals, their results, and their encoder, to be changed."""
    shutil.copytree(cropped, tmp_path / "season")
    for path in trained.parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / "season"


def test_crops_of_files_that_were_replaced_are_not_trained_on(season, tmp_path):
    shutil.copy(sorted((season / "a").iterdir())[3], sorted((season / "b").iterdir())[3])
    with pytest.raises(StorageError, match=r"b\.barlowtrack: its crops are not up to date .*files changed.*--to crop' first"):
        train_together(runs(season, "a", "b"), tmp_path / "x.safetensors", CONFIG)
    made, lost, _ = train_together(runs(season, "a", "b"), tmp_path / "x.safetensors", CONFIG, leave_out=True)
    assert made.recordings == ("a",)
    assert "not up to date" in lost["b"]
    given = (None, ["segment.radius_um=[2, 2]"])  # in a batch its settings count
    with pytest.raises(InputError, match=r"none of 1 recordings can be used; .*segment is stale"):
        train_together(runs(season, "a"), tmp_path / "y.safetensors", CONFIG, leave_out=True, given=given)


def test_another_name_trains_nothing_and_changes_no_byte_of_the_encoder(season, trained, tmp_path):
    (season / "b").rename(season / "c")
    (season / "b.barlowtrack").rename(season / "c.barlowtrack")
    bt.prepare(season / "c").run(upto="crop")
    made, _, did = train_together(runs(season, "a", "c"), tmp_path / "one.safetensors", CONFIG)
    assert not did
    assert made.recordings == made_from(tmp_path / "one.safetensors").recordings == ("a", "c")
    assert (tmp_path / "one.safetensors").read_bytes() == trained.read_bytes()


@pytest.mark.parametrize("alone", [False, True])
def test_an_encoder_that_was_cut_off_is_made_again(season, trained, tmp_path, alone):
    out = tmp_path / "one.safetensors"
    out.write_bytes(trained.read_bytes()[:-8])
    if alone:
        (tmp_path / "one.safetensors.json").unlink()
    assert not made_from(out).whole
    assert train_together(runs(season, "a", "b"), out, CONFIG)[2]
    assert out.read_bytes() == trained.read_bytes()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("a/x.safetensors", "lies in the recording a"),
        ("a.barlowtrack/x.safetensors", "lies in the run folder a.barlowtrack"),
        ("a.barlowtrack/encoder.safetensors", "is a part of the run folder"),
    ],
)
def test_no_encoder_goes_into_a_recording_or_its_results(cropped, place, said):
    before = sorted(cropped.rglob("*"))
    with pytest.raises(StorageError, match=said):
        train_together(runs(cropped, "a"), cropped / place, CONFIG)
    assert sorted(cropped.rglob("*")) == before


def test_a_folder_that_no_training_made_is_not_taken_away(cropped, tmp_path):
    mine = tmp_path / "x.safetensors.training" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("precious")
    with pytest.raises(StorageError, match="no training made it"):
        train_together(runs(cropped, "a"), tmp_path / "x.safetensors", CONFIG)
    (mine.parent / "barlowtrack-training").touch()
    train_together(runs(cropped, "a"), tmp_path / "x.safetensors", CONFIG)
    assert [path.name for path in mine.parent.iterdir()] == ["thesis.txt"]


def test_crops_of_another_size_are_left_out_or_refused(season, tmp_path):
    bt.prepare(season / "b", overrides=["crop.grid=[4, 12, 12]"]).run(upto="crop")
    with pytest.raises(InputError, match="another size"):
        train_together(runs(season, "a", "b"), tmp_path / "x.safetensors", CONFIG)
    made, lost, _ = train_together(runs(season, "a", "b"), tmp_path / "x.safetensors", CONFIG, leave_out=True)
    assert made.recordings == ("a",)
    assert "give it [crop] grid = [4, 16, 16]" in lost["b"]


def test_crops_that_came_after_the_training_count_in_the_next_batch(season, tmp_path):
    out = tmp_path / "encoder.safetensors"
    train_together(runs(season, "a"), out, CONFIG)
    works = tuple(make_work(one) for one in find_recordings(season))
    together = Together(out, works, False, Needs(0, 0), (), CONFIG, Memory(), {})
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "encoder").touch()
    assert "trained on a. " in together.note()
    assert "Left out, for they have no crops: b." in together.note()
    assert json.loads((tmp_path / "encoder.choice.json").read_text())["left_out"] == {}


def test_a_batch_is_one_volume_of_one_recording_and_all_are_watched(cropped):
    from barlowtrack.embedding.together import Part, TrainingTogether
    from barlowtrack.pipeline import read
    from barlowtrack.storage import RunFolder

    folders = [RunFolder(path) for path in runs(cropped, "a", "b")]
    parts = [Part(f.path.name, str(i), read("crops", f), lambda f=f: read("detections", f)) for i, f in enumerate(folders)]
    training = TrainingTogether(parts, None, CONFIG.train, CONFIG.compute, 0)
    n = [len(part.crops) for part in parts]
    assert len(training.crops) == sum(n)
    for index in range(sum(n)):
        part, volume = training.place(index)
        expected = parts[part].crops.read(volume)
        assert np.array_equal(training.crops.read(index).values, expected.values)
    assert {training.place(int(index))[0] for index in training.watched} == {0, 1}
    assert set(training.used) | set(training.watched) == set(range(sum(n)))
    assert not set(training.used) & set(training.watched)
