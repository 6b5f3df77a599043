"""What a person types, and what comes back: exit code 0 or 2, and one clear line."""

import json
import shutil
import tomllib

import pytest

from barlowtrack.pipeline import STAGES
from tests import nursery
from tests.conftest import FAST


def call(*arguments, cwd=None):
    done = nursery.typed(*arguments, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def worm(tiny_worm, tiny_run, tmp_path):
    folder = tmp_path / "worm 7 ü"
    shutil.copytree(tiny_worm / "recording", folder / "recording")
    shutil.copytree(tiny_run.path, folder / "recording.barlowtrack")
    return folder / "recording"


WRONG = {
    "no such recording": (["run", "nowhere"], "nowhere"),
    "no such verb": (["rum"], "No such command 'rum'"),
    "unknown setting": (["run", "{worm}", "--set", "track.positoin=1"], "did you mean position?"),
    "value out of bounds": (["run", "{worm}", "--set", "train.alpha=2"], "less than or equal to 1"),
    "voxel size of two numbers": (["run", "{worm}", "--voxel-size", "1", "2"], "voxel-size"),
    "negative voxel size": (["run", "{worm}", "--voxel-size", "1", "-2", "2"], "greater than or equal to 0.001"),
    "no such channel": (["run", "{worm}", "--reference-channel", "blue"], "blue"),
    "no such config": (["run", "{worm}", "--config", "nowhere.toml"], "nowhere.toml"),
    "no such truth": (["evaluate", "{worm}", "--truth", "nowhere.csv"], "nowhere.csv"),
    "truth of another kind": (["evaluate", "{worm}", "--truth", "{worm}"], "ends in .csv or .parquet"),
    "no run yet": (["evaluate", "{empty}", "--truth", "nowhere.csv"], ""),
    "status of nothing": (["status", "nowhere"], "nowhere"),
    "two run folders": (["status", "{worm}.barlowtrack", "--out", "other"], "run folder already"),
    "folder that is not ours": (["run", "{worm}", "--out", "{full}"], "not a run folder"),
    "dry run into a folder that is not ours": (["run", "{worm}", "--out", "{full}", "--dry-run"], "not a run folder"),
    "dry run into a file": (["run", "{worm}", "--out", "{full}/thesis.doc", "--dry-run"], "thesis.doc"),
    "simulate over something": (["simulate", "{full}"], "exists"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_gives_exit_code_2_and_one_line(worm, tmp_path, arguments, said):
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.doc").write_text("years of work")
    (tmp_path / "empty").mkdir()
    code, out, err = call(*(text.format(worm=worm, full=full, empty=tmp_path / "empty") for text in arguments), cwd=tmp_path)
    assert code == 2, err
    assert said in err
    assert "Traceback" not in err
    assert out == ""
    message = [line for line in err.splitlines() if not line.startswith(("Usage:", "Try ", "assumed:")) and line]
    assert len(message) == 1, err


def test_status_and_dry_run_say_the_state_of_every_stage(worm):
    code, out, _ = call("status", worm)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [[stage.name, "cached"] for stage in STAGES]
    code, out, _ = call("run", worm, "--set", "track.min_probability=0.5", "--dry-run")
    assert code == 0
    assert "track    stale    track.min_probability 0.0 -> 0.5" in out
    assert "embed    cached" in out


def test_dry_run_of_a_new_recording_touches_nothing(tiny_worm, tmp_path):
    shutil.copytree(tiny_worm / "recording", tmp_path / "worm")
    code, out, _ = call("run", tmp_path / "worm", "--dry-run")
    assert code == 0
    assert out.count("missing") == len(STAGES)
    assert [path.name for path in tmp_path.iterdir()] == ["worm"]


def test_a_log_says_now_and_then_how_far_a_stage_is(monkeypatch, capsys):
    from barlowtrack.cli.terminal import Bars

    clock = iter([0.0, 0.0, 10.0, 31.0, 31.0, 50.0, 62.0, 62.0])
    monkeypatch.setattr("barlowtrack.cli.terminal.time.monotonic", lambda: next(clock))
    follow = Bars(quiet=False).follow("train")
    next(clock)
    for done in (1, 2, 3, 4):
        follow(done, 4)
    assert capsys.readouterr().err.splitlines() == ["train    ...", "train    2/4", "train    4/4"]


def test_verbs_one_after_the_other_make_what_run_makes(tiny_worm, tiny_run, tmp_path):
    out = tmp_path / "steps.barlowtrack"
    settings = [text for override in FAST for text in ("--set", override)]
    for stage in STAGES:
        code, _, err = call(stage.name, tiny_worm / "recording", "--out", out, *(settings if stage.name == "segment" else []))
        assert code == 0, err
    for name in ("detections.parquet", "tracks.parquet", "traces.parquet"):
        assert (out / name).read_bytes() == (tiny_run.path / name).read_bytes()


def test_run_ends_with_the_report_and_writes_csv(worm):
    code, out, _ = call("run", worm, "--csv")
    assert code == 0
    assert "report.html" in out.splitlines()[-1]
    assert (worm.parent / f"{worm.name}.barlowtrack" / "traces.csv").exists()


def test_evaluate_leads_with_identity_accuracy(worm, tiny_worm):
    code, out, _ = call("evaluate", worm, "--truth", tiny_worm / "truth.csv")
    assert code == 0
    assert out.startswith("identity accuracy")
    code, out, _ = call("evaluate", worm, "--truth", tiny_worm / "truth.csv", "--json")
    accuracy = json.loads(out)["identity accuracy"]
    assert 0.5 < accuracy <= 1
    table = worm.parent / f"{worm.name}.barlowtrack" / "tracks.parquet"
    code, out, _ = call("evaluate", table, "--truth", tiny_worm / "truth.csv", "--json")
    assert json.loads(out)["identity accuracy"] == accuracy


def test_a_truth_of_another_recording_is_doubted(worm, tiny_worm, tmp_path):
    _, _, err = call("evaluate", worm, "--truth", tiny_worm / "truth.csv")
    assert "this recording's truth" not in err
    header, *rows = (tiny_worm / "truth.csv").read_text().splitlines()
    far = [",".join([t, neuron, "900", "900", *rest]) for t, neuron, _, _, *rest in (row.split(",") for row in rows)]
    (tmp_path / "far.csv").write_text("\n".join([header, *far, *(f"99{row[row.index(',') :]}" for row in far if row.startswith("0,"))]))
    code, _, err = call("evaluate", worm, "--truth", tmp_path / "far.csv")
    assert code == 0
    assert "lie outside the volumes of this run" in err
    assert "this recording's truth" in err


def test_config_prints_what_can_be_read_again(tmp_path):
    _, out, _ = call("config", "--default")
    (tmp_path / "worm.toml").write_text(out)
    _, again, _ = call("config", "--config", tmp_path / "worm.toml", "--voxel-size", 2, 0.5, 0.5)
    assert tomllib.loads(again)["recording"]["voxel_size_um"] == [2.0, 0.5, 0.5]
    _, out, _ = call("config", "--schema")
    assert json.loads(out)["title"] == "Config"


def test_check_says_what_it_understood(worm):
    code, out, _ = call("check", worm)
    assert code == 0
    assert "8" in out
    assert "voxel" in out


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_worm_runs_from_end_to_end(real_worm, tmp_path):
    code, _, err = call("run", real_worm / "recording", "--out", tmp_path / "run")
    assert code == 2
    assert "--voxel-size" in err
    settings = [text for override in FAST for text in ("--set", override)]
    code, out, err = call(
        "run", real_worm / "recording", "--out", tmp_path / "run", "--voxel-size", 1.5, 0.35, 0.35, "--rate", 3, *settings
    )
    assert code == 0, err
    assert "report.html" in out
    code, out, _ = call("evaluate", tmp_path / "run", "--truth", real_worm / "points.csv", "--voxel-size", 1.5, 0.35, 0.35, "--json")
    assert code == 0
    assert json.loads(out)["identity accuracy"] > 0.2
