"""What is left to do, as Snakemake reads it: pipelines/recordings.smk does what this list says and knows nothing else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from barlowtrack.api import prepare
from barlowtrack.batch.found import Found
from barlowtrack.batch.jobs import LEAST_MINUTES, Needs, needs_of
from barlowtrack.errors import BarlowtrackError, InputError
from barlowtrack.one_encoder import Box
from barlowtrack.storage.atomic import write_bytes

FORMAT = 1
WAIT_MINUTES = 60
"""So long a job waits for whoever is at work in its run folder: one of a batch that was killed, or a person."""


@dataclass(frozen=True)
class Work:
    """What a batch has to do for one recording.

    Attributes:
        found: The recording.
        stages: What is not done yet, in order; empty: nothing.
        n_volumes: Of the recording; 0 where it could not be opened.
        needs: What the jobs of each rule want of a machine.
        error: Why it cannot be worked on; empty where it can.
        crops: Key that its crops will have, or have; empty where it could not be opened.
        box: Voxels of its crops, and their size in um; None likewise.
    """

    found: Found
    stages: tuple[str, ...]
    n_volumes: int
    needs: Mapping[str, Needs]
    error: str = ""
    crops: str = ""
    box: Box | None = None


def make_work(found: Found, settings: Sequence[str] = ()) -> Work:
    """Looks what is left to do for a recording; one that cannot be used is told, not raised: the others go on.

    Args:
        found: The recording.
        settings: Options of the CLI that hold for all, such as ("--set", "seed=1").
    """
    try:
        config, overrides = given(settings)
        job = prepare(found.path, out=found.folder, config=config, overrides=overrides)
        recording = job.recording()
        planned = job.plan()
        stages = tuple(item.stage.name for item in planned if item.state != "cached")
        crops = next(item.record.key for item in planned if item.stage.name == "crop")
        box = (job.config.crop.grid, job.config.crop.size_um)
        return Work(found, stages, recording.n_volumes, needs_of(recording, job.config), crops=crops, box=box)
    except BarlowtrackError as error:
        return Work(found, (), 0, {}, str(error))


def make_worklist(
    works: Sequence[Work],
    path: Path,
    *,
    settings: Sequence[str] = (),
    volumes_a_job: int | None = None,
    taking: Sequence[str] = (),
    encoder: Mapping[str, Any] | None = None,
) -> None:
    """Writes down what is to be done.

    Args:
        works: Recordings; those that are done, or cannot be worked on, are left out.
        path: Of the list, JSON.
        settings: Options of the CLI that hold for all.
        volumes_a_job: Stages that work volume by volume are cut into jobs of so many; None: one job each.
        taking: Further options for all, that make them take one encoder.
        encoder: What is to be done for that one before; None: nothing.

    Raises:
        InputError: a job of no volumes.
    """
    if volumes_a_job is not None and volumes_a_job < 1:
        raise InputError(f"--volumes-a-job: expected 1 or more, got {volumes_a_job}")
    recordings = {}
    for work in works:
        if work.stages:
            cut = spans(work.n_volumes, volumes_a_job)
            needs = {**work.needs, "prepare": _needs_first(work)} if cut else work.needs
            recordings[work.found.name] = {
                "target": [str(work.found.path.absolute()), "--out", str(work.found.folder.absolute()), *settings],
                "taking": list(taking),
                "left": list(work.stages),
                "spans": cut,
                "prepares": bool(cut) and (_wants_look(work) or ("prepare" in work.stages and "prepare" in work.needs)),
                "needs": {rule: asdict(wanted) for rule, wanted in needs.items()},
            }
    # from here settings name files, not from where Snakemake works
    command = [sys.executable, "-m", "barlowtrack"]
    said = {
        "format": FORMAT,
        "folder": os.getcwd(),
        "command": command,
        "least_minutes": LEAST_MINUTES,
        "waiting": ["--wait", str(WAIT_MINUTES)],
        "encoder": encoder,
        "recordings": recordings,
    }
    write_bytes(path, (json.dumps(said, indent=1) + "\n").encode())


def _wants_look(work: Work) -> bool:
    """Whether a run would look at the recording before it begins: pieces do not, so a job of its own does."""
    return "segment" in work.stages and not (work.found.folder / "keys" / "segment.json").exists()


def _needs_first(work: Work) -> Needs:
    """Returns what the job before all pieces wants: it looks for nuclei in a few volumes, and prepares the pictures where settings ask."""
    looks, prepares = work.needs["segment"].mem_mb, work.needs.get("prepare", Needs(0, LEAST_MINUTES))
    return Needs(max(looks, prepares.mem_mb), prepares.minutes)


def spans(n_volumes: int, volumes_a_job: int | None) -> list[str]:
    """Returns the volumes of each job as FROM-TO, TO not included; none where one job does them all."""
    if volumes_a_job is None or n_volumes <= volumes_a_job:
        return []
    return [f"{first}-{min(first + volumes_a_job, n_volumes)}" for first in range(0, n_volumes, volumes_a_job)]


def given(settings: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Returns what --config and --set say."""
    config, overrides = None, []
    for option, value in zip(settings[::2], settings[1::2], strict=True):
        if option == "--config":
            config = Path(value)
        else:
            overrides.append(value)
    return config, overrides
