"""Volumes that a person asks for: FROM:TO."""

from __future__ import annotations

from barlowtrack.errors import InputError


def span_of(text: str, n_volumes: int, what: str, *, within: bool = False) -> range:
    """Returns the volumes that "FROM:TO" means; either may be missing, TO is not included.

    Args:
        text: Such as "0:100", ":100" or "100:".
        n_volumes: Of the recording.
        what: Asks, for the error.
        within: Refuse what lies beyond the end, instead of leaving it out.

    Raises:
        InputError: no such volumes.
    """
    start, colon, stop = text.partition(":")
    if not colon or not all(part.strip() == "" or part.strip().isdecimal() for part in (start, stop)):
        raise InputError(f"{what}: volumes: expected FROM:TO, such as 0:100, got {text}")
    span = range(int(start or 0), min(int(stop or n_volumes), n_volumes))
    if not span or (within and stop.strip() and int(stop) > n_volumes):
        raise InputError(f"{what}: volumes: expected some of 0:{n_volumes}, got {text}")
    return span
