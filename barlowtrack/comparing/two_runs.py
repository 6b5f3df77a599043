"""From two run folders to their comparison."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from barlowtrack.api import Run, prepare
from barlowtrack.comparing.compared import Comparison, compare_sides
from barlowtrack.comparing.side import Making, Side
from barlowtrack.config import PrepareConfig
from barlowtrack.data import Detections, Swaps, Traces
from barlowtrack.errors import InputError, StorageError
from barlowtrack.pipeline import AMENDMENTS, GIVEN, PREPARATION, STAGES, UNAMENDED, edition, stage_named
from barlowtrack.storage import ARTEFACTS, StageRecord

COMPARED = tuple(stage.name for stage in STAGES if stage.name not in ("amend", "report"))
"""Stages whose settings are compared: those of the report change no result, and what people edited is among the corrections of `track`."""


def compare(a: Run | Path | str, b: Run | Path | str) -> Comparison:
    """Compares two runs of one recording: settings, neurons, identities, traces.

    Args:
        a: A run folder, or a recording that has one.
        b: Another of the same recording.

    Returns:
        What differs; `.html()` and `.write("compare.html")` make a page of it.

    Raises:
        StorageError: no run folder, no tracks, or tracks that are older than their detections.
        InputError: runs of two recordings.
    """
    runs = [run if isinstance(run, Run) else Run(prepare(run).folder) for run in (a, b)]
    records = [_records(run) for run in runs]
    contents = [record["segment"].recording.get("content") for record in records]
    if contents[0] != contents[1]:
        raise InputError(f"compare: {runs[0].path} and {runs[1].path} are runs of two recordings; expected two runs of one")
    sides = [_open(run, record, name) for run, record, name in zip(runs, records, _names(runs[0].path, runs[1].path), strict=True)]
    sizes = [np.array(record["segment"].recording["voxel_size_um"], np.float64) for record in records]
    if records[0]["segment"].inputs.get(PREPARATION) != records[1]["segment"].inputs.get(PREPARATION):
        sides = [replace(side, detections=recorded(side.detections, run, size)) for side, run, size in zip(sides, runs, sizes, strict=True)]
    return compare_sides(sides[0], replace(sides[1], detections=scaled(sides[1].detections, sizes[0] / sizes[1])))


def recorded(detections: Detections, run: Run, voxel_size_um: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Detections:
    """Puts positions where they lie on the disk: the two runs may have prepared their pictures in different ways."""
    z, y, x = (float(size) for size in voxel_size_um)
    position_um = run.preparation.recorded_um(detections.t, detections.position_um, (z, y, x))
    return replace(detections, position_um=position_um.astype(detections.position_um.dtype))


def _records(run: Run) -> dict[str, StageRecord]:
    """Returns what every stage of a run worked from.

    Raises:
        StorageError: it has no tracks, or they belong to other detections.
    """
    found = {name: record for name in COMPARED if (record := run.folder.record(name)) is not None}
    if "track" not in found or "segment" not in found:
        raise StorageError(f"{run.path}: has no tracks to compare; run 'barlowtrack run {run.path}' first")
    older = found["track"].inputs.get("detections") != found["segment"].key
    if older or found["track"].inputs.get(AMENDMENTS, UNAMENDED) != edition(run.folder):
        raise StorageError(f"{run.path}: its tracks are older than its detections; run 'barlowtrack run {run.path}' first")
    return found


def _open(run: Run, records: dict[str, StageRecord], name: str) -> Side:
    names = tuple("" if text is None or text != text else str(text) for text in run.neurons["name"])
    outside = {given for given in GIVEN if given != "recording"}
    stages = {
        stage: Making(
            record.version,
            record.seed,
            record.settings,
            {key: value for key, value in record.recording.items() if key != "content"},
            {key: digest for key, digest in record.inputs.items() if key in outside},
        )
        for stage, record in records.items()
    }
    if PREPARATION not in records["segment"].inputs:  # nothing was asked for: as the settings come
        as_they_come = json.loads(PrepareConfig().model_dump_json())
        stages["prepare"] = Making(stage_named("prepare").version, None, {"prepare": as_they_come})
    else:
        stages["prepare"] = replace(stages["prepare"], recording={})
    traces, swaps = _activity(run, records)
    return Side(name, run.detections, run.tracks, names, traces, swaps, stages)


def _activity(run: Run, records: dict[str, StageRecord]) -> tuple[Traces | None, Swaps | None]:
    """Returns traces and swaps, where there are any that belong to the tracks and are of the kind that this version makes."""
    traced = records.get("trace")
    if traced is None or traced.inputs.get("tracks") != records["track"].key or traced.version != stage_named("trace").version:
        return None, None
    if not all((run.path / ARTEFACTS[name]).exists() for name in ("traces", "swaps")):
        return None, None
    return run.traces, run.swaps


def scaled(detections: Detections, factor: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Detections:
    """Puts positions into the unit of the other run, where somebody gave the recording another voxel size."""
    if np.all(factor == 1):
        return detections
    return replace(detections, position_um=(detections.position_um * factor).astype(detections.position_um.dtype))


def _names(a: Path, b: Path) -> tuple[str, str]:
    """Returns what tells two folders apart: their names, or as much of their paths as differs."""
    a, b = a.resolve(), b.resolve()
    if a.name != b.name or a == b:
        return a.name, b.name
    common = os.path.commonpath([a, b])
    return os.path.relpath(a, common), os.path.relpath(b, common)
