"""What a file of ours says of itself, told without its weights and without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from barlowtrack.errors import InputError

KEY = "barlowtrack"
"""One key of the header: safetensors keeps several in no fixed order, and equal states shall give equal bytes."""
ENCODER_VERSION = 1
"""Of the layout of an encoder's file."""
LONGEST_HEADER = 2**24
"""Bytes; one of ours has a few thousand, and whoever asks for more is not to be given the memory."""

LONGEST_KIND = 40


@dataclass(frozen=True)
class Said:
    """What stands beside the weights.

    Attributes:
        facts: Anything JSON can say.
        digest: Of the weights; None in files that are older than it.
    """

    facts: dict[str, Any]
    digest: str | None


def header_bytes(beginning: bytes) -> int:
    """Returns how many bytes of a file its header takes, at most LONGEST_HEADER; beginning: its first 8 bytes."""
    return min(8 + int.from_bytes(beginning[:8], "little"), LONGEST_HEADER)


def said_of(kind: str, version: int, data: bytes) -> Said:
    """Reads the header of a file; see checkpoint.pack.

    Args:
        kind: That is expected, such as "encoder".
        version: That is expected.
        data: The file, or as much of it as header_bytes() says.

    Raises:
        InputError: no safetensors, not ours, or another kind or version.
    """
    try:
        header = json.loads(data[8 : header_bytes(data)])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{kind}: expected a safetensors file, got something else ({error})") from None
    try:
        said = json.loads(header["__metadata__"][KEY])
        found = said["kind"], said["version"]
        facts, digest = dict(said["facts"]), said.get("digest")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise InputError(f"{kind}: expected a file that barlowtrack wrote, got other weights") from None
    if not (isinstance(found[0], str) and isinstance(found[1], int) and len(found[0]) <= LONGEST_KIND and found[0].isprintable()):
        raise InputError(f"{kind}: expected a file that barlowtrack wrote, got other weights")  # and nothing it says reaches a terminal
    if found != (kind, version):
        raise InputError(f"{kind}: expected {kind} version {version}, got {found[0]} version {found[1]}")
    return Said(facts, digest)


def expect_crops(spec: Mapping[str, Any], window: tuple[int, ...], size_um: tuple[float, ...]) -> None:
    """Refuses an encoder to start from that sees something else than the crops show.

    Args:
        spec: Of the encoder; its window in voxels and its size_um, z y x.
        window: Of the crops.
        size_um: Likewise.

    Raises:
        InputError: they differ, or the spec is none.
    """
    try:
        (z, y, x), (z_um, y_um, x_um) = spec["window"], spec["size_um"]
        sees, sees_um = (z, y, x), (z_um, y_um, x_um)
        if not all(isinstance(size, int | float) for size in (*sees, *sees_um)):
            raise TypeError
    except (KeyError, TypeError, ValueError):
        raise InputError(f"encoder: expected the spec of an encoder, got {str(spec)[:200]!r}") from None
    if (sees, sees_um) != (window, size_um):
        raise InputError(
            f"train: the encoder to start from sees {_told(sees)} voxels in {_told(sees_um)} um (z y x),"
            f" got crops of {_told(window)} in {_told(size_um)};"
            f' set [crop] grid = {list(sees)} and size_um = {list(sees_um)}, or [train] mode = "scratch"'
        )


def _told(sizes: tuple[float, ...]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
