"""evaluate: from files to figures."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from barlowtrack.api import Run, prepare
from barlowtrack.data import UNKNOWN, Source, Tracks, Truth
from barlowtrack.errors import InputError
from barlowtrack.evaluate import GATE_UM, STRANGE_RECALL, Evaluation, as_text, calibration, evaluate, evaluate_points, trace_correlation
from barlowtrack.identity.volumes import neighbour_distance_um
from barlowtrack.imports import Space, read_identities
from barlowtrack.io.points import points_from_frame
from barlowtrack.io.tables import read_columns, read_table, tracks_from_frame, truth_from_frame
from barlowtrack.pipeline import older_than

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

GATE_NEIGHBOURS = 0.5
"""Where the unit of places is anybody's guess: in median distances between neighbours."""


def evaluate_run(
    target: Path, truth_path: Path, voxel_size: tuple[float, float, float] | None, gate_um: float | None, *, as_json: bool
) -> str:
    """Scores a run, or a stored tracks table, and says it as text or JSON.

    Args:
        target: Run folder, recording that has one, folder of tracked points, or table.
        truth_path: The truth: a table, or one of imports.LAYOUTS.
        voxel_size: z, y, x of a truth in voxels; of tracked points in voxels too.
        gate_um: Farthest a detection may be from its true neuron; in the unit of the table where that is not um. Not given: GATE_UM, or
            GATE_NEIGHBOURS where the unit is unknown.
        as_json: Rather than text.

    Raises:
        StorageError, InputError: no run, no tracks, or no truth there.
    """
    if not (target / "run.json").exists() and (target / "tracks.parquet").exists():  # a folder of tracked points
        target = target / "tracks.parquet"
    is_table = target.suffix.lower() in (".csv", ".parquet")
    frame = read_table(target) if is_table else None
    if frame is not None and not {"t", "z_um"} <= set(frame.columns):
        truth, rows = _score_points(target, frame, truth_path, voxel_size, gate_um)
    else:
        truth = _something(_read_truth(target, truth_path, voxel_size, is_table=is_table), truth_path)
        gate_um = GATE_UM if gate_um is None else gate_um
        if is_table:
            rows = _score_table(target, truth, gate_um).summary()
        else:
            run = Run(prepare(target).folder)
            told, truth = truth, run.as_prepared(truth)
            if not len(truth):
                raise InputError(
                    f"{truth_path}: none of its {len(told)} rows lies in the prepared pictures: are they in planes that [prepare] planes "
                    "cuts off? There is nothing to compare with"
                )
            rows = _score_run(run, truth, gate_um)
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
            "%s: %.0f %% of the true detections have a detection near them; is it this recording's truth, in the same unit?",
            truth_path,
            100 * recall,
        )


def _read_truth(target: Path, truth_path: Path, voxel_size: tuple[float, float, float] | None, *, is_table: bool) -> Truth:
    """Reads the truth from whatever layout it is in; a run knows its voxels, and how large its volumes are."""
    space = Space(voxel_size)
    if not is_table:
        folder = Run(prepare(target).folder).folder
        card = folder.about()["card"]
        space = Space(voxel_size or tuple(card["voxel_size_um"]), tuple(card["shape"][2:]), folder.location)
    found = read_identities(truth_path, space)
    for said in found.told:
        log.warning("%s: %s", truth_path, said)
    return found.truth()


def _something(truth: Truth, path: Path) -> Truth:
    if not len(truth):
        raise InputError(f"{path}: no row tells a neuron; there is nothing to compare with")
    return truth


def _score_points(
    path: Path, frame: pd.DataFrame, truth_path: Path, voxel_size: tuple[float, float, float] | None, gate: float | None
) -> tuple[Truth, list[tuple[str, float | int | str]]]:
    """Scores a tracks table of points; the truth is in the same unit, whatever that is."""
    points = points_from_frame(frame, voxel_size, where=str(path))
    tracks = tracks_from_frame(frame)
    tracks = Tracks(tracks.neuron[points.row], tracks.probability[points.row], tracks.n_neurons)
    told = read_columns(truth_path)
    if points.planar:
        depth = "z_um" if "y_um" in told else "z"
        told = told.assign(**{depth: told.get(depth, 0.0)})
    truth = _something(truth_from_frame(told, voxel_size or (1.0, 1.0, 1.0), where=str(truth_path)), truth_path)
    found = points.detections
    gate = GATE_NEIGHBOURS * neighbour_distance_um(found) if gate is None else gate
    looked_at = np.isin(truth.t, points.number)  # numbers may have gaps: of a volume that the table does not name nothing was asked
    if not looked_at.any():
        raise InputError(f"{truth_path}: expected volumes of {path}, got none of them")
    asked = Truth(truth.t[looked_at], truth.neuron[looked_at], truth.position_um[looked_at])
    scored = evaluate_points(points.number[found.t], found.position_um, tracks.neuron, asked, gate_um=gate)
    error = ("calibration error of probabilities (ECE)", calibration(scored, tracks).ece)
    return truth, [*scored.summary(), error, ("farthest a detection may be, in the unit of the table", gate)]


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
    traced = run.folder.record("trace") is not None and older_than("traces", run.folder) is None
    if truth.activity is not None and traced:
        traces = run.traces
        for what, sources in (("", tuple(Source)), (", seen values alone", (Source.SEEN,))):
            r = trace_correlation(traces, truth, found.mapping, sources=sources)
            median = float(np.nanmedian(r)) if np.isfinite(r).any() else float("nan")
            rows.append((f"median correlation of traces with true activity{what}", median))
    return rows


def _plain(value: float | int | str) -> float | int | str | None:
    return None if isinstance(value, float) and not np.isfinite(value) else value
