"""plan(): what has to be done for every stage, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from barlowtrack.errors import StorageError
from barlowtrack.pipeline.card import ALWAYS
from barlowtrack.pipeline.given import given_keys
from barlowtrack.pipeline.keys import expected_record, is_idle
from barlowtrack.pipeline.reasons import why_stale
from barlowtrack.pipeline.table import STAGES, Stage

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.storage import RunFolder, StageRecord


@dataclass(frozen=True)
class PlannedStage:
    """What has to be done for a stage.

    Attributes:
        stage: Its row.
        state: cached: nothing; missing: never done, or half done; stale: done from something else.
        reasons: Why, one text each; empty where cached.
        record: What its artefacts will have been made from.
    """

    stage: Stage
    state: Literal["cached", "missing", "stale"]
    reasons: tuple[str, ...]
    record: StageRecord


def plan(folder: RunFolder | None, card: Mapping[str, Any], config: Config) -> list[PlannedStage]:
    """Says for every stage whether it is cached, missing, or stale and why; touches nothing.

    Args:
        folder: The run folder; None where there is none yet.
        card: What the stages use of the recording; see recording_card.
        config: Settings in force.
    """
    lacking = {name for stage in STAGES for name in (*ALWAYS, *stage.aspects)} - set(card)
    if lacking:
        raise StorageError(f"run.json does not say the recording's {', '.join(sorted(lacking))}; run it once with the recording at hand")
    planned: list[PlannedStage] = []
    keys = given_keys(folder, config)
    for stage in STAGES:
        expected = expected_record(stage, card, config, keys)
        keys.update(dict.fromkeys(stage.makes, expected.key))
        planned.append(_compare(folder, stage, expected))
    return planned


def _compare(folder: RunFolder | None, stage: Stage, expected: StageRecord) -> PlannedStage:
    from barlowtrack.storage import ARTEFACTS

    record = folder.record(stage.name) if folder else None
    if record is None and folder is not None and stage.prepares and is_idle(expected) and folder.record("segment") is not None:
        return PlannedStage(stage, "cached", (), expected)  # the folder is older than this stage, which has nothing to do
    if folder is None or record is None:
        done = folder.half_made.done(stage.name, expected.key) if folder else None
        reason = "never run" if done is None else f"half done, goes on after part {done}"
        return PlannedStage(stage, "missing", (reason, *_pieces_why(folder, stage, expected)), expected)
    damage = folder.damage(record)
    whole = record.version != stage.version or set(record.artefacts) == {ARTEFACTS[name] for name in stage.makes}
    if record.stage != stage.name or not whole:  # another version may have made other artefacts
        damage = [f"keys/{stage.name}.json is damaged"]
    if damage:
        return PlannedStage(stage, "missing", tuple(damage), expected)
    if record.key == expected.key:
        return PlannedStage(stage, "cached", (), record)
    return PlannedStage(stage, "stale", (*why_stale(record, expected), *_pieces_why(folder, stage, expected)), expected)


def _pieces_why(folder: RunFolder | None, stage: Stage, expected: StageRecord) -> list[str]:
    """Says how many volumes jobs of their own have made, which need not be made again."""
    if folder is None or not stage.by_volume:
        return []
    safe = {t for piece in folder.half_made.pieces(stage.name, expected.key) for t in piece.safe}
    return [f"{len(safe)} volume{'s' * (len(safe) != 1)} made in pieces"] if safe else []


def choose(planned: list[PlannedStage], only: str | None, upto: str | None) -> list[PlannedStage]:
    """Returns those stages of a plan that are asked for.

    Args:
        planned: All of them.
        only: This stage alone.
        upto: Those up to this one.

    Raises:
        StorageError: one stage alone is asked for, and what it needs is not there, or stale.
    """
    names = [item.stage.name for item in planned]
    if upto is not None:
        return planned[: names.index(upto) + 1]
    if only is None:
        return planned
    chosen = planned[names.index(only)]
    for item in planned[: names.index(only)]:
        lacking = [name for name in item.stage.makes if name in chosen.record.inputs]
        if item.state == "stale" and set(item.stage.amends) & set(chosen.stage.needs):
            lacking = [*item.stage.makes]  # also where edits were taken back: else rows of tables would not line up any more
        if lacking and item.state != "cached":
            why = "; ".join(item.reasons)
            hint = f"run 'barlowtrack {item.stage.name}' first, or 'barlowtrack run' for everything"
            raise StorageError(f"{only} needs {' and '.join(lacking)}, {item.state} ({why}); {hint}")
    return [chosen]
