"""How a layer says what it is of which run, and how it is found again: by its metadata, whatever people call it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

KEY = "barlowtrack"
"""Under which our metadata stand in a layer's."""


class Role(StrEnum):
    """What a layer shows."""

    IMAGE = "image"
    """A channel of the recording."""
    LABELS = "labels"
    """The nuclei, in the colours of their neurons."""
    NEURONS = "neurons"
    """A point a nucleus, with the id of its neuron."""
    TRACKS = "tracks"
    """The way of every neuron."""
    MARKS = "marks"
    """What a panel points at."""
    TRUTH = "truth"
    """Points that somebody else made."""


def metadata_of(role: Role, run: Path | None, recording: Path | None = None) -> dict[str, Any]:
    """Returns what a layer's metadata say.

    Args:
        role: What the layer shows.
        run: The run folder that it is of; None: of no run.
        recording: Where the recording lies.
    """
    return {KEY: {"role": str(role), "run": None if run is None else str(run), "recording": None if recording is None else str(recording)}}


def layers_of(layers: Iterable[Any], role: Role, run: Path | None = None) -> list[Any]:
    """Returns the layers of a role, in their order; of one run only, where one is given."""
    found = []
    for layer in layers:
        said = layer.metadata.get(KEY)
        if isinstance(said, dict) and said.get("role") == role and (run is None or said.get("run") == str(run)):
            found.append(layer)
    return found


def said_of(layer: Any) -> dict[str, Any]:
    """Returns what a layer of ours says of itself; nothing of others."""
    said = layer.metadata.get(KEY)
    return said if isinstance(said, dict) and "role" in said else {}
