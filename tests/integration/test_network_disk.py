"""A disk behind a network: no locks, slow files, files that are gone for a moment. The C library's calls are made to fail for real."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

import barlowtrack as bt
from barlowtrack.errors import InUseError
from barlowtrack.storage import RunFolder
from tests.conftest import FAST
from tests.integration.test_kill_and_resume import ARGUMENTS, fingerprints

HOLD = "import sys, time; from pathlib import Path; from barlowtrack.storage import RunFolder; folder = RunFolder(Path(sys.argv[1]))\n"
ALONE = HOLD + "with folder.lock():\n print('holds', flush=True); time.sleep(60)"
SHARED = HOLD + "with folder.share():\n print('holds', flush=True); time.sleep(60)"
TRY = HOLD + "try:\n with folder.{how}(): print('got it')\nexcept Exception as error: print(error)"


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "worm.barlowtrack", create=True)
    made.describe(tmp_path / "worm", {"content": "c1"}, "seed = 0\n")
    return made


@pytest.fixture
def start(network, folder):
    """Starts a process that holds the folder, and waits until it does."""
    begun = []

    def hold(program):
        begun.append(subprocess.Popen([sys.executable, "-c", program, folder.path], env=network, stdout=subprocess.PIPE, text=True))
        assert begun[-1].stdout.readline() == "holds\n"
        return begun[-1]

    yield hold
    for process in begun:
        process.kill()
        process.communicate()


def said(network, folder, how):
    done = subprocess.run([sys.executable, "-c", TRY.format(how=how), folder.path], env=network, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def test_without_locks_the_second_says_who_is_there_and_takes_over_from_the_dead(network, folder, start):
    first = start(ALONE)
    for how in ("lock", "share"):
        assert f"in use by process {first.pid} on {socket.gethostname()}, since 20" in said(network, folder, how)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert list(folder.path.glob("lock.alone-*"))
    assert said(network, folder, "lock") == "got it"
    assert not list(folder.path.glob("lock.*"))


def test_without_locks_pieces_go_side_by_side_and_nobody_gets_the_folder_alone(network, folder, start):
    pieces = [start(SHARED), start(SHARED)]
    assert "in use by process" in said(network, folder, "lock")
    for piece in pieces:
        piece.send_signal(signal.SIGKILL)
        piece.wait()
    assert said(network, folder, "lock") == "got it"


def test_who_was_there_from_another_machine_is_asked_about(network, folder):
    held = folder.path / "lock.alone"
    held.write_text('{"pid": 7, "host": "node12", "since": "2026-01-02 03:04", "began": "1"}')
    text = said(network, folder, "lock")
    assert "in use by process 7 on node12, since 2026-01-02 03:04; wait for it" in text
    assert text.endswith(f"if it is surely not at work any more, delete {held}")
    held.unlink()
    assert said(network, folder, "lock") == "got it"


PLACES = """
import sys
from pathlib import Path
from barlowtrack import one_encoder
from barlowtrack.batch import drive
from barlowtrack.cli import segmentation_training
from barlowtrack.errors import StorageError

for n, alone in enumerate((drive.alone, one_encoder._alone, segmentation_training._alone)):
    place = Path(sys.argv[1]) / f"{n} {{worm}} {{}}"
    with alone(place):
        try:
            with alone(place):
                print("two of them")
        except StorageError as error:
            print(error)
    with alone(place):
        print("free again")
"""


def test_without_locks_there_is_one_batch_and_one_training_at_a_place(network, tmp_path):
    done = subprocess.run([sys.executable, "-c", PLACES, tmp_path], env=network, capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert [said[n] for n in (1, 3, 5)] == ["free again"] * 3, done.stderr
    for line, (n, what) in zip(said[::2], ((None, "batch"), (1, "training"), (2, "training")), strict=True):
        place = tmp_path if n is None else tmp_path / f"{n} {{worm}} {{}}"
        assert f"another {what} is at work here (process" in line, line
        assert line.startswith(str(place))


def test_a_run_on_such_a_disk_leaves_the_same_bytes(network, tiny_worm, tiny_run, tmp_path):
    out = tmp_path / "run.barlowtrack"
    command = [sys.executable, "-m", "barlowtrack", "run", tiny_worm / "recording", "--to", "segment", "--out", out, "--quiet", *ARGUMENTS]
    lost = sorted(path.name for path in (tiny_worm / "recording").iterdir())[3]
    slow = {"SLOW": str(tiny_worm), "SLOW_MS": "20", "STALE": lost, "LINKS": "no"}
    done = subprocess.run(command, env=network | slow, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Stale file handle; trying again in 0.5 s" in done.stderr
    ours, theirs = fingerprints(tiny_run.path), fingerprints(out)
    made = {name for name in ours if name.startswith(("labels.zarr", "detections", "volumes", "keys/segment"))}
    assert len(made) > 10
    assert all(ours[name] == theirs[name] for name in made)


class Away:
    """A disk that takes its time, and is away at some reads."""

    def __init__(self, source, pause_s=0.0, fails=()):
        self.source, self.pause_s, self.fails = source, pause_s, list(fails)

    def read(self, t):
        time.sleep(self.pause_s)
        if self.fails:
            raise OSError(self.fails.pop(), os.strerror(116), f"{t}.tif")
        return self.source.read(t)


def test_a_volume_that_is_away_for_a_moment_is_asked_for_again(tiny_worm, monkeypatch, caplog):
    from barlowtrack.io import patience

    monkeypatch.setattr(patience, "PAUSES_S", (0.01, 0.01))
    recording = bt.open_recording(tiny_worm / "recording")
    source = Away(recording.source, fails=[116, 5])
    volume = patience.PatientSource(source).read(2)
    assert (volume == recording.read(2)).all()
    assert caplog.text.count("trying again in 0.01 s") == 2
    with pytest.raises(OSError, match="Stale"):
        patience.PatientSource(Away(recording.source, fails=[116] * 3)).read(2)
    gone = Away(recording.source, fails=[2])
    with pytest.raises(FileNotFoundError):  # which no waiting brings back
        patience.PatientSource(gone).read(2)
    assert caplog.text.count("trying again") == 4


def test_slow_reading_goes_on_beside_the_work(tiny_worm):
    from barlowtrack.config import load
    from barlowtrack.stages.segment import segment

    config = load(None, [*FAST, "segment.method=log"])
    recording, pause_s = bt.open_recording(tiny_worm / "recording"), 0.2

    def took(source):
        began = time.monotonic()
        parts = segment(replace(recording, source=source), None, config=config.segment, compute=config.compute)
        found = [len(part.detections) for part in parts]
        return time.monotonic() - began, found

    took(recording.source)
    fast, found = took(recording.source)
    slow, again = took(Away(recording.source, pause_s))
    assert again == found
    assert slow - fast < 0.8 * 8 * pause_s


def test_a_second_run_in_another_process_is_refused_with_its_exit_code(tiny_worm, folder):
    with folder.lock():
        command = [sys.executable, "-m", "barlowtrack", "run", tiny_worm / "recording", "--out", folder.path, "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"in use by process {os.getpid()} on {socket.gethostname()}, since 20" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_looking_who_is_at_work_keeps_nobody_out(folder):
    for _ in range(50):
        assert folder.worker is None
        with folder.lock():
            assert folder.worker is not None
            with pytest.raises(InUseError), RunFolder(folder.path).share():
                pass
