"""How a batch went: a row a recording, read from the run folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from barlowtrack.api import Run
from barlowtrack.batch.failing import LOGS, last_words
from barlowtrack.batch.found import Found
from barlowtrack.batch.worklist import Work, make_work
from barlowtrack.errors import BarlowtrackError

State = Literal["done", "failed", "not done"]
LONGEST = 300


@dataclass(frozen=True)
class Outcome:
    """One recording after a batch.

    Attributes:
        found: The recording.
        state: done: its results are up to date; failed: a job, or it cannot be worked on; not done: nobody came to it.
        reason: Why, in one line; empty where it is done.
        volumes: Of the recording.
        neurons: That were found; 0 where it is not done.
        coverage: Share of the volumes in which a neuron is seen, on average; NaN where it is not done.
        error: Expected share of wrong identities, with its bounds: (share, low, high); NaN likewise.
        seconds: That the stages took, all jobs added up.
        encoder: Which one it was embedded with; empty where it is not done.
    """

    found: Found
    state: State
    reason: str
    volumes: int
    neurons: int
    coverage: float
    error: tuple[float, float, float]
    seconds: float
    encoder: str = ""


def outcomes(works: Sequence[Work], state: Path, settings: Sequence[str] = ()) -> list[Outcome]:
    """Returns how it went with every recording of a batch.

    Args:
        works: As they were when it began.
        state: Folder of the batch.
        settings: Options of the CLI that held for all.
    """
    return [_outcome(work if work.error else make_work(work.found, settings), work, state) for work in works]


def _outcome(now: Work, before: Work, state: Path) -> Outcome:
    nothing = (float("nan"),) * 3
    if now.error or now.stages:
        reason = last_words(state / LOGS, now.found.name)
        if not reason and now.error and not before.error:  # it could be opened: what is missing now is the encoder that all were to take
            reason = last_words(state / LOGS, "", "encoder")
        reason = reason or now.error
        failed = bool(reason)
        reason = reason or f"left to do: {', '.join(now.stages)}"
        return Outcome(
            now.found, "failed" if failed else "not done", reason[:LONGEST], before.n_volumes, 0, float("nan"), nothing, _seconds(now.found)
        )
    try:
        run = Run(now.found.folder)
        tracks, detections = run.tracks, run.detections
        known = tracks.neuron >= 0
        neurons = len(np.unique(tracks.neuron[known]))
        coverage = float(known.sum() / max(neurons * detections.n_volumes, 1)) if neurons else float("nan")
        error = run.error
        share = (error.share, error.low, error.high) if neurons else nothing
        used = _encoder(run)
        return Outcome(now.found, "done", "", detections.n_volumes, neurons, coverage, share, _seconds(now.found), used)
    except BarlowtrackError as problem:
        return Outcome(now.found, "failed", str(problem)[:LONGEST], before.n_volumes, 0, float("nan"), nothing, _seconds(now.found))


def _encoder(run: Run) -> str:
    record = run.folder.record("train")
    used = record.settings["train"] if record else {}
    mode, start = used.get("mode"), Path(used.get("start") or "that of barlowtrack").name
    return {"zero-shot": start, "fine-tune": f"its own, from {start}", "scratch": "its own"}.get(str(mode), "")


def _seconds(found: Found) -> float:
    try:
        return sum(cost.seconds for cost in Run(found.folder).folder.costs().values())
    except BarlowtrackError:
        return 0.0
