"""A stage at work: what goes in, its function, and the sink that what comes out goes to, part by part."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barlowtrack.errors import BarlowtrackError, StorageError
from barlowtrack.faults import is_of_the_machine
from barlowtrack.pipeline.given import open_given
from barlowtrack.pipeline.keys import sections_of
from barlowtrack.pipeline.reading import read
from barlowtrack.pipeline.table import AMENDMENTS, GIVEN, Stage

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.data import Progress, Recording
    from barlowtrack.pipeline.planning import PlannedStage
    from barlowtrack.storage import RunFolder, Sink

log = logging.getLogger(__name__)

_DAMAGED = (BarlowtrackError, ValueError, TypeError, KeyError, IndexError, EOFError)
"""What opening half-made work ends with that is not what it should be."""


def inputs_of(item: PlannedStage, recording: Recording, folder: RunFolder, config: Config, *, whole: bool) -> dict[str, Any]:
    """Returns what a stage needs, in the edition that its key says."""
    record, amended = item.record, AMENDMENTS in item.record.inputs
    return {
        name: open_given(name, recording, config, record, folder) if name in GIVEN else read(name, folder, whole=whole, amended=amended)
        for name in item.stage.needs
    }


def open_sink_of(item: PlannedStage, inputs: Mapping[str, Any], folder: RunFolder, config: Config) -> tuple[Sink, Mapping[str, Any]]:
    """Opens the sink of a stage where a killed one left off, or at the start if what that one left is damaged."""
    from barlowtrack.storage import open_sink

    name, key = item.stage.name, item.record.key
    try:
        sink = open_sink(name, folder.half_made.of_stage(name, key), inputs, config)
        return sink, sink.resume()
    except _DAMAGED as error:
        _refuse_fault(error)
        log.warning("%s: half-made work cannot be used (%s); starting over", name, error)
    sink = open_sink(name, folder.half_made.start_over(name, key), inputs, config)
    return sink, sink.resume()


def open_piece_of(
    item: PlannedStage, partial: Path, inputs: Mapping[str, Any], folder: RunFolder, config: Config, volumes: range
) -> tuple[Sink, Mapping[str, Any]]:
    """Opens the sink of a piece where a killed job left off, or at the start if what that one left is damaged."""
    from barlowtrack.storage.sinks import open_piece

    name = item.stage.name
    try:
        sink = open_piece(name, partial, inputs, config, volumes)
    except _DAMAGED as error:
        _refuse_fault(error)
        log.warning("%s: half-made work cannot be used (%s); starting over", partial, error)
        folder.half_made.empty(partial, item.record.key)
        sink = open_piece(name, partial, inputs, config, volumes)
    return sink, sink.resume()


def spans(item: PlannedStage, sink: Sink, folder: RunFolder, resume: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What is left to be made once all pieces that other jobs made are taken over: with these arguments the stage is to be called."""
    from barlowtrack.storage.volume_sinks import VolumeParts

    if not isinstance(sink, VolumeParts):
        yield resume
        return
    pieces = folder.half_made.pieces(item.stage.name, item.record.key)
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


def parts(stage: Stage, inputs: Mapping[str, Any], config: Config, progress: Progress, resume: Mapping[str, Any]) -> Iterator[Any]:
    """Calls the stage's function with what its signature asks for; a single result counts as one part."""
    from barlowtrack.config import to_toml

    function = stage.function()
    offered = {
        "config": getattr(config, stage.sections[0].partition(".")[0]),
        "compute": config.compute,
        "seed": config.seed,
        "settings": to_toml(config, empty=True, only=sections_of(stage, config)),
        "progress": progress,
        **resume,
    }
    wanted = {name: value for name, value in offered.items() if name in inspect.signature(function).parameters}
    result = function(*(inputs[name] for name in stage.needs), **wanted)
    return result if isinstance(result, Iterator) else iter((result,))


def _refuse_fault(error: Exception) -> None:
    """Raises what the machine is to blame for, and not the half-made work, which is worth keeping."""
    if is_of_the_machine(error):
        raise error
