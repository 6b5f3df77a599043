"""barlowtrack: from a whole-brain recording to activity traces, without labels.

    import barlowtrack as bt

    run = bt.run("worm7/", overrides=["recording.voxel_size_um=[1.5, 0.35, 0.35]"])
    run.traces.dr_over_r0  # (neurons, volumes)

Names are imported when they are first used, so that the CLI answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barlowtrack.api import Job, Run, prepare, run
    from barlowtrack.comparing import Comparison, compare
    from barlowtrack.config import Config
    from barlowtrack.data import Correction, Corrections, Detections, Embeddings, Labels, Recording, Traces, Tracks, Truth
    from barlowtrack.errors import BarlowtrackError, ConfigError, InputError, StorageError
    from barlowtrack.identity.statements import merge_corrections
    from barlowtrack.io import open_recording, write_recording
    from barlowtrack.points import track_points
    from barlowtrack.streaming import Tracker
    from barlowtrack.synthetic import simulate
    from barlowtrack.transfer import match

__version__ = "0.1.0"

_HOMES = {
    "api": ("Job", "Run", "prepare", "run"),
    "comparing": ("Comparison", "compare"),
    "config": ("Config",),
    "data": ("Correction", "Corrections", "Detections", "Embeddings", "Labels", "Recording", "Tracks", "Traces", "Truth"),
    "errors": ("BarlowtrackError", "ConfigError", "InputError", "StorageError"),
    "identity.statements": ("merge_corrections",),
    "io": ("open_recording", "write_recording"),
    "points": ("track_points",),
    "streaming": ("Tracker",),
    "synthetic": ("simulate",),
    "transfer": ("match",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BarlowtrackError", "Comparison", "Config", "ConfigError", "Correction", "Corrections", "Detections", "Embeddings", "InputError", "Job", "Labels",
    "Recording", "Run", "StorageError", "Tracker", "Tracks", "Traces", "Truth", "compare", "match", "merge_corrections", "open_recording", "prepare",
    "run", "simulate", "track_points", "write_recording",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'barlowtrack' has no attribute {name!r}")
    return getattr(importlib.import_module(f"barlowtrack.{_HOME[name]}"), name)
