"""One encoder for many recordings: trained on the crops of several run folders, taken as it is by all."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from barlowtrack.api import prepare
from barlowtrack.data import Progress, silent
from barlowtrack.embedding.of_many import refuse_settings
from barlowtrack.errors import BarlowtrackError, InputError, StorageError
from barlowtrack.io.start import encoder_digest, open_start, refuse_misfit, start_path
from barlowtrack.pipeline import read
from barlowtrack.storage import RunFolder
from barlowtrack.storage.atomic import write_bytes
from barlowtrack.storage.folder import SUFFIX
from barlowtrack.storage.locks import locked
from barlowtrack.storage.shared_encoder import STATE, MadeFrom, half_made, made_from, note_names, refuse_place, write_encoder

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.embedding.together import TrainingTogether
    from barlowtrack.nn.state import TrainState

Box = tuple[tuple[int, ...], tuple[float, ...]]
"""Voxels of a crop, and its size in um, z y x."""
K = TypeVar("K")

log = logging.getLogger(__name__)

VERSION = 1
"""Raised by whoever changes what the training computes."""
TO_CROPS = ("prepare", "segment", "crop")
"""Stages that are the same whatever encoder comes after them."""
Given = tuple[Path | None, Sequence[str]]
"""A file of settings, and settings that come on top of it."""


def settings_of(config_file: Path | None, overrides: Sequence[str]) -> Config:
    """Returns the settings of a training on many: where they leave it open, the encoder that comes along is trained further."""
    from barlowtrack.config import Config, TrainConfig, load

    return load(config_file, overrides, base=Config(train=TrainConfig(mode="fine-tune")))


def names_of(folders: Sequence[Path]) -> dict[Path, str]:
    """Returns what recordings are called, by their run folders; of two with one name, with the folder they lie in."""
    short = {folder: folder.resolve().name.removesuffix(SUFFIX) for folder in folders}
    counts = Counter(short.values())
    return {folder: name if counts[name] == 1 else f"{folder.resolve().parent.name}/{name}" for folder, name in short.items()}


def crops_key(folder: Path, given: Given | None = None) -> str:
    """Returns the key of the crops of a run folder.

    Args:
        folder: The run folder.
        given: Settings that the crops must have been made with; None: those of the run folder.

    Raises:
        StorageError: there are none, or they are not up to date: of another content of the recording, or of other settings.
        InputError: the recording cannot be opened.
    """
    if not (folder / "run.json").is_file():
        raise StorageError(f"{folder}: no run folder; run 'barlowtrack run RECORDING --to crop' first")
    config, overrides = given or (None, ())
    job = prepare(folder, config=config, overrides=overrides)
    planned = {item.stage.name: item for item in job.plan()}
    for name in TO_CROPS:
        item = planned[name]
        if item.state != "cached":
            why = f"{name} is {item.state}: {'; '.join(item.reasons)}"
            raise StorageError(f"{folder}: its crops are not up to date ({why}); run 'barlowtrack run {folder} --to crop' first")
    return planned["crop"].record.key


def encoder_key(keys: Sequence[str], config: Config) -> str:
    """Returns the key of an encoder of these crops, whatever their order, and these settings."""
    path = start_path(config.train)
    said = {
        "version": VERSION,
        "train": config.train.model_dump(mode="json", exclude={"start"}),
        "seed": config.seed,
        "start": encoder_digest(path) if path else None,
        "crops": sorted(set(keys)),
    }
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def train_together(
    folders: Sequence[Path],
    out: Path,
    config: Config,
    *,
    leave_out: bool = False,
    given: Given | None = None,
    progress: Progress = silent,
) -> tuple[MadeFrom, dict[str, str], bool]:
    """Trains one encoder on the crops of several run folders, and writes it; one that is there already is left alone.

    Killed, it goes on after the last epoch when called again. Memory does not grow with the recordings.

    Args:
        folders: Run folders, up to date to `crop`.
        out: The encoder's file, which [train] start takes. Beside it, OUT.json says the names, and OUT.training keeps the state.
        config: Of it, [train], [compute] and the seed count.
        leave_out: Leave out those that have no crops, or crops of another size than the others, instead of refusing.
        given: Settings that the crops must have been made with; None: those of each run folder.
        progress: Told after every epoch.

    Returns:
        What it was made from, why others were left out, by name, and whether there was anything to do.

    Raises:
        InputError: crops that do not go together, settings that ask something of two recordings at once, or a place that is taken.
        StorageError: a run folder without crops that are up to date, or one in which somebody else is at work; or a place that is part of
            a recording or of a run.
    """
    refuse_settings(config.train)
    names = names_of(list(dict.fromkeys(folders)))
    refuse_place(out, {folder: RunFolder(folder).location for folder in names if (folder / "run.json").is_file()})
    out.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        keys, lost = _usable(names, held, config, leave_out=leave_out, given=given)
        if not keys:
            raise InputError(f"train-encoder: none of {len(folders)} recordings can be used; {'; '.join(lost.values())}")
        made = MadeFrom(encoder_key(list(keys.values()), config), {names[folder]: key for folder, key in keys.items()}, 0)
        there = made_from(out)
        if there is not None and there.whole and there.key == made.key:
            made = replace(made, epoch=there.epoch)
            if there.crops != made.crops:  # a recording is called by another name
                note_names(out, made)
            return made, lost, False
        with half_made(out) as room, _alone(room):
            state = _train(keys, room / STATE, config, progress)
            write_encoder(out, state.encoder().to_bytes({"together": {"key": made.key}}), made)
        if not state.best:
            log.warning("no epoch was better than the start: the encoder is the one that training began with")
    return replace(made, epoch=state.best), lost, True


def _usable(
    names: Mapping[Path, str], held: ExitStack, config: Config, *, leave_out: bool, given: Given | None
) -> tuple[dict[Path, str], dict[str, str]]:
    """Returns the keys of the crops that can be used, and why others cannot; nobody may change these run folders meanwhile."""
    keys: dict[Path, str] = {}
    lost: dict[str, str] = {}
    boxes: dict[Path, Box] = {}
    for folder, name in names.items():
        try:
            with ExitStack() as mine:
                mine.enter_context(_unchanged(folder))
                key = crops_key(folder, given)
                crops = read("crops", RunFolder(folder))
                if not len(crops):
                    raise StorageError(f"{folder}: no volume has two nuclei")
                held.push(mine.pop_all())
        except BarlowtrackError as error:
            if not leave_out:
                raise
            lost[name] = str(error)
            continue
        boxes[folder] = (crops.window, crops.size_um)
        if key in keys.values():
            log.info("%s: the same crops a second time; they count once", folder)
        else:
            keys[folder] = key
    if leave_out:
        for folder, why in misfits(boxes, config).items():
            lost[names[folder]] = f"{folder}: {why}"
            keys.pop(folder, None)
    return keys, lost


def _unchanged(folder: Path) -> AbstractContextManager[None]:
    """Keeps a run folder as it is; one that is not there is told later."""
    return RunFolder(folder).share() if (folder / "run.json").is_file() else nullcontext()


def misfits(boxes: Mapping[K, Box], config: Config) -> dict[K, str]:
    """Says whose crops cannot go with the others: with the encoder that training begins with, or else with those of the most recordings.

    Args:
        boxes: Voxels and size of each one's crops, in order.
        config: Of it, [train] counts.
    """
    if not boxes:
        return {}
    if start_path(config.train) is None:
        window, size_um = Counter(boxes.values()).most_common(1)[0][0]
        told = f"[crop] grid = {list(window)} and size_um = {list(size_um)}"
        said = f"its crops are of another size than those of the others; give it {told}"
        return {one: said for one, box in boxes.items() if box != (window, size_um)}
    found = {}
    for one, (window, size_um) in boxes.items():
        try:
            refuse_misfit(config.train, config.crop.model_copy(update={"grid": window, "size_um": size_um}))
        except InputError as error:
            found[one] = str(error)
    return found


def _train(keys: dict[Path, str], kept: Path, config: Config, progress: Progress) -> TrainState:
    from barlowtrack.embedding.together import Part, TrainingTogether
    from barlowtrack.nn.state import TrainState

    parts = [
        Part(folder.name, key, read("crops", RunFolder(folder)), partial(read, "detections", RunFolder(folder), amended=False))
        for folder, key in keys.items()
    ]
    training = TrainingTogether(parts, open_start(config.train), config.train, config.compute, config.seed)
    state = None
    if kept.exists():
        try:
            state = TrainState.from_bytes(kept.read_bytes())
            training.resume(state)
            log.warning("%s: goes on after epoch %d", kept.parent, state.epoch)
        except InputError as error:
            log.warning("%s: half-made work cannot be used (%s); starting over", kept.parent, error)
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
