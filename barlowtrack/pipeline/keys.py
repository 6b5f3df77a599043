"""What a stage's artefacts are made from, and the key that is its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from barlowtrack.pipeline.card import ALWAYS
from barlowtrack.pipeline.table import AMEND, AMENDMENTS, PREPARATION, PREPARE, UNAMENDED, Stage, stage_named

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.storage import StageRecord


def expected_record(stage: Stage, card: Mapping[str, Any], config: Config, keys: Mapping[str, str]) -> StageRecord:
    """Returns what a stage's artefacts will have been made from, and its key; two that differ in the key are different results.

    Args:
        stage: Its row.
        card: What keys know of the recording; see recording_card.
        config: Settings in force.
        keys: Of all that is given, and of what the stages in front of it make.
    """
    from barlowtrack.storage import StageRecord

    edited = keys["edits"] != UNAMENDED
    inputs = {name: keys[name] for name in stage.needs if name != "recording"}
    if config.prepare.asked and not stage.prepares and "recording" in stage.needs:
        inputs[PREPARATION] = keys[PREPARATION]
    if edited and AMENDMENTS in keys and set(stage.needs) & set(AMEND.amends):  # where nobody edits, keys are as if nobody could
        inputs[AMENDMENTS] = keys[AMENDMENTS]
    record = StageRecord(
        stage=stage.name,
        key="",
        version=stage.version,
        seed=config.seed if stage.seeded else None,
        settings=json.loads(config.model_dump_json(include=_included(sections_of(stage, config)))),
        recording={name: card[name] for name in (*ALWAYS, *stage.aspects)} if "recording" in stage.needs else {},
        inputs=inputs,
        artefacts={},
    )
    if stage.amends and not edited:  # nothing is done, whatever the rest is
        record = replace(record, settings={}, recording={}, inputs={"edits": UNAMENDED})
    if stage.prepares and not config.prepare.asked:
        record = replace(record, settings={}, recording={}, inputs={})
    return replace(record, key=hashlib.blake2b(_keyed(stage, record).to_bytes(), digest_size=16).hexdigest())


def sections_of(stage: Stage, config: Config) -> tuple[str, ...]:
    """Returns the sections that a stage reads: that of `prepare` only where it asks for something."""
    return tuple(name for name in stage.sections if name != PREPARE.name or config.prepare.asked)


def is_idle(record: StageRecord) -> bool:
    """Says whether a stage has nothing to do: nobody edits, or nothing is to be prepared."""
    stage = stage_named(record.stage)
    return (bool(stage.amends) and record.inputs["edits"] == UNAMENDED) or (stage.prepares and not record.settings)


def _included(sections: tuple[str, ...]) -> dict[str, Any]:
    """Says the same as pydantic has it: {"train": True, "track": {"position"}}."""
    included: dict[str, Any] = {}
    for name in sections:
        section, dot, setting = name.partition(".")
        if dot:
            included.setdefault(section, set()).add(setting)
        else:
            included[section] = True
    return included


def _keyed(stage: Stage, record: StageRecord) -> StageRecord:
    """Returns the record without what does not change the result: where a model lies, since its content is among the inputs."""
    settings = dict(record.settings)
    for given, section, where in (("segmenter", "segment", "model"), ("start", "train", "start")):
        if given in stage.needs:
            settings[section] = {name: value for name, value in settings[section].items() if name != where}
    if "recording" in settings:  # runs done before there were these go on as they are where nobody sets them
        unset = {name for name in ("dataset", "planes") if settings["recording"].get(name) is None}
        settings["recording"] = {name: value for name, value in settings["recording"].items() if name not in unset}
    return replace(record, settings=settings)
