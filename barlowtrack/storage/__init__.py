"""The run folder: names, formats, keys, atomic writes. All state of a run is here, on disk."""

from barlowtrack.storage.artefacts import ARTEFACTS, load
from barlowtrack.storage.corrections import append_correction, append_corrections, read_corrections, write_corrections
from barlowtrack.storage.folder import RunFolder
from barlowtrack.storage.record import StageRecord
from barlowtrack.storage.sinks import Sink, open_sink

__all__ = [
    "ARTEFACTS", "RunFolder", "Sink", "StageRecord", "append_correction", "append_corrections", "load", "open_sink", "read_corrections",
    "write_corrections",
]  # fmt: skip
