"""Neurons from points alone: who is found, which forms of table work, and what is written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import barlowtrack as bt
from barlowtrack.errors import ConfigError, InputError, StorageError
from barlowtrack.storage import load
from tests import cases


def table(case: cases.Case, n_volumes: int = 8) -> pd.DataFrame:
    """The detections of the first volumes of a case as somebody's table."""
    detections = case[0]
    whole = pd.DataFrame({"t": detections.t, **{axis: detections.position_um[:, i] for i, axis in enumerate("zyx")}})
    return whole[whole["t"] < n_volumes]


@pytest.fixture(scope="module")
def bend() -> pd.DataFrame:
    return table(cases.bend())


@pytest.fixture(scope="module")
def tracked(bend):
    return bt.track_points(bend)


def test_a_bending_body_is_followed(bend, tracked):
    truth = cases.bend()[2]
    who = []
    for t, *place in bend.itertuples(index=False):  # positions are a little off: the nearest true neuron is the one
        rows = np.flatnonzero(truth.t == t)
        who.append(truth.neuron[rows[((truth.position_um[rows] - place) ** 2).sum(1).argmin()]])
    votes = pd.crosstab(tracked.tracks["neuron"], np.array(who))
    assert votes.max(axis=1).sum() > 0.9 * len(bend)


def test_unit_order_and_numbers_of_volumes_change_nothing(bend, tracked):
    rng = np.random.default_rng(0)
    order = rng.permutation(len(bend))
    other = bend.iloc[order].assign(t=lambda f: 3 * f["t"] + 7)
    other[["z", "y", "x"]] = other[["z", "y", "x"]].astype(np.float64) * 1e-3
    found = bt.track_points(other).tracks
    assert found["t"].tolist() == other["t"].tolist()
    same = found["neuron"].fillna(-1).to_numpy() == tracked.tracks["neuron"].fillna(-1).to_numpy()[order]
    assert same.mean() > 0.98


def test_the_table_comes_back_row_by_row(bend, tracked):
    assert tracked.tracks[["t", "z", "y", "x"]].equals(bend)
    known = tracked.tracks.dropna(subset="neuron")
    assert not known.duplicated(["t", "neuron"]).any()
    assert known["probability"].between(0, 1).all()
    first = tracked.candidates.query("rank == 1").merge(known, on=["t", "label"])
    assert (first["neuron_x"] == first["neuron_y"]).all()


TABLES = {
    "one volume": table(cases.one_volume()),
    "one neuron": table(cases.one_neuron(), 4),
    "one point": table(cases.one_volume())[:1],
    "two points": table(cases.one_volume())[:2],
    "one or two points in some volumes": table(cases.few_in_some(), 5),
    "every point twice": table(cases.same_place(), 3),
    "all points at one place": pd.DataFrame({"t": [0, 0, 1, 1], "z": 1.0, "y": 2.0, "x": 3.0}),
    "in one plane": table(cases.coplanar(), 4),
    "without depth": table(cases.coplanar(), 4).drop(columns="z"),
    "volumes missing": table(cases.empty_volume(), 4),
}


@pytest.mark.parametrize("frame", TABLES.values(), ids=TABLES.keys())
def test_odd_tables_work(frame):
    found = bt.track_points(frame, overrides=["compute.workers=1"])
    tracks = found.tracks
    assert len(tracks) == len(frame)
    assert tracks["probability"].between(0, 1).all()
    assert not tracks.dropna(subset="neuron").duplicated(["t", "neuron"]).any()
    assert set(found.absences["t"]) <= set(frame["t"])


def test_what_is_written_reads_back_and_is_replaced(bend, tracked, tmp_path):
    folder = tmp_path / "deep" / "results"
    tracked.write(folder, csv=True)
    stored = pd.read_parquet(folder / "tracks.parquet")
    assert stored.astype(np.float64).equals(tracked.tracks.astype(np.float64))
    assert load("atlas", folder).to_bytes() == tracked.learned.to_bytes()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tables = {f"{name}.{kind}" for name in ("tracks", "candidates", "neurons", "absences") for kind in ("csv", "parquet")}
    assert set(before) == {"atlas.safetensors"} | tables
    (folder / "half-made-tracks.csv").write_text("what a killed run left")
    few = bt.track_points(TABLES["two points"], folder)
    assert len(pd.read_csv(folder / "tracks.csv")) == 2  # brought up to date, though nobody asked for CSV
    assert not list(folder.glob("half-made-*"))
    assert len(few.tracks) == 2
    tracked.write(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["thesis.doc", "run.json"])
def test_a_folder_of_something_else_is_refused_before_work_begins(bend, tmp_path, name):
    (tmp_path / name).write_text("years of work")
    with pytest.raises(StorageError, match="run folder" if name == "run.json" else name):
        bt.track_points(bend, tmp_path, progress=lambda done, total: pytest.fail("work began"))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(StorageError, match="file"):
        bt.track_points(bend, tmp_path / name)


def test_settings_count(bend, tracked):
    least = tracked.tracks["probability"].median()
    sure = bt.track_points(bend, overrides=[f"track.min_probability={least}"]).tracks
    assert (sure["probability"][sure["neuron"].notna()] >= least).all()
    assert 0 < sure["neuron"].notna().sum() < tracked.tracks["neuron"].notna().sum()
    with pytest.raises(ConfigError, match="position is false"):
        bt.track_points(bend, overrides=["track.position=false"])
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        bt.track_points("nowhere.csv")
