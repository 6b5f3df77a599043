"""A run as what later volumes and other animals are compared with."""

import shutil

import numpy as np
import pandas as pd
import pytest

import barlowtrack as bt
from barlowtrack.errors import StorageError
from barlowtrack.known import open_known
from tests.integration.test_points import call
from tests.unit.identity.test_across import another, body


def test_a_run_is_followed_volume_by_volume_in_its_own_ids(tiny_run):
    tracker = bt.Tracker.load(tiny_run.path)
    detections, embeddings, tracks = tiny_run.detections, tiny_run.embeddings, tiny_run.tracks
    assert tracker.known.n_neurons == tracks.n_neurons
    for t in (5, 0):
        rows = detections.rows_of(t)
        seen = tracker.update(detections.position_um[rows], embeddings.vectors[rows])
        assert np.array_equal(seen.neuron, tracks.neuron[rows])


def test_tracks_older_than_the_atlas_are_refused(tiny_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run.path, folder)
    record = folder / "keys" / "track.json"
    identities = bt.Run(folder).folder.record("track").inputs["identities"]
    record.write_text(record.read_text().replace(identities, "older"))
    with pytest.raises(StorageError, match="barlowtrack track"):
        open_known(folder)


def test_neurons_that_people_merged_or_struck_out_are_followed_as_in_the_tables(tiny_run, tmp_path):
    folder = tmp_path / "run.barlowtrack"
    shutil.copytree(tiny_run.path, folder)
    run = bt.Run(folder)
    counts = np.bincount(tiny_run.tracks.neuron[tiny_run.tracks.neuron >= 0])
    stays, joins, none = (int(k) for k in np.argsort(-counts)[:3])
    run.correct("merge", neuron=str(stays), other=str(joins))
    run.correct("not-a-neuron", neuron=str(none))
    with pytest.raises(StorageError, match=r"corrections\.csv changed; run 'barlowtrack track"):
        open_known(folder)
    bt.prepare(folder).run(upto="track")
    tracker = bt.Tracker.load(folder)
    detections, embeddings, tracks = run.detections, run.embeddings, run.tracks
    assert tracker.known.n_neurons == tracks.n_neurons
    for t in range(detections.n_volumes):
        rows = detections.rows_of(t)
        seen = tracker.update(detections.position_um[rows], embeddings.vectors[rows])
        named = seen.neuron[seen.neuron >= 0]
        assert len(np.unique(named)) == len(named)
        assert not np.isin([joins, none], seen.candidates.neuron).any()
        same = (seen.neuron == tracks.neuron[rows]) | (seen.neuron < 0) | (tracks.neuron[rows] < 0)
        assert same.all()  # of two that are one, either may be the surer
        assert (np.isin(seen.neuron, [joins, none])).sum() == 0
        assert np.isnan(seen.absent[[joins, none]]).all()


def test_names_are_carried_from_a_folder_of_points_to_another(tmp_path):
    rng = np.random.default_rng(0)
    for name, place in (("a", body(5)), ("b", another(body(5), 0.1)[0])):
        t = np.repeat(np.arange(2), len(place))
        points = np.tile(place, (2, 1)) + rng.normal(0, 0.02, (len(t), 3))
        pd.DataFrame({"t": t, "z": points[:, 0], "y": points[:, 1], "x": points[:, 2]}).to_csv(tmp_path / f"{name}.csv", index=False)
        bt.track_points(tmp_path / f"{name}.csv", tmp_path / name)
    neurons = pd.read_parquet(tmp_path / "a" / "neurons.parquet")
    names = {0: "=1+1", 1: "@x"} | {int(i): f"N{i}" for i in neurons["neuron"][2:]}
    neurons.assign(name=list(names.values())).to_parquet(tmp_path / "a" / "neurons.parquet")
    code, out, err = call("transfer", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "names.csv")
    assert code == 0, err
    found = pd.read_csv(tmp_path / "names.csv")
    assert found.columns.tolist() == ["neuron", "name", "probability", "from_neuron"]
    assert len(found) > 20
    assert {0, 1} & set(found["from_neuron"])
    assert found["name"].tolist() == [f"'{names[i]}" if i < 2 else names[i] for i in found["from_neuron"]]  # no formulas for spreadsheets
    assert out.splitlines()[0].split() == ["name", "from", "neuron", "to", "neuron", "probability"]
    assert f"{len(found)} of 60 neurons found again with probability 0.9 or more; {len(found)} of them have a name" in out


def test_what_is_no_run_is_refused_in_one_line(tmp_path):
    code, out, err = call("transfer", tmp_path, tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"{tmp_path}: expected a run folder, a recording that has one" in err


@pytest.mark.parametrize(
    ("name", "text"), [("names.txt", "names.txt: expected a table that ends in .csv"), ("no/names.csv", "an existing folder")]
)
def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path, name, text):
    code, out, err = call("transfer", tmp_path / "nowhere", tmp_path / "nowhere", "--out", tmp_path / name)
    assert (code, out) == (2, "")
    assert text in err
