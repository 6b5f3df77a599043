"""track --points, as typed."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from tests import cases
from tests.unit.test_points import table


def call(*arguments, cwd=None):
    done = subprocess.run([sys.executable, "-m", "barlowtrack", *map(str, arguments)], capture_output=True, text=True, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def points(tmp_path):
    """A table whose ids are known, in a unit of nobody's."""
    detections, _, truth = cases.still()
    frame = table((detections, None, truth), 4).rename(columns={"t": "volume"})
    frame[["z", "y", "x"]] *= 0.01
    frame["neuron"] = truth.neuron[[((truth.position_um - p) ** 2).sum(1).argmin() for p in detections.position_um[: len(frame)]]]
    frame.to_csv(tmp_path / "points.csv", index=False)
    return tmp_path / "points.csv"


def test_from_a_table_to_a_score(points, tmp_path):
    code, out, err = call("track", "--points", points, "--out", tmp_path / "found", "--csv", "--seed", 3)
    assert code == 0, err
    assert out.startswith("30 neurons in 4 volumes; 100% of 120 detections identified; an estimated")
    found = pd.read_csv(tmp_path / "found" / "tracks.csv")
    assert found.columns.tolist() == ["volume", "label", "neuron", "probability", "z", "y", "x"]
    assert found[["volume", "z", "y", "x"]].equals(pd.read_csv(points)[["volume", "z", "y", "x"]])
    for name in ("tracks.csv", "."):
        code, out, err = call("evaluate", tmp_path / "found" / name, "--truth", points, "--json")
        assert code == 0, err
        assert json.loads(out)["identity accuracy"] == 1


def test_volumes_that_were_not_asked_about_are_not_scored(points, tmp_path):
    frame = pd.read_csv(points)
    frame[frame["volume"].isin([0, 1, 3])].to_csv(tmp_path / "some.csv", index=False)
    code, _, err = call("track", "--points", tmp_path / "some.csv", "--out", tmp_path / "found")
    assert code == 0, err
    code, out, err = call("evaluate", tmp_path / "found", "--truth", points, "--json")
    assert code == 0, err
    assert (json.loads(out)["identity accuracy"], json.loads(out)["true detections"]) == (1, 90)
    assert "30 of 120 true detections lie outside the volumes of this run and are not scored" in err
    frame.assign(volume=frame["volume"] + 50).to_csv(tmp_path / "later.csv", index=False)
    code, out, err = call("evaluate", tmp_path / "found", "--truth", tmp_path / "later.csv")
    assert (code, out) == (2, "")
    assert "got none of them" in err


def test_a_plane_and_its_score(points, tmp_path):
    pd.read_csv(points).drop(columns="z").to_csv(tmp_path / "flat.csv", index=False)
    code, _, err = call("track", "--points", tmp_path / "flat.csv", "--out", tmp_path / "found")
    assert code == 0, err
    assert "has no column z: all points lie in one plane" in err
    code, out, err = call("evaluate", tmp_path / "found" / "tracks.parquet", "--truth", tmp_path / "flat.csv", "--json")
    assert code == 0, err
    assert json.loads(out)["identity accuracy"] > 0.9


WRONG = {
    "neither": (["track"], "expected RECORDING or --points POINTS, got neither"),
    "both": (["track", "worm", "--points", "points.csv"], "got both"),
    "no out": (["track", "--points", "points.csv"], "expected --out FOLDER"),
    "a folder of something else": (["track", "--points", "points.csv", "--out", "."], "holds points.csv"),
    "no such table": (["track", "--points", "nowhere.csv", "--out", "o"], "nowhere.csv: cannot be read"),
    "unknown setting": (["track", "--points", "points.csv", "--out", "o", "--set", "track.positoin=1"], "did you mean position?"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_in_one_line(points, tmp_path, arguments, said):
    code, out, err = call(*arguments, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_dry_run_reads_and_writes_nothing(points, tmp_path):
    code, out, _ = call("track", "--points", points, "--out", tmp_path / "found", "--dry-run")
    assert code == 0
    assert "would identify 120 points in 4 volumes" in out
    assert not (tmp_path / "found").exists()
