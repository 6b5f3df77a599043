"""A cluster for tests: sbatch, srun, squeue, sacct, scancel, scontrol and sinfo, as Snakemake's executor uses them.

Jobs are run for real, one process tree each. What they ask for is checked as SLURM would: flags that do not exist, partitions that are not
there, GPUs where there are none. Disasters are ordered beforehand, in disasters.json: a list of

    {"rule": "learn", "state": "OUT_OF_MEMORY", "when": [FILE, TEXT], "unless_more": "mem"}

The job is killed as soon as the file holds the text ("when": null, before it does anything), unless it asks for more of it than the first
such job did ("mem", "time"), or runs on another node than the first did ("node"). State HANGS stops it and says nothing, as a node that
hangs. With FAKE_SLURM_AT_ONCE set, jobs are not run: what they would make is touched.
"""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

PARTITIONS = {"cpu": {"gpus": 0, "minutes": 3 * 1440}, "gpu": {"gpus": 2, "minutes": 1440}}
NODE_MB = 192_000
NODES = ("n1", "n2")
TOOLS = ("sbatch", "srun", "squeue", "sacct", "scancel", "scontrol", "sinfo")
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL")
LONGEST_LOOK = 40.0
HANGS = "HANGS"


def install(folder: Path, disasters: list[dict]) -> dict[str, str]:
    """Puts the tools into a folder; returns the environment in which they are found."""
    (folder / "bin").mkdir(parents=True)
    (folder / "jobs").mkdir()
    order(folder, disasters)
    for name in TOOLS:
        tool = folder / "bin" / name
        tool.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-S", "-E", __file__, name])} "$@"\n')
        tool.chmod(0o755)
    return {**os.environ, "FAKE_SLURM": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def order(folder: Path, disasters: list[dict]) -> None:
    """Says which jobs still to come shall be killed."""
    (folder / "disasters.json").write_text(json.dumps(disasters))


def submitted(folder: Path) -> list[dict]:
    """Returns what every job asked for, in the order they came, with its state."""
    jobs = sorted((folder / "jobs").iterdir(), key=lambda job: int(job.name))
    return [json.loads((job / "asked.json").read_text()) | {"id": job.name, "state": (job / "state").read_text()} for job in jobs]


def stop_all(folder: Path) -> None:
    """Ends every job that is left."""
    for job in (folder / "jobs").iterdir():
        if (job / "state").read_text() not in FINAL:
            _end(job, "CANCELLED")


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")


def _here() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def _write(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def _job_flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sbatch", allow_abbrev=False)
    parser.add_argument("--parsable", action="store_true", required=True)
    parser.add_argument("-p", dest="partition", required=True, choices=PARTITIONS)
    parser.add_argument("-t", dest="time", type=int, required=True)
    parser.add_argument("--mem", type=int, required=True)
    parser.add_argument("-D", dest="folder", required=True)
    parser.add_argument("--ntasks", type=int)
    parser.add_argument("--gpus", type=int, default=0)
    for name in ("job-name", "output", "export", "comment", "wrap"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("gres", "exclude"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--cpus-per-task", type=int, default=1)
    parser.add_argument("-A", dest="account", default="")
    return parser


def _gpus(asked: argparse.Namespace) -> int:
    kind, _, count = asked.gres.partition(":")
    if asked.gres and kind != "gpu":
        sys.exit(f"sbatch: error: Invalid generic resource (gres) specification: {asked.gres}")
    return (int(count or 1) if asked.gres else 0) + asked.gpus


def sbatch(words: list[str]) -> None:
    asked = _job_flags().parse_args(words)
    partition, gpus = PARTITIONS[asked.partition], _gpus(asked)
    if gpus > partition["gpus"] or asked.mem > NODE_MB:
        sys.exit("sbatch: error: Batch job submission failed: Requested node configuration is not available")
    if asked.time > partition["minutes"]:
        sys.exit("sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)")
    number = 1
    while True:
        job = _here() / "jobs" / str(number)
        try:
            job.mkdir()
            break
        except FileExistsError:
            number += 1
    rule = asked.comment.removeprefix("rule_").partition("_wildcards_")[0]
    node = next(node for node in NODES if node not in asked.exclude.split(","))
    _write(job / "state", "PENDING")
    _write(job / "asked.json", json.dumps(vars(asked) | {"rule": rule, "n_gpus": gpus, "node": node}))
    if os.environ.get("FAKE_SLURM_AT_ONCE"):
        target, values = re.search(r"--target-jobs '?([a-z]+):?([^' ]*)", asked.wrap).groups()
        chosen = dict(pair.split("=") for pair in values.split(",") if pair)
        marker = ".".join([*([chosen["name"]] if "name" in chosen else []), target, *([chosen["span"]] if "span" in chosen else [])])
        (Path(asked.folder) / "done").mkdir(exist_ok=True)
        (Path(asked.folder) / "done" / marker).touch()
        _write(job / "state", "COMPLETED")
        _say(number)
        return
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "-S", "-E", __file__, "node", str(number)], start_new_session=True, **quiet)
    _say(number)


def node(words: list[str]) -> None:
    """What happens on a node: the job's script runs to its end, or to its disaster."""
    job = _here() / "jobs" / words[0]
    asked = json.loads((job / "asked.json").read_text())
    disaster = _disaster(asked)
    if disaster and disaster["when"] is None:
        _write(job / "state", disaster["state"])
        return
    environment = {**os.environ, "SLURM_JOB_ID": words[0]}
    with open(asked["output"].replace("%j", words[0]), "wb") as output:
        script = subprocess.Popen(["sh", "-c", asked["wrap"]], cwd=asked["folder"], env=environment, stdout=output, stderr=output)
    _write(job / "state", "RUNNING")
    while script.poll() is None:
        if (job / "state").read_text() in FINAL:  # cancelled
            return
        if disaster and _begun(*disaster["when"]):
            if disaster["state"] == HANGS:
                _signal(job, signal.SIGSTOP)
                disaster = None
                continue
            _end(job, disaster["state"])
            return
        time.sleep(0.05)
    if (job / "state").read_text() not in FINAL:
        _write(job / "state", "FAILED" if script.returncode else "COMPLETED")


def _disaster(asked: dict) -> dict | None:
    for disaster in json.loads((_here() / "disasters.json").read_text()):
        if disaster["rule"] == asked["rule"]:
            what, seen = disaster["unless_more"], _here() / f"first-{disaster['rule']}-{disaster['state']}.json"
            if not seen.exists():
                _write(seen, json.dumps(asked[what]))
            first = json.loads(seen.read_text())
            if not (asked[what] != first if what == "node" else asked[what] > first):
                return disaster
    return None


def _begun(path: str, text: str) -> bool:
    try:
        return text in Path(path).read_text()
    except OSError:
        return False


def _end(job: Path, state: str) -> None:
    """Kills all processes of a job, as the node does."""
    _write(job / "state", state)
    _signal(job, signal.SIGKILL)


def _signal(job: Path, number: signal.Signals) -> None:
    mark = f"SLURM_JOB_ID={job.name}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "environ").read_bytes()
            if mark in said and f"FAKE_SLURM={_root(job)}\0".encode() in said:
                os.kill(int(process.name), number)
        except OSError:
            continue


def _root(job: Path) -> Path:
    return job.parent.parent


def srun(words: list[str]) -> None:
    while words and words[0].startswith("-"):
        words.pop(0)
    os.execvp(words[0], words)


def _named(name: str) -> list[Path]:
    found = [job for job in (_here() / "jobs").iterdir() if (job / "asked.json").exists()]
    return [job for job in found if json.loads((job / "asked.json").read_text())["job_name"] == name]


def sacct(words: list[str]) -> None:
    """Looks until a job has ended that it has not told of, not longer than LONGEST_LOOK: else tests would wait for the next look."""
    if "--name" in words:
        end, jobs = time.monotonic() + LONGEST_LOOK, []
        while time.monotonic() < end:
            jobs = _named(words[words.index("--name") + 1])
            news = [job for job in jobs if (job / "state").read_text() in FINAL and not (job / "told").exists()]
            for job in news:
                (job / "told").touch()
            if news:
                break
            time.sleep(0.05)
        for job in jobs:
            _say(f"{job.name}|{(job / 'state').read_text()}")
    elif "nodelist%-256" in words:
        _say(json.loads((_here() / "jobs" / words[words.index("-j") + 1] / "asked.json").read_text())["node"])


def squeue(words: list[str]) -> None:
    for job in _named(words[words.index("--name") + 1]):
        if (job / "state").read_text() not in FINAL:
            _say(job.name)


def scancel(words: list[str]) -> None:
    for number in words:
        job = _here() / "jobs" / number
        if (job / "state").read_text() not in FINAL:
            _end(job, "CANCELLED")


def scontrol(words: list[str]) -> None:
    _say("MaxArraySize = 1001\nMinJobAge = 300 sec")


def sinfo(words: list[str]) -> None:
    _say("PARTITION\ncpu*\ngpu")


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2:])
