"""evaluate: from files to figures."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np

from barlowtrack.api import Run, prepare
from barlowtrack.data import UNKNOWN, Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate import Evaluation, as_text, calibration, evaluate, evaluate_points, trace_correlation
from barlowtrack.io.tables import read_table, read_truth

log = logging.getLogger(__name__)

STRANGE_RECALL = 0.3
"""Fewer true detections than this with a detection nearby: rather another recording's truth, or other units, than a poor detector."""


def evaluate_run(target: Path, truth_path: Path, voxel_size: tuple[float, float, float] | None, gate_um: float, *, as_json: bool) -> str:
    """Scores a run, or a stored tracks table, and says it as text or JSON.

    Raises:
        StorageError, InputError: no run, no tracks, or no truth there.
    """
    truth = read_truth(truth_path, voxel_size)
    if not len(truth):
        raise InputError(f"{truth_path}: no row tells a neuron; there is nothing to compare with")
    if target.suffix.lower() in (".csv", ".parquet"):
        rows = _score_table(target, truth, gate_um).summary()
    else:
        rows = _score_run(Run(prepare(target).folder), truth, gate_um)
    _doubt(dict(rows), truth, truth_path)
    if as_json:
        return json.dumps({name: _plain(value) for name, value in rows}, indent=1)
    return as_text(rows)


def _doubt(figures: dict[str, float | int | str], truth: Truth, truth_path: Path) -> None:
    """Warns where the truth looks like that of another recording."""
    scored, recall = figures["true detections"], figures["detection recall"]
    if isinstance(scored, int) and scored < len(truth):
        log.warning(
            "%s: %d of %d true detections lie outside the volumes of this run and are not scored",
            truth_path,
            len(truth) - scored,
            len(truth),
        )
    if isinstance(recall, float) and recall < STRANGE_RECALL:
        log.warning(
            "%s: %.0f %% of the true detections have a detection near them; is it this recording's truth, in um?", truth_path, 100 * recall
        )


def _score_table(path: Path, truth: Truth, gate_um: float) -> Evaluation:
    frame = read_table(path, "tracks")
    position_um = frame[["z_um", "y_um", "x_um"]].to_numpy(np.float64)
    neuron = frame["neuron"].fillna(UNKNOWN).to_numpy(np.int32)
    return evaluate_points(frame["t"].to_numpy(), position_um, neuron, truth, gate_um=gate_um)


def _score_run(run: Run, truth: Truth, gate_um: float) -> list[tuple[str, float | int | str]]:
    detections = run.detections
    if truth.t.min() >= detections.n_volumes:
        raise InputError(f"truth: expected volumes 0 to {detections.n_volumes - 1}, as in {run.path}, got {truth.t.min()} and later")
    found = evaluate(detections, run.tracks, truth, gate_um=gate_um)
    rows = list(found.summary())
    rows.append(("calibration error of probabilities (ECE)", calibration(found, run.tracks).ece))
    if truth.activity is not None and run.folder.record("trace") is not None:
        r = trace_correlation(run.traces, truth, found.mapping)
        rows.append(("median correlation of traces with true activity", float(np.nanmedian(r)) if np.isfinite(r).any() else float("nan")))
    return rows


def _plain(value: float | int | str) -> float | int | str | None:
    return None if isinstance(value, float) and not np.isfinite(value) else value
