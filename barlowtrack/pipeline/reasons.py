"""Why a result is stale, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from barlowtrack.pipeline.keys import is_idle
from barlowtrack.pipeline.table import AMEND, AMENDMENTS, MAKER, PREPARATION, PREPARE, SAID, UNAMENDED, stage_named

if TYPE_CHECKING:
    from barlowtrack.storage import StageRecord

_ANOTHER = {
    "deconvolver": "another function that sharpens",
    "segmenter": "another segmenter model",
    "start": "another encoder to start from",
}


def why_stale(old: StageRecord, new: StageRecord) -> Iterator[str]:
    """Says what a stage's artefacts were made from that is not so now: a text for each difference."""
    from barlowtrack.config import differences

    if old.version != new.version:
        yield f"{new.stage} version {old.version} -> {new.version}"
    if old.seed != new.seed:
        yield f"seed {old.seed} -> {new.seed}"
    if UNAMENDED in (old.inputs.get("edits"), new.inputs.get("edits")):  # one of them did nothing, whatever the rest was
        yield _said_why(SAID["edits"], old.inputs.get("edits", UNAMENDED), new.inputs["edits"])
        return
    asked = differences(_with_all_prepared(old.settings, new.settings), _with_all_prepared(new.settings, old.settings))
    if stage_named(new.stage).prepares and (is_idle(old) or is_idle(new)):  # likewise
        yield from asked
        return
    changed = differences(old.recording, new.recording, "recording ")
    yield from (text for text in changed if not text.startswith("recording content"))
    if old.recording.get("content") != new.recording.get("content"):
        yield "the recording's files changed"
    yield from asked
    for name, key in new.inputs.items():
        if name not in (AMENDMENTS, PREPARATION) and old.inputs.get(name, key) != key:  # what an older version did not need has not changed
            if name in SAID:
                yield _said_why(SAID[name], old.inputs[name], key)
            else:
                yield f"other {name} ({MAKER[name]})" if name in MAKER else _ANOTHER[name]
    if old.inputs.get(PREPARATION) != new.inputs.get(PREPARATION):
        yield f"pictures prepared in another way ({PREPARE.name})"
    if old.inputs.get(AMENDMENTS) != new.inputs.get(AMENDMENTS):
        yield f"other detections ({AMEND.name})"


def _with_all_prepared(settings: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns settings with a section for `prepare` where the others have one: left out, it is as it comes."""
    from barlowtrack.config import PrepareConfig

    if PREPARE.name in settings or PREPARE.name not in other:
        return settings
    return {**settings, PREPARE.name: json.loads(PrepareConfig().model_dump_json())}


def _said_why(what: str, old: str, new: str) -> str:
    """Compares two digests of rows that people wrote, which begin with how many there are."""
    counts = [digest.partition(" ")[0] for digest in (old, new)]
    before, now = (int(count) if count.isdecimal() else 0 for count in counts)
    if now == before:
        return f"{what} changed"
    return f"{what} changed: {now - before} added" if now > before else f"{what} changed: {before - now} taken back"
