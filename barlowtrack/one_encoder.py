"""One encoder for many recordings: trained on the crops of several run folders, taken as it is by all."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack.data import Progress, silent
from barlowtrack.errors import BarlowtrackError, InputError, StorageError
from barlowtrack.io.start import encoder_digest, open_start, start_path
from barlowtrack.nn.facts import ENCODER_VERSION, header_bytes, said_of
from barlowtrack.pipeline import read
from barlowtrack.storage import RunFolder
from barlowtrack.storage.atomic import write_bytes
from barlowtrack.storage.folder import SUFFIX
from barlowtrack.storage.locks import locked

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.embedding.together import TrainingTogether
    from barlowtrack.nn.state import TrainState

log = logging.getLogger(__name__)

VERSION = 1
"""Raised by whoever changes what the training computes."""


@dataclass(frozen=True)
class MadeFrom:
    """What an encoder for many says of itself.

    Attributes:
        key: Hash of settings, seed, start, and the crops of all recordings: same key, same encoder.
        recordings: Their names, in order.
        epoch: Of the training; 0: none was better than what it began with.
    """

    key: str
    recordings: tuple[str, ...]
    epoch: int = field(default=0, compare=False)


def made_from(path: Path) -> MadeFrom | None:
    """Returns what an encoder was made from; None where there is no file, or one of another origin."""
    try:
        with path.open("rb") as file:
            beginning = file.read(8)
            beginning += file.read(header_bytes(beginning) - 8)
        facts = said_of("encoder", ENCODER_VERSION, beginning).facts
        said = facts["together"]
        return MadeFrom(str(said["key"]), tuple(str(name) for name in said["recordings"]), int(facts["epoch"]))
    except (OSError, InputError, KeyError, TypeError, ValueError):
        return None


def settings_of(config_file: Path | None, overrides: Sequence[str]) -> Config:
    """Returns the settings of a training on many: where they leave it open, the encoder that comes along is trained further."""
    from barlowtrack.config import Config, TrainConfig, load

    return load(config_file, overrides, base=Config(train=TrainConfig(mode="fine-tune")))


def names_of(folders: Sequence[Path]) -> dict[Path, str]:
    """Returns what recordings are called, by their run folders; of two with one name, with the folder they lie in."""
    short = {folder: folder.resolve().name.removesuffix(SUFFIX) for folder in folders}
    counts = Counter(short.values())
    return {folder: name if counts[name] == 1 else f"{folder.resolve().parent.name}/{name}" for folder, name in short.items()}


def crops_key(folder: Path) -> str:
    """Returns the key of the crops of a run folder.

    Raises:
        StorageError: there are none, they are damaged, or of detections that there are no more.
    """
    if not (folder / "run.json").is_file():
        raise StorageError(f"{folder}: no run folder; run 'barlowtrack run RECORDING --to crop' first")
    run = RunFolder(folder)
    detected, cropped = run.record("segment"), run.record("crop")
    if cropped is None or run.damage(cropped):
        raise StorageError(f"{folder}: has no crops; run 'barlowtrack run {folder} --to crop' first")
    if detected is None or cropped.inputs.get("detections") != detected.key:
        raise StorageError(f"{folder}: its crops are older than its detections; run 'barlowtrack run {folder} --to crop' first")
    return cropped.key


def encoder_key(keys: Sequence[str], config: Config) -> str:
    """Returns the key of an encoder of these crops, whatever their order, and these settings."""
    path = start_path(config.train)
    said = {
        "version": VERSION,
        "train": config.train.model_dump(mode="json", exclude={"start"}),
        "seed": config.seed,
        "start": encoder_digest(path) if path else None,
        "crops": sorted(keys),
    }
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def train_together(
    folders: Sequence[Path], out: Path, config: Config, *, leave_out: bool = False, progress: Progress = silent
) -> tuple[MadeFrom, dict[str, str], bool]:
    """Trains one encoder on the crops of several run folders, and writes it; one that is there already is left alone.

    Killed, it goes on after the last epoch when called again. Memory does not grow with the recordings.

    Args:
        folders: Run folders, up to date to `crop`.
        out: The encoder's file, which [train] start takes. Beside it, OUT.training keeps the state.
        config: Of it, [train], [compute] and the seed count.
        leave_out: Leave out those that have no crops, instead of refusing.
        progress: Told after every epoch.

    Returns:
        What it was made from, why others were left out, by name, and whether there was anything to do.

    Raises:
        InputError: crops that do not go together, settings that ask something of two recordings at once, or a place that is taken.
        StorageError: a run folder without crops, or one in which somebody else is at work.
    """
    if out.exists() and made_from(out) is None:
        raise InputError(f"{out}: expected a free place, or an encoder for many to replace, got something else")
    out.parent.mkdir(parents=True, exist_ok=True)
    names = names_of(list(dict.fromkeys(folders)))
    with ExitStack() as held:
        keys, lost = _usable(names, held, leave_out=leave_out)
        if not keys:
            raise InputError(f"train-encoder: none of {len(folders)} recordings can be used; {'; '.join(lost.values())}")
        made = MadeFrom(encoder_key(list(keys.values()), config), tuple(sorted(names[folder] for folder in keys)))
        there = made_from(out)
        if there == made:
            return there, lost, False
        with _alone(out.with_name(f"{out.name}.training")) as half_made:
            state = _train(keys, half_made, config, progress)
            write_bytes(out, state.encoder().to_bytes({"together": {"key": made.key, "recordings": list(made.recordings)}}))
        shutil.rmtree(half_made)
        if not state.best:
            log.warning("no epoch was better than the start: the encoder is the one that training began with")
    return replace(made, epoch=state.best), lost, True


def _usable(names: Mapping[Path, str], held: ExitStack, *, leave_out: bool) -> tuple[dict[Path, str], dict[str, str]]:
    """Returns the keys of the crops that can be used, and why others cannot; nobody may change these run folders meanwhile."""
    keys: dict[Path, str] = {}
    lost: dict[str, str] = {}
    for folder, name in names.items():
        try:
            key = crops_key(folder)
            held.enter_context(RunFolder(folder).share())
            if not len(read("crops", RunFolder(folder))):
                raise StorageError(f"{folder}: no volume has two nuclei")
        except BarlowtrackError as error:
            if not leave_out:
                raise
            lost[name] = str(error)
            continue
        if key in keys.values():
            log.info("%s: the same crops a second time; they count once", folder)
        else:
            keys[folder] = key
    return keys, lost


def _train(keys: dict[Path, str], half_made: Path, config: Config, progress: Progress) -> TrainState:
    from barlowtrack.embedding.together import Part, TrainingTogether
    from barlowtrack.nn.state import TrainState

    parts = [
        Part(folder.name, key, read("crops", RunFolder(folder)), partial(read, "detections", RunFolder(folder), amended=False))
        for folder, key in keys.items()
    ]
    training = TrainingTogether(parts, open_start(config.train), config.train, config.compute, config.seed)
    kept = half_made / "state.safetensors"
    state = None
    if kept.exists():
        try:
            state = TrainState.from_bytes(kept.read_bytes())
            training.resume(state)
            log.warning("%s: goes on after epoch %d", half_made, state.epoch)
        except InputError as error:
            log.warning("%s: half-made work cannot be used (%s); starting over", half_made, error)
            training, state = TrainingTogether(parts, open_start(config.train), config.train, config.compute, config.seed), None
    for now in _epochs(training, state, config.train.n_epochs, progress):
        write_bytes(kept, now.to_bytes())
        state = now
    assert state is not None, "training yields its start, at least"
    return state


def _epochs(training: TrainingTogether, state: TrainState | None, n_epochs: int, progress: Progress) -> Iterator[TrainState]:
    from barlowtrack.embedding.diagnosis import Watch

    watch = Watch(n_epochs)
    if state is None:
        state = training.start()
        watch.look(training.seen, state.history)
        yield state
    progress(state.epoch, n_epochs)
    for epoch in range(state.epoch + 1, n_epochs + 1):
        state = training.advance(state, epoch)
        watch.look(training.seen, state.history)
        yield state
        progress(epoch, n_epochs)


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Keeps another training out of the same place; freed by the system however this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", f"{folder}: another training is at work here ({{holder}}); wait for it, or give another --out"):
        yield folder
