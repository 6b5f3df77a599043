"""The model is a given of the pipeline: its content counts, not where it lies."""

import shutil

import pytest

import barlowtrack as bt
from barlowtrack.errors import InputError
from barlowtrack.io.segmenter import SHIPPED, model_digest
from tests.conftest import FAST

NAMES = ("segment", "crop", "train", "embed", "identify", "measure", "track", "trace", "report")


@pytest.fixture(scope="module")
def finished(tiny_worm, tmp_path_factory):
    """A run up to the crops with a lab's own copy of a model."""
    place = tmp_path_factory.mktemp("lab")
    shutil.copytree(SHIPPED, place / "model")
    shutil.copytree(tiny_worm / "recording", place / "recording")
    bt.prepare(place / "recording", overrides=[*FAST, f"segment.model={place / 'model'}"]).run(upto="segment")
    return place


@pytest.fixture
def lab(finished, tmp_path):
    """A copy that may be changed; settings still name the first model."""
    shutil.copytree(finished, tmp_path / "lab")
    return tmp_path / "lab"


def planned(lab, model=None, *more):
    overrides = ([] if model is None else [f"segment.model={model}"]) + list(more)
    planned = bt.prepare(lab / "recording", overrides=overrides).plan()
    return next(item for item in planned if item.stage.name == "segment")


def test_the_same_bytes_elsewhere_make_nothing_stale(lab):
    assert planned(lab).state == "cached"
    assert planned(lab, lab / "model").state == "cached"
    (lab / "model").rename(lab / "moved")
    assert planned(lab, lab / "moved").state == "cached"
    assert planned(lab, "").state == "cached"  # the model that comes along is the very same


@pytest.mark.parametrize("name", ["weights_best.h5", "barlowtrack.json", "thresholds.json", "config.json"])
def test_a_byte_of_the_model_makes_segment_stale_and_says_so(lab, name):
    path = lab / "model" / name
    content = bytearray(path.read_bytes())
    content[-2 if name != "weights_best.h5" else len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    item = planned(lab, lab / "model")
    assert item.state == "stale"
    assert "another segmenter model" in item.reasons


def test_a_model_that_is_not_at_hand_does_not_make_a_finished_run_stale(finished, lab, monkeypatch):
    named = bt.prepare(lab / "recording").config.segment.model
    assert named == str(finished / "model")
    (finished / "model").rename(finished / "away")
    try:
        assert planned(lab).state == "cached"
        with pytest.raises(InputError, match=r"\[segment\] model: expected the folder .*other, which is not there"):
            planned(lab, lab / "other")
        with pytest.raises(InputError, match="got no folder"):
            bt.prepare(lab / "recording", overrides=["segment.min_quality=3"]).run(upto="segment")
    finally:
        (finished / "away").rename(finished / "model")


def test_blobs_need_no_model(lab):
    for model in ("", lab / "model", lab / "nowhere"):
        item = planned(lab, model, "segment.method=log")
        assert item.state == "stale"
        assert any("method" in reason for reason in item.reasons)
    job = bt.prepare(lab / "recording", overrides=["segment.method=log", f"segment.model={lab / 'nowhere'}"])
    job.run(upto="segment")
    shutil.rmtree(lab / "model")
    assert planned(lab).state == "cached"
    assert planned(lab, "").state == "cached"


def test_what_else_lies_in_the_folder_does_not_count(lab):
    before = model_digest(lab / "model")
    (lab / "model" / "notes.txt").write_text("trained on a Monday")
    assert model_digest(lab / "model") == before
    (lab / "model" / "weights_last.h5").write_bytes(b"other")
    assert model_digest(lab / "model") != before


@pytest.mark.parametrize("piece", [(), ("--volumes", "0:2")], ids=["whole", "piece"])
@pytest.mark.parametrize("name", ["config.json", "weights_best.h5"])
def test_a_broken_model_leaves_no_folder_behind(name, piece, tiny_worm, tmp_path, call):
    model, out = tmp_path / "model", tmp_path / "run.barlowtrack"
    shutil.copytree(SHIPPED, model)
    (model / name).write_bytes((model / name).read_bytes()[:100])
    code, _, err = call("segment", tiny_worm / "recording", "--out", out, "--set", f"segment.model={model}", *piece)
    assert code == 2
    assert name in err
    assert not out.exists()
