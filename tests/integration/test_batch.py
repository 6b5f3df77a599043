"""A folder of recordings through Snakemake, for real, with one encoder for all: one that is damaged, and a controller that is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from barlowtrack.api import prepare
from barlowtrack.batch import find_recordings, run_batch
from barlowtrack.batch.drive import alone
from barlowtrack.batch.failing import last_words
from barlowtrack.batch.found import STATE
from barlowtrack.batch.together import plan_together
from barlowtrack.cli.main import cli
from barlowtrack.errors import InputError, InUseError
from tests.conftest import FAST

pytest.importorskip("snakemake", reason="the extra batch is not installed")


def stand_in(state, script, encoder=None, **recordings):
    """Writes a list of work whose jobs are a line of the shell instead of verbs; Snakemake and the workflow are the real ones."""
    needs = {rule: {"mem_mb": 100, "minutes": 15} for rule in ("prepare", "segment", "learn", "embed", "identify", "measure", "finish")}
    every = {"taking": [], "spans": [], "prepares": False, "needs": needs}
    said = {name: {**every, "target": [name], **more} for name, more in recordings.items()}
    work = {"folder": str(state.parent), "command": ["sh", "-c", script, "job"], "least_minutes": 15, "waiting": [], "encoder": encoder}
    state.mkdir(exist_ok=True)
    (state / "work.json").write_text(json.dumps({**work, "recordings": said}))


def test_a_failure_is_told_at_once_and_a_plain_kill_stops_snakemake_and_its_jobs(tmp_path):
    state = tmp_path / "state"
    script = 'if [ "$2" = bad ]; then echo barlowtrack: volume 3 is damaged; exit 2; fi; echo $$ > pid; exec sleep 60'
    stand_in(state, script, bad={"left": ["report"]}, long={"left": ["report"]})
    program = "from barlowtrack.batch.drive import *\nimport pathlib\nstate = pathlib.Path(sys.argv[1])\n"
    program += "with alone(state) as lock: run_batch(state, lock, jobs=2, told=lambda *said: print(said, flush=True))"
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    batch = subprocess.Popen([sys.executable, "-c", program, str(state)], **quiet)
    assert batch.stdout.readline() == "('bad', 'finish', 'volume 3 is damaged')\n"  # the other one is at work yet
    with pytest.raises(InUseError, match=rf"process {batch.pid} on .*; its Snakemake: process \d+"), alone(state):
        pass
    end = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < end:
        time.sleep(0.02)
    batch.terminate()
    batch.communicate(timeout=60)
    assert batch.returncode not in (0, -signal.SIGTERM)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    with alone(state):
        pass


def test_what_the_look_refuses_fails_alone_before_its_pieces(tmp_path):
    state = tmp_path / "state"
    script = 'echo "$@" >> asked; case "$*" in "run bad "*) echo barlowtrack: not ready to run; exit 2;; esac'
    cut = {"spans": ["0-4", "4-8"], "prepares": True, "left": ["segment", "crop", "train", "embed", "measure", "report"]}
    encoder = {"line": ["train-encoder"], "from": ["bad", "good"], "needs": {"mem_mb": 100, "minutes": 15}}
    stand_in(state, script, encoder, bad=cut, good=cut)
    told = []
    with alone(state) as lock:
        assert run_batch(state, lock, jobs=2, told=lambda *said: told.append(said)) != 0
    asked = [line.split()[:2] for line in (tmp_path / "asked").read_text().splitlines()]
    assert ["segment", "good"] in asked
    assert ["segment", "bad"] not in asked
    assert ["train-encoder", "--quiet"] in asked  # of those that are left
    assert ("good", "finish", "") in told
    assert ("bad", "prepare", "not ready to run") in told
    assert last_words(state / "logs", "bad") == "not ready to run"


@pytest.mark.slow
def test_a_batch_that_is_killed_goes_on_and_one_damaged_recording_keeps_no_other(tiny_worm, tmp_path):
    season = tmp_path / "a season"
    shutil.copytree(tiny_worm / "recording", season / "worm 1")
    shutil.copytree(tiny_worm / "recording", season / "damaged")
    file = sorted((season / "damaged").iterdir())[4]
    file.write_bytes(file.read_bytes()[:3000])
    settings = [part for text in [*FAST, "segment.method=log"] for part in ("--set", text)]
    words = ["batch", str(season), "--one-encoder", "all", *settings]

    command = [sys.executable, "-m", "barlowtrack", *words]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 120
    while not (season / "barlowtrack-batch" / "done" / "encoder").exists():
        assert time.monotonic() < end
        assert first.poll() is None
        time.sleep(0.05)
    engines = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout.split("\n")[1:]
    children = [int(line.split()[0]) for line in engines if line.split() and int(line.split()[1]) == first.pid]
    os.kill(first.pid, signal.SIGKILL)
    for engine in children:
        os.killpg(engine, signal.SIGKILL)  # Snakemake, and the job that it was at
    first.wait()

    encoder = season / "barlowtrack-batch" / "encoder.safetensors"
    made = encoder.stat().st_mtime_ns
    said = CliRunner().invoke(cli, words)
    assert encoder.stat().st_mtime_ns == made  # the same recordings as before: nothing to train
    assert isinstance(said.exception, InputError), said.output
    assert "1 of 2 recordings are not done" in str(said.exception)
    table = said.output[said.output.index("recording ") :].splitlines()
    rows = {line.split()[0]: line for line in table[1:3]}
    assert rows["worm_1"].split()[1] == "done"
    assert rows["damaged"].split()[1] == "failed"
    assert "volume 4" in rows["damaged"]
    assert "encoder.safetensors" in rows["worm_1"]
    assert "trained on worm 1." in said.output
    assert "Left out, for they have no crops: damaged." in said.output
    assert (season / "worm 1.barlowtrack" / "settings.toml").read_text().count(str(encoder)) == 1
    page = (season / "barlowtrack-batch" / "batch.html").read_text()
    assert 'href="../worm%201.barlowtrack/report.html"' in page
    assert "Left out, for they have no crops: damaged." in page
    assert all(item.state == "cached" for item in prepare(season / "worm 1").plan())

    together, works = plan_together("all", find_recordings(season), season / STATE, settings)
    assert together.current  # nothing is expected of what was left out and has not changed
    assert [bool(work.stages) for work in works] == [True, False]
    shutil.rmtree(season / "damaged")
    again = CliRunner().invoke(cli, words)
    assert again.exit_code == 0, again.output
    assert "one encoder for all, on worm_1: done already" in again.output
    assert "worm_1: done already" in again.output
