"""The encoder that training starts from: the one that comes with the package, or that of another run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack.errors import InputError
from barlowtrack.nn.facts import ENCODER_VERSION, expect_crops, header_bytes, said_of

if TYPE_CHECKING:
    from barlowtrack.config import CropConfig, TrainConfig
    from barlowtrack.nn.encoder import Encoder

LARGEST = 2**30
"""Bytes of an encoder's file; ours has a million. A recording that is named by mistake is not to be read into memory."""
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
    _expect_file(path)
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def refuse_misfit(config: TrainConfig, crop: CropConfig) -> None:
    """Refuses an encoder to start from that cannot be used with these crops; reads no more than the file's header.

    The train stage would notice as well, but hours of segmentation later.

    Raises:
        InputError: no such file, none of ours, or it sees something else than the crops will show.
    """
    path = start_path(config)
    if path is None:
        return
    _expect_file(path)
    with path.open("rb") as file:
        beginning = file.read(8)
        beginning += file.read(header_bytes(beginning) - 8)
    try:
        spec = said_of("encoder", ENCODER_VERSION, beginning).facts.get("spec", {})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    expect_crops(spec, crop.grid, crop.size_um)


def open_start(config: TrainConfig) -> Encoder | None:
    """Reads the encoder of the settings; None where they start from random weights.

    Raises:
        InputError: no such file, or none of ours.
    """
    from barlowtrack.nn.encoder import Encoder

    path = start_path(config)
    if path is None:
        return None
    _expect_file(path)
    try:
        return Encoder.from_bytes(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _expect_file(path: Path) -> None:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "not there"
        raise InputError(f"[train] start: expected the encoder.safetensors of a run, got {path}, which is {found}")
    if path.stat().st_size > LARGEST:
        found = f"has {path.stat().st_size / 1e9:.1f} GB"
        raise InputError(f"[train] start: expected the encoder.safetensors of a run, got {path}, which {found}")
