"""Tables: nouns and back, CSV and parquet, same bytes, and errors that name the row."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from barlowtrack.data import UNKNOWN, Bleaching, Detections, Light, Places, Swaps, Traces, Tracks, Truth
from barlowtrack.errors import InputError
from barlowtrack.io.activity import (
    bleaching_from_frame,
    bleaching_to_frame,
    light_from_frame,
    light_to_frame,
    places_from_frame,
    places_to_frame,
    swaps_from_frame,
    swaps_to_frame,
    traces_from_frame,
    traces_to_frame,
)
from barlowtrack.io.columns import TABLES, TableName
from barlowtrack.io.tables import (
    detections_from_frame,
    detections_to_frame,
    read_columns,
    read_provenance,
    read_table,
    read_truth,
    tracks_from_frame,
    tracks_to_frame,
    truth_from_frame,
    truth_to_frame,
    write_table,
)

REAL_POINTS = Path(__file__).parents[3] / "../shared/data"


def detections() -> Detections:
    rng = np.random.default_rng(1)
    measures = rng.random((7, 5), dtype=np.float32)
    measures[3:5] = np.nan  # no signal channel
    t, label = np.array([0, 0, 2, 2, 2], np.int32), np.array([1, 3, 1, 2, 9], np.int32)
    return Detections(4, t, label, rng.random((5, 3), dtype=np.float32), *measures)


def tracks() -> Tracks:
    return Tracks(np.array([1, 0, UNKNOWN, 1, 0], np.int32), np.array([0.5, 1, 0, 0.25, 0.75], np.float32), 2)


def traces() -> Traces:
    grids = np.random.default_rng(2).random((6, 3, 4), dtype=np.float32)
    grids[:, 1, 2] = np.nan
    source = np.array([[1, 1, 2, 1], [3, 1, 0, 1], [1, 1, 1, 1]], np.uint8)
    flags = np.array([[0, 0, 63, 0], [1, 2, 0, 0], [8, 4, 16, 32]], np.uint8)
    return Traces(np.arange(4) / 5, *grids, source, flags)


def truth(activity: bool = True) -> Truth:
    rng = np.random.default_rng(3)
    return Truth(np.array([0, 0, 2], np.int32), np.array([7, 3, 7], np.int32), rng.random((3, 3)), rng.random(3) if activity else None)


def same(a: object, b: object) -> bool:
    return all(np.array_equal(getattr(a, k), getattr(b, k), equal_nan=np.asarray(getattr(a, k)).dtype.kind == "f") for k in vars(a))


def close(a: object, b: object) -> bool:
    return all(np.allclose(getattr(a, k), getattr(b, k), rtol=1e-6, equal_nan=True) for k in vars(a))


@pytest.mark.parametrize("extension", ["parquet", "csv"])
def test_nouns_survive_the_disk(tmp_path: Path, extension: str) -> None:
    paths = {name: tmp_path / f"{name}.{extension}" for name in TABLES}
    write_table(detections_to_frame(detections()), paths["detections"])
    write_table(tracks_to_frame(detections(), tracks()), paths["tracks"])
    write_table(traces_to_frame(traces()), paths["traces"])
    write_table(truth_to_frame(truth()), paths["truth"])
    if extension == "parquet":
        assert same(detections_from_frame(read_table(paths["detections"], "detections"), 4), detections())
        assert same(traces_from_frame(read_table(paths["traces"], "traces")), traces())
    else:
        np.testing.assert_allclose(
            detections_from_frame(read_table(paths["detections"]), 4).position_um, detections().position_um, rtol=1e-6
        )
        np.testing.assert_allclose(traces_from_frame(read_table(paths["traces"])).dr_over_r0, traces().dr_over_r0, rtol=1e-6)
    assert same(tracks_from_frame(read_table(paths["tracks"], "tracks")), tracks())
    assert same(truth_from_frame(read_table(paths["truth"], "truth")), truth())
    assert same(read_truth(paths["truth"]), truth())


def test_types_on_disk_do_not_depend_on_the_way() -> None:
    frame = tracks_to_frame(detections(), tracks())
    assert str(frame["neuron"].dtype) == "Int32"
    assert frame["neuron"].isna().tolist() == [False, False, True, False, False]
    assert list(frame.columns) == list(TABLES["tracks"])
    assert list(detections_to_frame(detections()).columns) == list(TABLES["detections"])
    assert list(traces_to_frame(traces()).columns) == list(TABLES["traces"])
    assert list(truth_to_frame(truth()).columns) == list(TABLES["truth"])
    assert "activity" not in truth_to_frame(truth(activity=False))


def test_traces_lie_neuron_by_neuron() -> None:
    frame = traces_to_frame(traces())
    assert frame["neuron"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert frame["t"].tolist() == [0, 1, 2, 3] * 3
    assert np.isnan(frame["green"].to_numpy()[6])
    shuffled = frame.sample(frac=1, random_state=0)
    assert same(traces_from_frame(shuffled), traces())
    with pytest.raises(InputError, match="11 rows"):
        traces_from_frame(frame.iloc[1:])
    named = traces_to_frame(traces(), ["", "AVAL", "=A1"])
    assert named["name"].tolist() == [""] * 4 + ["AVAL"] * 4 + ["=A1"] * 4


def light(n: int, seed: int = 4) -> Light:
    rng = np.random.default_rng(seed)
    readings = rng.random((6, 2, n), dtype=np.float32)
    readings[:, 1] = np.nan  # no signal channel
    share = rng.random((2, n), dtype=np.float32)
    return Light(*readings, rng.integers(1, 900, n).astype(np.int32), share[0], rng.random(n) < 0.5, share[1])


def places(m: int) -> Places:
    rng = np.random.default_rng(5)
    t, entry = np.sort(rng.integers(0, 4, m)).astype(np.int32), rng.integers(0, 9, m).astype(np.int32)
    return Places(t, entry, rng.random((m, 3), dtype=np.float32), light(m))


def bleaching() -> Bleaching:
    return Bleaching(np.array([[1, np.nan, 0.9], [1, 0.8, 0.5]]), np.array([[1, 1, 1], [1, 0.7, 0.5]]), ("none", "bi"))


def swaps(n: int) -> Swaps:
    first = np.arange(n, dtype=np.int32)
    return Swaps(first, first + 3, np.stack([first, first + 1], axis=1), np.linspace(9, 3, n))


@pytest.mark.parametrize("extension", ["parquet", "csv"])
@pytest.mark.parametrize("n", [0, 5])
def test_light_and_what_is_found_in_traces_survive_the_disk(tmp_path: Path, extension: str, n: int) -> None:
    def through(name: TableName, frame: pd.DataFrame) -> pd.DataFrame:
        path = tmp_path / f"{name}.{extension}"
        assert list(frame.columns) == list(TABLES[name])
        write_table(frame, path)
        return read_table(path, name)

    found = detections() if n else Detections.empty(3)
    assert close(light_from_frame(through("light", light_to_frame(found, light(n)))), light(n))
    there = places_from_frame(through("places", places_to_frame(places(n))))
    assert close(there.light, places(n).light)
    for name in ("t", "entry", "position_um"):
        np.testing.assert_allclose(getattr(there, name), getattr(places(n), name), rtol=1e-6)
    assert close(swaps_from_frame(through("swaps", swaps_to_frame(swaps(n)))), swaps(n))
    faded = bleaching_from_frame(through("bleaching", bleaching_to_frame(bleaching())))
    assert faded.kind == ("none", "bi")
    np.testing.assert_allclose([faded.level, faded.fit], [bleaching().level, bleaching().fit])
    with pytest.raises(InputError, match="one a detection, got"):
        light_to_frame(found, light(n + 1))


@pytest.mark.parametrize("extension", ["parquet", "csv"])
def test_same_table_same_bytes(tmp_path: Path, extension: str) -> None:
    digests = set()
    for i in range(2):
        path = tmp_path / f"{i}.{extension}"
        frame = tracks_to_frame(detections(), tracks())
        frame.index = pd.RangeIndex(i, i + len(frame))
        write_table(frame, path, provenance={"stage": "track", "key": "abc"})
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("extension", ["parquet", "csv"])
def test_some_columns_alone(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    frame = tracks_to_frame(detections(), tracks())
    write_table(frame, path)
    found = read_columns(path, ["neuron", "no such column", "t"])
    assert set(found) == {"neuron", "t"}
    assert len(found) == len(frame)


def test_provenance(tmp_path: Path) -> None:
    write_table(truth_to_frame(truth()), tmp_path / "a.parquet", provenance={"key": "abc"})
    assert read_provenance(tmp_path / "a.parquet") == {"key": "abc"}
    write_table(truth_to_frame(truth()), tmp_path / "b.parquet")
    assert read_provenance(tmp_path / "b.parquet") == {}


@pytest.mark.parametrize("n", [0, 1])
def test_tables_of_nothing(tmp_path: Path, n: int) -> None:
    none = Detections.empty(3)
    for extension in ("parquet", "csv"):
        write_table(detections_to_frame(none), tmp_path / f"d.{extension}")
        assert len(detections_from_frame(read_table(tmp_path / f"d.{extension}", "detections"), 3)) == 0
        write_table(tracks_to_frame(none, Tracks(np.zeros(0, np.int32), np.zeros(0), n)), tmp_path / f"t.{extension}")
        assert tracks_from_frame(read_table(tmp_path / f"t.{extension}", "tracks"), n).n_neurons == n


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "t,neuron,z_um,y_um,xum\n0,1,0,0,0\n", r"missing: x_um \(is it xum\?\)"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n0,1,0,0,0\n0,2,0,0,0\n0,1,5,0,0\n", "row 3: .*second time"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n0,1,0,0,0\n0,2,0,,0\n", "row 2: y_um: expected a finite number"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n0,1,0,inf,0\n", "row 1: y_um"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n0,1.5,0,0,0\n", "row 1: neuron: expected a whole number, got neuron 1.5"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n0,AVAL,0,0,0\n", "row 1: neuron: expected a whole number, got neuron AVAL"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n,1,0,0,0\n", "row 1: t"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n-1,1,0,0,0\n", "row 1: t: expected 0 or more"),
        ("a.csv", "volume,neuron,z,y,x\n0,1,0,0,0\n", "voxels"),
        ("a.csv", "", "expected a csv table"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n0,1,0,0,0,9\n0,2,0,0,0,9\n", "expected rows of 5 cells, as the header has, got rows of 6"),
        ("a.csv", "t,neuron,z_um,y_um,x_um\n0,1,0,0,0\n0,2,0,0,0,9\n", "expected a csv table"),
        ("a.csv", "t,neuron,z_um,y_um,x_um,t\n0,1,0,0,0,1\n", "every column once, got t several times"),
        ("a.csv", "t;neuron;z_um;y_um;x_um\n0;1;0,5;0;0\n", "commas between cells, got semicolons"),
        ("a.csv", "t\tneuron\tz_um\ty_um\tx_um\n0\t1\t0\t0\t0\n", "commas between cells, got tabs"),
        ("a.parquet", "t,neuron", "expected a parquet table"),
        ("a.xlsx", "", r"\.csv or \.parquet, got \.xlsx"),
        ("a", "", "got no extension"),
    ],
)
def test_wrong_truth_tables(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said) as error:
        read_truth(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_such_table(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet"):
        with pytest.raises(InputError, match="cannot be read: No such file"):
            read_table(tmp_path / name)
        with pytest.raises(InputError, match="cannot be written"):
            write_table(truth_to_frame(truth()), tmp_path / "missing" / name)


def test_text_among_numbers() -> None:
    frame = detections_to_frame(detections()).assign(quality=["a", "b", "c", "d", "e"])
    with pytest.raises(InputError, match="quality: expected numbers"):
        detections_from_frame(frame, 4)


def test_truth_in_voxels(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("volume,annotation,neuron,z,y,x\n0,human,1,2,10,20\n0,human,,3,10,20\n4,weak,1,2.5,11,21\n")
    read = read_truth(tmp_path / "p.csv", (2.0, 0.5, 0.25))
    assert read.t.tolist() == [0, 4]
    assert read.neuron.tolist() == [1, 1]
    np.testing.assert_allclose(read.position_um, [[4, 5, 5], [5, 5.5, 5.25]])


def test_tracks_of_other_detections() -> None:
    with pytest.raises(InputError, match="expected 5 rows, one a detection, got 1"):
        tracks_to_frame(detections(), Tracks(np.zeros(1, np.int32), np.ones(1), 1))


@pytest.mark.real_data
def test_real_points() -> None:
    if not REAL_POINTS.exists():
        pytest.skip("../shared/data is not here: the real recordings are not part of the project")
    worm = read_truth(REAL_POINTS / "targettrack_worm/points.csv", (1.5, 0.3, 0.3))
    assert set(worm.t.tolist()) == {0, 1, 2, 3, 4}
    nerve = read_truth(REAL_POINTS / "nerve_worm1_points/points.csv", (1, 1, 1))
    assert len(np.unique(nerve.neuron)) == 78  # of the 79 of the whole recording


@pytest.mark.parametrize(
    "name", ["NA", "None", "nan", "null", "007", "1e5", "true", "=1+1", "-A", "'=x", "'", 'a,b"c', "", " x ", "@A", "é"]
)
def test_names_survive_every_table(tmp_path: Path, name: str) -> None:
    for extension in ("csv", "parquet"):
        path = tmp_path / f"traces.{extension}"
        write_table(traces_to_frame(traces(), [name, "", "AVAL"]), path)
        read = read_table(path, "traces")
        assert read["name"].tolist() == [name] * 4 + [""] * 4 + ["AVAL"] * 4
        assert read["neuron"].tolist() == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("name", ["=1+1", "+A", "-A", "@A", "\tA", "'=x"])
def test_no_spreadsheet_computes_a_name(tmp_path: Path, name: str) -> None:
    write_table(traces_to_frame(traces(), [name, "", "AVAL"]), tmp_path / "traces.csv")
    with (tmp_path / "traces.csv").open(newline="") as file:
        written = {row["name"] for row in csv.DictReader(file)}
    assert written == {f"'{name}", "", "AVAL"}


def test_every_column_of_a_known_table_says_its_unit(tmp_path: Path) -> None:
    frames = {
        "detections": detections_to_frame(detections()),
        "tracks": tracks_to_frame(detections(), tracks()),
        "light": light_to_frame(detections(), light(5)),
        "places": places_to_frame(places(4)),
        "traces": traces_to_frame(traces()),
        "swaps": swaps_to_frame(swaps(3)),
        "truth": truth_to_frame(truth(activity=False)),
    }
    for name, frame in frames.items():
        path = tmp_path / f"{name}.parquet"
        write_table(frame, path, provenance={"key": "abc"})
        for field in pq.read_schema(path):
            unit, meaning = TABLES[name][field.name]
            assert field.metadata[b"unit"].decode() == unit
            assert field.metadata[b"meaning"].decode() == meaning
        assert read_provenance(path) == {"key": "abc"}
        assert read_table(path, name).columns.tolist() == frame.columns.tolist()
