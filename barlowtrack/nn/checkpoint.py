"""Weights and what belongs to them as one safe file in memory: safetensors, never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from barlowtrack.errors import InputError
from barlowtrack.nn.facts import KEY, said_of


def pack(kind: str, version: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """Returns the bytes of tensors and facts; the same for the same, on every run.

    Args:
        kind: What it is, such as "encoder"; unpack refuses another.
        version: Of the layout of this kind.
        tensors: By name; on any device.
        facts: Anything JSON can say.
    """
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    said = json.dumps({"kind": kind, "version": version, "facts": facts, "digest": _digest(plain)}, sort_keys=True)
    return safetensors.torch.save(plain, {KEY: said})


def unpack(kind: str, version: int, data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the tensors and facts that pack was given.

    Raises:
        InputError: no safetensors, not ours, another kind or version, or weights that changed since.
    """
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{kind}: expected a safetensors file, got something else ({error})") from None
    said = said_of(kind, version, data)
    if said.digest is not None and said.digest != _digest(tensors):
        raise InputError(f"{kind}: expected the weights that were written, got others; the file is damaged")
    return tensors, said.facts


def _digest(tensors: Mapping[str, Tensor]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1)
        whole.update(f"{name} {flat.dtype} {tuple(tensors[name].shape)}".encode() + flat.view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()
