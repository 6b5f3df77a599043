"""The run folder: names, formats, keys, atomic writes. All state of a run is here, on disk."""

from barlowtrack.storage.artefacts import ARTEFACTS, load
from barlowtrack.storage.folder import RunFolder, StageRecord
from barlowtrack.storage.sinks import Sink, open_sink

__all__ = ["ARTEFACTS", "RunFolder", "Sink", "StageRecord", "load", "open_sink"]
