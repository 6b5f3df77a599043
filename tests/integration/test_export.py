"""What is exported reads back, through the libraries of those who use it, as what the run says."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import barlowtrack as bt
from barlowtrack.cli.main import cli
from barlowtrack.data import UNKNOWN
from barlowtrack.errors import BarlowtrackError, ConfigError, InputError, StorageError
from barlowtrack.exports import FORMATS
from barlowtrack.exports.formats import MARK
from barlowtrack.imports import Space, read_identities

NASTY = '=AVA"L, ä/b'
LAB = """
indicator = "GCaMP6s"
[session]
start_time = 2024-05-03T14:20:00+02:00
description = "A worm."
experimenter = ["Doe, Jane"]
lab = "A lab"
institution = "A university"
experiment_description = "What neurons do."
keywords = ["C. elegans"]
[subject]
subject_id = "worm7"
sex = "XX"
age = "P3D"
description = "A worm."
strain = "OH16230"
growth_stage = "YA"
[channels.green]
fluorophore = "GCaMP6s"
excitation_nm = 488
emission_nm = 525
emission_range_nm = [500, 550]
"""


@pytest.fixture(scope="module")
def done(tiny_run):
    """A run with a name that no format likes, a nucleus that is nobody, and a neuron that one volume does not show."""
    run = bt.Run(shutil.copytree(tiny_run.path, tiny_run.path.with_name("exported.barlowtrack")))
    run.correct("name", neuron=0, other=NASTY, who="=cmd()")
    found, tracks = run.detections, run.tracks
    for neuron, t in ((throughout(run)[0], 3), (throughout(run)[1], 4)):
        at = int(np.flatnonzero((found.t == t) & (tracks.neuron == neuron))[0])
        run.correct("not-a-neuron", t=t, label=int(found.label[at]), who="Bo")
    bt.prepare(run.path).run(upto="trace")
    assert (run.tracks.neuron == UNKNOWN).any()
    return run


def throughout(run):
    """Neurons that are found in every volume from 2 to 5."""
    found, tracks = run.detections, run.tracks
    shown = [set(tracks.neuron[found.rows_of(t)].tolist()) for t in range(2, 6)]
    return sorted(set.intersection(*shown) - {UNKNOWN, 0})


@pytest.fixture(scope="module")
def lost(done, tiny_run):
    """The neuron that volume 4 does not show."""
    return throughout(tiny_run)[1]


@pytest.fixture(scope="module")
def made(done, tmp_path_factory):
    """Exports on demand, each made once."""
    place, known = tmp_path_factory.mktemp("made"), {}

    def make(to, **said):
        if to not in known:
            known[to] = done.export(to, place / f"worm{next(row.ending for row in FORMATS if row.name == to)}", **said)
        return known[to]

    return make


def expect_table(run, frame):
    """Every row of a table of detections is what the run says."""
    found, tracks = run.detections, run.tracks
    assert frame["t"].tolist() == found.t.tolist()
    assert frame["label"].tolist() == found.label.tolist()
    neuron = frame["neuron"].astype("Float64").to_numpy(float, na_value=-1)
    assert neuron.tolist() == tracks.neuron.tolist()
    size = np.array(run.folder.about()["card"]["voxel_size_um"])
    np.testing.assert_array_equal(frame[["z_um", "y_um", "x_um"]].to_numpy(np.float32), found.position_um)
    np.testing.assert_allclose(frame[["z_vox", "y_vox", "x_vox"]].to_numpy(float) * size, found.position_um, rtol=1e-6)
    np.testing.assert_array_equal(frame["probability"].to_numpy(np.float32), tracks.probability)


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_tables(done, made, to):
    folder = made(to)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[to]
    expect_table(done, read(folder / f"detections.{to}"))
    traces = read(folder / f"traces.{to}")
    for name in ("red", "green", "ratio", "dr_over_r0", "df_over_f0", "probability"):
        np.testing.assert_array_equal(traces[name].to_numpy(np.float32), getattr(done.traces, name).ravel(), err_msg=name)
    assert read(folder / f"neurons.{to}")["name"].fillna("").iloc[0] == ("'" if to == "csv" else "") + NASTY
    said = read(folder / f"corrections.{to}")
    assert said["what"].tolist() == ["name", "not-a-neuron", "not-a-neuron"]
    assert said["who"].iloc[0] == ("'=cmd()" if to == "csv" else "=cmd()")  # a spreadsheet would compute it
    package = json.loads((folder / "datapackage.json").read_text())
    for resource in package["resources"]:
        columns = list(read(folder / resource["path"]).columns)
        assert [field["name"] for field in resource["schema"]["fields"]] == columns
        assert all(f"`{column}`" in (folder / "README.md").read_text() for column in columns)
    about = json.loads((folder / MARK).read_text())
    assert about["recording"]["content"] == done.folder.about()["card"]["content"]
    assert about["stages"]["track"]["key"] == done.folder.record("track").key
    assert about["stages"]["train"]["settings"]["train"]["epochs"] == 2


def test_parquet_columns_say_their_unit(made):
    import pyarrow.parquet as pq

    assert pq.read_schema(made("parquet") / "detections.parquet").field("z_um").metadata[b"unit"] == b"um"


def test_matlab(done, made, lost):
    from scipy.io import loadmat

    file = loadmat(made("mat"), simplify_cells=True)
    frame = pd.DataFrame({name: values for name, values in file["detections"].items() if name != "name"})
    expect_table(done, frame)
    for name in ("red", "green", "ratio", "dr_over_r0", "probability", "source", "flags"):
        np.testing.assert_array_equal(file["traces"][name], getattr(done.traces, name), err_msg=name)
    place = file["traces"]["position_um"]
    found, tracks = done.detections, done.tracks
    known = tracks.neuron != UNKNOWN
    np.testing.assert_array_equal(place[tracks.neuron[known], found.t[known]].astype(np.float32), found.position_um[known])
    assert np.isnan(place[lost, 4]).all()  # it was said to be no neuron there
    assert file["neurons"]["name"][0] == NASTY
    assert file["corrections"]["who"][0] == "=cmd()"
    assert json.loads(file["info"]["provenance_json"])["version"] == json.loads((made("csv") / MARK).read_text())["version"]


def test_cell_tracking_challenge(done, made, lost):
    validate = pytest.importorskip(
        "ctc_metrics.scripts.validate", reason="py-ctcmetrics is not installed: pip install barlowtrack[metrics]"
    )
    folder = made("ctc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns of what is wrong, and says 0
        assert validate.validate_sequence(str(folder / "01_RES"), threads=1) == {"Valid": 1}
    tracks = pd.read_csv(folder / "tracks.csv")
    assert tracks["name"].dropna().unique().tolist() == ["'" + NASTY]
    parted = tracks[tracks["neuron"] == lost]
    assert parted["parent"].tolist()[1:] == parted["label"].tolist()[:-1]  # the gap: two tracks, one the parent of the other
    assert len(parted) >= 2
    back = read_identities(folder, Space(tuple(done.folder.about()["card"]["voxel_size_um"])))
    expect_points(done, back, within_um=1.5)  # centres of masks, not weighted by light
    (folder / "tracks.csv").rename(folder / "aside.csv")
    by_parents = read_identities(folder, Space(tuple(done.folder.about()["card"]["voxel_size_um"])))
    (folder / "aside.csv").rename(folder / "tracks.csv")
    known = pd.Series(by_parents.neuron).map(tracks.set_index("label")["neuron"])
    assert pd.Series(by_parents.neuron).groupby(known.to_numpy()).nunique().max() == 1


def expect_points(run, back, *, within_um=1e-4):
    """Points that were read back are the neurons of the run, where they were."""
    found, tracks = run.detections, run.tracks
    known = tracks.neuron != UNKNOWN
    wanted = {(int(t), int(k)): at for t, k, at in zip(found.t[known], tracks.neuron[known], found.position_um[known], strict=True)}
    got = {(int(t), int(k)): at for t, k, at in zip(back.t, back.neuron, back.position_um, strict=True) if k >= 0}
    assert wanted.keys() == got.keys()
    assert max(float(np.linalg.norm(wanted[key] - got[key])) for key in wanted) <= within_um


def test_geff(done, made):
    geff = pytest.importorskip("geff", reason="geff is not installed: pip install barlowtrack[geff]")
    from geff.core_io._base_read import read_to_memory
    from geff.validate.data import ValidationConfig

    folder = made("geff")
    geff.validate_structure(folder / "tracks.geff")
    whole = read_to_memory(folder / "tracks.geff", data_validation=ValidationConfig(graph=True, lineage=True, tracklet=True))
    nodes, found, tracks = whole["node_props"], done.detections, done.tracks
    np.testing.assert_array_equal(np.stack([nodes[axis]["values"] for axis in "zyx"], 1).astype(np.float32), found.position_um)
    assert nodes["t"]["values"].tolist() == found.t.tolist()
    assert np.where(nodes["neuron"]["missing"], UNKNOWN, nodes["neuron"]["values"]).tolist() == tracks.neuron.tolist()
    np.testing.assert_array_equal(nodes["probability"]["values"], tracks.probability)
    assert set(nodes["name"]["values"][tracks.neuron == 0]) == {NASTY}
    for a, b in whole["edge_ids"].astype(int):
        assert tracks.neuron[a] == tracks.neuron[b] != UNKNOWN
        assert found.t[a] < found.t[b]
    known = tracks.neuron != UNKNOWN
    assert len(whole["edge_ids"]) == known.sum() - len(np.unique(tracks.neuron[known]))
    extra = whole["metadata"].extra
    assert extra["corrections"][0]["other"] == NASTY
    assert extra["barlowtrack"]["stages"]["segment"]["key"] == done.folder.record("segment").key
    import zarr

    related = whole["metadata"].related_objects[0]
    labels = zarr.open_array((folder / "tracks.geff" / related.path).resolve() / "0", mode="r")
    for t in (0, 7):
        np.testing.assert_array_equal(labels[t], done.labels.read(t))


def test_nwb_reads_back(done, made, lost, tmp_path):
    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed: pip install barlowtrack[nwb]")
    (tmp_path / "lab.toml").write_text(LAB)
    path = made("nwb", images=True, metadata=tmp_path / "lab.toml")
    assert not pynwb.validate(path=str(path))
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        file = io.read()
        activity = file.processing["CalciumActivity"]
        frame = activity["Detections"].to_dataframe()
        expect_table(done, frame.assign(neuron=frame["neuron"].where(frame["neuron"] >= 0)))
        assert set(frame.loc[frame["neuron"] == 0, "neuron_name"]) == {NASTY}
        for place, name in (
            ("SignalFluorescence", "green"),
            ("ReferenceFluorescence", "red"),
            ("SignalDFoF", "df_over_f0"),
            ("SignalRatio", "ratio"),
        ):
            [series] = activity[place].roi_response_series.values()
            np.testing.assert_array_equal(series.data[:].T, getattr(done.traces, name))
            assert series.rois.table is activity["NeuronCentres"]["NeuronSegmentation"]
        assert series.rois.table["ID_labels"][0] == NASTY
        images, recording = file.acquisition["CalciumImageSeries"], bt.prepare(done.path).recording()
        np.testing.assert_array_equal(images.data[2].transpose(3, 2, 1, 0), recording.read(2))
        assert images.imaging_volume.order_optical_channels.channels[:].tolist() == list(recording.channel_names)
        np.testing.assert_allclose(images.imaging_volume.grid_spacing[:], recording.voxel_size_um[::-1])
        assert np.isnan(images.imaging_volume.optical_channel_plus["red"].excitation_lambda)
        assert images.imaging_volume.optical_channel_plus["green"].excitation_lambda == 488
        masks = activity["CalciumSeriesSegmentation"].data[3].transpose(2, 1, 0)
        at = done.detections.rows_of(3)
        value = dict(zip(done.detections.label[at].tolist(), (done.tracks.neuron[at] + 1).tolist(), strict=True)) | {0: 0}
        np.testing.assert_array_equal(masks, np.vectorize(value.get)(done.labels.read(3)))
        np.testing.assert_array_equal(activity["CalciumSeriesSegmentationUntracked"].data[3].transpose(2, 1, 0), done.labels.read(3))
        centre = activity["NeuronCentroids"][f"neuron_{lost:03d}"].data[:]
        assert np.isnan(centre[4]).all()
        assert file.subject.growth_stage == "YA"
        assert json.loads(file.notes)["stages"]["track"]["key"] == done.folder.record("track").key
        assert file.source_script == (done.path / "settings.toml").read_text()
        assert activity["Corrections"]["who"][0] == "=cmd()"
    back = read_identities(path, Space())  # without pynwb, and without being told a voxel size
    expect_points(done, back)
    assert back.names == {0: NASTY}


def test_nwb_pleases_the_inspector(done, made, tmp_path):
    inspector = pytest.importorskip("nwbinspector", reason="nwbinspector is not installed")
    (tmp_path / "lab.toml").write_text(LAB)
    path = made("nwb", images=True, metadata=tmp_path / "lab.toml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own libraries
        found = [said for said in inspector.inspect_nwbfile(nwbfile_path=str(path)) if said.importance.name != "BEST_PRACTICE_SUGGESTION"]
    # eight volumes are fewer than voxels and neurons; it looks at lengths alone
    assert {said.check_function_name for said in found} <= {"check_data_orientation"}, found


def test_nwb_of_a_run_without_neurons(done, tmp_path):
    """Nothing could be told apart, say; and nobody knows how fast volumes were taken."""
    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed: pip install barlowtrack[nwb]")
    from barlowtrack.api.outgoing import content_of
    from barlowtrack.data import Traces, Tracks, silent
    from barlowtrack.exports.formats import Options
    from barlowtrack.exports.nwb import write
    from barlowtrack.io.readers.nwb import RATE_UNKNOWN

    whole = content_of(done.folder, None)
    values = {name: getattr(whole.traces, name) for name in Traces.__dataclass_fields__}
    n = len(whole.detections)
    empty = dataclasses.replace(
        whole,
        rate_hz=None,
        tracks=Tracks(np.full(n, UNKNOWN), np.zeros(n, np.float32), 0),
        neurons=whole.neurons.iloc[:0],
        traces=Traces(**{name: value[:0] if np.ndim(value) == 2 else value for name, value in values.items()}),
    )
    write(empty, tmp_path / "worm.nwb", Options("nwb", None, silent))
    assert not pynwb.validate(path=str(tmp_path / "worm.nwb"))
    with pynwb.NWBHDF5IO(str(tmp_path / "worm.nwb"), "r") as io:
        activity = io.read().processing["CalciumActivity"]
        assert len(activity["Detections"]) == n
        assert activity["CalciumSeriesSegmentation"].comments == RATE_UNKNOWN
        assert activity["CalciumSeriesSegmentation"].data[0].max() == 0


def test_napari(done, made):
    folder = made("napari", images=True)
    import zarr

    at = done.detections.rows_of(5)
    masks = zarr.open_array(folder / "neurons.zarr", mode="r")[5]
    for label, neuron in zip(done.detections.label[at], done.tracks.neuron[at], strict=True):
        assert (masks[done.labels.read(5) == label] == neuron + 1).all()
    np.testing.assert_array_equal(zarr.open_array(folder / "channel-1.zarr", mode="r")[5], bt.prepare(done.path).recording().read(5)[1])
    points = pd.read_csv(folder / "points.csv")
    size = np.array(done.folder.about()["card"]["voxel_size_um"])
    np.testing.assert_allclose(points[["axis-1", "axis-2", "axis-3"]] * size, done.detections.position_um, rtol=1e-6)
    compile((folder / "open_in_napari.py").read_text(), "open_in_napari.py", "exec")


def test_every_format_is_tried_here():
    text = Path(__file__).read_text()
    assert all(f'"{row.name}"' in text for row in FORMATS)


def test_nothing_is_replaced_that_is_not_an_export(done, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    for overwrite in (False, True):
        with pytest.raises(StorageError, match=r"exists already|no export wrote"):
            done.export("csv", mine, overwrite=overwrite)
    assert (mine / "thesis.txt").read_text() == "years"
    recording = bt.prepare(done.path).location
    for place in (recording, recording / "out", recording.parent, done.path / "labels.zarr", done.path, done.path / "labels.zarr" / "x"):
        with pytest.raises(StorageError):
            done.export("csv", place, overwrite=True)
    with pytest.raises(StorageError, match="no such folder"):
        done.export("csv", tmp_path / "nowhere" / "out")


def test_an_older_export_is_replaced_whole_or_stays(done, tmp_path, monkeypatch):
    target = done.export("csv", tmp_path / "worm")
    (target / "left.txt").write_text("from before")
    with pytest.raises(StorageError, match="exists already"):
        done.export("csv", target)
    from barlowtrack.exports import tables

    def fails(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(tables, "readme", fails)
        with pytest.raises(OSError, match="No space left"):
            done.export("csv", target, overwrite=True)
    assert (target / "left.txt").exists()
    assert sorted(os.listdir(tmp_path)) == ["worm"]
    done.export("csv", target, overwrite=True)
    assert not (target / "left.txt").exists()
    assert sorted(os.listdir(tmp_path)) == ["worm"]


def test_no_file_is_replaced_that_is_not_an_export(done, tmp_path):
    """Neither by its name nor by its kind is a file known for an export: by what it says of itself."""
    import h5py
    from scipy.io import savemat

    (tmp_path / "thesis.mat").write_text("years")
    savemat(tmp_path / "theirs.mat", {"x": 1.0})
    with h5py.File(tmp_path / "theirs.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.6.0"
    with h5py.File(tmp_path / "added.nwb", "w") as file:  # ours once, and somebody added to it
        file["general/was_generated_by"] = [["barlowtrack", "1"], ["suite2p", "2"]]
    os.mkfifo(tmp_path / "pipe.mat")
    (tmp_path / "link.mat").symlink_to("nowhere")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for name in [*before, "pipe.mat", "link.mat"]:
        with pytest.raises(StorageError, match="that no export wrote, so it is not replaced"):
            done.export("mat" if name.endswith("mat") else "csv", tmp_path / name, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("swaps", [True, False])
def test_single_files_are_replaced_by_any_format(done, made, tmp_path, monkeypatch, swaps):
    from barlowtrack.exports.mat73 import write_structs
    from barlowtrack.storage import outputs

    if not swaps:  # a system, or a disk, that cannot let two things change names
        monkeypatch.setattr(outputs, "exchange", lambda *_: False)
    pytest.importorskip("pynwb", reason="pynwb is not installed: pip install barlowtrack[nwb]")
    (tmp_path / "lab.toml").write_text(LAB)
    shutil.copy(made("nwb", images=True, metadata=tmp_path / "lab.toml"), tmp_path / "it")
    done.export("mat", tmp_path / "it", overwrite=True)
    done.export("mat", tmp_path / "it", overwrite=True)
    done.export("csv", tmp_path / "it", overwrite=True)
    assert (tmp_path / "it" / MARK).is_file()
    done.export("mat", tmp_path / "it", overwrite=True)
    write_structs(tmp_path / "large.mat", {"info": {"note": "version 7.3"}})
    done.export("csv", tmp_path / "large.mat", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["it", "lab.toml", "large.mat"]


def test_an_older_export_survives_a_kill_between_two_names(done, tmp_path):
    """Where nothing can change names in one step, a kill may come when the older one lies aside: it gets its name back."""
    room = tmp_path / ".worm.half-made"
    done.export("csv", tmp_path / "worm")
    room.mkdir()
    (tmp_path / "worm").rename(room / "old")
    (room / "worm").mkdir()
    with pytest.raises(StorageError, match="exists already"):
        done.export("csv", tmp_path / "worm")
    assert (tmp_path / "worm" / MARK).is_file()
    done.export("csv", tmp_path / "worm", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["worm"]


def test_what_a_killed_export_left_is_cleared_away(done, tmp_path):
    room = tmp_path / ".worm.half-made"
    (room / "worm").mkdir(parents=True)
    (room / "worm" / "half.csv").write_text("t,neur")
    done.export("csv", tmp_path / "worm")
    assert sorted(os.listdir(tmp_path)) == ["worm"]
    assert not (tmp_path / "worm" / "half.csv").exists()


def test_two_exports_do_not_write_one_place(done, tmp_path):
    import fcntl

    room = tmp_path / ".worm.half-made"
    room.mkdir()
    with (room / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another process"):
            done.export("csv", tmp_path / "worm")
    assert (room / "lock").exists()


def test_a_run_that_is_stale_is_refused_with_what_to_run(done, tmp_path):
    stale = bt.Run(shutil.copytree(done.path, done.path.with_name("stale.barlowtrack")))
    stale.correct("name", neuron=3, other="RIML", who="Bo")
    with pytest.raises(StorageError, match=r"track is stale \(corrections changed: 1 added\); run 'barlowtrack run"):
        stale.export("csv", tmp_path / "out")
    assert not list(tmp_path.iterdir())
    shutil.rmtree(stale.path)


def test_what_cannot_be_is_said_before_anything_is_made(done, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="formats are nwb, ctc"):
        done.export("xls", tmp_path / "out")
    with pytest.raises(InputError, match="no room for --images; nwb and napari have"):
        done.export("csv", tmp_path / "out", images=True)
    with pytest.raises(InputError, match="no room for --metadata; nwb have"):
        done.export("ctc", tmp_path / "out", metadata=tmp_path / "lab.toml")
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pynwb" else real(name, *rest))
    with pytest.raises(InputError, match=r"needs pynwb; install it: pip install 'barlowtrack\[nwb\]'"):
        done.export("nwb", tmp_path / "out.nwb")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[subject]\nsubject = 'x'", "did you mean subject_id"),
        ("[session]\nstart_time = 2024-05-03T14:20:00", "timezone"),
        ("[channels.blue]\nfluorophore = 'BFP'", "expected a channel of the recording, red, green, got blue"),
        ("[channels.green]\nexcitation_nm = 'x'", "number"),
        ("nonsense", "not TOML"),
    ],
)
def test_wrong_metadata(done, tmp_path, text, said):
    pytest.importorskip("pynwb", reason="pynwb is not installed: pip install barlowtrack[nwb]")
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        done.export("nwb", tmp_path / "out.nwb", metadata=tmp_path / "lab.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["lab.toml"]


def test_the_verb(done, tmp_path):
    result = CliRunner().invoke(
        cli, ["export", str(done.path), "--to", "csv", "--out", str(tmp_path / "o"), "--quiet"], standalone_mode=False
    )
    assert result.exception is None
    assert result.output.strip() == f"export: {tmp_path / 'o'}"
    again = subprocess.run(
        [sys.executable, "-m", "barlowtrack", "export", str(done.path), "--to", "csv", "--out", str(tmp_path / "o")],
        capture_output=True,
        text=True,
    )
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert issubclass(StorageError, BarlowtrackError)


def test_where_it_goes_when_nobody_says(done):
    for row in FORMATS:
        target = row.target(done.path)
        assert target.parent == done.path.parent
        assert target.name.startswith("exported_barlowtrack")


def test_nuclei_of_nobody_are_left_out_where_masks_have_no_room_for_them(done, tmp_path, monkeypatch):
    import tifffile

    from barlowtrack.exports import ctc
    from barlowtrack.exports.stretches import stretches

    cut = stretches(done.detections, done.tracks)
    n = int((cut.neuron != UNKNOWN).sum())
    assert n < len(cut.first)
    monkeypatch.setattr(ctc, "MOST_LABELS", n)
    folder = done.export("ctc", tmp_path / "worm")
    seen = {int(k) for file in (folder / "01_RES").glob("*.tif") for k in np.unique(tifffile.imread(file))} - {0}
    assert seen == set(range(1, n + 1)) == set(pd.read_csv(folder / "tracks.csv")["label"])
    assert f"{len(cut.first) - n} nuclei of no known neuron are left out" in (folder / "README.md").read_text()
    monkeypatch.setattr(ctc, "MOST_LABELS", n - 1)
    with pytest.raises(InputError, match="16 bits"):
        done.export("ctc", tmp_path / "more")


def test_images_of_another_recording_are_refused(done, tmp_path):
    place = tmp_path / "lab"
    shutil.copytree(bt.prepare(done.path).location, place / "recording")
    run = bt.Run(shutil.copytree(done.path, place / "recording.barlowtrack"))
    about = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(about | {"recording": "../recording"}))
    run.export("napari", tmp_path / "same", images=True)
    shutil.rmtree(place / "recording")
    run.export("napari", tmp_path / "without")  # masks need no recording
    with pytest.raises(BarlowtrackError, match="recording"):
        run.export("napari", tmp_path / "gone", images=True)
    assert not (tmp_path / "gone").exists()
