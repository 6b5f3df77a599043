"""status and status --watch: what a run says of itself while it is at work, and afterwards."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

import barlowtrack as bt
from barlowtrack.cli.main import cli
from barlowtrack.pipeline import STAGES, Listener
from barlowtrack.storage import RunFolder
from tests import nursery

NAMES = [stage.name for stage in STAGES]


@pytest.fixture
def again(tiny_run, tmp_path):
    """A run folder that may be changed."""
    import shutil

    return shutil.copytree(tiny_run.path, tmp_path / "run.barlowtrack")


def status(*arguments):
    result = CliRunner().invoke(cli, ["status", *map(str, arguments)], standalone_mode=False)
    assert result.exception is None, result.exception
    return [click.unstyle(line) for line in result.output.splitlines()]


def test_status_says_time_and_memory_of_what_is_done(again):
    lines = status(again)
    assert [line.split()[:2] for line in lines] == [[name, "cached"] for name in NAMES]
    assert all(line.endswith(" MB") and " s, " in line for line in lines)


def test_status_says_why_a_stage_stopped(again):
    (again / "keys" / "trace.json").unlink()

    class Stop(Listener):
        def started(self, item):
            raise OSError(28, "No space left on device", "traces.parquet")

    with pytest.raises(bt.BarlowtrackError):
        bt.prepare(again).run(only="trace", listener=Stop())
    line = next(line for line in status(again) if line.startswith("trace"))
    assert "missing" in line
    assert "traces.parquet: the disk is full" in line


def _hold(path, ready, release):
    """A stage that is at work, as another process sees it: the folder is locked, and events come."""
    folder = RunFolder(path)
    key = folder.record("measure").key
    (path / "keys" / "measure.json").unlink()
    with folder.lock(), folder.journal.at_work("measure", key) as part:
        follow = part.follow(lambda *_: None)
        for done in (2, 4):
            follow(done, 8)
            part.note()
            time.sleep(0.05)
        ready.write_text("")
        while not release.exists():
            time.sleep(0.02)
        part.steps = (8, 8)
        part.note()


def test_watching_tells_every_change_and_ends_with_the_run(again, tmp_path):
    ready, release = tmp_path / "ready", tmp_path / "release"
    at_work = nursery.born(_hold, again, ready, release)
    end = time.monotonic() + 60
    while not ready.exists() and time.monotonic() < end:
        time.sleep(0.02)
    command = [sys.executable, "-m", "barlowtrack", "status", again, "--watch", "--every", "0.1"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    first = [watching.stdout.readline() for _ in range(len(NAMES) + 1)]
    assert f"process {at_work.pid} on " in first[0]
    measure = next(line for line in first if line.startswith("measure"))
    assert "at work" in measure
    assert "4 of 8" in measure
    assert "a second" in measure
    assert " left" in measure
    release.write_text("")
    rest, _ = watching.communicate(timeout=60)
    at_work.join()
    assert watching.returncode == 0
    assert "nobody is at work" in rest
    assert not any(line.startswith("segment") for line in rest.splitlines())  # it did not change


def test_a_run_that_is_just_being_started_is_waited_for(again, tmp_path, monkeypatch):
    import threading

    from barlowtrack.cli import watching

    monkeypatch.setattr(watching, "EVERY_WAITING_S", 0.1)
    (again / "keys" / "report.json").unlink()
    looks = watching._looks(bt.prepare(again), 0.1)
    assert "nobody is at work yet; waiting 15 s for a run to begin" in next(looks)[0]
    with RunFolder(again).lock():
        assert f"process {os.getpid()} on" in next(look for look in looks if "nobody" not in look[0])[0]
    assert [look[0] for look in looks] == [f"{again}: nobody is at work"]

    held, free = threading.Event(), threading.Event()

    def hold():
        with RunFolder(again).lock():
            held.set()
            free.wait(60)

    at_work = threading.Thread(target=hold)
    at_work.start()
    held.wait(60)
    threading.Timer(0.5, free.set).start()
    waited = CliRunner().invoke(cli, ["run", str(again), "--to", "crop", "--wait", "1"], standalone_mode=False)  # as a job of a batch does
    at_work.join()
    assert waited.exception is None
    assert f"waiting: {again}: in use by process {os.getpid()}" in waited.output


def test_watching_stops_by_hand_without_a_word(again, tmp_path):
    release = tmp_path / "release"
    at_work = nursery.born(_hold, again, tmp_path / "ready", release)
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    program = "import sys\nfrom barlowtrack.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", program, "status", str(again), "--watch"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=60)
    release.write_text("")
    at_work.join()
    assert (watching.returncode, said) == (130, "")


def test_in_a_terminal_the_view_is_drawn_anew(again, tmp_path):
    release = tmp_path / "release"
    at_work = nursery.born(_hold, again, tmp_path / "ready", release)
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    screen, terminal = os.openpty()
    command = [sys.executable, "-m", "barlowtrack", "status", again, "--watch", "--every", "0.1"]
    watching = subprocess.Popen(command, stdout=terminal, env={**os.environ, "COLUMNS": "60"})
    os.close(terminal)
    anew = f"\x1b[{len(NAMES) + 1}A\x1b[J"  # a line a stage, and one that says who is at work
    shown, end = b"", time.monotonic() + 60
    try:
        while shown.count(anew.encode()) < 2 and time.monotonic() < end:
            shown += os.read(screen, 4096)
        release.write_text("")
        with contextlib.suppress(OSError):  # how a terminal ends whose last writer is gone
            while more := os.read(screen, 4096):
                shown += more
        watching.wait(60)
    finally:
        release.write_text("")
        watching.kill()
        watching.wait()
        at_work.join()
    assert watching.returncode == 0
    assert shown.count(anew.encode()) >= 2
    assert all(len(click.unstyle(line)) < 80 for line in shown.decode().replace(anew, "").splitlines())


def test_a_part_that_was_killed_is_not_at_work(again):
    folder = RunFolder(again)
    line = {"time": 1.0, "stage": "measure", "event": "start", "part": "dead", "pid": 2**22 + 1, "host": os.uname().nodename}
    (again / "keys" / "measure.json").unlink()
    with folder.lock(), (again / "events.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        assert not any("at work" in line for line in status(again))
