"""What keys know of a recording; and a recording of which no more than that is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barlowtrack.errors import InputError

if TYPE_CHECKING:
    from barlowtrack.data import Recording
    from barlowtrack.data.arrays import VoxelArray

ALWAYS = ("content", "shape", "voxel_size_um", "reference", "signal")
"""What of the card every stage uses that needs the recording; a stage's aspects say what else."""


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
