"""The profile for SLURM, with Snakemake and its executor for real, on a cluster that is not one: see tests/fake_slurm.py."""

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
from barlowtrack.batch import find_recordings, make_worklist
from barlowtrack.batch.drive import WORK, alone, find_profile, plan_jobs, run_batch
from barlowtrack.batch.found import STATE
from barlowtrack.batch.worklist import make_work
from barlowtrack.cli.main import cli
from tests import fake_slurm
from tests.conftest import FAST

pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra batch is not installed")


@pytest.fixture
def season(tiny_worm, tmp_path):
    folder = tmp_path / "a season"
    shutil.copytree(tiny_worm / "recording", folder / "worm 1")
    return folder


@pytest.fixture
def profile(tmp_path):
    """The profile as it comes, but for looking at jobs more often."""
    folder = tmp_path / "profile"
    shutil.copytree(find_profile("slurm"), folder)
    with (folder / "config.yaml").open("a") as file:
        file.write("slurm-init-seconds-before-status-checks: 1\nseconds-between-status-checks: 1\n")
    return folder


def test_every_job_asks_the_cluster_for_what_it_wants(season, profile, tmp_path, monkeypatch):
    cluster = tmp_path / "cluster"
    for name, value in fake_slurm.install(cluster, []).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAKE_SLURM_AT_ONCE", "1")
    works = [make_work(one, ("--set", "prepare.hot_pixels=true")) for one in find_recordings(season)]
    state = season / STATE
    with alone(state) as lock:
        encoder = {"line": ["train-encoder", "a.barlowtrack"], "from": ["worm_1"], "needs": {"mem_mb": 3210, "minutes": 45}}
        make_worklist(works, state / WORK, volumes_a_job=4, encoder=encoder)
        assert run_batch(state, lock, jobs=1, profile=profile) == 0, (state / "snakemake.log").read_text()
    asked = fake_slurm.submitted(cluster)
    rules = ["prepare"] + ["segment"] * 2 + ["crops", "encoder", "learn"] + ["embed"] * 2 + ["identify"] + ["measure"] * 2 + ["finish"]
    assert [job["rule"] for job in asked] == rules
    needs = json.loads((state / WORK).read_text())["recordings"]["worm_1"]["needs"]
    needs |= {"crops": needs["segment"], "encoder": encoder["needs"]}
    for job in asked:
        on_gpu = job["rule"] in ("segment", "crops", "encoder", "learn", "embed")
        assert (job["partition"], job["n_gpus"]) == (("gpu", 1) if on_gpu else ("cpu", 0)), job
        assert job["cpus_per_task"] == 4
        assert job["mem"] == needs[job["rule"]]["mem_mb"]
        assert job["time"] >= 15
        assert sys.executable in job["wrap"]  # a node finds the Python that has barlowtrack
        assert job["output"].startswith(str(state / ".snakemake" / "slurm_logs"))


def test_a_dry_run_says_which_jobs_there_would_be_and_refuses_a_profile_that_is_none(season, profile):
    works = [make_work(one) for one in find_recordings(season)]
    state = season / STATE
    state.mkdir()
    make_worklist(works, state / WORK, volumes_a_job=5)
    pieces = {"embed": 2, "measure": 2, "segment": 2}
    assert plan_jobs(state, jobs=1, profile=profile) == {"finish": 1, "identify": 1, "learn": 1, "prepare": 1, **pieces}
    assert plan_jobs(state, jobs=1, profile=find_profile("workstation"))["learn"] == 1
    (profile / "config.yaml").write_text("jobs: many\n")
    with pytest.raises(Exception, match="Snakemake cannot make a plan"):
        plan_jobs(state, jobs=1, profile=profile)


@pytest.mark.slow
def test_jobs_that_the_cluster_kills_are_repeated_and_a_killed_batch_goes_on(season, profile, tmp_path, monkeypatch):
    logs, cluster = season / STATE / "logs", tmp_path / "cluster"
    began = [str(logs / "worm_1.learn.log"), ""]
    for name, value in fake_slurm.install(cluster, [{"rule": "learn", "state": "HANGS", "when": began, "unless_more": "mem"}]).items():
        monkeypatch.setenv(name, value)
    settings = [part for text in [*FAST, "segment.method=log"] for part in ("--set", text)]
    words = ["batch", str(season), "--profile", str(profile), *settings]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        first = subprocess.Popen([sys.executable, "-m", "barlowtrack", *words], start_new_session=True, **quiet)
        end = time.monotonic() + 120
        while not (logs / "worm_1.learn.log").exists():
            assert time.monotonic() < end
            assert first.poll() is None
            time.sleep(0.05)
        kill_with_engine(first)
        fake_slurm.order(
            cluster,
            [
                {"rule": "learn", "state": "OUT_OF_MEMORY", "when": None, "unless_more": "mem"},
                {"rule": "finish", "state": "NODE_FAIL", "when": None, "unless_more": "node"},
            ],
        )
        said = CliRunner().invoke(cli, words)
    finally:
        fake_slurm.stop_all(cluster)
    assert said.exit_code == 0, (said.output, str(said.exception))
    assert "cancelled what a batch that was killed left on the cluster: jobs 1" in said.output
    asked = fake_slurm.submitted(cluster)
    assert [(job["rule"], job["state"]) for job in asked] == [
        ("learn", "CANCELLED"),
        ("learn", "OUT_OF_MEMORY"),
        ("learn", "COMPLETED"),
        ("finish", "NODE_FAIL"),
        ("finish", "COMPLETED"),
    ]
    assert [(job["mem"] / asked[0]["mem"], job["time"] / asked[0]["time"]) for job in asked[:3]] == [(1, 1), (1, 1), (2, 2)]
    assert asked[3]["node"] != asked[4]["node"]
    assert all(item.state == "cached" for item in prepare(season / "worm 1").plan())


def kill_with_engine(batch):
    """Kills a batch and its Snakemake at one blow, as when the login node goes down; jobs on the cluster live."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout.split("\n")[1:]
    engines = [int(line.split()[0]) for line in listed if line.split() and int(line.split()[1]) == batch.pid]
    os.kill(batch.pid, signal.SIGKILL)
    for engine in engines:
        os.killpg(engine, signal.SIGKILL)
    batch.wait()
