"""Which settings one encoder for many recordings cannot be trained with."""

from __future__ import annotations

from barlowtrack.config import TrainConfig
from barlowtrack.errors import InputError

ACROSS_VOLUMES = ("moco",)
"""Objectives that hold a volume against those before it, which would be other animals."""


def refuse_settings(config: TrainConfig) -> None:
    """Refuses settings that ask something of two recordings at once, before anything is done.

    Raises:
        InputError: it is so.
    """
    if config.mode == "zero-shot":
        raise InputError("one encoder for many: [train] mode zero-shot takes an encoder as it is; expected fine-tune or scratch")
    if config.rounds:
        raise InputError("one encoder for many: self-training follows neurons through one recording; expected [train] rounds = 0")
    if config.objective in ACROSS_VOLUMES:
        raise InputError(
            f"one encoder for many: [train] objective {config.objective} holds a volume against those before it,"
            " which may be other animals; give another"
        )
