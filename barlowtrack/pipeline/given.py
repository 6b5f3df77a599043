"""What stages need and no stage makes: what keys know of it, and how it is opened for a stage. GIVEN in the table names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from barlowtrack.errors import StorageError
from barlowtrack.pipeline.seeing import preparation_of_key
from barlowtrack.pipeline.table import PREPARATION, SAID, STAGES, UNAMENDED

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.data import Recording
    from barlowtrack.storage import RunFolder, StageRecord

_OF_EVERY_RUN = "of every run"
"""Stands in keys for what a run cost: no key may hang on it, or no result would ever be found again."""


def given_keys(folder: RunFolder | None, config: Config) -> dict[str, str]:
    """Returns what keys know of all that is given, but of the recording, which has a card.

    Args:
        folder: The run folder; None where there is none yet.
        config: Settings in force.
    """
    return {
        "deconvolver": _deconvolver(config),
        "segmenter": _segmenter_digest(folder, config),
        "start": _start_digest(folder, config),
        "edits": _edits_digest(folder),
        "corrections": _corrections_digest(folder),
        "costs": _OF_EVERY_RUN,
    }


def _deconvolver(config: Config) -> str:
    """Returns who sharpens the volumes: package and version."""
    from barlowtrack.preparing.deconvolution import made_by

    return made_by(config.prepare.deconvolution) if config.prepare.deconvolution else "none"


def _segmenter_digest(folder: RunFolder | None, config: Config) -> str:
    """Returns a hash of the model's files; of one that is not at hand, what the run folder last saw."""
    from barlowtrack.io.segmenter import model_digest, model_folder

    path = model_folder(config.segment)
    if path is None:
        return "none"
    record = folder.record("segment") if folder else None
    if not path.exists() and record is not None and record.settings.get("segment", {}).get("model") == config.segment.model:
        return record.inputs.get("segmenter", "none")
    return model_digest(path)


def _start_digest(folder: RunFolder | None, config: Config) -> str:
    """Returns a hash of the encoder to start from; of one that is not at hand, what the run folder last saw."""
    from barlowtrack.io.start import encoder_digest, start_path

    path = start_path(config.train)
    if path is None:
        return "none"
    record = folder.record("train") if folder else None
    if not path.exists() and record is not None and record.settings.get("train", {}).get("start") == config.train.start:
        seen = record.inputs.get("start", "none")
        if seen != "none":  # or it was named only, in a mode that does not read it
            return seen
    return encoder_digest(path)


def _corrections_digest(folder: RunFolder | None) -> str:
    """Returns how many corrections are in force, and a hash of them."""
    from barlowtrack.storage import read_corrections

    return "none" if folder is None else read_corrections(folder.path).digest


def _edits_digest(folder: RunFolder | None) -> str:
    """Returns how many edits of detections are in force, and a hash of them."""
    from barlowtrack.data.corrections import edits_digest
    from barlowtrack.storage import read_corrections

    return UNAMENDED if folder is None else edits_digest(read_corrections(folder.path).edits)


def open_given(name: str, recording: Recording, config: Config, made_from: StageRecord, folder: RunFolder) -> Any:
    """Returns what a stage needs that no stage makes.

    Args:
        name: One of GIVEN.
        recording: As it lies on the disk.
        config: Settings in force.
        made_from: What the artefacts of the stage will have been made from.
        folder: The run folder.

    Raises:
        StorageError: what people said is not any more what the plan was made for.
        InputError: a model or an encoder that cannot be used.
    """
    if name == "recording":
        from barlowtrack.preparing.view import prepared

        return prepared(recording, preparation_of_key(folder, made_from.inputs.get(PREPARATION)))
    if name == "deconvolver":
        return made_from.inputs[name]
    if name in SAID:
        from barlowtrack.data.corrections import edits_digest
        from barlowtrack.storage import read_corrections

        found = read_corrections(folder.path)
        digest = found.digest if name == "corrections" else edits_digest(found.edits)
        if digest != made_from.inputs[name]:  # else the result would carry the key of another table
            raise StorageError(f"{folder.path}: corrections came while the run was on its way; run it again to go on")
        return found if name == "corrections" else found.edits
    if name == "start":
        from barlowtrack.io.start import open_start

        return open_start(config.train)
    if name == "costs":
        costs = folder.costs()
        return tuple(costs[stage.name] for stage in STAGES if stage.name in costs and stage.name != made_from.stage)
    from barlowtrack.io.segmenter import open_segmenter

    return open_segmenter(config.segment)
