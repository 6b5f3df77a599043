"""The run folder: results arrive whole or not at all, under a key, and only one process writes."""

import itertools
import json
import multiprocessing
import os

import pytest

from barlowtrack.data import StageCost
from barlowtrack.errors import StorageError
from barlowtrack.storage import RunFolder, StageRecord
from barlowtrack.storage.atomic import write_bytes


def record(key="k1", digests=None, **artefacts):
    return StageRecord("track", key, 1, 0, {"track": {"position": True}}, {}, {"detections": "d1"}, artefacts, digests or {})


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "worm.barlowtrack", create=True)
    made.describe(tmp_path / "worm", {"content": "c1"}, "seed = 0\n")
    return made


def publish(folder, key, content):
    partial = folder.half_made.of_stage("track", key)
    (partial / "tracks.parquet").write_bytes(content)
    (partial / "labels.zarr").mkdir(exist_ok=True)
    (partial / "labels.zarr" / key).write_bytes(content)
    folder.publish(record(key, **{"tracks.parquet": len(content), "labels.zarr": len(content)}))


def test_what_is_published_is_there_with_its_record(folder):
    publish(folder, "k1", b"one")
    assert (folder.path / "tracks.parquet").read_bytes() == b"one"
    kept = folder.record("track")
    assert kept == record("k1", **{"tracks.parquet": 3, "labels.zarr": 3}, digests=kept.digests)
    assert set(kept.digests) == {"tracks.parquet", "labels.zarr"}
    assert not list((folder.path / "partial").iterdir())


def test_publishing_again_replaces_files_and_folders(folder):
    publish(folder, "k1", b"one")
    publish(folder, "k2", b"two")
    assert (folder.path / "tracks.parquet").read_bytes() == b"two"
    assert [path.name for path in (folder.path / "labels.zarr").iterdir()] == ["k2"]


class Killed(BaseException):
    pass


STEPS = ("rename", "replace", "unlink", "fsync", "rmdir")


def die_at(monkeypatch, step):
    """Lets the step-th call that changes the disk raise instead, as a kill would end it."""
    taken = 0

    def maybe_die(original):
        def call(*arguments, **options):
            nonlocal taken
            taken += 1
            if taken == step:
                raise Killed
            return original(*arguments, **options)

        return call

    for name in STEPS:
        monkeypatch.setattr(os, name, maybe_die(getattr(os, name)))


def killed_publishings(tmp_path, monkeypatch):
    """Yields a folder that was killed at the first step of publishing k2 over k1, one killed at the second, and so on."""
    for step in itertools.count(1):
        folder = RunFolder(tmp_path / f"{step}.barlowtrack", create=True)
        publish(folder, "k1", b"one")
        with monkeypatch.context() as patch:
            die_at(patch, step)
            try:
                publish(folder, "k2", b"two")
                return
            except Killed:
                pass
        yield step, folder


def test_a_kill_at_any_step_of_publishing_leaves_the_old_or_the_new(tmp_path, monkeypatch):
    for step, folder in killed_publishings(tmp_path, monkeypatch):
        with folder.lock():
            found = folder.record("track")
        assert found is not None, step
        assert not folder.damage(found), step
        content = b"one" if found.key == "k1" else b"two"
        assert (folder.path / "tracks.parquet").read_bytes() == content, step
        assert [path.name for path in (folder.path / "labels.zarr").iterdir()] == [found.key], step
        publish(folder, "k2", b"two")
        assert folder.record("track").key == "k2", step
    assert step > 15


def test_no_key_ever_vouches_for_other_files(tmp_path, monkeypatch):
    """Somebody may look, without a lock, between a kill and the next run: what is said to be there must be it."""
    for step, folder in killed_publishings(tmp_path, monkeypatch):
        found = folder.record("track")
        if found is not None and not folder.damage(found):
            assert (folder.path / "tracks.parquet").read_bytes() == {"k1": b"one", "k2": b"two"}[found.key], step
            assert [path.name for path in (folder.path / "labels.zarr").iterdir()] == [found.key], step
    assert step > 15


def test_half_made_work_of_other_settings_is_not_continued(folder):
    write_bytes(folder.half_made.of_stage("track", "k1") / "done", b"7")
    assert folder.half_made.done("track", "k1") == 7
    assert folder.half_made.done("track", "k2") is None
    assert not (folder.half_made.of_stage("track", "k2") / "done").exists()


def test_half_made_work_of_the_same_settings_is(folder):
    write_bytes(folder.half_made.of_stage("track", "k1") / "done", b"7")
    assert (folder.half_made.of_stage("track", "k1") / "done").read_bytes() == b"7"


def test_damage_is_noticed(folder):
    publish(folder, "k1", b"one")
    (folder.path / "tracks.parquet").write_bytes(b"on")
    assert folder.damage(folder.record("track")) == ["tracks.parquet has 2 bytes instead of 3"]
    (folder.path / "tracks.parquet").unlink()
    assert folder.damage(folder.record("track")) == ["tracks.parquet is gone"]


def test_the_same_size_with_other_bytes_is_noticed_where_it_is_read(folder):
    publish(folder, "k1", b"one")
    found = folder.record("track")
    folder.verify(found, "tracks.parquet")
    (folder.path / "tracks.parquet").write_bytes(b"two")
    with pytest.raises(StorageError, match="changed since 'track' made it"):
        folder.verify(found, "tracks.parquet")
    (folder.path / "labels.zarr" / "k1").rename(folder.path / "labels.zarr" / "k2")
    with pytest.raises(StorageError, match="changed since"):
        folder.verify(found, "labels.zarr")


def test_a_lost_chunk_is_damage(folder):
    publish(folder, "k1", b"one")
    (folder.path / "labels.zarr" / "k1").unlink()
    assert folder.damage(folder.record("track")) == ["labels.zarr has 0 bytes instead of 3"]


@pytest.mark.parametrize("name", ["run.json", "keys", "settings.toml"])
def test_a_record_names_artefacts_only(name):
    content = json.loads(record().to_bytes()) | {"artefacts": {name: 0}}
    with pytest.raises(ValueError, match="artefacts"):
        StageRecord.from_bytes(json.dumps(content).encode())


@pytest.mark.parametrize("content", ["", "{", "null", "[" * 100_000, '{"stage": "track"}'])
def test_a_damaged_list_of_what_is_complete_is_not_trusted(folder, content):
    publish(folder, "k1", b"one")
    partial = folder.half_made.of_stage("track", "k2")
    (partial / "tracks.parquet").write_bytes(b"two")
    (partial / "complete.json").write_text(content)
    with folder.lock():
        pass
    assert (folder.path / "tracks.parquet").read_bytes() == b"one"
    assert not list((folder.path / "partial").iterdir())


def test_a_run_killed_before_its_run_json_begins_again(tmp_path):
    left = tmp_path / "worm.barlowtrack"
    left.mkdir()
    for name in ("lock", "settings.toml", ".run.json.tmp"):
        (left / name).write_text("")
    RunFolder(left, create=True)
    (left / "thesis.doc").write_text("years of work")
    with pytest.raises(StorageError, match="not a run folder"):
        RunFolder(left, create=True)


DAMAGED = ["", "null", "[1]", "{}", '{"format": 1}', '{"format": 1, "recording": 3, "card": {}}', "[" * 100_000]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_run_json_is_one_line_that_says_what_to_do(folder, content):
    (folder.path / "run.json").write_text(content)
    with pytest.raises(StorageError, match="delete it, and run the recording again"):
        folder.about()


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, '{"stage": "track"}'])
def test_a_damaged_key_counts_as_none(folder, content):
    publish(folder, "k1", b"one")
    (folder.path / "keys" / "track.json").write_text(content)
    assert folder.record("track") is None


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/b", "..", ""])
def test_no_name_in_a_record_leads_out_of_the_folder(name):
    content = json.loads(record().to_bytes())
    content["artefacts"] = {name: 0}
    with pytest.raises(ValueError, match="plain file name"):
        StageRecord.from_bytes(json.dumps(content).encode())


def _hold(path, ready, release):
    with RunFolder(path).lock():
        ready.set()
        release.wait(30)


def test_a_second_process_is_told_who_is_at_work(folder):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(folder.path, ready, release))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(StorageError, match=rf"in use by process {holder.pid} on .*, since 20\d\d-"), folder.lock():
            pass
    finally:
        release.set()
        holder.join()
    with folder.lock():
        pass


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(StorageError, match="not a run folder"):
        RunFolder(tmp_path, create=True)
    with pytest.raises(StorageError, match="not a run folder"):
        RunFolder(tmp_path)
    with pytest.raises(StorageError, match="no such run folder"):
        RunFolder(tmp_path / "nowhere")


def test_a_folder_of_a_newer_format_is_refused(folder):
    (folder.path / "run.json").write_text('{"format": 99}')
    with pytest.raises(StorageError, match="format 99"):
        folder.about()


def test_costs_are_those_of_the_last_time_a_stage_ended(folder):
    say = folder.journal.say
    assert folder.costs() == {}
    say("segment", "start")
    say("segment", "finish", seconds=3.0, peak_mb=100)
    say("track", "finish", seconds=1.0, peak_mb=120)
    say("segment", "finish", seconds=5.5, peak_mb=90)
    say("track", "start")  # killed since
    with (folder.path / "events.jsonl").open("a") as file:
        file.write('[1]\n{"event": "finish", "stage": "crop"}\n\n{"event": "fin')  # a machine that crashed
    assert folder.costs() == {"segment": StageCost("segment", 5.5, 90.0), "track": StageCost("track", 1.0, 120.0)}


def test_a_line_that_was_cut_off_spoils_no_other(folder):
    with (folder.path / "events.jsonl").open("w") as file:
        file.write('{"time": 1.0, "stage": "segment", "event": "fini')
    folder.journal.say("track", "finish", seconds=1.0, peak_mb=120)
    assert [said["stage"] for said in folder.journal.events()] == ["track"]


def test_what_was_done_before_a_kill_counts(folder):
    say = folder.journal.say
    for part, seconds, peak_mb in (("a", 10.0, 300), ("b", 20.0, 500)):
        say("embed", "start", key="k1", part=part)
        say("embed", "progress", key="k1", part=part, seconds=seconds / 2, peak_mb=100)
        say("embed", "progress", key="k1", part=part, seconds=seconds, peak_mb=peak_mb)
    say("embed", "progress", key="other settings", part="c", seconds=1000.0, peak_mb=9000)
    say("embed", "start", key="k1", part="d")  # killed before it said anything
    say("embed", "finish", key="k1", part="e", seconds=5.0, peak_mb=400)
    assert folder.costs()["embed"] == StageCost("embed", 35.0, 500.0, parts=4)


def test_a_stage_that_was_killed_once_it_was_done_has_its_cost(folder):
    folder.journal.say("track", "progress", key="k1", part="a", seconds=7.0, peak_mb=200)
    assert folder.costs() == {}
    publish(folder, "k1", b"one")
    assert folder.costs()["track"] == StageCost("track", 7.0, 200.0)


def test_events_that_cannot_be_written_lose_no_result(folder, caplog):
    (folder.path / "events.jsonl").mkdir()
    with folder.journal.at_work("track", "k1"):
        publish(folder, "k1", b"one")
    assert folder.record("track").key == "k1"
    assert "the run goes on without" in caplog.text


def _say_many(path, name):
    for number in range(200):
        RunFolder(path).journal.say(name, "progress", text="x" * 500, number=number)


def test_events_of_several_processes_do_not_mix(folder):
    from tests.nursery import born

    at_work = [born(_say_many, folder.path, name) for name in ("a", "b", "c")]
    for process in at_work:
        process.join()
    said = list(folder.journal.events())
    assert len(said) == len((folder.path / "events.jsonl").read_text().splitlines()) == 600
    assert all([one["number"] for one in said if one["stage"] == name] == list(range(200)) for name in ("a", "b", "c"))


def test_a_place_for_results_that_is_no_folder_is_refused_in_words(tmp_path):
    from barlowtrack.storage.outputs import refuse_file_name

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "worm").touch()
    for name, kind in (("pipe", "a pipe"), ("worm", "a file")):
        with pytest.raises(StorageError, match=f"{name}: --out is a folder, and {kind}"):
            refuse_file_name(tmp_path / name)
    refuse_file_name(tmp_path / "none")
    refuse_file_name(tmp_path)
