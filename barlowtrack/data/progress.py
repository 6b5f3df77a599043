"""Who is told how far a long work is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told after every step of a long work how far it is."""

    def __call__(self, done: int, total: int) -> None: ...


def silent(done: int, total: int) -> None:
    """Progress for whoever does not want to hear it."""
