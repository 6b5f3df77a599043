"""From a recording folder to a report, and what runs again when something changes."""

import shutil

import numpy as np
import pandas as pd
import pytest
import zarr

import barlowtrack as bt
from barlowtrack.data import UNKNOWN
from barlowtrack.errors import ConfigError, InputError, StorageError
from barlowtrack.evaluate import evaluate
from barlowtrack.io.columns import TABLES
from barlowtrack.io.tables import read_truth
from barlowtrack.pipeline import STAGES, Listener
from tests.conftest import FAST

NAMES = [stage.name for stage in STAGES]


@pytest.fixture
def copied_run(tiny_run, tmp_path, tiny_worm):
    """A run folder one may change, beside a copy of its recording."""
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    return tmp_path / "recording"


def states(job):
    return {item.stage.name: item.state for item in job.plan()}


def test_every_artefact_is_there_and_rows_line_up(tiny_run):
    detections, tracks, embeddings = tiny_run.detections, tiny_run.tracks, tiny_run.embeddings
    assert len(detections) == len(tracks) == len(embeddings) > 100
    assert np.allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-4)
    assert tiny_run.traces.red.shape == (tracks.n_neurons, detections.n_volumes) == (tracks.n_neurons, 8)
    assert len(tiny_run.light) == len(detections)
    assert tiny_run.bleaching.level.shape == (2, 8)
    assert (tiny_run.places.entry < tiny_run.atlas.atlas.n_neurons).all()
    assert tiny_run.report.read_text().startswith("<!doctype html>")


def test_labels_hold_every_detection_and_nothing_else(tiny_run):
    for t in range(tiny_run.detections.n_volumes):
        rows = tiny_run.detections.rows_of(t)
        assert set(np.unique(tiny_run.labels.read(t))) - {0} == set(tiny_run.detections.label[rows])


def test_the_matrices_are_the_traces(tiny_run):
    wide, traces = zarr.open_group(tiny_run.wide, mode="r"), tiny_run.traces
    for name in ("red", "green", "ratio", "dr_over_r0", "df_over_f0", "probability", "source", "flags"):
        np.testing.assert_array_equal(wide[name][:], getattr(traces, name), err_msg=name)
    np.testing.assert_array_equal(wide["time_s"][:], traces.time_s)
    assert wide.attrs["source_codes"]["predicted"] == 2
    assert len(wide.attrs["names"]) == wide["neuron"].shape[0] == len(tiny_run.neurons)


def test_no_neuron_twice_in_a_volume(tiny_run):
    known = tiny_run.tracks.neuron != UNKNOWN
    pairs = np.stack([tiny_run.detections.t[known], tiny_run.tracks.neuron[known]], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs) > 0


@pytest.mark.parametrize("table", ["detections", "light", "places", "tracks", "traces", "swaps", "bleaching"])
def test_tables_have_the_documented_columns(tiny_run, table):
    frame = pd.read_parquet(tiny_run.path / f"{table}.parquet")
    assert list(frame.columns) == list(TABLES[table])


def test_an_easy_worm_is_mostly_right(tiny_run, tiny_worm):
    found = evaluate(tiny_run.detections, tiny_run.tracks, read_truth(tiny_worm / "truth.csv"))
    assert found.recall > 0.8
    assert found.identity_accuracy > 0.7


def test_a_second_run_has_nothing_to_do(copied_run):
    job = bt.prepare(copied_run)
    assert set(states(job).values()) == {"cached"}
    before = {path: path.stat().st_mtime_ns for path in job.folder.glob("*.parquet")}
    job.run()
    assert {path: path.stat().st_mtime_ns for path in job.folder.glob("*.parquet")} == before


STALE = {
    "prepare.mirror=y": [name for name in NAMES if name != "amend"],  # nobody edited anything
    "segment.min_quality=20": [name for name in NAMES if name not in ("prepare", "amend")],
    "crop.training_volumes=3": ["crop", "train", "embed", "identify", "measure", "track", "trace", "report"],
    "train.alpha=0.5": ["train", "embed", "identify", "measure", "track", "trace", "report"],
    "track.appearance=false": ["identify", "measure", "track", "trace", "report"],
    "measure.shell_um=3": ["measure", "trace", "report"],
    "track.min_probability=0.5": ["track", "trace", "report"],
    "trace.r0_percentile=50": ["trace", "report"],
    "recording.rate_hz=7": ["trace", "report"],
    "report.max_traces=3": ["report"],
    "compute.workers=1": [],
}


@pytest.mark.parametrize(("override", "stale"), STALE.items(), ids=STALE.keys())
def test_a_changed_setting_makes_stale_what_depends_on_it_and_says_so(copied_run, override, stale):
    job = bt.prepare(copied_run, overrides=[override])
    planned = job.plan()
    assert [item.stage.name for item in planned if item.state == "stale"] == stale
    assert all(item.state in ("cached", "stale") for item in planned)
    if stale:
        reasons = " ".join(next(item for item in planned if item.stage.name == stale[0]).reasons)
        assert override.split("=")[0].split(".")[1] in reasons
        assert " -> " in reasons


def test_another_seed_spares_what_draws_nothing(copied_run):
    found = states(bt.prepare(copied_run, overrides=["seed=5"]))
    assert found["segment"] == found["crop"] == "cached"
    assert found["train"] == found["track"] == "stale"


def test_a_changed_voxel_is_noticed(copied_run):
    bt.prepare(copied_run).run()  # from here on the folder belongs to the copy
    victim = sorted(copied_run.glob("*.tif"))[3]
    content = bytearray(victim.read_bytes())
    content[-20] ^= 0xFF
    victim.write_bytes(bytes(content))
    segment = next(item for item in bt.prepare(copied_run).plan() if item.stage.name == "segment")
    assert segment.state == "stale"
    assert "the recording's files changed" in segment.reasons


def test_a_moved_recording_is_the_same_recording(copied_run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.move(copied_run, tmp_path / "elsewhere" / "recording")
    shutil.move(tmp_path / "recording.barlowtrack", tmp_path / "elsewhere")
    assert set(states(bt.prepare(tmp_path / "elsewhere" / "recording")).values()) == {"cached"}


def test_a_run_folder_alone_still_tells_its_state(copied_run):
    shutil.rmtree(copied_run)
    assert set(states(bt.prepare(copied_run.with_name("recording.barlowtrack"))).values()) == {"cached"}


def test_what_is_gone_is_made_again_to_the_same_bytes(copied_run):
    job = bt.prepare(copied_run)
    tracks, traces = job.folder / "tracks.parquet", job.folder / "traces.parquet"
    before = tracks.read_bytes(), traces.read_bytes()
    tracks.unlink()
    assert next(item.reasons for item in job.plan() if item.state == "missing") == ("tracks.parquet is gone",)
    job.run()
    assert (tracks.read_bytes(), traces.read_bytes()) == before


def test_one_verb_runs_one_stage(copied_run):
    job = bt.prepare(copied_run, overrides=["track.min_probability=0.5"])
    job.run(only="track")
    found = states(job)
    assert found["track"] == "cached"
    assert found["trace"] == "stale"


def test_a_verb_refuses_stale_inputs_and_says_what_to_do(copied_run):
    job = bt.prepare(copied_run, overrides=["train.alpha=0.5"])
    with pytest.raises(StorageError, match=r"identify needs embeddings, stale .*; run 'barlowtrack embed' first"):
        job.run(only="identify")


def test_settings_stay_with_the_run_folder(copied_run):
    bt.prepare(copied_run, overrides=["track.min_probability=0.5"]).run(upto="track")
    assert bt.prepare(copied_run).config.track.min_probability == 0.5
    assert bt.prepare(copied_run, config=bt.Config()).config.track.min_probability == 0.0


def test_a_run_folder_of_another_recording_is_refused(copied_run, tiny_worm, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(copied_run, other)
    sorted(other.glob("*.tif"))[-1].unlink()
    with pytest.raises(StorageError, match="belongs to"):
        bt.prepare(other, out=tmp_path / "recording.barlowtrack", overrides=FAST).run()


def test_csv_never_tells_an_older_story(copied_run):
    job = bt.prepare(copied_run)
    bt.Run(job.folder).write_csv()
    assert list(pd.read_csv(job.folder / "tracks.csv").columns) == list(TABLES["tracks"])
    bt.prepare(copied_run, overrides=["track.min_probability=0.9"]).run(upto="track")
    bt.Run(job.folder).write_csv(always=False)
    assert pd.read_csv(job.folder / "tracks.csv")["neuron"].count() == pd.read_parquet(job.folder / "tracks.parquet")["neuron"].count()


def test_no_absolute_path_in_what_a_run_leaves(tiny_run, tiny_worm):
    for path in tiny_run.path.rglob("*"):
        if path.is_file() and path.name != "lock":
            assert str(tiny_worm).encode() not in path.read_bytes(), path


def test_events_say_seconds_and_memory(tiny_run):
    frame = pd.read_json(tiny_run.path / "events.jsonl", lines=True)
    finished = frame[frame["event"] == "finish"]
    assert list(finished["stage"]) == NAMES
    assert (finished["seconds"] >= 0).all()
    assert (finished["peak_mb"] > 10).all()


def test_a_wrong_setting_makes_no_folder(tiny_worm, tmp_path):
    with pytest.raises(ConfigError):
        bt.run(tiny_worm / "recording", tmp_path / "new", overrides=["track.nonsense=1"])
    assert not (tmp_path / "new").exists()


def test_a_script_is_stopped_by_what_the_look_says(tiny_worm, tmp_path, caplog):
    out, tiny = tmp_path / "new", ["recording.voxel_size_um=[50.0, 10.0, 10.0]"]
    with pytest.raises(bt.InputError, match="not ready to run: voxels of 50 x 10 x 10 um"):
        bt.run(tiny_worm / "recording", out, overrides=tiny)
    assert not out.exists()
    with pytest.raises(bt.StorageError, match="another hurdle"):  # without the look it would go on to here
        bt.run(tiny_worm / "recording", out, overrides=tiny, check=False, listener=_Stopping())


def test_a_script_hears_what_the_look_warns_of(tiny_worm, tmp_path, caplog):
    aslant = ["recording.voxel_size_um=[1.5, 0.3, 0.6]"]
    with pytest.raises(bt.StorageError, match="another hurdle"):
        bt.run(tiny_worm / "recording", tmp_path / "new", overrides=aslant, listener=_Stopping())
    assert "recording: voxels of 1.5 x 0.3 x 0.6 um are not square in the plane -> check the order" in caplog.text


class _Stopping(Listener):
    """Stops a run before its first stage."""

    def planned(self, planned):
        raise bt.StorageError("another hurdle")


def test_a_path_with_a_slip_of_the_pen_is_not_taken_for_the_recording(copied_run):
    """The folder would be told of it, and then take the recording that comes there for its own."""
    out, slip = copied_run.with_suffix(".barlowtrack"), copied_run.parent / "typo" / "worm9"
    bt.run(copied_run)
    said = (out / "run.json").read_bytes()
    with pytest.raises(InputError, match=r"worm9: cannot be opened: No such file"):
        bt.prepare(slip, out=out).run()
    with pytest.raises(InputError, match=r"worm9: cannot be opened: No such file"):
        bt.prepare(slip, out=out).plan()
    copied_run.rename(copied_run.with_name("away"))
    for target in (out, copied_run):  # the one that the folder knows goes on without
        assert set(states(bt.prepare(target, out=None if target == out else out)).values()) == {"cached"}
        bt.prepare(target, out=None if target == out else out).run()
    with pytest.raises(InputError, match=r"worm9: cannot be opened: No such file"):
        bt.prepare(slip, out=out).run()
    assert (out / "run.json").read_bytes() == said


def test_a_run_folder_that_is_reached_by_a_link_keeps_its_recording(copied_run):
    out = copied_run.with_suffix(".barlowtrack")
    bt.run(copied_run)
    said = (out / "run.json").read_bytes()
    copied_run.rename(copied_run.with_name("away"))
    (copied_run.parent / "desk").mkdir()
    link = copied_run.parent / "desk" / "worm"
    link.symlink_to(out)
    bt.prepare(link).run()
    assert (out / "run.json").read_bytes() == said
