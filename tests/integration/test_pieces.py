"""Pieces of a stage, made by jobs of their own, put together to the bytes of one run."""

import json
import signal
import subprocess
import sys
import time

import pytest

import barlowtrack as bt
from barlowtrack.errors import InputError, StorageError
from tests.conftest import FAST
from tests.integration.test_kill_and_resume import ARGUMENTS, same_as

BEFORE = {"segment": None, "embed": "train", "measure": "identify"}


def job(recording, out, *more):
    return bt.prepare(recording, out=out, overrides=[*FAST, *more])


def test_pieces_in_any_order_give_the_bytes_of_one_run(tiny_worm, tiny_run, tmp_path):
    made = job(tiny_worm / "recording", tmp_path / "pieces.barlowtrack")
    for stage, before in BEFORE.items():
        if before is not None:
            made.run(upto=before)
        for volumes in (range(5, 8), range(1, 4), range(2, 5)):  # overlapping, and volume 0 is left to whoever puts them together
            made.run_piece(stage, volumes)
        made.run(upto=stage)
    made.run()
    assert same_as(tiny_run, made.folder) == set()
    events = [json.loads(line) for line in (made.folder / "events.jsonl").read_text().splitlines()]
    said = [event for event in events if event["stage"] == "segment" and event["event"] != "progress"]
    assert [event["event"] for event in said] == ["start", "piece"] * 3 + ["start", "finish"]
    assert [event["volumes"] for event in said if event["event"] == "piece"] == [[5, 8], [1, 4], [2, 5]]
    from barlowtrack.storage import RunFolder

    cost = RunFolder(made.folder).costs()["segment"]
    assert cost.seconds == pytest.approx(sum(event["seconds"] for event in said if event["event"] != "start"))
    assert (cost.parts, cost.peak_mb) == (4, max(event["peak_mb"] for event in said if event["event"] != "start"))


def test_volumes_of_pieces_are_not_made_again(tiny_worm, tmp_path, monkeypatch):
    from barlowtrack.data import Recording

    made = job(tiny_worm / "recording", tmp_path / "pieces.barlowtrack", "segment.method=log")
    made.run_piece("segment", range(6))
    read, seen = Recording.read, []
    monkeypatch.setattr(Recording, "read", lambda self, t: seen.append(t) or read(self, t))
    made.run(upto="segment")
    assert sorted(seen) == [6, 7]
    assert not list((made.folder / "partial").iterdir())


def test_jobs_side_by_side_of_which_one_is_killed(tiny_worm, tiny_run, tmp_path):
    recording, out = tiny_worm / "recording", tmp_path / "run.barlowtrack"

    def start(volumes):
        command = [sys.executable, "-m", "barlowtrack", "segment", str(recording), "--out", str(out), "--volumes", volumes, "--quiet"]
        return subprocess.Popen([*command, *ARGUMENTS], stderr=subprocess.PIPE, text=True)

    jobs = [start("0:4"), start("4:8")]
    done = out / "partial" / "segment.4-8" / "done"
    end = time.monotonic() + 60
    while not done.exists() and time.monotonic() < end:
        time.sleep(0.01)
    jobs[1].send_signal(signal.SIGKILL)
    said = [one.communicate()[1] for one in jobs]
    assert jobs[0].returncode == 0, said[0]
    bt.run(recording, out, overrides=FAST, check=False)
    assert same_as(tiny_run, out) == set()


def test_pieces_of_other_settings_do_not_count(tiny_worm, tmp_path):
    out = tmp_path / "run.barlowtrack"
    job(tiny_worm / "recording", out, "segment.method=log").run_piece("segment", range(8))
    other = job(tiny_worm / "recording", out, "segment.method=log", "segment.min_volume_um3=2.0")
    other.run(upto="segment")
    alone = job(tiny_worm / "recording", tmp_path / "alone.barlowtrack", "segment.method=log", "segment.min_volume_um3=2.0")
    alone.run(upto="segment")
    assert same_as(_run(alone.folder), out) == set()


def _run(folder):
    from barlowtrack.api import Run

    return Run(folder)


def test_who_has_the_folder_alone_and_who_makes_a_piece_keep_each_other_out(tiny_worm, tmp_path):
    from barlowtrack.storage import RunFolder

    made = job(tiny_worm / "recording", tmp_path / "run.barlowtrack", "segment.method=log")
    made.run_piece("segment", range(2))
    folder = RunFolder(made.folder)
    with folder.lock(), pytest.raises(StorageError, match="in use by process"):
        made.run_piece("segment", range(2, 4))
    key = folder.record("segment")
    assert key is None
    with folder.share():
        with pytest.raises(StorageError, match="in use by jobs that make pieces"):
            made.run(upto="segment")
        name = next((folder.path / "partial").glob("segment.0-2"))
        with folder.half_made.piece("segment", (name / "key").read_text(), range(2)):
            with pytest.raises(StorageError, match=r"volumes 0:2 of segment are made by process .* already"):
                made.run_piece("segment", range(2))
            made.run_piece("segment", range(2, 4))


def test_what_cannot_be_made_in_pieces_says_so(tiny_worm, tmp_path):
    made = job(tiny_worm / "recording", tmp_path / "run.barlowtrack")
    with pytest.raises(InputError, match="made of the whole recording; stages that can be made in pieces: segment, embed, measure"):
        made.run_piece("track", range(4))
    with pytest.raises(InputError, match="segment: volumes: expected some of 0:8, got 4:9"):
        made.run_piece("segment", range(4, 9))
    with pytest.raises(StorageError, match="embed needs detections"):
        made.run_piece("embed", range(4))


@pytest.mark.parametrize("stage", ["prepare", "crop", "identify"])
def test_volumes_of_a_stage_without_pieces_are_refused_in_a_line(stage, tiny_worm, tmp_path, call):
    out = tmp_path / "run.barlowtrack"
    code, _, err = call(stage, tiny_worm / "recording", "--out", out, "--volumes", "0:4")
    assert (code, len(err.splitlines())) == (2, 1)
    assert f"{stage}: --volumes: is made of the whole recording" in err
    assert "segment, embed, measure" in err
    assert not out.exists()


def test_the_first_piece_takes_the_look_of_a_run_and_none_goes_beyond_the_end(tiny_worm, tmp_path, call):
    out = tmp_path / "run.barlowtrack"
    given = ("segment", tiny_worm / "recording", "--out", out, "--set", "segment.method=log", "--volumes")
    code, _, err = call(*given, "0:4", "--set", "recording.voxel_size_um=[4,2.5,2.5]")
    assert code == 2
    assert "not ready to run: voxels of 4 x 2.5 x 2.5 um" in err
    code, _, err = call(*given, "7:12")
    assert (code, err) == (2, "barlowtrack: segment: volumes: expected some of 0:8, got 7:12\n")
    assert not out.exists()


def test_a_damaged_piece_is_made_again(tiny_worm, tmp_path):
    made = job(tiny_worm / "recording", tmp_path / "run.barlowtrack", "segment.method=log")
    made.run_piece("segment", range(4))
    (made.folder / "partial" / "segment.0-4" / "tables" / "00000002.parquet").write_bytes(b"")
    made.run(upto="segment")
    alone = job(tiny_worm / "recording", tmp_path / "alone.barlowtrack", "segment.method=log")
    alone.run(upto="segment")
    assert same_as(_run(alone.folder), made.folder) == set()


def test_embeddings_that_were_lost_are_made_again(tiny_worm, tiny_run, tmp_path):
    import shutil

    folder = shutil.copytree(tiny_run.path, tmp_path / "run.barlowtrack")
    (folder / "keys" / "embed.json").unlink()
    (folder / "embeddings.npy").unlink()
    made = job(tiny_worm / "recording", folder)
    made.run_piece("embed", range(4))
    planned = {item.stage.name: item for item in made.plan()}
    assert planned["embed"].reasons == ("never run", "4 volumes made in pieces")
    (folder / "partial" / "embed.0-4" / "embeddings.npy").unlink()
    made.run(only="embed")
    assert (folder / "embeddings.npy").read_bytes() == (tiny_run.path / "embeddings.npy").read_bytes()


def test_the_settings_of_the_last_piece_are_those_of_the_folder(tiny_worm, tmp_path, caplog):
    out = tmp_path / "run.barlowtrack"
    job(tiny_worm / "recording", out, "segment.method=log").run_piece("segment", range(4))
    job(tiny_worm / "recording", out, "segment.method=log", "segment.min_volume_um3=2.0").run_piece("segment", range(4, 8))
    again = bt.prepare(out)
    assert again.config.segment.min_volume_um3 == 2.0
    again.run(upto="segment")
    assert "made under other settings; discarded" in caplog.text
