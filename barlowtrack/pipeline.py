"""STAGES: the table that alone knows the order, and plan() and run() that read it.

Imports of ours that are slow (zarr, torch, pandas) happen inside the functions, so that the CLI can show the table at once.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import logging
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from barlowtrack.errors import BarlowtrackError, InputError, StorageError

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.data import Progress, Recording
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
    """

    name: str
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    does: str
    version: int = 1
    aspects: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    seeded: bool = False

    def function(self) -> Callable[..., Any]:
        """Imports the stage's function."""
        found: Callable[..., Any] = getattr(importlib.import_module(f"barlowtrack.stages.{self.name}"), self.name)
        return found


STAGES = (
    Stage(
        "segment",
        needs=("recording", "segmenter"),
        makes=("detections", "volumes", "labels"),
        does="Find the nuclei of every volume.",
        version=2,
        sections=("segment",),
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
        sections=("report", "recording", "segment", "crop", "train", "embed", "track", "measure", "trace"),
        seeded=True,
    ),
)

GIVEN = ("recording", "segmenter", "start", "corrections", "costs")
"""What stages need and no stage makes: the recording, the star-convex model of the settings, and the encoder that training starts from
(each None where the settings ask for none), what people said in the run folder's corrections.csv, and what the stages cost, which is
part of no key: the same result may cost more or less."""

MAKER = {artefact: stage.name for stage in STAGES for artefact in stage.makes}


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
        "segmenter": _segmenter_digest(folder, config),
        "start": _start_digest(folder, config),
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
        planned = _chosen(plan(folder, card, config), only, upto)
        listener.planned(planned)
        _refuse_early(planned, config)
        folder.describe(location, card, to_toml(config))
        for item in planned:
            if item.state != "cached":
                _run_stage(item, recording, folder, config, listener)
            listener.finished(item)
    return planned


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


_ALWAYS = ("content", "shape", "voxel_size_um", "reference", "signal")


def _expected(stage: Stage, card: Mapping[str, Any], config: Config, keys: Mapping[str, str]) -> StageRecord:
    from barlowtrack.storage import StageRecord

    record = StageRecord(
        stage=stage.name,
        key="",
        version=stage.version,
        seed=config.seed if stage.seeded else None,
        settings=json.loads(config.model_dump_json(include=_included(stage.sections))),
        recording={name: card[name] for name in (*_ALWAYS, *stage.aspects)} if "recording" in stage.needs else {},
        inputs={name: keys[name] for name in stage.needs if name != "recording"},
        artefacts={},
    )
    return replace(record, key=hashlib.blake2b(_keyed(stage, record).to_bytes(), digest_size=16).hexdigest())


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
    return replace(record, settings=settings)


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


def _compare(folder: RunFolder | None, stage: Stage, expected: StageRecord) -> PlannedStage:
    from barlowtrack.storage import ARTEFACTS

    record = folder.record(stage.name) if folder else None
    if folder is None or record is None:
        done = folder.half_done(stage.name, expected.key) if folder else None
        reason = "never run" if done is None else f"half done, goes on after part {done}"
        return PlannedStage(stage, "missing", (reason,), expected)
    damage = folder.damage(record)
    whole = record.version != stage.version or set(record.artefacts) == {ARTEFACTS[name] for name in stage.makes}
    if record.stage != stage.name or not whole:  # another version may have made other artefacts
        damage = [f"keys/{stage.name}.json is damaged"]
    if damage:
        return PlannedStage(stage, "missing", tuple(damage), expected)
    if record.key == expected.key:
        return PlannedStage(stage, "cached", (), record)
    return PlannedStage(stage, "stale", tuple(_why(record, expected)), expected)


def _why(old: StageRecord, new: StageRecord) -> Iterator[str]:
    from barlowtrack.config import differences

    if old.version != new.version:
        yield f"{new.stage} version {old.version} -> {new.version}"
    if old.seed != new.seed:
        yield f"seed {old.seed} -> {new.seed}"
    changed = differences(old.recording, new.recording, "recording ")
    yield from (text for text in changed if not text.startswith("recording content"))
    if old.recording.get("content") != new.recording.get("content"):
        yield "the recording's files changed"
    yield from differences(old.settings, new.settings)
    for name, key in new.inputs.items():
        if old.inputs.get(name, key) != key:  # what an older version did not need has not changed
            if name == "corrections":
                yield _corrections_why(old.inputs[name], key)
            else:
                yield f"other {name} ({MAKER[name]})" if name in MAKER else _ANOTHER[name]


def _corrections_why(old: str, new: str) -> str:
    """Compares two digests of corrections, which begin with how many there are."""
    counts = [digest.partition(" ")[0] for digest in (old, new)]
    before, now = (int(count) if count.isdecimal() else 0 for count in counts)
    if now == before:
        return "corrections changed"
    return f"corrections changed: {now - before} added" if now > before else f"corrections changed: {before - now} taken back"


_OF_EVERY_RUN = "of every run"
"""Stands in keys for what a run cost: no key may hang on it, or no result would ever be found again."""

_ANOTHER = {"segmenter": "another segmenter model", "start": "another encoder to start from"}


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
    for item in planned:
        lacking = [name for name in item.stage.makes if name in chosen.stage.needs]
        if lacking and item.state != "cached":
            why = "; ".join(item.reasons)
            hint = f"run 'barlowtrack {item.stage.name}' first, or 'barlowtrack run' for everything"
            raise StorageError(f"{only} needs {' and '.join(lacking)}, {item.state} ({why}); {hint}")
    return [chosen]


def _refuse_early(planned: list[PlannedStage], config: Config) -> None:
    """Refuses what a stage to come is sure to refuse, before hours are spent on those in front of it."""
    from barlowtrack.io.start import open_start, refuse_misfit

    if any("start" in item.stage.needs and item.state != "cached" for item in planned):
        refuse_misfit(config.train, config.crop)
        open_start(config.train)  # a copy that was cut off has a whole header


def _run_stage(item: PlannedStage, recording: Recording, folder: RunFolder, config: Config, listener: Listener) -> None:
    stage, began = item.stage, time.monotonic()
    folder.event(stage.name, "start")
    inputs = {
        name: _given(name, recording, config, item, folder) if name in GIVEN else read(name, folder, whole=True) for name in stage.needs
    }
    sink, resume = _open_sink(item, inputs, folder, config)
    for part in _parts(stage, inputs, config, listener.started(item), resume):
        sink.add(part)
    sizes = sink.finish()
    for name in sizes:
        if (folder.path / name).exists():
            log.info("%s: replacing %s", stage.name, name)
    folder.publish(replace(item.record, artefacts=sizes))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    folder.event(stage.name, "finish", seconds=round(time.monotonic() - began, 3), peak_mb=round(peak_mb))


def _given(name: str, recording: Recording, config: Config, item: PlannedStage, folder: RunFolder) -> Any:
    if name == "recording":
        return recording
    if name == "corrections":
        from barlowtrack.storage import read_corrections

        found = read_corrections(folder.path)
        if found.digest != item.record.inputs[name]:  # else the result would carry the key of another table
            raise StorageError(f"{folder.path}: corrections came while the run was on its way; run it again to go on")
        return found
    if name == "start":
        from barlowtrack.io.start import open_start

        return open_start(config.train)
    if name == "costs":
        costs = folder.costs()
        return tuple(costs[stage.name] for stage in STAGES if stage.name in costs and stage.name != item.stage.name)
    from barlowtrack.io.segmenter import open_segmenter

    return open_segmenter(config.segment)


def read(name: str, folder: RunFolder, *, whole: bool = False) -> Any:
    """Reads an artefact that a stage made.

    Args:
        name: Of the artefact.
        folder: The run folder.
        whole: Read volumes and crops through, too, and compare them with what was made; else they are read when asked for.

    Raises:
        StorageError: it has not been made, was changed since, or was made by another version of barlowtrack and this one cannot read it.
        InputError: it is damaged.
    """
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
    except (BarlowtrackError, ValueError, TypeError, KeyError, IndexError, EOFError) as error:
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
        "settings": to_toml(config, empty=True, only=stage.sections),
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
