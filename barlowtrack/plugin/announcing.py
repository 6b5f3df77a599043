"""A signal that all hear, even where one of them fails."""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import ismethod
from typing import Any
from weakref import WeakMethod


class Announcement:
    """Connects and disconnects as a psygnal signal does, which would stop at the first listener that raises.

    Methods are held weakly, functions are kept. What a listener raises goes where Qt sends what a slot raises: to sys.excepthook.
    """

    def __init__(self) -> None:
        self._slots: list[Callable[[], Callable[..., Any] | None]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        """Has a listener hear."""
        self._slots.append(WeakMethod(slot) if ismethod(slot) else lambda: slot)

    def disconnect(self, slot: Callable[..., Any]) -> None:
        """Has it hear no more."""
        self._slots = [of for of in self._slots if of() is not None and of() != slot]

    def emit(self, *said: Any) -> None:
        """Tells all, in the order in which they were connected."""
        for of in tuple(self._slots):
            slot = of()
            if slot is not None and of in self._slots:  # whoever heard it before may have disconnected it
                try:
                    slot(*said)
                except Exception:
                    sys.excepthook(*sys.exc_info())
