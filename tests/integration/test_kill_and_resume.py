"""A run killed anywhere, and run again, leaves the same bytes as one that nobody disturbed."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from barlowtrack.stages.report.costs import without_costs
from tests.conftest import FAST

ARGUMENTS = [text for override in FAST for text in ("--set", override)]
KILLS = 9


def start(recording: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "barlowtrack", "run", str(recording), "--out", str(out), "--quiet", *ARGUMENTS]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finish(recording: Path, out: Path) -> None:
    process = start(recording, out)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()


def fingerprints(folder: Path) -> dict[str, str]:
    """Hash of every file that a run leaves; the events, the lock and what the run cost tell of the machine, not of the recording."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("events.jsonl", "lock")]
    return {str(path.relative_to(folder)): hashlib.sha256(_lasting(path)).hexdigest() for path in files}


def _lasting(path: Path) -> bytes:
    if path.name == "report.html":
        html = path.read_text(encoding="utf-8")
        assert "Time and memory</h2>" in html
        assert "Time and memory</h2>" not in without_costs(html)
        return without_costs(html).encode()
    if path.name == "report.json":  # its key holds, but not the size and the digest of a page that says what it cost
        record = json.loads(path.read_bytes())
        del record["artefacts"], record["digests"]
        return json.dumps(record, sort_keys=True).encode()
    return path.read_bytes()


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(tiny_worm, tmp_path):
    recording = tiny_worm / "recording"
    undisturbed, disturbed = tmp_path / "a" / "run.barlowtrack", tmp_path / "b" / "run.barlowtrack"
    undisturbed.parent.mkdir()
    disturbed.parent.mkdir()
    began = time.monotonic()
    finish(recording, undisturbed)
    length = time.monotonic() - began

    chance, killed = random.Random(7), 0
    while killed < KILLS:
        process = start(recording, disturbed)
        time.sleep(chance.uniform(0.2, 1.0) * length * 0.8)
        if process.poll() is not None:
            process.communicate()
            _spoil(disturbed, chance)  # it came through: take a stage away, so that there is something to kill again
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed += 1
    finish(recording, disturbed)
    assert fingerprints(disturbed) == fingerprints(undisturbed)


def _spoil(folder: Path, chance: random.Random) -> None:
    keys = sorted((folder / "keys").glob("*.json"))
    for key in keys[chance.randrange(len(keys)) :]:
        key.unlink()


def test_two_runs_with_one_seed_give_the_same_bytes(tiny_run, tiny_worm, tmp_path):
    import barlowtrack as bt

    again = bt.run(tiny_worm / "recording", tmp_path / "again.barlowtrack", overrides=[*FAST, "compute.workers=1"])
    ours, theirs = fingerprints(tiny_run.path), fingerprints(again.path)
    for name in ("settings.toml", "run.json"):  # workers differ, and so does the way to the recording
        ours.pop(name), theirs.pop(name)
    assert ours == theirs
