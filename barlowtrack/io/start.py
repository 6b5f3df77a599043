"""The encoder that training starts from: the one that comes with the package, or that of another run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack.errors import InputError

if TYPE_CHECKING:
    from barlowtrack.config import TrainConfig
    from barlowtrack.nn.encoder import Encoder

SHIPPED = Path(__file__).parents[1] / "weights" / "encoder" / "encoder.safetensors"


def start_path(config: TrainConfig) -> Path | None:
    """Returns where the encoder of the settings lies; None where they start from random weights."""
    if config.mode == "scratch":
        return None
    return Path(config.start) if config.start else SHIPPED


def encoder_digest(path: Path) -> str:
    """Returns a hash of an encoder's file.

    Raises:
        InputError: no such file.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "not there"
        raise InputError(f"[train] start: expected the encoder.safetensors of a run, got {path}, which is {found}")
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def open_start(config: TrainConfig) -> Encoder | None:
    """Reads the encoder of the settings; None where they start from random weights.

    Raises:
        InputError: no such file, or none of ours.
    """
    from barlowtrack.nn.encoder import Encoder

    path = start_path(config)
    if path is None:
        return None
    encoder_digest(path)
    try:
        return Encoder.from_bytes(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
