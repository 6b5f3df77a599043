"""run() and run_piece(): a run folder is brought up to date, stage by stage."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack.pipeline.card import Away, recording_card
from barlowtrack.pipeline.keys import is_idle
from barlowtrack.pipeline.planning import PlannedStage, choose, plan
from barlowtrack.pipeline.refusing import refuse_another, refuse_early, refuse_moving_what_was_said, refuse_piece, refuse_without_voxels
from barlowtrack.pipeline.working import inputs_of, open_piece_of, open_sink_of, parts, spans

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.data import Progress, Recording
    from barlowtrack.storage import RunFolder

log = logging.getLogger(__name__)


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
        refuse_moving_what_was_said(folder, config)
        planned = choose(plan(folder, card, config), only, upto)
        listener.planned(planned)
        refuse_without_voxels(planned, recording, folder)
        refuse_early(planned, config)
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
        [item] = choose(plan(folder, card, config), stage, None)
        listener.planned([item])
        if item.state != "cached":
            _make_piece(item, volumes, recording, folder, config, listener)
        listener.finished(item)
    return item


def _run_stage(item: PlannedStage, recording: Recording, folder: RunFolder, config: Config, listener: Listener) -> None:
    from barlowtrack.mishaps import told_in_a_line

    stage = item.stage
    with (
        folder.journal.at_work(stage.name, item.record.key) as part_of_it,
        told_in_a_line(stage.name, folder.path, recording, config),
    ):
        progress = part_of_it.follow(listener.started(item))
        idle = is_idle(item.record)
        inputs = {} if idle else inputs_of(item, recording, folder, config, whole=stage.whole)
        sink, resume = open_sink_of(item, inputs, folder, config)
        for span in () if idle else spans(item, sink, folder, resume):
            for part in parts(stage, inputs, config, progress, span):
                sink.add(part)
        sizes = sink.finish()
        for name in sizes:
            if (folder.path / name).exists():
                log.info("%s: replacing %s", stage.name, name)
        part_of_it.note()
        folder.publish(replace(item.record, artefacts=sizes))


def _make_piece(item: PlannedStage, volumes: range, recording: Recording, folder: RunFolder, config: Config, listener: Listener) -> None:
    from barlowtrack.mishaps import told_in_a_line

    stage, key = item.stage, item.record.key
    with (
        folder.half_made.piece(stage.name, key, volumes) as partial,
        folder.journal.at_work(stage.name, key, volumes) as part_of_it,
        told_in_a_line(stage.name, folder.path, recording, config),
    ):
        inputs = inputs_of(item, recording, folder, config, whole=False)  # whoever puts the pieces together looks whether they are whole
        sink, resume = open_piece_of(item, partial, inputs, folder, config, volumes)
        if resume["start"] < resume["stop"]:
            for part in parts(stage, inputs, config, part_of_it.follow(listener.started(item)), resume):
                sink.add(part)
