"""Signals of which every listener hears, whatever becomes of the others."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable
from typing import Any

Slot = Callable[..., Any]


class Signal:
    """A signal of a class, which gives each of its instances one of its own.

    Those of psygnal stop at the first listener that fails; then the panels behind it go on to show what is no longer so, and what
    somebody answers there is written about another nucleus.

    Args:
        kinds: Of what listeners are told.
    """

    def __init__(self, *kinds: type) -> None:
        self._kinds = kinds
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name} told"

    def __get__(self, owner: object, kind: type) -> Told:
        told: Told = vars(owner).setdefault(self._name, Told(len(self._kinds)))
        return told


class Told:
    """Who listens to a signal of one instance. Methods are held weakly, so that listening keeps nobody alive; functions are held.

    Args:
        n: How many arguments it has; a listener that takes fewer is told the first ones.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._slots: list[tuple[Callable[[], Slot | None], int]] = []

    def connect(self, slot: Slot) -> None:
        """Adds a listener; they hear in the order in which they came."""
        held: Callable[[], Slot | None] = weakref.WeakMethod(slot) if inspect.ismethod(slot) else lambda: slot
        self._slots.append((held, _takes(slot, self._n)))

    def disconnect(self, slot: Slot) -> None:
        """Takes a listener away, if it is one."""
        self._slots = [(held, n) for held, n in self._slots if held() not in (None, slot)]

    def emit(self, *said: Any) -> None:
        """Tells all; what one of them raises is reported as if nobody had caught it, which napari shows in its window."""
        for held, n in list(self._slots):
            slot = held()
            if slot is None:
                self._slots = [(other, many) for other, many in self._slots if other is not held]
            if slot is None or not any(other is held for other, _ in self._slots):
                continue  # gone, or disconnected by one who heard it before
            try:
                slot(*said[:n])
            except Exception as error:
                sys.excepthook(type(error), error, error.__traceback__)


def _takes(slot: Slot, n: int) -> int:
    """Returns how many of n arguments a listener takes."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):  # of something compiled
        return n
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return n
    return min(n, sum(parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters))
