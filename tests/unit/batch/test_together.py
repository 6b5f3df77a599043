"""One encoder for a batch: on which recordings it is trained, when that is done already, and what later batches remember of it."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from barlowtrack.batch import Work, find_recordings
from barlowtrack.batch.found import Found
from barlowtrack.batch.jobs import Needs
from barlowtrack.batch.together import Memory, Together, _is_current, choose, encoder_file, plan_together, told
from barlowtrack.cli.main import cli
from barlowtrack.config import load
from barlowtrack.errors import InputError
from barlowtrack.io.start import SHIPPED
from barlowtrack.nn.encoder import Encoder
from barlowtrack.one_encoder import encoder_key, settings_of
from barlowtrack.storage.shared_encoder import MadeFrom, write_encoder

CONFIG = load(None, ["train.mode=scratch"])
BOX, OTHER = ((8, 32, 32), (12.0, 24.0, 24.0)), ((8, 32, 32), (12.0, 20.0, 20.0))


def some_encoder(file, made):
    """Writes the encoder that comes along as if it were made of many."""
    write_encoder(file, Encoder.from_bytes(SHIPPED.read_bytes()).to_bytes({"together": {"key": made.key}}), made)


def works(tmp_path, *names):
    return [Work(Found(name, tmp_path / name, tmp_path / f"{name}.barlowtrack"), (), 8, {}, crops=f"of {name}", box=BOX) for name in names]


def names(chosen):
    return [one.found.name for one in chosen[0]]


def test_recordings_to_train_on_are_spread_over_the_season_and_stay_the_same_when_it_grows(tmp_path):
    season = works(tmp_path, *(f"w{i}" for i in range(9)))
    bad = Work(Found("bad", tmp_path / "bad", tmp_path / "bad.barlowtrack"), (), 0, {}, "damaged")
    assert names(choose("3", [*season[:5], bad], Memory(), CONFIG)) == ["w0", "w2", "w4"]
    assert names(choose("3", [*season, bad], Memory({"3": ["w0", "w2", "w4"]}), CONFIG)) == ["w0", "w2", "w4"]
    assert names(choose("4", [*season, bad], Memory({"3": ["w0", "w2", "w4"]}), CONFIG)) == ["w0", "w3", "w5", "w8"]
    assert names(choose("w3,bad,w3", [*season, bad], Memory(), CONFIG)) == ["w3", "bad"]
    assert names(choose("all", [*season[:3], bad], Memory(), CONFIG)) == ["w0", "w1", "w2"]
    assert names(choose("99", season[:2], Memory(), CONFIG)) == ["w0", "w1"]
    with pytest.raises(InputError, match="got no recording w8"):
        choose("w0,w8", season[:2], Memory(), CONFIG)


def test_a_number_counts_before_a_recording_that_is_called_so(tmp_path):
    season = works(tmp_path, "1", "2", "3", "4", "5")
    assert names(choose("2", season, Memory(), CONFIG)) == ["1", "5"]
    assert names(choose("2,", season, Memory(), CONFIG)) == ["2"]
    with pytest.raises(InputError, match="expected 1 or more; a recording that is called so is meant by '0,'"):
        choose("0", season, Memory(), CONFIG)


@pytest.mark.parametrize("config", [CONFIG, load(None, ["train.mode=fine-tune"])])
def test_a_recording_of_another_crop_size_is_chosen_by_its_name_only_and_then_refused(tmp_path, config):
    season = works(tmp_path, "a", "b", "c")
    season[0] = dataclasses.replace(season[0], box=OTHER)
    for asked in ("3", "all"):
        chosen, unlike = choose(asked, season, Memory({"3": ["a", "b", "c"]}), config)
        assert [one.found.name for one in chosen] == ["b", "c"]
        assert "size_um = [12.0, 24.0, 24.0]" in unlike["a"]
    with pytest.raises(InputError, match="--one-encoder c,b,a: a cannot be trained on with the others"):
        choose("c,b,a", season, Memory(), config)


def test_a_chosen_recording_that_was_left_out_counts_again_when_it_has_changed(tmp_path):
    file = tmp_path / "encoder.safetensors"
    good, bad = works(tmp_path, "good", "bad")
    bad = dataclasses.replace(bad, stages=("segment", "crop"))
    key = encoder_key([good.crops], CONFIG)
    some_encoder(file, MadeFrom(key, {"good": good.crops}, 1))
    left_out = Memory(left_out={"bad": bad.crops})
    assert not _is_current(file, [good, bad], Memory(), CONFIG)
    assert _is_current(file, [good, bad], left_out, CONFIG)
    assert not _is_current(file, [good, dataclasses.replace(bad, crops="of other files")], left_out, CONFIG)
    assert not _is_current(file, [good, dataclasses.replace(bad, stages=())], left_out, CONFIG)  # mended
    assert not _is_current(file, [bad], left_out, CONFIG)
    file.write_bytes(file.read_bytes()[:-1])
    assert not _is_current(file, [good, bad], left_out, CONFIG)


def test_who_was_left_out_is_remembered_once_the_encoder_is_made(tmp_path):
    [bad] = works(tmp_path, "bad")
    file = tmp_path / "encoder.safetensors"
    some_encoder(file, MadeFrom("k", {"good": "of good"}, 1))
    together = Together(file, (bad,), False, Needs(0, 0), (), CONFIG, Memory({"2": ["bad"]}), {"odd": "its crops"})
    assert "no crops: bad. Left out, for their crops are of another size: odd." in together.note()
    assert not list(tmp_path.glob("*.choice.json"))  # the job that makes it failed: this is an older one
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "encoder").touch()
    together.note()
    assert json.loads((tmp_path / "encoder.choice.json").read_text()) == {"choices": {"2": ["bad"]}, "left_out": {"bad": "of bad"}}


def test_an_encoder_for_all_is_trained_first_and_only_where_it_is_not_there(tiny_worm, tmp_path):
    found = [Found("a", tiny_worm / "recording", tmp_path / "a.barlowtrack")]
    settings = ["--set", "train.epochs=2"]
    together, made = plan_together("1", found, tmp_path, settings)
    assert not together.current
    assert made[0].stages[:3] == ("prepare", "segment", "crop")
    said = told(together, made, settings)
    assert said["from"] == ["a"]
    assert said["line"][:2] == ["train-encoder", str(tmp_path / "a.barlowtrack")]
    assert said["line"][-2:] == settings
    assert f"train.start={tmp_path / 'encoder.safetensors'}" in together.options
    assert list(tmp_path.iterdir()) == []  # the choice is not kept before the work begins
    together.remember()
    assert json.loads((tmp_path / "encoder.choice.json").read_text())["choices"] == {"1": ["a"]}
    assert encoder_file(tmp_path, "worm*") != encoder_file(tmp_path, "*") == together.file


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--config", "pipelines/adapt.toml"], "expected [train] rounds = 0"),
        (["--set", "train.objective=moco"], "other animals"),
        (["--set", "train.mode=zero-shot"], "takes an encoder as it is"),
        (["--set", "crop.size_um=[12, 20, 20]"], "none of the recordings can be used"),
    ],
)
def test_settings_that_no_encoder_for_many_can_have_are_refused_before_anything_is_planned(tiny_worm, settings, said):
    words = ["batch", str(tiny_worm), "--pattern", "recording", "--one-encoder", "1", "--dry-run", *settings]
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)
    assert not (tiny_worm / "barlowtrack-batch" / "work.json").exists()


def test_recordings_that_cannot_be_opened_are_not_chosen_by_number(tmp_path):
    (tmp_path / "season" / "bad").mkdir(parents=True)
    (tmp_path / "season" / "bad" / "1.tif").write_bytes(b"")
    with pytest.raises(InputError, match="none of the recordings can be used"):
        plan_together("1", find_recordings(tmp_path / "season"), tmp_path, [])
    assert settings_of(None, ()).train.mode == "fine-tune"
