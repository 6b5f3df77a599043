"""One encoder for all recordings of a batch: on which it is trained, whether that is done, and who takes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from barlowtrack.batch.failing import DONE
from barlowtrack.batch.found import Found
from barlowtrack.batch.jobs import Needs
from barlowtrack.batch.worklist import Work, given, make_work
from barlowtrack.config import Config
from barlowtrack.embedding.of_many import refuse_settings
from barlowtrack.embedding.sample import spread
from barlowtrack.errors import InputError, StorageError
from barlowtrack.one_encoder import TO_CROPS, encoder_key, misfits, names_of, settings_of
from barlowtrack.pipeline import STAGES, read
from barlowtrack.storage import RunFolder
from barlowtrack.storage.atomic import write_bytes
from barlowtrack.storage.shared_encoder import made_from


@dataclass(frozen=True)
class Memory:
    """What later batches of the folder have to know.

    Attributes:
        choices: Names of the recordings that were chosen, by what was asked, such as "5": recordings that come later would make others be
            chosen, and so another encoder, and all results stale.
        left_out: What was known of chosen recordings whose crops could not be made, by name (see _seen): until that changes, they do not
            make a training worth while.
    """

    choices: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Together:
    """What a batch does about its one encoder.

    Attributes:
        file: Where it lies.
        chosen: What is known of the recordings that it is trained on.
        current: Whether it is there already, of these recordings as they are and with these settings.
        needs: Of the job that trains it.
        options: Of the CLI, that make a recording take it.
        config: Settings of the training.
        memory: Of batches before, with the choice of this one.
        unlike: Why recordings were not chosen, by name: their crops do not go with the others.
    """

    file: Path
    chosen: tuple[Work, ...]
    current: bool
    needs: Needs
    options: tuple[str, ...]
    config: Config
    memory: Memory
    unlike: Mapping[str, str]

    def line(self, settings: Sequence[str]) -> list[str]:
        """Returns the words of the verb that trains it."""
        folders = [str(one.found.folder.absolute()) for one in self.chosen]
        return ["train-encoder", *folders, "--out", str(self.file), "--leave-out", "--as-planned", *settings]

    def remember(self) -> None:
        """Writes down the choice; not where it is only asked what would be done."""
        _remember(self.file, self.memory)

    def note(self) -> str:
        """Returns what to tell of it once the batch is over; writes down who was left out."""
        made = made_from(self.file)
        if made is None or not made.whole:
            return "The encoder for all recordings was not made."
        names = names_of([one.found.folder for one in self.chosen])
        crops = {one.found.folder: _crops(one) for one in self.chosen}
        used = set(made.crops.values()) or set(crops.values()) - {""}  # an encoder that came without its names
        lost = [one for one in self.chosen if crops[one.found.folder] not in used]
        if self.current or (self.file.parent / DONE / "encoder").exists():
            hopeless = [one for one in lost if not crops[one.found.folder] or _is_empty(one)]  # of others crops came too late
            left_out = {one.found.name: _seen(one, ready=bool(crops[one.found.folder])) for one in hopeless}
            _remember(self.file, replace(self.memory, left_out=left_out))
        said = f"One encoder for all recordings, trained on {', '.join(name for folder, name in names.items() if crops[folder] in used)}."
        if not made.epoch:
            said += " No pass over them was better than the encoder it began with, so it is that one."
        said += f" Left out, for they have no crops: {', '.join(names[one.found.folder] for one in lost)}." if lost else ""
        return said + (f" Left out, for their crops are of another size: {', '.join(self.unlike)}." if self.unlike else "")


def encoder_file(state: Path, pattern: str) -> Path:
    """Returns where the encoder of a batch lies: one for each pattern, since other recordings make another encoder."""
    mark = "" if pattern == "*" else f"-{hashlib.blake2b(pattern.encode(), digest_size=4).hexdigest()}"
    return (state / f"encoder{mark}.safetensors").absolute()


def choose(asked: str, works: Sequence[Work], memory: Memory, config: Config) -> tuple[tuple[Work, ...], dict[str, str]]:
    """Returns the recordings to train on: N of them, spread evenly over all that can be opened and whose crops go together, or those named.

    Args:
        asked: N, "all", or names with commas between them; a comma behind a number makes it a name.
        works: All recordings.
        memory: The choice of N stays the same.
        config: Settings of the training.

    Returns:
        The recordings, and why others were not chosen, by name.

    Raises:
        InputError: neither a number nor names of recordings, or named ones whose crops do not go together.
    """
    by_name = {work.found.name: work for work in works}
    names = [name.strip() for name in asked.split(",") if name.strip()]
    if not asked.isdecimal() and asked != "all":
        unknown = [name for name in names if name not in by_name] or ([] if names else [asked])
        if unknown:
            raise InputError(f"--one-encoder {asked}: expected a number, 'all', or names, got no recording {unknown[0]}")
        named = tuple(by_name[name] for name in dict.fromkeys(names))
        for name, why in _unlike(named, config).items():
            raise InputError(f"--one-encoder {asked}: {name} cannot be trained on with the others ({why}), or name it no more")
        return named, {}
    if asked != "all" and int(asked) < 1:
        raise InputError(f"--one-encoder {asked}: expected 1 or more; a recording that is called so is meant by '{asked},'")
    unlike = _unlike(works, config)
    usable = [work for work in works if not work.error and work.found.name not in unlike]
    if not usable:
        why = "".join(f"; {name}: {text}" for name, text in list(unlike.items())[:1])
        raise InputError(f"--one-encoder: none of the recordings can be used{why}")
    kept = [by_name[name] for name in memory.choices.get(asked, []) if name in by_name and name not in unlike]
    if kept and _holds(memory, asked, works):
        return tuple(kept), unlike
    n = len(usable) if asked == "all" else int(asked)
    return (tuple(usable[int(i)] for i in spread(len(usable), n)) if n > 1 else tuple(usable[:1])), unlike


def plan_together(
    asked: str, found: Sequence[Found], state: Path, settings: Sequence[str], pattern: str = "*"
) -> tuple[Together, list[Work]]:
    """Says what is to be done for one encoder, and for the recordings that will take it; writes nothing.

    Args:
        asked: On which recordings; see choose.
        found: All recordings.
        state: Folder of the batch, where the encoder will lie.
        settings: Options of the CLI that hold for all; [train] is that of the one training.
        pattern: By which they were found.

    Raises:
        InputError: no such recordings, or settings that no encoder for many can be trained with.
    """
    config = settings_of(*given(settings))
    refuse_settings(config.train)
    file = encoder_file(state, pattern)
    memory = _recall(file)
    as_it_is = [*settings, "--set", "train.mode=zero-shot", "--set", "train.rounds=0"]
    works = [make_work(one, as_it_is) for one in found]
    chosen, unlike = choose(asked, works, memory, config)
    if asked.isdecimal() and not _holds(memory, asked, works):
        memory = replace(memory, choices={**memory.choices, asked: [one.found.name for one in chosen]})
    options = (*as_it_is[len(settings) :], "--set", f"train.start={file}")
    current = _is_current(file, chosen, memory, config)
    needs = _needs(chosen, [*settings, "--set", f"train.mode={config.train.mode}"])
    together = Together(file, chosen, current, needs, options, config, memory, unlike)
    if current:
        return together, [make_work(one, [*settings, *options]) for one in found]
    later = tuple(stage.name for stage in STAGES if stage.name not in TO_CROPS)
    before = [tuple(name for name in work.stages if name in TO_CROPS) for work in works]
    return together, [work if work.error else replace(work, stages=(*left, *later)) for work, left in zip(works, before, strict=True)]


def told(together: Together, works: Sequence[Work], settings: Sequence[str]) -> dict[str, Any] | None:
    """Returns what the list of work says of the encoder; nothing where it is there."""
    if together.current:
        return None
    left = {work.found.name for work in works if set(TO_CROPS) & set(work.stages)}
    return {
        "line": together.line(settings),
        "from": [one.found.name for one in together.chosen if one.found.name in left],
        "options": list(together.options),
        "needs": asdict(together.needs),
    }


def _is_current(file: Path, chosen: Sequence[Work], memory: Memory, config: Config) -> bool:
    """Says whether the encoder is that of all chosen recordings, but for those that were left out and are as they were then."""
    made = made_from(file)
    counted = [one for one in chosen if memory.left_out.get(one.found.name) != _seen(one, ready=_is_ready(one))]
    if made is None or not made.whole or not counted or not all(_is_ready(one) for one in counted):
        return False
    return made.key == encoder_key([one.crops for one in counted], config)


def _holds(memory: Memory, asked: str, works: Sequence[Work]) -> bool:
    """Says whether recordings were chosen before, all of which are still there."""
    return asked in memory.choices and set(memory.choices[asked]) <= {work.found.name for work in works}


def _is_ready(work: Work) -> bool:
    return not work.error and not set(TO_CROPS) & set(work.stages)


def _seen(work: Work, *, ready: bool) -> str:
    """Returns what crops are made of, or why they cannot be, and whether they are: while it stays the same, so does what comes of it."""
    return f"{work.crops or work.error}{', made' if ready else ''}"


def _crops(work: Work) -> str:
    """Returns the key of the crops that a recording has by now; nothing where they are not those that were planned."""
    try:
        record = RunFolder(work.found.folder).record("crop")
    except StorageError:
        return ""
    return record.key if record is not None and record.key == work.crops else ""


def _is_empty(work: Work) -> bool:
    """Says whether no volume has two nuclei."""
    return not len(read("crops", RunFolder(work.found.folder)))


def _unlike(works: Sequence[Work], config: Config) -> dict[str, str]:
    return misfits({work.found.name: work.box for work in works if work.box is not None}, config)


def _needs(chosen: Sequence[Work], settings: Sequence[str]) -> Needs:
    """Returns what the training wants of a machine: the memory of one recording, the time of all."""
    learning = [make_work(one.found, settings).needs.get("learn") for one in chosen]
    known = [needs for needs in learning if needs is not None] or [Needs(0, 0)]
    return Needs(max(one.mem_mb for one in known), sum(one.minutes for one in known))


def _recall(file: Path) -> Memory:
    try:
        said: Mapping[str, Any] = json.loads(_memory(file).read_bytes())
        choices = {str(asked): [str(name) for name in names] for asked, names in said["choices"].items()}
        return Memory(choices, {str(name): str(seen) for name, seen in said["left_out"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Memory()


def _remember(file: Path, memory: Memory) -> None:
    write_bytes(_memory(file), (json.dumps(asdict(memory), indent=1) + "\n").encode())


def _memory(file: Path) -> Path:
    return file.with_suffix(".choice.json")
