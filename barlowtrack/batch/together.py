"""One encoder for all recordings of a batch: on which it is trained, whether that is done, and who takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from barlowtrack.batch.found import Found
from barlowtrack.batch.jobs import Needs
from barlowtrack.batch.worklist import Work, given, make_work
from barlowtrack.embedding.sample import spread
from barlowtrack.errors import BarlowtrackError, InputError
from barlowtrack.one_encoder import crops_key, encoder_key, made_from, names_of, settings_of
from barlowtrack.pipeline import STAGES
from barlowtrack.storage.atomic import write_bytes

FILE, CHOICE = "encoder.safetensors", "encoder.json"
BEFORE = ("prepare", "segment", "crop")
"""Stages that are the same whatever encoder comes after them."""


@dataclass(frozen=True)
class Together:
    """What a batch does about its one encoder.

    Attributes:
        file: Where it lies.
        chosen: Recordings that it is trained on.
        current: Whether it is there already, of these recordings as they are and with these settings.
        needs: Of the job that trains it.
        options: Of the CLI, that make a recording take it.
    """

    file: Path
    chosen: tuple[Found, ...]
    current: bool
    needs: Needs
    options: tuple[str, ...]

    def line(self, settings: Sequence[str]) -> list[str]:
        """Returns the words of the verb that trains it."""
        return ["train-encoder", *(str(one.folder.absolute()) for one in self.chosen), "--out", str(self.file), "--leave-out", *settings]

    def note(self) -> str:
        """Returns what to tell of it once the batch is over."""
        made = made_from(self.file)
        if made is None:
            return "The encoder for all recordings was not made."
        names = names_of([one.folder for one in self.chosen])
        lost = [name for name in names.values() if name not in made.recordings]
        said = f"One encoder for all recordings, trained on {', '.join(made.recordings)}."
        if not made.epoch:
            said += " No pass over them was better than the encoder it began with, so it is that one."
        return said + (f" Left out, for they have no crops: {', '.join(lost)}." if lost else "")


def choose(asked: str, works: Sequence[Work], state: Path) -> tuple[Found, ...]:
    """Returns the recordings to train on: those named, or N spread evenly over all that can be opened.

    The choice of N stays the same in later batches of the folder: recordings that come later would make another encoder, and all
    results stale.

    Raises:
        InputError: neither a number nor names of recordings.
    """
    by_name = {work.found.name: work for work in works}
    names = [name.strip() for name in asked.split(",") if name.strip()]
    if names and all(name in by_name for name in names):
        return tuple(by_name[name].found for name in dict.fromkeys(names))
    usable = [work.found for work in works if not work.error]
    if asked != "all" and not (asked.isdecimal() and int(asked) > 0):
        unknown = [name for name in names if name not in by_name] or [asked]
        raise InputError(f"--one-encoder {asked}: expected a number, 'all', or names, got no recording {unknown[0]}")
    kept = _kept(asked, state)
    if kept and all(name in by_name for name in kept):
        return tuple(by_name[name].found for name in kept)
    n = len(usable) if asked == "all" else int(asked)
    chosen = tuple(usable[int(i)] for i in spread(len(usable), n)) if n > 1 else tuple(usable[:1])
    if not chosen:
        raise InputError("--one-encoder: none of the recordings can be opened")
    write_bytes(state / CHOICE, json.dumps({"asked": asked, "chosen": [one.name for one in chosen]}).encode())
    return chosen


def _kept(asked: str, state: Path) -> list[str]:
    try:
        said: Mapping[str, Any] = json.loads((state / CHOICE).read_bytes())
        return [str(name) for name in said["chosen"]] if said["asked"] == asked and asked != "all" else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def plan_together(asked: str, found: Sequence[Found], state: Path, settings: Sequence[str]) -> tuple[Together, list[Work]]:
    """Says what is to be done for one encoder, and for the recordings that will take it.

    Args:
        asked: On which recordings; see choose.
        found: All recordings.
        state: Folder of the batch, where the encoder will lie.
        settings: Options of the CLI that hold for all; [train] is that of the one training.

    Raises:
        InputError: no such recordings, or settings that no encoder for many can be trained with.
    """
    config = settings_of(*given(settings))
    if config.train.mode == "zero-shot":
        raise InputError("--one-encoder: [train] mode zero-shot takes an encoder as it is; expected fine-tune, scratch, or no word of it")
    as_it_is = [*settings, "--set", "train.mode=zero-shot", "--set", "train.rounds=0"]
    works = [make_work(one, as_it_is) for one in found]
    chosen = choose(asked, works, state)
    file = (state / FILE).absolute()
    learning = [make_work(one, [*settings, "--set", f"train.mode={config.train.mode}"]).needs.get("learn") for one in chosen]
    known = [needs for needs in learning if needs is not None] or [Needs(0, 0)]
    needs = Needs(max(one.mem_mb for one in known), sum(one.minutes for one in known))
    options = (*as_it_is[len(settings) :], "--set", f"train.start={file}")
    ready = {work.found.name for work in works if not work.error and not set(BEFORE) & set(work.stages)}
    current = all(one.name in ready for one in chosen)
    if current:
        try:
            made = made_from(file)
            current = made is not None and made.key == encoder_key([crops_key(one.folder) for one in chosen], config)
        except BarlowtrackError:
            current = False
    together = Together(file, chosen, current, needs, options)
    if current:
        return together, [make_work(one, [*settings, *options]) for one in found]
    later = tuple(stage.name for stage in STAGES if stage.name not in BEFORE)
    before = [tuple(name for name in work.stages if name in BEFORE) for work in works]
    return together, [work if work.error else replace(work, stages=(*left, *later)) for work, left in zip(works, before, strict=True)]


def told(together: Together, works: Sequence[Work], settings: Sequence[str]) -> dict[str, Any] | None:
    """Returns what the list of work says of the encoder; nothing where it is there."""
    if together.current:
        return None
    left = {work.found.name for work in works if set(BEFORE) & set(work.stages)}
    return {
        "line": together.line(settings),
        "from": [one.name for one in together.chosen if one.name in left],
        "options": list(together.options),
        "needs": asdict(together.needs),
    }
