"""What is refused before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barlowtrack.errors import InputError, StorageError
from barlowtrack.pipeline.card import Away, recording_card
from barlowtrack.pipeline.keys import is_idle
from barlowtrack.pipeline.planning import PlannedStage, choose, plan
from barlowtrack.pipeline.table import PREPARE, STAGES, stage_named

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.data import Recording
    from barlowtrack.storage import RunFolder


def refuse_another(folder: RunFolder, location: Path, card: Mapping[str, Any]) -> None:
    """Keeps the results of one recording from being replaced by another's: same place or same content is the same recording."""
    if not folder.is_new:
        about = folder.about()
        if about["recording"] != folder.relative(location) and about["card"].get("content") != card["content"]:
            raise StorageError(f"{folder.path}: belongs to the recording {about['recording']}; give another --out")


def refuse_before(recording: Recording, config: Config, *, only: str | None = None, upto: str | None = None) -> None:
    """Refuses what a run into a folder that is not there yet is sure to refuse, so that no folder is made for it.

    Raises:
        StorageError, InputError: see run.
    """
    refuse_early(choose(plan(None, recording_card(recording), config), only, upto), config)


def refuse_early(planned: list[PlannedStage], config: Config) -> None:
    """Refuses what a stage to come is sure to refuse, before hours are spent on those in front of it."""
    from barlowtrack.io.start import open_start, refuse_misfit

    if any("start" in item.stage.needs and item.state != "cached" for item in planned):
        refuse_misfit(config.train, config.crop)
        open_start(config.train)  # a copy that was cut off has a whole header
    if config.segment.model and any("segmenter" in item.stage.needs and item.state != "cached" for item in planned):
        from barlowtrack.io.segmenter import open_segmenter

        open_segmenter(config.segment)


def refuse_piece(stage: str, volumes: range, n_volumes: int) -> None:
    """Refuses a piece that cannot be made.

    Raises:
        InputError: a stage that is made of the whole recording, or no such volumes.
    """
    if not stage_named(stage).by_volume:
        able = ", ".join(row.name for row in STAGES if row.by_volume)
        raise InputError(f"{stage}: is made of the whole recording; stages that can be made in pieces: {able}")
    if not 0 <= volumes.start < volumes.stop <= n_volumes or volumes.step != 1:
        raise InputError(f"{stage}: volumes: expected some of 0:{n_volumes}, got {volumes.start}:{volumes.stop}")


def refuse_moving_what_was_said(folder: RunFolder, config: Config) -> None:
    """Refuses settings that would put nuclei elsewhere than people saw them: what they said there would be taken for that of others.

    Raises:
        StorageError: there are corrections, and planes would be moved, cut or mirrored in another way than when they were said.
    """
    from barlowtrack.config import PrepareConfig, differences
    from barlowtrack.storage import read_corrections

    made = folder.record(PREPARE.name)
    if folder.record("segment") is None:
        return
    old = PrepareConfig() if made is None else PrepareConfig.model_validate(made.settings.get(PREPARE.name, {}))
    moving = ("jitter", "drift", "planes", "mirror")
    before, after = ({name: getattr(one, name) for name in moving} for one in (old, config.prepare))
    said = len(read_corrections(folder.path).in_force) if before != after else 0
    if said:
        changed = "; ".join(differences(before, after, "prepare."))
        raise StorageError(
            f"{folder.path}: corrections ({said}) hold where nuclei lie now, and would fall on others ({changed});"
            " leave that setting as it was, or give another --out"
        )


def refuse_without_voxels(planned: list[PlannedStage], recording: Recording, folder: RunFolder) -> None:
    """Refuses to read a recording that is not at hand, before anything is done."""
    if not isinstance(recording.source, Away):
        return
    wanting = [item.stage.name for item in planned if item.state != "cached" and _reads_voxels(item)]
    if wanting:
        before = planned[: [item.stage.name for item in planned].index(wanting[0])]
        able = [item.stage.name for item in before if item.state != "cached"]
        rest = f", or do what goes without it: barlowtrack run {folder.path} --to {able[-1]}" if able else ""
        raise StorageError(
            f"the recording of this run is not at {recording.source.location} any more, and {' and '.join(wanting)} would read it. "
            f"Put it back there, say where it is now: barlowtrack run RECORDING --out {folder.path}{rest}"
        )


def _reads_voxels(item: PlannedStage) -> bool:
    return "recording" in item.stage.needs and item.stage.voxels and not is_idle(item.record)
