"""Somebody who listens to what lives longer than they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Mortal(Protocol):
    """What says when it is gone, as every widget of Qt."""

    @property
    def destroyed(self) -> Any:
        """Signal."""


class Listening:
    """Connects signals to slots of a widget, or of what works for it, until the widget is gone: then Qt has taken it away, whoever still
    knows it.

    Args:
        widget: None: it ends where somebody says so.
    """

    def __init__(self, widget: Mortal | None = None) -> None:
        self._connected: list[tuple[Any, Callable[..., None]]] = []
        self._on = True
        if widget is not None:
            widget.destroyed.connect(self.stop)

    @property
    def on(self) -> bool:
        """Whether the widget is still there; where it is not, nobody may touch it, or a part of it."""
        return self._on

    def to(self, signal: Any, slot: Callable[..., None]) -> None:
        """Connects one more."""
        signal.connect(slot)
        self._connected.append((signal, slot))

    def stop(self) -> None:
        """Disconnects all."""
        self._on = False
        for signal, slot in self._connected:
            signal.disconnect(slot)
        self._connected.clear()
