"""Which recordings a batch finds, what it writes down, and how it says what came out."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from barlowtrack.batch import Found, Outcome, find_recordings, make_worklist
from barlowtrack.batch.drive import alone, find_profile, looking
from barlowtrack.batch.page import write_page
from barlowtrack.batch.worklist import make_work, spans
from barlowtrack.config import load
from barlowtrack.errors import InputError, StorageError
from barlowtrack.pipeline import STAGES

NAN3 = (float("nan"),) * 3


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_recordings_are_found_and_nothing_else(tmp_path):
    make(tmp_path, "worm10/a.tif", "worm2/b.ome.tiff", "one.tif", "zarrs.zarr/zarr.json", "notes/read.txt", "loose.csv")
    make(tmp_path, "worm2.barlowtrack/run.json", "barlowtrack-batch/x.tif", ".hidden/c.tif", "half.tif.part", "empty.d/.d.tif")
    found = find_recordings(tmp_path)
    assert [one.name for one in found] == ["one", "worm2", "worm10", "zarrs"]
    assert [one.folder.name for one in found] == ["one.barlowtrack", "worm2.barlowtrack", "worm10.barlowtrack", "zarrs.barlowtrack"]
    assert [one.name for one in find_recordings(tmp_path, "worm1*")] == ["worm10"]


def test_recordings_one_level_down_keep_names_of_their_own(tmp_path):
    make(tmp_path, "a b/rec/1.tif", "c/rec/1.tif", "C/rec/1.tif")
    names = [one.name for one in find_recordings(tmp_path, "*/rec")]
    assert names[0] == "a_b-rec"
    assert len({name.casefold() for name in names}) == 3
    with pytest.raises(InputError, match=r"one level down want --pattern '\*/\*'"):
        find_recordings(tmp_path)


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "a/../../*"])
def test_no_pattern_leaves_the_folder(tmp_path, pattern):
    with pytest.raises(InputError, match="expected one that stays in"):
        find_recordings(tmp_path, pattern)


def test_a_folder_that_is_none_says_so(tmp_path):
    with pytest.raises(InputError, match="expected a folder of recordings, got nothing"):
        find_recordings(tmp_path / "no")


@pytest.mark.parametrize(("n", "size"), [(8, 3), (9, 3), (1, 1), (1600, 400), (7, 100)])
def test_spans_cover_every_volume_once(n, size):
    cut = [range(*map(int, text.split("-"))) for text in spans(n, size)] or [range(n)]
    assert [t for span in cut for t in span] == list(range(n))
    assert max(len(span) for span in cut) <= max(size, 1) or not spans(n, size)


def test_the_list_holds_what_is_left_to_do(tiny_worm, tmp_path):
    good = Found("good", tiny_worm / "recording", tmp_path / "good.barlowtrack")
    make(tmp_path, "bad/1.tif", "bad/2.tif")
    bad = Found("bad", tmp_path / "bad", tmp_path / "bad.barlowtrack")
    works = [make_work(one, ("--set", "track.min_probability=0.4")) for one in (good, bad)]
    assert works[0].stages[:2] == ("prepare", "segment")
    assert not works[0].error
    assert not works[1].stages
    assert "bad" in works[1].error
    make_worklist(works, tmp_path / "work.json", settings=("--set", "track.min_probability=0.4"), volumes_a_job=5)
    said = json.loads((tmp_path / "work.json").read_text())
    assert list(said["recordings"]) == ["good"]
    one = said["recordings"]["good"]
    assert one["target"][1:] == ["--out", str(good.folder), "--set", "track.min_probability=0.4"]
    assert one["spans"] == ["0-5", "5-8"]
    assert one["prepares"]  # pieces take no look: the job before them does
    assert one["needs"]["prepare"]["mem_mb"] >= one["needs"]["segment"]["mem_mb"]
    make(good.folder, "keys/segment.json")
    make_worklist(works, tmp_path / "work.json", volumes_a_job=5)
    assert not json.loads((tmp_path / "work.json").read_text())["recordings"]["good"]["prepares"]  # nuclei were found, and no setting asks
    assert all(os.path.isabs(path) for path in one["target"][:1])
    with pytest.raises(InputError, match="expected 1 or more, got 0"):
        make_worklist(works, tmp_path / "work.json", volumes_a_job=0)


def test_pictures_are_prepared_before_pieces_where_the_settings_ask_for_it(tiny_worm, tmp_path):
    work = make_work(Found("good", tiny_worm / "recording", tmp_path / "good.barlowtrack"), ("--set", "prepare.hot_pixels=true"))
    assert work.needs["prepare"].minutes >= 15
    for volumes_a_job, prepares in ((5, True), (None, False)):  # in one piece, the first job does it
        make_worklist([work], tmp_path / "work.json", volumes_a_job=volumes_a_job)
        assert json.loads((tmp_path / "work.json").read_text())["recordings"]["good"]["prepares"] is prepares


def test_longer_recordings_want_more_time_and_no_more_memory_for_volumes():
    from barlowtrack.batch.jobs import RULES, needs_of

    def needs(n, settings=()):
        return needs_of(SimpleNamespace(shape=(n, 2, 24, 256, 512)), load(None, settings))

    short, long = needs(400), needs(6400)
    assert sorted(stage for stages in RULES.values() for stage in stages) == sorted(stage.name for stage in STAGES)
    for rule in short:
        assert long[rule].minutes >= short[rule].minutes
    assert long["segment"].minutes > 10 * short["segment"].minutes
    assert long["segment"].mem_mb == short["segment"].mem_mb
    assert long["finish"].mem_mb > short["finish"].mem_mb
    assert needs(400, ["train.mode=scratch"])["learn"].minutes > 3 * short["learn"].minutes


def test_two_batches_of_one_folder_keep_each_other_out(tmp_path):
    with alone(tmp_path / "state"), pytest.raises(StorageError, match="another batch is at work"), alone(tmp_path / "state"):
        pass
    with alone(tmp_path / "state"):
        pass


def test_profiles_are_found_by_name_and_by_path(tmp_path, monkeypatch):
    assert find_profile(None) is None
    (tmp_path / "slurm").mkdir()
    monkeypatch.chdir(tmp_path)  # where a folder of results has the name of a profile
    assert (find_profile("slurm") / "config.yaml").is_file()
    (tmp_path / "config.yaml").write_text("jobs: 1\n")
    assert find_profile(str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match="expected one of slurm, workstation, or a folder"):
        find_profile("slrum")


def test_names_are_escaped_and_the_worst_come_first(tmp_path):
    found = [Found(name, tmp_path / name, tmp_path / f"{name}.barlowtrack") for name in ("<b>", "fine", "bad", "doubt'ful")]
    came = [
        Outcome(found[0], "done", "", 8, 20, 0.9, (0.01, 0.0, 0.02), 7.0),
        Outcome(found[1], "done", "", 8, 20, 0.9, (0.03, 0.0, 0.05), 7.0),
        Outcome(found[2], "failed", "volume 3: <script>", 8, 0, float("nan"), NAN3, 0.0),
        Outcome(found[3], "done", "", 8, 20, 0.9, (0.3, 0.1, 0.5), 7.0),
    ]
    page = write_page(came, tmp_path / "barlowtrack-batch", "2026 <season>")
    assert "<script>" not in page
    assert "<b>" not in page
    order = [page.index(text) for text in ("volume 3", "doubt&#x27;ful", "fine", "&lt;b&gt;</a>")]
    assert order == sorted(order)
    assert 'href="../%3Cb%3E.barlowtrack/report.html"' in page
    assert str(tmp_path) not in page
    assert "<td>failed</td>" in page  # why it failed has a line of its own, and leaves the columns their room
    assert "white-space: nowrap" in page


def test_recordings_that_would_share_a_run_folder_are_refused_before_work_begins(tmp_path):
    make(tmp_path, "day1/a.tif", "day1.tif")
    with pytest.raises(InputError, match=r"day1 and day1\.tif would share the run folder day1\.barlowtrack"):
        find_recordings(tmp_path)


def test_who_only_asks_gets_a_place_of_their_own_beside_a_batch_that_is_at_work(tmp_path):
    with looking(tmp_path / "state") as place:
        assert place == tmp_path / "state"
    with alone(tmp_path / "state"), looking(tmp_path / "state") as place:
        assert place.is_dir()
        assert place != tmp_path / "state"
    assert not place.exists()


def test_the_engine_keeps_the_lock_when_its_controller_is_gone(tmp_path):
    import subprocess

    with alone(tmp_path / "state") as lock:
        engine = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
    try:
        with pytest.raises(StorageError, match="another batch is at work"), alone(tmp_path / "state"):
            pass
    finally:
        engine.kill()
        engine.wait()
    with alone(tmp_path / "state"):
        pass


def test_jobs_end_with_the_engine(tmp_path):
    import subprocess
    import time

    from barlowtrack.batch.drive import _stop

    engine = subprocess.Popen(["bash", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"], start_new_session=True)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.01)
    job = int((tmp_path / "pid").read_text())
    _stop(engine)
    time.sleep(0.1)
    stat = Path(f"/proc/{job}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


def test_the_reason_is_that_of_the_recording_and_not_of_one_that_is_called_alike(tmp_path):
    from barlowtrack.batch.failing import last_words

    make(tmp_path, "logs/w.1.learn.log", "logs/w.segment.0-4.log")
    (tmp_path / "logs" / "w.1.learn.log").write_text("barlowtrack: not this one\n")
    (tmp_path / "logs" / "w.segment.0-4.log").write_text("noise\nbarlowtrack: volume 2 is damaged\n")
    assert last_words(tmp_path / "logs", "w") == "volume 2 is damaged"
    assert last_words(tmp_path / "logs", "w.1") == "not this one"
    assert last_words(tmp_path / "logs", "v") == ""


def test_what_the_cluster_stopped_is_told_as_the_cluster_says_it(tmp_path):
    from barlowtrack.batch.failing import last_words

    make(tmp_path, "logs/w.learn.log", "logs/v.learn.log")
    said = "  message: SLURM-job '7' failed, SLURM status is: 'OUT_OF_MEMORY'. Reason: none.\n  log: logs/w.learn.log, /x/7.log (check)\n"
    (tmp_path / "snakemake.log").write_text(said)
    assert last_words(tmp_path / "logs", "w") == "stopped by the cluster: out of memory (see logs/w.learn.log, and snakemake.log)"
    assert "without a word" in last_words(tmp_path / "logs", "v")


def test_a_profile_can_be_had_to_change_a_copy():
    from click.testing import CliRunner

    from barlowtrack.cli.main import cli

    said = CliRunner().invoke(cli, ["batch", "--show-profile", "slurm"])
    assert said.exit_code == 0
    assert said.output == (find_profile("slurm") / "config.yaml").read_text()
