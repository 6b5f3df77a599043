"""STAGES: the table that alone knows the order, and plan() and run() that read it.

Imports of ours that are slow (zarr, torch, pandas) happen inside the functions, so that the CLI can show the table at once.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from barlowtrack.errors import BarlowtrackError, InputError, StorageError
from barlowtrack.faults import is_of_the_machine

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.data import Amendments, Preparation, Progress, Recording
    from barlowtrack.data.arrays import VoxelArray
    from barlowtrack.storage import RunFolder, Sink, StageRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One row of the table.

    Attributes:
        name: Verb; also its module in barlowtrack.stages, and its function there.
        needs: What it is made from, in the order of the function's positional parameters.
        makes: What it leaves in the run folder.
        does: One sentence.
        version: Raised by whoever changes what the stage computes; older results become stale.
        aspects: What it uses of the recording beside voxels, voxel size and the roles of the channels.
        sections: Sections of the settings it reads, or single settings of one ("track.position"); the first one's section is its config.
        seeded: Whether the run's seed changes its result.
        by_volume: Whether its parts are volumes, so that pieces can be made by jobs of their own.
        amends: Artefacts of which it makes another edition, by what it makes: whoever comes later, and everybody outside, gets that one;
            whoever comes before gets what was made first. Where nobody edits, it does nothing, and there is one edition.
        whole: Whether what it needs is read through before, and held against what was made; not where it looks at a few volumes.
        voxels: Whether it reads the recording, if it needs it; else it takes of it what the run folder knows, too.
        prepares: Whether all others see the recording through what it makes. Where its section asks for nothing, it does nothing, and keys
            are as if it were not there.
    """

    name: str
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    does: str
    version: int = 1
    aspects: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    seeded: bool = False
    by_volume: bool = False
    amends: tuple[str, ...] = ()
    whole: bool = True
    voxels: bool = True
    prepares: bool = False

    def function(self) -> Callable[..., Any]:
        """Imports the stage's function."""
        found: Callable[..., Any] = getattr(importlib.import_module(f"barlowtrack.stages.{self.name}"), self.name)
        return found


STAGES = (
    Stage(
        "prepare",
        needs=("recording", "deconvolver"),
        makes=("preparation",),
        does="Put the pictures right, where the settings ask for it.",
        sections=("prepare",),
        prepares=True,
    ),
    Stage(
        "segment",
        needs=("recording", "segmenter"),
        makes=("detections", "volumes", "labels"),
        does="Find the nuclei of every volume.",
        version=2,
        sections=("segment",),
        by_volume=True,
    ),
    Stage(
        "crop",
        needs=("recording", "detections", "volumes"),
        makes=("crops",),
        does="Cut a box around the nuclei of the training volumes.",
        version=2,
        sections=("crop",),
    ),
    Stage(
        "train",
        needs=("crops", "detections", "start"),
        makes=("encoder", "history"),
        does="Get an encoder ready that tells the neurons apart, without labels.",
        version=2,
        sections=("train",),
        seeded=True,
    ),
    Stage(
        "embed",
        needs=("recording", "detections", "encoder"),
        makes=("embeddings",),
        does="Describe every nucleus by a vector.",
        sections=("embed",),
        by_volume=True,
    ),
    Stage(
        "identify",
        needs=("detections", "volumes", "embeddings"),
        makes=("atlas", "identities"),
        does="Learn which neurons there are, and lay that atlas over every volume.",
        version=2,
        sections=("track.position", "track.appearance"),
        seeded=True,
    ),
    Stage(
        "measure",
        needs=("recording", "labels", "detections", "identities"),
        makes=("light", "places"),
        does="Read the light of every nucleus, and where neurons should be that were not found.",
        version=2,
        sections=("measure",),
        by_volume=True,
    ),
    Stage(
        "amend",
        needs=("recording", "labels", "detections", "embeddings", "encoder", "identities", "light", "edits"),
        makes=("amendments",),
        does="Add and divide nuclei where people say so.",
        version=2,
        sections=("measure",),
        amends=("labels", "detections", "embeddings", "identities", "light", "places"),
        whole=False,
    ),
    Stage(
        "track",
        needs=("detections", "embeddings", "atlas", "identities", "corrections"),
        makes=("tracks", "candidates", "neurons", "absences"),
        does="Decide which nuclei are the same neuron, and how surely.",
        version=4,
        sections=("track.min_probability", "track.max_error"),
    ),
    Stage(
        "trace",
        needs=("recording", "light", "places", "detections", "identities", "tracks", "neurons", "absences"),
        makes=("traces", "wide", "swaps", "bleaching"),
        does="Make the activity of every neuron of its light.",
        version=3,
        aspects=("rate_hz",),
        sections=("trace",),
        voxels=False,
    ),
    Stage(
        "report",
        needs=(
            "recording",
            "detections",
            "volumes",
            "embeddings",
            "atlas",
            "identities",
            "corrections",
            "tracks",
            "traces",
            "swaps",
            "bleaching",
            "history",
            "costs",
        ),
        makes=("report",),
        does="Write the page that says what came out and how far to trust it.",
        version=5,
        aspects=("rate_hz", "name", "channel_names", "assumptions"),
        sections=("report", "recording", "prepare", "segment", "crop", "train", "embed", "track", "measure", "trace"),
        seeded=True,
    ),
)

GIVEN = ("recording", "deconvolver", "segmenter", "start", "edits", "corrections", "costs")
"""What stages need and no stage makes: the recording, who sharpens it, the star-convex model of the settings, and the encoder that
training starts from (each None where the settings ask for none), what people said in the run folder's corrections.csv, once the rows that
change detections, once all of them, and what the stages cost, which is part of no key: the same result may cost more or less."""

MAKER = {artefact: stage.name for stage in STAGES for artefact in stage.makes}

AMENDMENTS = "amendments"
_AMEND = next(stage for stage in STAGES if stage.amends)
UNAMENDED = "none"
"""Edition of what was made first, and digest of no edits."""
PREPARATION = "preparation"
_PREPARE = next(stage for stage in STAGES if stage.prepares)


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
    lacking = {name for stage in STAGES for name in (*_ALWAYS, *stage.aspects)} - set(card)
    if lacking:
        raise StorageError(f"run.json does not say the recording's {', '.join(sorted(lacking))}; run it once with the recording at hand")
    planned: list[PlannedStage] = []
    keys = {
        "deconvolver": _deconvolver(config),
        "segmenter": _segmenter_digest(folder, config),
        "start": _start_digest(folder, config),
        "edits": _edits_digest(folder),
        "corrections": _corrections_digest(folder),
        "costs": _OF_EVERY_RUN,
    }
    for stage in STAGES:
        expected = _expected(stage, card, config, keys)
        keys.update(dict.fromkeys(stage.makes, expected.key))
        planned.append(_compare(folder, stage, expected))
    return planned


def run(
    recording: Recording,
    location: Path,
    folder: RunFolder,
    config: Config,
    *,
    only: str | None = None,
    upto: str | None = None,
    listener: Listener | None = None,
) -> list[PlannedStage]:
    """Brings a run folder up to date, stage by stage; what is cached is left alone, what was killed half-way goes on.

    Args:
        recording: To work on.
        location: Where it lies; its path as seen from the run folder is noted there.
        folder: Where results go.
        config: Settings.
        only: Run this stage alone; what it needs must be there.
        upto: Run the stages up to this one.
        listener: Hears of every stage; the CLI's bars, the plugin's signals.

    Returns:
        The plan that was carried out.

    Raises:
        StorageError: the folder is in use, belongs to another recording's path, or lacks what `only` needs.
        InputError: the recording cannot be used, or the encoder to start from.
    """
    from barlowtrack.config import to_toml

    listener = listener or Listener()
    listener.opened(recording)
    with folder.lock():
        card = recording_card(recording)
        refuse_another(folder, location, card)
        _refuse_moving_what_was_said(folder, config)
        planned = _chosen(plan(folder, card, config), only, upto)
        listener.planned(planned)
        _refuse_without_voxels(planned, recording, folder)
        _refuse_early(planned, config)
        folder.describe(None if isinstance(recording.source, Away) else location, card, to_toml(config))
        for item in planned:
            if item.state != "cached":
                _run_stage(item, recording, folder, config, listener)
            listener.finished(item)
    return planned


def run_piece(
    recording: Recording, location: Path, folder: RunFolder, config: Config, stage: str, volumes: range, listener: Listener | None = None
) -> PlannedStage:
    """Makes some volumes of one stage, while other jobs make others in the same run folder; whoever runs the stage next puts them together.

    Args:
        recording: To work on.
        location: Where it lies.
        folder: Where results go.
        config: Settings; a piece counts only for a run with the same ones.
        stage: One whose parts are volumes; what it needs must be there.
        volumes: Which ones.
        listener: Hears of it.

    Returns:
        What was carried out; cached where the whole stage is done already.

    Raises:
        StorageError: somebody has the folder alone, makes this piece already, or it lacks what the stage needs.
        InputError: no such volumes, a stage that is made of the whole recording, or a recording that cannot be used.
    """
    from barlowtrack.config import to_toml

    listener = listener or Listener()
    listener.opened(recording)
    refuse_piece(stage, volumes, recording.n_volumes)
    with folder.share():
        card = recording_card(recording)
        with folder.beginning():
            refuse_another(folder, location, card)
            folder.describe(location, card, to_toml(config))
        [item] = _chosen(plan(folder, card, config), stage, None)
        listener.planned([item])
        if item.state != "cached":
            _make_piece(item, volumes, recording, folder, config, listener)
        listener.finished(item)
    return item


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


def refuse_before(recording: Recording, config: Config, *, only: str | None = None, upto: str | None = None) -> None:
    """Refuses what a run into a folder that is not there yet is sure to refuse, so that no folder is made for it.

    Raises:
        StorageError, InputError: see run.
    """
    _refuse_early(_chosen(plan(None, recording_card(recording), config), only, upto), config)


class Listener:
    """Hears how a run goes; this one says nothing."""

    def opened(self, recording: Recording) -> None:
        """The recording can be used."""

    def planned(self, planned: Sequence[PlannedStage]) -> None:
        """This is what will be done."""

    def started(self, item: PlannedStage) -> Progress:
        """A stage starts; returns whoever wants its progress."""
        from barlowtrack.data import silent

        return silent

    def finished(self, item: PlannedStage) -> None:
        """A stage is up to date."""


def recording_card(recording: Recording) -> dict[str, Any]:
    """Returns what keys know of a recording: its content's hash, geometry, channels, rate and name."""
    return {
        "content": recording.fingerprint,
        "shape": list(recording.shape),
        "voxel_size_um": list(recording.voxel_size_um),
        "reference": recording.reference,
        "signal": recording.signal,
        "rate_hz": recording.rate_hz,
        "name": recording.name,
        "channel_names": list(recording.channel_names),
        "assumptions": list(recording.assumptions),
    }


@dataclass(frozen=True)
class Away:
    """Stands for the volumes of a recording that is not at hand.

    Attributes:
        location: Where it was expected.
    """

    location: Path

    def read(self, t: int) -> VoxelArray:
        raise InputError(f"{self.location}: volume {t} is wanted, and the recording is not there")


def recording_away(card: Mapping[str, Any], location: Path) -> Recording:
    """Returns what a run folder knows of a recording that is not at hand: enough for all that reads none of its volumes.

    Args:
        card: See recording_card.
        location: Where it was expected.
    """
    import numpy as np

    from barlowtrack.data import Recording

    t, c, z, y, x = card["shape"]
    size_z, size_y, size_x = card["voxel_size_um"]
    return Recording(
        name=card["name"],
        source=Away(location),
        shape=(t, c, z, y, x),
        dtype=np.dtype(np.uint16),  # of nothing: no volume is read
        voxel_size_um=(size_z, size_y, size_x),
        rate_hz=card["rate_hz"],
        channel_names=tuple(card["channel_names"]),
        reference=card["reference"],
        signal=card["signal"],
        fingerprint=card["content"],
        assumptions=tuple(card["assumptions"]),
    )


_ALWAYS = ("content", "shape", "voxel_size_um", "reference", "signal")


def _expected(stage: Stage, card: Mapping[str, Any], config: Config, keys: Mapping[str, str]) -> StageRecord:
    from barlowtrack.storage import StageRecord

    edited = keys["edits"] != UNAMENDED
    inputs = {name: keys[name] for name in stage.needs if name != "recording"}
    if config.prepare.asked and not stage.prepares and "recording" in stage.needs:
        inputs[PREPARATION] = keys[PREPARATION]
    if edited and AMENDMENTS in keys and set(stage.needs) & set(_AMEND.amends):  # where nobody edits, keys are as if nobody could
        inputs[AMENDMENTS] = keys[AMENDMENTS]
    record = StageRecord(
        stage=stage.name,
        key="",
        version=stage.version,
        seed=config.seed if stage.seeded else None,
        settings=json.loads(config.model_dump_json(include=_included(_sections(stage, config)))),
        recording={name: card[name] for name in (*_ALWAYS, *stage.aspects)} if "recording" in stage.needs else {},
        inputs=inputs,
        artefacts={},
    )
    if stage.amends and not edited:  # nothing is done, whatever the rest is
        record = replace(record, settings={}, recording={}, inputs={"edits": UNAMENDED})
    if stage.prepares and not config.prepare.asked:
        record = replace(record, settings={}, recording={}, inputs={})
    return replace(record, key=hashlib.blake2b(_keyed(stage, record).to_bytes(), digest_size=16).hexdigest())


def _sections(stage: Stage, config: Config) -> tuple[str, ...]:
    """Returns the sections that a stage reads: that of `prepare` only where it asks for something."""
    return tuple(name for name in stage.sections if name != _PREPARE.name or config.prepare.asked)


def _is_idle(record: StageRecord) -> bool:
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


def _compare(folder: RunFolder | None, stage: Stage, expected: StageRecord) -> PlannedStage:
    from barlowtrack.storage import ARTEFACTS

    record = folder.record(stage.name) if folder else None
    if record is None and folder is not None and stage.prepares and _is_idle(expected) and folder.record("segment") is not None:
        return PlannedStage(stage, "cached", (), expected)  # the folder is older than this stage, which has nothing to do
    if folder is None or record is None:
        done = folder.half_done(stage.name, expected.key) if folder else None
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
    return PlannedStage(stage, "stale", (*_why(record, expected), *_pieces_why(folder, stage, expected)), expected)


def _pieces_why(folder: RunFolder | None, stage: Stage, expected: StageRecord) -> list[str]:
    """Says how many volumes jobs of their own have made, which need not be made again."""
    if folder is None or not stage.by_volume:
        return []
    safe = {t for piece in folder.pieces(stage.name, expected.key) for t in piece.safe}
    return [f"{len(safe)} volume{'s' * (len(safe) != 1)} made in pieces"] if safe else []


def _why(old: StageRecord, new: StageRecord) -> Iterator[str]:
    from barlowtrack.config import differences

    if old.version != new.version:
        yield f"{new.stage} version {old.version} -> {new.version}"
    if old.seed != new.seed:
        yield f"seed {old.seed} -> {new.seed}"
    if UNAMENDED in (old.inputs.get("edits"), new.inputs.get("edits")):  # one of them did nothing, whatever the rest was
        yield _said_why(_SAID["edits"], old.inputs.get("edits", UNAMENDED), new.inputs["edits"])
        return
    asked = differences(_with_all_prepared(old.settings, new.settings), _with_all_prepared(new.settings, old.settings))
    if stage_named(new.stage).prepares and (_is_idle(old) or _is_idle(new)):  # likewise
        yield from asked
        return
    changed = differences(old.recording, new.recording, "recording ")
    yield from (text for text in changed if not text.startswith("recording content"))
    if old.recording.get("content") != new.recording.get("content"):
        yield "the recording's files changed"
    yield from asked
    for name, key in new.inputs.items():
        if name not in (AMENDMENTS, PREPARATION) and old.inputs.get(name, key) != key:  # what an older version did not need has not changed
            if name in _SAID:
                yield _said_why(_SAID[name], old.inputs[name], key)
            else:
                yield f"other {name} ({MAKER[name]})" if name in MAKER else _ANOTHER[name]
    if old.inputs.get(PREPARATION) != new.inputs.get(PREPARATION):
        yield f"pictures prepared in another way ({_PREPARE.name})"
    if old.inputs.get(AMENDMENTS) != new.inputs.get(AMENDMENTS):
        yield f"other detections ({_AMEND.name})"


def _refuse_moving_what_was_said(folder: RunFolder, config: Config) -> None:
    """Refuses settings that would put nuclei elsewhere than people saw them: what they said there would be taken for that of others.

    Raises:
        StorageError: there are corrections, and planes would be moved, cut or mirrored in another way than when they were said.
    """
    from barlowtrack.config import PrepareConfig, differences
    from barlowtrack.storage import read_corrections

    made = folder.record(_PREPARE.name)
    if folder.record("segment") is None:
        return
    old = PrepareConfig() if made is None else PrepareConfig.model_validate(made.settings.get(_PREPARE.name, {}))
    moving = ("jitter", "drift", "planes", "mirror")
    before, after = ({name: getattr(one, name) for name in moving} for one in (old, config.prepare))
    said = len(read_corrections(folder.path).in_force) if before != after else 0
    if said:
        changed = "; ".join(differences(before, after, "prepare."))
        raise StorageError(
            f"{folder.path}: corrections ({said}) hold where nuclei lie now, and would fall on others ({changed});"
            " leave that setting as it was, or give another --out"
        )


def _with_all_prepared(settings: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns settings with a section for `prepare` where the others have one: left out, it is as it comes."""
    from barlowtrack.config import PrepareConfig

    if _PREPARE.name in settings or _PREPARE.name not in other:
        return settings
    return {**settings, _PREPARE.name: json.loads(PrepareConfig().model_dump_json())}


def _said_why(what: str, old: str, new: str) -> str:
    """Compares two digests of rows that people wrote, which begin with how many there are."""
    counts = [digest.partition(" ")[0] for digest in (old, new)]
    before, now = (int(count) if count.isdecimal() else 0 for count in counts)
    if now == before:
        return f"{what} changed"
    return f"{what} changed: {now - before} added" if now > before else f"{what} changed: {before - now} taken back"


_OF_EVERY_RUN = "of every run"
"""Stands in keys for what a run cost: no key may hang on it, or no result would ever be found again."""

_SAID = {"corrections": "corrections", "edits": "edits of detections"}
_ANOTHER = {
    "deconvolver": "another function that sharpens",
    "segmenter": "another segmenter model",
    "start": "another encoder to start from",
}


def refuse_another(folder: RunFolder, location: Path, card: Mapping[str, Any]) -> None:
    """Keeps the results of one recording from being replaced by another's: same place or same content is the same recording."""
    if not folder.is_new:
        about = folder.about()
        if about["recording"] != folder.relative(location) and about["card"].get("content") != card["content"]:
            raise StorageError(f"{folder.path}: belongs to the recording {about['recording']}; give another --out")


def _chosen(planned: list[PlannedStage], only: str | None, upto: str | None) -> list[PlannedStage]:
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


def _refuse_without_voxels(planned: list[PlannedStage], recording: Recording, folder: RunFolder) -> None:
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
    return "recording" in item.stage.needs and item.stage.voxels and not _is_idle(item.record)


def _refuse_early(planned: list[PlannedStage], config: Config) -> None:
    """Refuses what a stage to come is sure to refuse, before hours are spent on those in front of it."""
    from barlowtrack.io.start import open_start, refuse_misfit

    if any("start" in item.stage.needs and item.state != "cached" for item in planned):
        refuse_misfit(config.train, config.crop)
        open_start(config.train)  # a copy that was cut off has a whole header
    if config.segment.model and any("segmenter" in item.stage.needs and item.state != "cached" for item in planned):
        from barlowtrack.io.segmenter import open_segmenter

        open_segmenter(config.segment)


def _run_stage(item: PlannedStage, recording: Recording, folder: RunFolder, config: Config, listener: Listener) -> None:
    from barlowtrack.mishaps import told_in_a_line

    stage = item.stage
    with (
        folder.journal.at_work(stage.name, item.record.key) as part_of_it,
        told_in_a_line(stage.name, folder.path, recording, config),
    ):
        progress = part_of_it.follow(listener.started(item))
        idle = _is_idle(item.record)
        inputs = {} if idle else _inputs(item, recording, folder, config, whole=stage.whole)
        sink, resume = _open_sink(item, inputs, folder, config)
        for span in () if idle else _spans(item, sink, folder, resume):
            for part in _parts(stage, inputs, config, progress, span):
                sink.add(part)
        sizes = sink.finish()
        for name in sizes:
            if (folder.path / name).exists():
                log.info("%s: replacing %s", stage.name, name)
        part_of_it.note()
        folder.publish(replace(item.record, artefacts=sizes))


def _make_piece(item: PlannedStage, volumes: range, recording: Recording, folder: RunFolder, config: Config, listener: Listener) -> None:
    from barlowtrack.mishaps import told_in_a_line
    from barlowtrack.storage.sinks import open_piece

    stage, key = item.stage, item.record.key
    with (
        folder.piece(stage.name, key, volumes) as partial,
        folder.journal.at_work(stage.name, key, volumes) as part_of_it,
        told_in_a_line(stage.name, folder.path, recording, config),
    ):
        inputs = _inputs(item, recording, folder, config, whole=False)  # whoever puts the pieces together looks whether they are whole
        try:
            sink = open_piece(stage.name, partial, inputs, config, volumes)
        except _DAMAGED as error:
            _refuse_fault(error)
            log.warning("%s: half-made work cannot be used (%s); starting over", partial, error)
            folder.empty(partial, key)
            sink = open_piece(stage.name, partial, inputs, config, volumes)
        resume = sink.resume()
        if resume["start"] < resume["stop"]:
            for part in _parts(stage, inputs, config, part_of_it.follow(listener.started(item)), resume):
                sink.add(part)


def _spans(item: PlannedStage, sink: Sink, folder: RunFolder, resume: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What is left to be made once all pieces that other jobs made are taken over: with these arguments the stage is to be called."""
    from barlowtrack.storage.volume_sinks import VolumeParts

    if not isinstance(sink, VolumeParts):
        yield resume
        return
    pieces = folder.pieces(item.stage.name, item.record.key)
    while sink.next < sink.volumes.stop:
        here = next((piece for piece in pieces if sink.next in piece.safe), None)
        if here is None:
            later = [piece.volumes.start for piece in pieces if piece.volumes.start > sink.next]
            yield {"start": sink.next, "stop": min(later, default=sink.volumes.stop)}
            continue
        safe = sink.next
        try:
            sink.adopt(here.path, here.volumes)
            if sink.next == safe:
                raise StorageError("it does not hold what it says")
        except _DAMAGED as error:
            _refuse_fault(error)
            log.warning("%s: cannot be used (%s); its volumes are made again", here.path, error)
            pieces.remove(here)


def _inputs(item: PlannedStage, recording: Recording, folder: RunFolder, config: Config, *, whole: bool) -> dict[str, Any]:
    """Returns what a stage needs, in the edition that its key says."""
    amended = AMENDMENTS in item.record.inputs
    return {
        name: _given(name, recording, config, item, folder) if name in GIVEN else read(name, folder, whole=whole, amended=amended)
        for name in item.stage.needs
    }


def _given(name: str, recording: Recording, config: Config, item: PlannedStage, folder: RunFolder) -> Any:
    if name == "recording":
        from barlowtrack.preparing.view import prepared

        return prepared(recording, _preparation(folder, item.record.inputs.get(PREPARATION)))
    if name == "deconvolver":
        return item.record.inputs[name]
    if name in _SAID:
        from barlowtrack.data.corrections import edits_digest
        from barlowtrack.storage import read_corrections

        found = read_corrections(folder.path)
        digest = found.digest if name == "corrections" else edits_digest(found.edits)
        if digest != item.record.inputs[name]:  # else the result would carry the key of another table
            raise StorageError(f"{folder.path}: corrections came while the run was on its way; run it again to go on")
        return found if name == "corrections" else found.edits
    if name == "start":
        from barlowtrack.io.start import open_start

        return open_start(config.train)
    if name == "costs":
        costs = folder.costs()
        return tuple(costs[stage.name] for stage in STAGES if stage.name in costs and stage.name != item.stage.name)
    from barlowtrack.io.segmenter import open_segmenter

    return open_segmenter(config.segment)


_DAMAGED = (BarlowtrackError, ValueError, TypeError, KeyError, IndexError, EOFError)
"""What opening half-made work ends with that is not what it should be."""


def _refuse_fault(error: Exception) -> None:
    """Raises what the machine is to blame for, and not the half-made work, which is worth keeping."""
    if is_of_the_machine(error):
        raise error


def as_seen(recording: Recording, folder: RunFolder) -> Recording:
    """Returns a recording as the run of a folder sees it: prepared as it was when its nuclei were found, or will be.

    Detections, labels and all else that a run says of places hold in what is read here.

    Raises:
        StorageError: the pictures have been prepared in another way since nuclei were found in them.
    """
    from barlowtrack.preparing.view import prepared

    return prepared(recording, preparation_of(folder))


def preparation_of(folder: RunFolder) -> Preparation:
    """Returns how the run of a folder puts its pictures right; see as_seen.

    Raises:
        StorageError: the pictures have been prepared in another way since nuclei were found in them.
    """
    found, made = folder.record("segment"), folder.record(_PREPARE.name)
    if found is not None:
        return _preparation(folder, found.inputs.get(PREPARATION))
    return _preparation(folder, None if made is None else made.key)


def _preparation(folder: RunFolder, key: str | None) -> Preparation:
    """Reads the preparation of that key; None: nothing is prepared."""
    from barlowtrack.data import Preparation

    if key is None:
        return Preparation()
    made = folder.record(_PREPARE.name)
    if made is None or made.key != key:
        raise StorageError(f"{folder.path}: its pictures are prepared in another way now; run 'barlowtrack run {folder.path}' first")
    found: Preparation = _read(PREPARATION, folder, whole=True)
    return found


def recording_of(folder: RunFolder) -> Recording:
    """Opens the recording of a run folder, as the run sees it; see as_seen.

    Raises:
        InputError: it is not at hand, or has changed since nuclei were found in it.
        StorageError: as as_seen does.
    """
    from barlowtrack.config import load
    from barlowtrack.io import open_recording

    settings = folder.path / "settings.toml"
    known = folder.about()["card"]
    recording = open_recording(folder.location, load(settings if settings.exists() else None).recording, known=known)
    found = folder.record("segment")
    if found is not None and found.recording.get("content") != recording.fingerprint:
        raise InputError(f"{folder.path}: the recording changed since its nuclei were found; run 'barlowtrack run {folder.path}' first")
    return as_seen(recording, folder)


def edition(folder: RunFolder) -> str:
    """Returns the key of the amendments that are part of what the folder says; UNAMENDED where nobody edited detections.

    Amendments of what was made anew since count for nothing, until `amend` runs again.
    """
    record = folder.record(_AMEND.name)
    if record is None or record.inputs.get("edits", UNAMENDED) == UNAMENDED:
        return UNAMENDED
    for name in _AMEND.needs:
        made = folder.record(MAKER[name]) if name in MAKER else None
        if name in MAKER and (made is None or made.key != record.inputs.get(name)):
            return UNAMENDED
    return record.key


_ROWS = ("detections", "identities", "tracks")
"""Whose rows those of other artefacts are: what was made of earlier ones does not go with them."""
_ALONE = frozenset({"crops", "encoder", "history", "atlas", "report"})
"""What can be read for itself, whatever the detections are by now."""


def older_than(name: str, folder: RunFolder) -> str | None:
    """Returns what an artefact is older than: of detections, identities and tracks the first of which there are others by now.

    None where it goes with all of them, was not made, or can be read for itself.
    """
    stage = next(stage for stage in STAGES if name in stage.makes)
    record = folder.record(stage.name)
    if record is None or name in _ALONE or stage.amends:
        return None
    made = {of: folder.record(MAKER[of]) for of in _ROWS if of in record.inputs}
    for of, now in made.items():
        if now is None or now.key != record.inputs[of]:
            return of
    later = STAGES.index(stage) > STAGES.index(_AMEND)
    return "detections" if later and record.inputs.get(AMENDMENTS, UNAMENDED) != edition(folder) else None


def read(name: str, folder: RunFolder, *, whole: bool = False, amended: bool | None = None) -> Any:
    """Reads an artefact that a stage made, with what people changed of it.

    Where it is not told which edition, all that is read goes together, row by row.

    Args:
        name: Of the artefact.
        folder: The run folder.
        whole: Read volumes and crops through, too, and compare them with what was made; else they are read when asked for.
        amended: False: as it was made first; True: as it was amended; where not given, what the folder says now.

    Raises:
        StorageError: it has not been made, was changed since, is older than the detections (see older_than), or was made by another
            version of barlowtrack and this one cannot read it.
        InputError: it is damaged.
    """
    older = older_than(name, folder) if amended is None else None
    if older is not None:
        raise StorageError(f"{folder.path}: {name} are older than the {older}; run 'barlowtrack run {folder.path}' first")
    found = _read(name, folder, whole=whole)
    if name not in _AMEND.amends or amended is False or (amended is None and edition(folder) == UNAMENDED):
        return found
    from barlowtrack.identity.rulings import number

    amendments: Amendments = _read(AMENDMENTS, folder, whole=True)
    match name:
        case "labels" | "places" | "detections":
            return getattr(amendments, name)(found)
        case "identities":
            detections = _read("detections", folder, whole=whole)
            return amendments.identities(detections, found, number(detections, found.neuron))
        case _:
            return getattr(amendments, name)(_read("detections", folder, whole=whole), found)


def _read(name: str, folder: RunFolder, *, whole: bool) -> Any:
    """Reads an artefact as it was made."""
    from barlowtrack.storage import ARTEFACTS, load

    stage = next(stage for stage in STAGES if name in stage.makes)
    record, path = folder.record(stage.name), folder.path / ARTEFACTS[name]
    if record is None:
        raise StorageError(f"{folder.path}: has no {name} yet; run 'barlowtrack {stage.name}'")
    if record.version == stage.version and not path.exists():
        raise StorageError(f"{path}: not there any more; 'barlowtrack {stage.name} {folder.path}' makes it again")
    if whole or not path.is_dir():
        folder.verify(record, ARTEFACTS[name])
    try:
        return load(name, folder.path)
    except (InputError, StorageError):
        if record.version == stage.version:
            raise
    age = "an older" if record.version < stage.version else "a newer"
    raise StorageError(f"{path}: made by {age} version of barlowtrack; 'barlowtrack run' brings it up to date")


def _open_sink(item: PlannedStage, inputs: Mapping[str, Any], folder: RunFolder, config: Config) -> tuple[Sink, Mapping[str, Any]]:
    """Opens the sink of a stage where a killed one left off, or at the start if what that one left is damaged."""
    from barlowtrack.storage import open_sink

    name, key = item.stage.name, item.record.key
    try:
        sink = open_sink(name, folder.partial(name, key), inputs, config)
        return sink, sink.resume()
    except _DAMAGED as error:
        _refuse_fault(error)
        log.warning("%s: half-made work cannot be used (%s); starting over", name, error)
    sink = open_sink(name, folder.start_over(name, key), inputs, config)
    return sink, sink.resume()


def _parts(stage: Stage, inputs: Mapping[str, Any], config: Config, progress: Progress, resume: Mapping[str, Any]) -> Iterator[Any]:
    """Calls the stage's function with what its signature asks for; a single result counts as one part."""
    from barlowtrack.config import to_toml

    function = stage.function()
    offered = {
        "config": getattr(config, stage.sections[0].partition(".")[0]),
        "compute": config.compute,
        "seed": config.seed,
        "settings": to_toml(config, empty=True, only=_sections(stage, config)),
        "progress": progress,
        **resume,
    }
    wanted = {name: value for name, value in offered.items() if name in inspect.signature(function).parameters}
    result = function(*(inputs[name] for name in stage.needs), **wanted)
    return result if isinstance(result, Iterator) else iter((result,))


def stage_named(name: str) -> Stage:
    """Returns a row of the table.

    Raises:
        InputError: there is none of that name.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise InputError(f"{name} is not a stage; stages are {', '.join(stage.name for stage in STAGES)}")
