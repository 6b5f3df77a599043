"""Has Snakemake do what the list says, one batch of a folder at a time."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from barlowtrack.batch import left_over
from barlowtrack.batch.failing import DONE, LOGS, Failures, why_left_out
from barlowtrack.batch.left_over import SAID
from barlowtrack.errors import InputError, InUseError
from barlowtrack.storage.locks import holder, locked, say_holder

RECIPES = Path(__file__).parent / "pipelines"
WORKFLOW = RECIPES / "recordings.smk"
WORK = "work.json"
_SECONDS = 0.5
_PATIENCE = 30.0

Told = Callable[[str, str, str], None]


@contextmanager
def alone(state: Path) -> Iterator[int]:
    """Keeps a second batch out of the same folder; freed by the system when this process and the engine have ended, however they do.

    Yields:
        The descriptor of the lock, for the engine to hold it, too.

    Raises:
        StorageError: another batch is under way.
    """
    state.mkdir(parents=True, exist_ok=True)
    with locked(state / "lock", f"{state.parent}: another batch is at work here ({{holder}}); wait for it") as descriptor:
        yield descriptor


@contextmanager
def looking(state: Path) -> Iterator[Path]:
    """Gives a place for the list of work to who only asks what would be done: beside a batch that is at work, one that goes away again.

    Yields:
        The folder of the batch, or another one.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(alone(state))
        except InUseError:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield state


def at_work(state: Path) -> str | None:
    """Says who drives a batch of this folder; None where nobody does."""
    return holder(state / "lock")


def find_profile(profile: str | None) -> Path | None:
    """Returns the folder of a profile: one of ours by its name, or any by its path.

    Raises:
        InputError: there is none.
    """
    if profile is None:
        return None
    ours = sorted(child.name for child in (RECIPES / "profiles").iterdir())
    path = RECIPES / "profiles" / profile if profile in ours else Path(profile)  # a folder that is called so: ./slurm
    if not (path / "config.yaml").is_file():
        raise InputError(f"--profile {profile}: expected one of {', '.join(ours)}, or a folder with a config.yaml")
    return path.absolute()


def refuse_without_engine() -> None:
    """Says how to get Snakemake, where it is missing.

    Raises:
        InputError: it is.
    """
    if importlib.util.find_spec("snakemake") is None:
        raise InputError('batch: Snakemake is not installed; pip install "barlowtrack[batch]"')


def run_batch(state: Path, lock: int, *, jobs: int, profile: Path | None = None, told: Told | None = None) -> int:
    """Does what work.json of a folder says, and goes on where a job fails.

    Args:
        state: Holds work.json; logs and what Snakemake remembers go there too.
        lock: What alone() gives.
        jobs: Side by side, where no profile says how many.
        profile: Of Snakemake.
        told: Hears of every job that is done, or has failed: the recording's name, the job's, and why it failed, or nothing.

    Returns:
        0 where all jobs went well.

    Raises:
        KeyboardInterrupt: Ctrl-C, or a plain kill; Snakemake and its jobs were stopped.
    """
    shutil.rmtree(state / DONE, ignore_errors=True)  # what is done is known by the run folders
    shutil.rmtree(state / LOGS, ignore_errors=True)
    command = _command(state, jobs, profile)
    left_over.begin(state, os.getpid())
    with (state / SAID).open("wb") as said, _killed_as_by_hand():
        engine = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[lock])
        try:
            left_over.begin(state, os.getpid(), engine.pid)
            say_holder(lock, f"its Snakemake: process {engine.pid}")
            code = _watched(engine, state, told or _silent)
        except BaseException:
            _stop(engine)
            raise
    if code == 0:  # all jobs were waited for
        left_over.end(state)
    return code


@contextmanager
def _killed_as_by_hand() -> Iterator[None]:
    """Makes a plain kill of this process what Ctrl-C is: the engine is in a session of its own, and would work on."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only that one may listen to signals
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _command(state: Path, jobs: int, profile: Path | None) -> list[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW), "--directory", str(state), "--keep-going", "--nolock"]
    command += ["--rerun-incomplete", "--config", f"work={WORK}"]
    return command + (["--cores", str(jobs)] if profile is None else ["--workflow-profile", str(profile)])


def plan_jobs(state: Path, *, jobs: int, profile: Path | None = None) -> dict[str, int]:
    """Asks Snakemake which jobs it would start for work.json of a folder, of an empty done/; starts none.

    Returns:
        How many jobs of each rule.

    Raises:
        InputError: Snakemake cannot make a plan, as with a profile that it does not understand.
    """
    command = [*_command(state, jobs, profile), "--dry-run", "--quiet", "rules", "--forceall"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        lines = [line.strip() for line in (said.stderr + said.stdout).splitlines() if line.strip()]
        raise InputError(f"Snakemake cannot make a plan: {' '.join(lines[-3:])[:500]}")
    table = (said.stderr + said.stdout).partition("Job stats:")[2]
    return {rule: int(count) for rule, count in re.findall(r"^([a-z]+) +(\d+)$", table, re.MULTILINE) if rule not in ("all", "total")}


def _silent(name: str, job: str, wrong: str) -> None:
    """Nobody listens."""


def _watched(engine: subprocess.Popen[bytes], state: Path, told: Told) -> int:
    seen: set[str] = set()
    done, failures = state / DONE, Failures(state)
    while True:
        try:
            code = engine.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        for marker in sorted({path.name for path in done.glob("*")} - seen, key=lambda name: (done / name).stat().st_mtime):
            seen.add(marker)
            told(*_job(marker), why_left_out(state / LOGS / f"{marker}.log"))
        for job, wrong in failures.new():
            told(*_job(job), wrong)
        if code is not None:
            return code


def _job(marker: str) -> tuple[str, str]:
    """A recording's name may hold points, a job's is the last word, or the last two: "segment.0-400"."""
    if marker == "encoder":
        return "all recordings", marker
    name, _, last = marker.rpartition(".")
    if last[:1].isdecimal():
        name, _, rule = name.rpartition(".")
        return name, f"{rule} {last.replace('-', ':')}"
    return name, last


def _stop(engine: subprocess.Popen[bytes]) -> None:
    """Asks Snakemake and all its jobs to stop, and insists after a while."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(engine.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        engine.wait(_PATIENCE)
    with contextlib.suppress(ProcessLookupError):  # whoever is left of them
        os.killpg(engine.pid, signal.SIGKILL)
    engine.wait()
