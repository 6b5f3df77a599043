"""All that identify learned from a recording, as one file without pickle: enough to identify a volume that comes later."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from barlowtrack.errors import InputError
from barlowtrack.identity.confidence import Calibration
from barlowtrack.identity.learned_check import check_learned
from barlowtrack.identity.solve import Atlas
from barlowtrack.identity.volumes import Preparation

KIND, FORMAT = "barlowtrack.atlas", "1"


@dataclass(frozen=True)
class Learned:
    """What was learned from one recording.

    Attributes:
        preparation: From detections to what the atlas is laid over.
        atlas: Which neurons there are, how they lie and look.
        calibration: How far its claims about a volume are to be trusted; None where nothing was detected.
    """

    preparation: Preparation
    atlas: Atlas
    calibration: Calibration | None = None

    def to_bytes(self) -> bytes:
        """Returns the content of a safetensors file; the same atlas gives the same bytes."""
        arrays = {name: np.array(array, order="C") for name, array in sorted(_flat(self).items())}
        return save(arrays, {KIND: FORMAT})  # one key: several would come in any order

    @classmethod
    def from_bytes(cls, content: bytes) -> Learned:
        """Reads what to_bytes wrote.

        Raises:
            InputError: it is something else, of another version, or no atlas can be like that.
        """
        try:
            arrays = load(content)
            size = int.from_bytes(content[:8], "little")
            about = json.loads(content[8 : 8 + size]).get("__metadata__") or {}
        except (SafetensorError, ValueError) as error:
            raise InputError(f"atlas: expected a safetensors file, got something else: {error}") from None
        if about.get(KIND) != FORMAT:
            raise InputError(f"atlas: expected an atlas of format {FORMAT}, got {about}")
        try:
            learned: Learned = _rebuilt(cls, arrays, "")
        except KeyError as error:
            raise InputError(f"atlas: expected an array {error.args[0]}, got none") from None
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise InputError(f"atlas: expected arrays of numbers, got others: {error}") from None
        check_learned(learned)
        return learned


def _flat(thing: Any, name: str = "") -> dict[str, np.ndarray]:
    """Names every array and number in nested dataclasses by its way there: "atlas.shape.mean"; what is None has no name."""
    if thing is None:
        return {}
    if dataclasses.is_dataclass(thing):
        parts = [_flat(getattr(thing, field.name), f"{name}.{field.name}".lstrip(".")) for field in dataclasses.fields(thing)]
        return {key: array for part in parts for key, array in part.items()}
    return {name: np.asarray(thing)}


def _rebuilt(kind: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """The way back; kind is the type that the field declares."""
    if isinstance(kind, types.UnionType):
        if not any(key == name or key.startswith(f"{name}.") for key in arrays):
            return None
        kind = next(option for option in typing.get_args(kind) if option is not types.NoneType)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        parts = {field.name: _rebuilt(hints[field.name], arrays, f"{name}.{field.name}".lstrip(".")) for field in dataclasses.fields(kind)}
        return kind(**parts)  # type: ignore[operator]
    if kind in (int, float, bool):
        return kind(arrays[name])
    return arrays[name]
