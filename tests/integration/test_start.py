"""The encoder that training starts from is a given of the pipeline: its content counts, not where it lies."""

import shutil

import pytest
import torch

import barlowtrack as bt
from barlowtrack.errors import InputError
from barlowtrack.nn.encoder import Encoder, EncoderSpec
from barlowtrack.pipeline import Listener
from tests.conftest import FAST

SPEC = EncoderSpec((4, 16, 16), (12.0, 24.0, 24.0), 8, (4, 6))


def encoder_bytes(seed, spec=SPEC):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(spec).to_bytes()


@pytest.fixture(scope="module")
def finished(tiny_run, tiny_worm, tmp_path_factory):
    """A run that took a lab's own encoder as it is."""
    place = tmp_path_factory.mktemp("lab")
    shutil.copytree(tiny_worm / "recording", place / "recording")
    shutil.copytree(tiny_run.path, place / "recording.barlowtrack")
    (place / "own.safetensors").write_bytes(encoder_bytes(1))
    bt.prepare(place / "recording", overrides=["train.mode=zero-shot", f"train.start={place / 'own.safetensors'}"]).run(upto="embed")
    return place


@pytest.fixture
def lab(finished, tmp_path):
    """A copy that may be changed; its settings name the first encoder."""
    shutil.copytree(finished, tmp_path / "lab")
    return tmp_path / "lab"


def job(lab, start="own.safetensors", *more):
    return bt.prepare(lab / "recording", overrides=[f"train.start={lab / start}", *more])


def planned(lab, start="own.safetensors", *more):
    return {item.stage.name: item for item in job(lab, start, *more).plan()}


def test_the_encoder_of_a_zero_shot_run_is_the_start(lab):
    run = bt.Run(lab / "recording.barlowtrack")
    assert (run.path / "encoder.safetensors").read_bytes() == (lab / "own.safetensors").read_bytes()
    assert {name: len(column) for name, column in run.history.items()}["round_trips"] == 1
    assert run.embeddings.vectors.shape[1] == 8


def test_the_same_bytes_elsewhere_make_nothing_stale(lab):
    (lab / "own.safetensors").rename(lab / "moved.safetensors")
    found = planned(lab, "moved.safetensors")
    assert [found[name].state for name in ("segment", "crop", "train", "embed")] == ["cached"] * 4


def test_other_bytes_make_training_stale_and_say_so(lab):
    (lab / "own.safetensors").write_bytes(encoder_bytes(2))
    found = planned(lab)
    assert [found[name].state for name in ("segment", "crop", "train", "embed")] == ["cached", "cached", "stale", "stale"]
    assert found["train"].reasons[-1] == "another encoder to start from"
    assert "other encoder (train)" in found["embed"].reasons


def test_a_relative_path_means_the_same_from_any_folder(lab, monkeypatch):
    monkeypatch.chdir(lab)
    made = bt.prepare("recording", overrides=["train.start=own.safetensors"])
    assert made.config.train.start == str(lab / "own.safetensors")
    assert made.plan()[2].state == "cached"


def test_an_absolute_path_stays_as_it_was_written(lab):
    written = f"{lab}/recording/../own.safetensors"
    assert bt.prepare(lab / "recording", overrides=[f"train.start={written}"]).config.train.start == written


def test_an_encoder_that_is_not_at_hand_does_not_make_a_finished_run_stale(finished, lab):
    named = bt.prepare(lab / "recording")
    assert named.config.train.start == str(finished / "own.safetensors")
    (finished / "own.safetensors").rename(finished / "away")
    try:
        assert [item.state for item in named.plan()][:4] == ["cached"] * 4
        named.run(upto="embed")
        with pytest.raises(InputError, match=r"\[train\] start: expected .*other, which is not there"):
            planned(lab, "other")
        # training anew wants it, and says so before anything is done
        again = bt.prepare(lab / "recording", overrides=["segment.min_quality=20"])
        assert [item.state for item in again.plan()][1:4] == ["stale"] * 3
        with pytest.raises(InputError, match="which is not there"):
            again.run()
        assert bt.prepare(lab / "recording").plan()[1].state == "cached"
    finally:
        (finished / "away").rename(finished / "own.safetensors")


def test_an_encoder_that_was_only_named_is_not_vouched_for(lab):
    """From scratch none is read: what the record says of it then is nothing to a run that wants it."""
    scratch = ["train.mode=scratch", "train.epochs=0"]
    job(lab, "nowhere", *scratch).run(upto="train")
    assert planned(lab, "nowhere", *scratch)["train"].state == "cached"
    with pytest.raises(InputError, match="nowhere, which is not there"):
        planned(lab, "nowhere", "train.mode=fine-tune")


MISFITS = {
    "another box": (encoder_bytes(1, EncoderSpec((4, 16, 16), (9.0, 24.0, 24.0), 8, (4, 6))), "sees 4 x 16 x 16 voxels in 9 x 24 x 24 um"),
    "another grid": (encoder_bytes(1, EncoderSpec((8, 32, 32), (12.0, 24.0, 24.0), 8, (4, 6))), r"set \[crop\] grid = \[8, 32, 32\]"),
    "cut off": (encoder_bytes(1)[:-10], "expected a safetensors file"),
    "something else": (b"GIF89a" * 9, "expected a safetensors file"),
}


@pytest.mark.parametrize(("data", "said"), MISFITS.values(), ids=MISFITS.keys())
def test_an_encoder_that_cannot_be_used_is_refused_before_anything_is_segmented(tiny_worm, tmp_path, data, said):
    (tmp_path / "own.safetensors").write_bytes(data)
    settings = [*FAST, "train.mode=zero-shot", f"train.start={tmp_path / 'own.safetensors'}"]
    wrong = bt.prepare(tiny_worm / "recording", out=tmp_path / "out", overrides=settings)
    with pytest.raises(InputError, match=said):
        wrong.run()
    assert not list((tmp_path / "out").rglob("*.parquet"))
    assert not (tmp_path / "out" / "settings.toml").exists()
    assert {item.state for item in wrong.plan()} == {"missing"}  # status still tells


class Impatient(Listener):
    """Stops training after its second epoch."""

    def started(self, item):
        return self.follow

    def follow(self, done, total):
        if done == 2:
            raise KeyboardInterrupt


def test_fine_tuning_goes_on_where_it_was_stopped_though_the_encoder_moved(lab):
    settings = ["train.mode=fine-tune", "train.epochs=3"]
    made = lab / "recording.barlowtrack" / "encoder.safetensors"
    with pytest.raises(KeyboardInterrupt):
        job(lab, "own.safetensors", *settings).run(upto="train", listener=Impatient())
    (lab / "own.safetensors").rename(lab / "moved.safetensors")
    assert (lab / "recording.barlowtrack" / "partial" / "train" / "done").read_text() == "3"
    job(lab, "moved.safetensors", *settings).run(upto="train")
    disturbed = made.read_bytes()

    (lab / "recording.barlowtrack" / "keys" / "train.json").unlink()
    job(lab, "moved.safetensors", *settings).run(upto="train")
    assert made.read_bytes() == disturbed
    assert len(bt.Run(lab / "recording.barlowtrack").history["epoch"]) == 4
