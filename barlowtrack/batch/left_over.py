"""What a batch that was killed left on a cluster; cancelled only where it is surely of this folder, and its batch surely over.

Snakemake's log says under which name ("run ID") all jobs of a batch are on the cluster. The log travels with a copy of the folder, so
beside it stands whose it is: the folder's path and inode, which no copy has both, the machine, the user, and the processes. Names of jobs
are kept until it is known that the jobs are gone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from barlowtrack.errors import StorageError
from barlowtrack.storage.atomic import write_bytes

SAID, RECORD = "snakemake.log", "cluster.json"
_SECONDS = 0.5
_PATIENCE = 30.0
_MOST = 100


@dataclass(frozen=True)
class Batch:
    """Who drove a batch, and from where.

    Attributes:
        folder: Path of the batch's folder, links followed.
        inode: Of that folder.
        host: Machine.
        user: Number of the user.
        processes: Of the batch, and when each began, in ticks since the machine did.
        runs: Names on the cluster of batches before, whose jobs may be there yet.
        gone: Names of which it is known that no job is left.
    """

    folder: str
    inode: int
    host: str
    user: int
    processes: dict[str, str] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @classmethod
    def here(cls, state: Path, *pids: int) -> Batch:
        """Returns a batch of this folder, machine and user, driven by these processes."""
        processes = {str(pid): _began(pid) for pid in pids}
        return cls(str(state.resolve()), state.stat().st_ino, socket.gethostname(), os.getuid(), processes)


def begin(state: Path, *pids: int) -> None:
    """Notes who drives a batch, before Snakemake's log is written anew, and again once Snakemake runs."""
    _write(state, replace(Batch.here(state, *pids), runs=tuple(_left(state)), gone=_gone(state)))


def end(state: Path) -> None:
    """Notes that no job is left of the batches up to now."""
    _write(state, replace(Batch.here(state), gone=(*_gone(state), *_left(state))[-_MOST:]))


def stop_left_over(state: Path) -> list[str]:
    """Cancels what a batch that was killed left on a cluster: its jobs would keep the run folders from those to come. What they made stays.

    Returns:
        The numbers of the jobs.

    Raises:
        StorageError: the cluster cannot be asked, jobs may be somebody else's, or they do not end.
    """
    runs = _left(state)
    if not runs:
        return []
    before, now = _read(state), Batch.here(state)
    if before is not None and before.folder != now.folder and before.inode != now.inode:
        end(state)  # a copy of a folder: jobs work where it was copied from, and are none of ours
        return []
    left = _queued(runs, state)
    if left:
        why = _unsure(before, now)
        if why:
            raise StorageError(
                f"{state.parent}: jobs {', '.join(left)} of a batch before are on the cluster, and {why}. Nothing was cancelled."
                f" If that batch is over, and was of this folder, cancel them yourself (scancel {' '.join(left)}), and start again"
            )
        _cancel(left, runs, state)
    end(state)
    return left


def _cancel(left: Sequence[str], runs: Sequence[str], state: Path) -> None:
    if shutil.which("scancel") is not None:
        subprocess.run(["scancel", *left], check=False, capture_output=True, timeout=_PATIENCE)
    end = time.monotonic() + _PATIENCE
    while _queued(runs, state):
        if time.monotonic() > end:
            raise StorageError(f"{state.parent}: jobs {', '.join(left)} of the batch before do not end; see squeue, scancel")
        time.sleep(_SECONDS)


def _unsure(before: Batch | None, now: Batch) -> str:
    """Returns why jobs may be those of others; nothing where they are those of a batch of this folder that is over."""
    if before is None:
        return f"nothing says of which folder they are (there is no {RECORD})"
    if (before.folder, before.inode) != (now.folder, now.inode):
        return f"it was begun in {before.folder}, which this folder may be a copy of, or have replaced"
    if before.host != now.host:
        return f"it was begun on {before.host}: whether it is over can be seen only there"
    if before.user != now.user:
        return f"it was begun by another user (number {before.user})"
    alive = [pid for pid, began in before.processes.items() if _began(int(pid)) == began != ""]
    return f"it is at work yet (process {', '.join(alive)})" if alive else ""


def _left(state: Path) -> list[str]:
    """Returns the names on the cluster of all batches of which it is not known that no job is left."""
    before = _read(state)
    try:
        said = (state / SAID).read_text(encoding="utf-8", errors="replace")
    except OSError:
        said = ""
    found = [*(before.runs if before else ()), *re.findall(r"^SLURM run ID: (\S+)$", said, re.MULTILINE)]
    return [run for run in dict.fromkeys(found) if before is None or run not in before.gone]


def _gone(state: Path) -> tuple[str, ...]:
    before = _read(state)
    return before.gone if before else ()


def _queued(runs: Sequence[str], state: Path) -> list[str]:
    """Returns the jobs on the cluster that have one of these names."""
    jobs = []
    for run in runs:
        command = ["squeue", "--noheader", "--name", run, "--format", "%i"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
            wrong = " ".join(told.stderr.split())[:200] if told.returncode else None
        except FileNotFoundError:
            wrong = "there is no squeue here"
        except subprocess.TimeoutExpired:
            wrong = f"squeue said nothing for {_PATIENCE:.0f} s"
        if wrong is not None:
            raise StorageError(
                f"{state.parent}: the cluster cannot be asked whether jobs of the batch before ({run}) are left:"
                f" {wrong or 'squeue failed'}. Start again where it can be asked; if surely none is left,"
                f" delete {state / RECORD} and {state / SAID}"
            )
        jobs += told.stdout.split()
    return jobs


def _began(pid: int) -> str:
    """Returns when a process of this machine began; nothing where there is none, or it is over and nobody has asked how it ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else rest[18]
    except (OSError, IndexError, ValueError):
        return ""


def _read(state: Path) -> Batch | None:
    try:
        said = json.loads((state / RECORD).read_bytes())
        return Batch(**{**said, "runs": tuple(said["runs"]), "gone": tuple(said["gone"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(state: Path, batch: Batch) -> None:
    write_bytes(state / RECORD, (json.dumps(asdict(batch), indent=1) + "\n").encode())
