"""Which recording is to be run, and where its results go. No Qt."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from barlowtrack.api import Job, prepare
from barlowtrack.check import check
from barlowtrack.config import Config
from barlowtrack.errors import BarlowtrackError
from barlowtrack.findings import Finding
from barlowtrack.pipeline import PlannedStage
from barlowtrack.plugin.roles import KEY
from barlowtrack.readiness import free_bytes


def recordings_of(layers: Iterable[Any]) -> list[Path]:
    """Returns the recordings that layers are of, each once, the newest layer's last."""
    found: dict[Path, None] = {}
    for layer in layers:
        said = layer.metadata.get(KEY)
        if isinstance(said, dict) and said.get("recording"):
            path = Path(said["recording"])
            found.pop(path, None)
            found[path] = None
    return list(found)


def job_of(target: str, out: str, config: Config | None) -> Job:
    """Returns what is to be run.

    Args:
        target: A recording, or a run folder.
        out: Run folder; beside the recording where "".
        config: Settings; None: those that the run folder has, or the defaults.

    Raises:
        BarlowtrackError: no such recording, or a folder that cannot be used.
    """
    where = Path(os.path.expanduser(target.strip()))
    into = Path(os.path.expanduser(out.strip())) if out.strip() else None
    if into is not None and (where / "run.json").exists() and into.resolve() == where.resolve():
        into = None  # the run folder itself, said twice
    return prepare(where, out=into, config=config)


def default_folder(target: str) -> str:
    """Returns where results go if nobody says; "" where there is no such recording."""
    try:
        return str(job_of(target, "", None).folder)
    except BarlowtrackError:
        return ""


def planned(target: str, out: str, config: Config) -> list[PlannedStage]:
    """Says what a run would do; touches nothing.

    Raises:
        BarlowtrackError: it would be refused.
    """
    return job_of(target, out, config).plan()


def looked_at(target: str, out: str, config: Config) -> list[Finding]:
    """Looks at the recording before hours are spent on it; findings, the worst first.

    Raises:
        BarlowtrackError: it cannot be opened.
    """
    job = job_of(target, out, config)
    return check(job.recording(), config=job.config, free_bytes=free_bytes(job.folder))


def arguments(job: Job, settings: Path) -> list[str]:
    """Returns how barlowtrack is called, after the name of Python.

    Args:
        job: What is to be run.
        settings: File of its settings.
    """
    return [
        *("-m", "barlowtrack", "run", str(job.location), "--out", str(job.folder)),
        *("--config", str(settings), "--progress", "json"),
    ]
