"""What goes wrong on a bad day: damaged files, killed jobs, full disks, slips of the hand. Never a traceback, never a half-file trusted."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

import barlowtrack as bt
from barlowtrack.pipeline import STAGES, Listener
from tests.conftest import FAST

SETTINGS = [text for override in FAST for text in ("--set", override)]
MAKER = {
    "detections.parquet": "segment",
    "labels.zarr": "segment",
    "crops.zarr": "crop",
    "encoder.safetensors": "train",
    "history.parquet": "train",
    "embeddings.npy": "embed",
    "identities.safetensors": "identify",
    "light.parquet": "measure",
    "places.parquet": "measure",
    "tracks.parquet": "track",
    "traces.parquet": "trace",
}
USERS = ["identify", "measure", "train", "embed", "report", "identify", "track", "trace", "trace", "trace", "report"]
USER = dict(zip(MAKER, USERS, strict=True))


@pytest.fixture
def run_folder(tiny_run, tiny_worm, tmp_path):
    """A finished run that one may damage, beside a copy of its recording."""
    shutil.copytree(tiny_worm / "recording", tmp_path / "recording")
    shutil.copytree(tiny_run.path, tmp_path / "recording.barlowtrack")
    return tmp_path / "recording.barlowtrack"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def files(path: Path) -> list[Path]:
    return sorted(child for child in path.rglob("*") if child.is_file()) if path.is_dir() else [path]


def said_in_one_line(code, out, err):
    assert code == 2, (out, err)
    lines = [line for line in err.splitlines() if line.startswith("barlowtrack: ")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.parametrize("name", MAKER)
def test_a_flipped_bit_is_not_used(run_folder, call, name):
    maker, user = MAKER[name], USER[name]
    chosen = files(run_folder / name)
    flip(chosen[len(chosen) // 2])
    (run_folder / "keys" / f"{user}.json").unlink()
    said = said_in_one_line(*call(user, run_folder, "--quiet"))
    assert f"{name}: changed since '{maker}' made it; delete it" in said


@pytest.mark.parametrize("name", MAKER)
def test_what_is_cut_off_is_made_again(run_folder, call, name):
    chosen = files(run_folder / name)
    middle = chosen[len(chosen) // 2]
    middle.write_bytes(middle.read_bytes()[:-1])
    before = {stage.name: (run_folder / "keys" / f"{stage.name}.json").read_bytes() for stage in STAGES}
    code, out, _ = call("status", run_folder)
    assert (code, out.count("missing"), out.count("cached")) == (0, 1, len(STAGES) - 1)
    assert call("run", run_folder, "--quiet")[0] == 0
    assert {stage.name: (run_folder / "keys" / f"{stage.name}.json").read_bytes() for stage in STAGES} == before


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", "[" * 100_000, "artefacts", "names", "settings"])
def test_a_damaged_key_runs_its_stage_again(run_folder, call, content):
    path = run_folder / "keys" / "track.json"
    record = json.loads(path.read_bytes())
    damaged = {
        "artefacts": json.dumps(record | {"artefacts": {}}),
        "names": json.dumps(record | {"artefacts": {"../../escape": 1}}),
        "settings": json.dumps(record | {"settings": None, "key": "other"}),
    }
    path.write_text(damaged.get(content, content))
    code, out, err = call("status", run_folder)
    assert code == 0
    assert "Traceback" not in err
    assert next(line for line in out.splitlines() if line.startswith("track")).split()[1] == "missing"
    assert call("track", run_folder, "--quiet")[0] == 0
    assert json.loads(path.read_bytes()) == record


@pytest.mark.parametrize("content", ["", "null", "{}", '{"format": 1, "recording": "../recording", "card": 3}', '{"format": 99}'])
def test_a_damaged_run_json_is_one_line_and_the_work_is_kept(run_folder, call, content):
    (run_folder / "run.json").write_text(content)
    said_in_one_line(*call("status", run_folder))
    (run_folder / "run.json").unlink()
    assert call("run", run_folder.with_suffix(""), "--quiet")[0] == 0
    assert call("status", run_folder)[1].count("cached") == len(STAGES)


def test_a_card_that_says_too_little_is_one_line(run_folder, call):
    (run_folder / "run.json").write_text('{"format": 1, "recording": "../gone", "card": {}}')
    assert "does not say the recording's" in said_in_one_line(*call("status", run_folder))


# half-made work: what a kill left, then damaged
HALF_MADE = {
    "count that is no number": ("segment", "done", b"many"),
    "count too large": ("segment", "done", b"999"),
    "negative count": ("segment", "done", b"-1"),
    "table cut off": ("segment", "tables/00000001.parquet", b"PAR1"),
    "table gone": ("segment", "tables/00000001.parquet", None),
    "chunk empty": ("segment", "labels.zarr/0/c/1/0/0/0", b""),
    "labels that are none": ("segment", "labels.zarr/0/zarr.json", b"{"),
    "light cut off": ("measure", "volumes/00000001.safetensors", b"{"),
    "light gone": ("measure", "volumes/00000000.safetensors", None),
    "more crops than there are": ("crop", "done", b"999"),
    "crops that are none": ("crop", "crops.zarr/zarr.json", b"{"),
    "state cut off": ("train", "state.safetensors", b"12345678{"),
    "state flipped": ("train", "state.safetensors", "flip"),
    "vectors that are none": ("embed", "embeddings.npy", b"x" * 300),
    "more vectors than there are": ("embed", "done", b"999"),
}


def half_made(folder: Path, stage: str, parts: int) -> tuple[Path, bytes]:
    """Stops a stage after some parts, as a kill would; returns its folder and the artefact it had made before."""
    key = folder / "keys" / f"{stage}.json"
    artefacts = {"segment": "detections.parquet", "crop": "crops.zarr", "train": "encoder.safetensors", "embed": "embeddings.npy"}
    artefact = (artefacts | {"measure": "light.parquet"})[stage]
    digest = json.loads(key.read_bytes())["digests"][artefact]
    key.unlink()

    class Stop(BaseException):
        pass

    class Stopper(Listener):
        def started(self, item):
            def progress(done, total):
                if done >= parts:
                    raise Stop

            return progress

    with pytest.raises(Stop):
        bt.prepare(folder).run(only=stage, listener=Stopper())
    return folder / "partial" / stage, digest


@pytest.mark.parametrize(("stage", "name", "content"), HALF_MADE.values(), ids=HALF_MADE.keys())
def test_damaged_half_made_work_starts_over(run_folder, call, stage, name, content):
    partial, digest = half_made(run_folder, stage, parts=3 if stage != "train" else 1)
    assert (partial / "done").exists()
    if content is None:
        (partial / name).unlink()
    elif content == "flip":
        flip(partial / name)
    else:
        (partial / name).write_bytes(content)
    code, _, err = call("status", run_folder)
    assert code == 0
    assert "Traceback" not in err
    code, _, err = call(stage, run_folder, "--quiet")
    assert code == 0, err
    assert "starting over" in err
    assert digest in json.loads((run_folder / "keys" / f"{stage}.json").read_bytes())["digests"].values()


def test_settings_that_change_half_way_and_back_leave_the_same_bytes(run_folder, call):
    _, digest = half_made(run_folder, "segment", parts=3)
    for value in (2.0, 1.0):
        assert call("segment", run_folder, "--quiet", "--set", f"segment.min_volume_um3={value}")[0] == 0
    assert digest in json.loads((run_folder / "keys" / "segment.json").read_bytes())["digests"].values()


WRONG_SETTINGS = {
    "nested without end": "seed=" + "[" * 3000,
    "number without end": "seed=" + "1" * 5000,
    "no voxels": "crop.grid=[0, 0, 0]",
    "no width": "train.projector_dims=[0]",
    "radii swapped": "segment.radius_um=[3, 1]",
    "radius of nothing": "segment.radius_um=[1e-9, 1e9]",
    "voxels of nothing": "recording.voxel_size_um=[1e-320, 1, 1]",
    "once in an age": "recording.rate_hz=1e-320",
}


@pytest.mark.parametrize("text", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
def test_a_setting_nobody_can_mean_is_one_line(run_folder, call, text):
    said = said_in_one_line(*call("run", run_folder, "--dry-run", "--set", text))
    assert said.startswith("barlowtrack: --set: ")


def test_settings_of_another_editor(run_folder, call, tmp_path):
    (tmp_path / "windows.toml").write_bytes(b"\xef\xbb\xbfseed = 7\r\n")
    assert call("config", "--config", tmp_path / "windows.toml")[1].startswith("seed = 7")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000)
    assert "not TOML" in said_in_one_line(*call("config", "--config", tmp_path / "deep.toml"))


TRUTHS = {
    "nothing": ("t,neuron,z_um,y_um,x_um\n", "nothing to compare"),
    "another recording": ("t,neuron,z_um,y_um,x_um\n99,1,1,1,1\n", "0 to 7"),
    "far away": ("t,neuron,z_um,y_um,x_um\n0,1,1e300,1,1\n", "row 1"),
    "letters": ("t,neuron,z,y,x\n0,1,a,b,c\n", "row 1"),
}


@pytest.mark.parametrize(("text", "expected"), TRUTHS.values(), ids=TRUTHS.keys())
def test_a_truth_that_says_nothing_is_one_line(run_folder, call, tmp_path, text, expected):
    (tmp_path / "truth.csv").write_text(text)
    assert expected in said_in_one_line(*call("evaluate", run_folder, "--truth", tmp_path / "truth.csv", "--voxel-size", 1, 1, 1))


def test_a_voxel_size_that_is_none_is_refused(run_folder, call, tmp_path):
    (tmp_path / "truth.csv").write_text("t,neuron,z,y,x\n0,1,1,1,1\n")
    said = said_in_one_line(*call("evaluate", run_folder, "--truth", tmp_path / "truth.csv", "--voxel-size", -1, 1, 1))
    assert "three positive numbers" in said


def test_simulate_of_what_cannot_be(call, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be made" in said_in_one_line(*call("simulate", tmp_path / "file" / "x", "--volumes", 1, "--neurons", 2, "--quiet"))
    assert call("simulate", tmp_path / "x", "--seed", -1)[0] == 2
    assert "less than" in said_in_one_line(*call("simulate", tmp_path / "x", "--shape", 1, 1, 2**62))
    assert not (tmp_path / "x").exists()


def test_voxels_beyond_single_precision_are_refused(call, tmp_path):
    tifffile.imwrite(tmp_path / "worm.tif", np.full((4, 16, 16), 1e300), photometric="minisblack")
    said = said_in_one_line(*call("segment", tmp_path / "worm.tif", "--axes", "ZYX", "--voxel-size", 1, 1, 1, "--quiet"))
    assert "volume 0: expected numbers below" in said


def test_status_and_dry_run_touch_nothing_and_need_no_torch(run_folder):
    def look():
        return {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in run_folder.parent.rglob("*")}

    before = look()
    for arguments in (["status"], ["run", "--dry-run", "--set", "seed=4"], ["check"], ["config"]):
        program = "import sys; from barlowtrack.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
        done = subprocess.run([sys.executable, "-c", program, *arguments, str(run_folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert look() == before


def test_a_link_is_a_recording_of_its_own_name(run_folder, call, tmp_path):
    (tmp_path / "data").mkdir()
    recording = run_folder.with_suffix("")
    shutil.move(recording, tmp_path / "data" / "rec42")
    recording.symlink_to(tmp_path / "data" / "rec42")
    for target in (recording, f"{recording}/", run_folder):
        assert call("status", target)[1].count("cached") == len(STAGES)
    assert call("run", recording, "--quiet")[0] == 0
    assert call("status", run_folder)[1].count("cached") == len(STAGES)


def test_a_run_folder_inside_a_zarr_is_refused(call, tmp_path, tiny_worm):
    recording = bt.open_recording(tiny_worm / "recording")
    bt.write_recording(recording, tmp_path / "worm.ome.zarr", layout="ome-zarr-0.5")
    said = said_in_one_line(*call("run", tmp_path / "worm.ome.zarr", "--out", tmp_path / "worm.ome.zarr" / "0" / "out"))
    assert "inside the recording" in said


def _small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_a_full_disk_is_one_line_and_the_work_goes_on_later(run_folder, call):
    (run_folder / "keys" / "embed.json").unlink()
    command = [sys.executable, "-m", "barlowtrack", "embed", str(run_folder), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=_small_files)
    said_in_one_line(done.returncode, done.stdout, done.stderr)
    assert call("embed", run_folder, "--quiet")[0] == 0
    assert call("status", run_folder)[1].count("cached") == len(STAGES)


def test_stopped_by_hand_says_so_and_goes_on(run_folder, call):
    (run_folder / "keys" / "train.json").unlink()
    command = [sys.executable, "-m", "barlowtrack", "run", str(run_folder), "--quiet", "--set", "train.epochs=500"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (run_folder / "partial" / "train" / "done").exists():
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip()) == (130, "barlowtrack: stopped; run it again to go on")
    assert "half done, goes on after part" in call("status", run_folder)[1]


def test_a_closed_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "barlowtrack", "config", "--schema"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.stderr == ""
