"""train-segmentation: from labelled volumes to a model folder, resumably."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from barlowtrack.cli.terminal import Bars
from barlowtrack.config import ComputeConfig, RecordingConfig, SegmentationTrainingConfig, load_section
from barlowtrack.detect.state import COLUMNS, Round, SegmentationState
from barlowtrack.detect.thresholds import choose_thresholds
from barlowtrack.detect.training import brightness_of, middle_of, refuse_another, spec_of, split, train_segmentation
from barlowtrack.errors import ConfigError, InputError
from barlowtrack.io.pairs import LabelledVolumes, open_pairs
from barlowtrack.io.stardist_model import write_model_folder
from barlowtrack.io.tables import write_table
from barlowtrack.nn.device import pick_device
from barlowtrack.nn.segmentation_model import SegmentationModel
from barlowtrack.storage.atomic import write_bytes
from barlowtrack.storage.locks import locked

log = logging.getLogger(__name__)

MOST_PAIRS, MOST_VOXELS = 20, 600_000  # held-out pairs, and voxels of the middle of each, on which thresholds are chosen


def train_model(
    images: Path,
    labels: Path,
    out: Path,
    settings: SegmentationTrainingConfig,
    recording: RecordingConfig,
    compute: ComputeConfig,
    bars: Bars,
) -> tuple[SegmentationModel, Round]:
    """Trains and writes a model folder that StarDist opens too; a killed training goes on where it was.

    Args:
        images: See open_pairs.
        labels: Likewise.
        out: The model's folder; must not exist yet. Beside it, OUT.training keeps the state and the history.
        settings: Of network and training.
        recording: What the images' metadata does not say.
        compute: Device and memory.
        bars: Show the progress.

    Returns:
        The model as written, and the round whose weights it has.

    Raises:
        InputError: pairs that cannot be used, or a place that is taken.
    """
    if out.exists():
        raise InputError(f"{out}: expected a free place for the model, got something that is there already")
    brightness = brightness_of(settings)
    pairs = open_pairs(
        images, labels, voxel_size_um=settings.voxel_size_um, brightness=brightness, memory_gb=compute.memory_gb, config=recording
    )
    half_made = out.with_name(out.name + ".training")
    with _alone(half_made):
        state = _train(pairs, half_made, settings, compute, bars)
        model = finish(state, pairs, settings, compute)
        shutil.rmtree(half_made / "model", ignore_errors=True)
        write_model_folder(model, half_made / "model")
        _write_history(state, half_made / "model" / "history.csv")
        (half_made / "model").rename(out)
    shutil.rmtree(half_made)
    return model, state.best


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps another training out of the same folder; freed by the system however this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", f"{folder}: another training is at work here ({{holder}}); wait for it, or give another --out"):
        yield


def _train(
    pairs: LabelledVolumes, folder: Path, settings: SegmentationTrainingConfig, compute: ComputeConfig, bars: Bars
) -> SegmentationState:
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "state.safetensors"
    try:
        state = SegmentationState.from_bytes(kept.read_bytes()) if kept.exists() else None
        if state is not None:
            refuse_another(state, pairs, settings)
    except InputError as error:
        raise InputError(f"{folder}: {error}; delete it to start over") from None
    if state is not None:
        log.warning("%s: goes on after round %d", folder, state.epoch)
    progress = bars.follow("train-segmentation")
    for now in train_segmentation(pairs, config=settings, compute=compute, checkpoint=state, progress=progress):
        write_bytes(kept, now.to_bytes())
        _write_history(now, folder / "history.csv")
        state = now
    if state is None:
        raise AssertionError("training yields at least its start")
    return state


def finish(
    state: SegmentationState, pairs: LabelledVolumes, settings: SegmentationTrainingConfig, compute: ComputeConfig
) -> SegmentationModel:
    """Makes a model of the best round's weights, its thresholds chosen on the pairs that were held out."""
    spec, brightness = spec_of(settings), brightness_of(settings)
    model = SegmentationModel(
        spec, state.part("best"), brightness=brightness, voxel_size_um=settings.voxel_size_um, radius_um=settings.radius_um
    )
    _, watched = split(len(pairs), settings.held_out)
    held_out = [middle_of(pairs.read(int(i)), MOST_VOXELS) for i in watched[:MOST_PAIRS]]
    thresholds, f2 = choose_thresholds(model.network().to(pick_device(compute)), held_out, brightness)
    log.info("thresholds %s, F2 %.3f", thresholds, f2)
    return dataclasses.replace(model, thresholds=thresholds)


def _write_history(state: SegmentationState, path: Path) -> None:
    write_table(pd.DataFrame([dataclasses.astuple(row) for row in state.history], columns=list(COLUMNS)), path)


def train_here(images: Path, labels: Path, out: Path, given: Mapping[str, Any], bars: Bars) -> str:
    """Does what the command line says; returns what to tell the user.

    Raises:
        ConfigError: a setting that does not exist, or a value out of bounds.
        InputError: see train_model.
    """
    settings = load_section(SegmentationTrainingConfig, given["config_file"], given["overrides"])
    try:
        recording = RecordingConfig(
            voxel_size_um=given["recording_voxel_size"] or None, axes=given["axes"], reference_channel=given["reference_channel"]
        )
        compute = ComputeConfig(device=given["device"], memory_gb=given["memory_gb"])
    except ValidationError as error:
        raise ConfigError("; ".join(f"{problem['loc'][0]}: {problem['msg'].lower()}" for problem in error.errors())) from None
    model, best = train_model(images, labels, out, settings, recording, compute, bars)
    bars.close()
    return (
        f"{out}\nheld-out IoU {best.held_out_iou:.3f}, F1 {best.held_out_f1:.3f} after round {best.epoch};"
        f" thresholds {model.thresholds.prob:g} (probability), {model.thresholds.nms:g} (overlap)\n"
        f"use it: barlowtrack run RECORDING --set segment.model={out}"
    )
