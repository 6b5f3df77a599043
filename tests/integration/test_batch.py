"""A folder of recordings through Snakemake, for real, with one encoder for all: one that is damaged, and a controller that is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from barlowtrack.api import prepare
from barlowtrack.batch import find_recordings
from barlowtrack.batch.found import STATE
from barlowtrack.batch.together import plan_together
from barlowtrack.cli.main import cli
from barlowtrack.errors import InputError
from tests.conftest import FAST

pytest.importorskip("snakemake", reason="the extra batch is not installed")


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
