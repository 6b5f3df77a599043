"""Identities of another program as corrections: what is said alike is not said again, what is not is heeded."""

import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import barlowtrack as bt
from barlowtrack.cli.main import cli
from barlowtrack.data import UNKNOWN
from barlowtrack.errors import InputError


@pytest.fixture
def run(tiny_run):
    """A copy of the run beside it, to be changed."""
    path = shutil.copytree(tiny_run.path, tiny_run.path.with_name("taken.barlowtrack"))
    yield bt.Run(path)
    shutil.rmtree(path)


def table_of(run, **changes):
    """What the run says of who is where, as somebody's table."""
    found, tracks = run.detections, run.tracks
    frame = pd.DataFrame({"t": found.t, "neuron": tracks.neuron, **dict(zip(("z_um", "y_um", "x_um"), found.position_um.T, strict=True))})
    return frame[frame["neuron"] != UNKNOWN].assign(**changes)


def solve(run):
    bt.prepare(run.path).run(upto="track")


def verb(*words):
    result = CliRunner().invoke(cli, ["correct", *(str(word) for word in words)], standalone_mode=False)
    return result.output, result.exception


def test_what_is_said_alike_is_not_said(run, tmp_path):
    table_of(run).assign(neuron=lambda rows: rows["neuron"] + 100).to_csv(tmp_path / "same.csv", index=False)
    taken = run.take_identities(tmp_path / "same.csv")
    assert taken.rows == ()
    assert taken.agreed == taken.matched == taken.points == (run.tracks.neuron != UNKNOWN).sum()
    assert len(run.corrections) == 0


def test_two_neurons_that_are_exchanged_in_a_volume(run, tmp_path):
    frame = table_of(run)
    here = frame["t"] == 5
    a, b = frame.loc[here, "neuron"].iloc[:2]
    frame.loc[here, "neuron"] = frame.loc[here, "neuron"].replace({a: b, b: a})
    frame.assign(neuron=[f"N{k}" for k in frame["neuron"]]).to_csv(tmp_path / "theirs.csv", index=False)
    taken = run.take_identities(tmp_path / "theirs.csv", who="Bo")
    said = [row for row in taken.rows if row.what == "is"]
    assert [(row.t, row.neuron, row.who) for row in said] == [(5, str(b), "Bo"), (5, str(a), "Bo")]
    assert {row.other for row in taken.rows if row.what == "name"} == {f"N{k}" for k in frame["neuron"].unique()}
    before = run.tracks.neuron.copy()
    solve(run)
    after = run.tracks.neuron
    changed = np.flatnonzero(before != after)
    assert set(run.detections.t[changed]) == {5}
    again = run.take_identities(tmp_path / "theirs.csv")
    assert again.rows == ()
    assert again.agreed == again.matched


def test_points_without_a_detection_are_counted_and_left(run, tmp_path):
    frame = table_of(run)
    frame.loc[frame.index[:3], "x_um"] += 500
    late = frame.iloc[:1].assign(t=800)
    pd.concat([frame, late]).to_csv(tmp_path / "theirs.csv", index=False)
    taken = run.take_identities(tmp_path / "theirs.csv", within_um=1.0)
    assert taken.lost == 4
    assert taken.matched == taken.points - 4
    frame.assign(x_um=frame["x_um"] + 500).to_csv(tmp_path / "elsewhere.csv", index=False)
    with pytest.raises(InputError, match=r"none of its \d+ points has a detection within 1\.00 um"):
        run.take_identities(tmp_path / "elsewhere.csv", within_um=1.0)


def test_a_neuron_that_nobody_knew_gets_its_name(run, tmp_path):
    found, tracks = run.detections, run.tracks
    nobody = np.flatnonzero(tracks.neuron == UNKNOWN)
    frame = table_of(run)
    one = int(frame.index[frame["t"] == 2][0])
    if len(nobody):
        one = int(nobody[0])
    place = dict(zip(("z_um", "y_um", "x_um"), found.position_um[one], strict=True))
    frame = frame.drop(index=[one], errors="ignore")
    frame = pd.concat([frame, pd.DataFrame([{"t": int(found.t[one]), "neuron": 999, "name": "RIS", **place}])])
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    taken = run.take_identities(tmp_path / "theirs.csv")
    [row] = taken.rows
    assert (row.what, row.neuron, row.t, row.label) == ("is", "RIS", found.t[one], found.label[one])
    assert taken.fresh == ("RIS",)
    solve(run)
    assert run.neurons["name"].tolist().count("RIS") == 1


def test_a_name_that_stands_is_not_overruled(run, tmp_path):
    run.correct("name", neuron=0, other="AVAL", who="Bo")
    solve(run)
    table_of(run).assign(neuron=lambda rows: [f"N{k}" for k in rows["neuron"]]).to_csv(tmp_path / "theirs.csv", index=False)
    taken = run.take_identities(tmp_path / "theirs.csv")
    assert "the file calls neuron 0 N0; it is AVAL" in taken.told
    assert "0" not in {row.neuron for row in taken.rows}


def test_the_verb_says_what_came_of_it(run, tiny_worm):
    said, error = verb(run.path, "--identities", tiny_worm / "truth.csv", "--within", 3)
    assert error is None
    assert "points are a detection within 3.00 um" in said
    assert "applies it" in said
    _, error = verb(run.path, "--identities", tiny_worm / "truth.csv", "--volume", 3)
    assert "expected nothing beside it, got --volume" in str(error)


def test_truth_of_another_program_is_scored_as_our_table_is(run, tiny_worm, tmp_path):
    def score(path):
        result = CliRunner().invoke(cli, ["evaluate", str(run.path), "--truth", str(path)], standalone_mode=False)
        assert result.exception is None, result.exception
        return result.output

    import h5py

    frame = pd.read_csv(tiny_worm / "truth.csv")
    card = run.folder.about()["card"]
    share = (frame[["z_um", "y_um", "x_um"]].to_numpy() / card["voxel_size_um"] + 0.5) / card["shape"][2:]
    inside = ((share >= 0) & (share <= 1)).all(1)  # ZephIR knows no place outside the volume
    frame, share = frame[inside], share[inside]
    with h5py.File(tmp_path / "annotations.h5", "w") as file:
        for name, values in {"t_idx": frame["t"], "worldline_id": frame["neuron"] + 1}.items():
            file[name] = values.to_numpy(np.uint32)
        for i, axis in enumerate("zyx"):
            file[axis] = share[:, i].astype(np.float32)
    frame.drop(columns="activity", errors="ignore").to_csv(tmp_path / "truth.csv", index=False)
    assert score(tmp_path / "annotations.h5") == score(tmp_path / "truth.csv")
