"""A window that listens to what lives longer than it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QWidget


class Listening:
    """Connects signals to slots of a widget until the widget is gone: then Qt has taken it away, whoever still knows it."""

    def __init__(self, widget: QWidget) -> None:
        self._connected: list[tuple[Any, Callable[..., None]]] = []
        self._on = True
        widget.destroyed.connect(self.stop)

    @property
    def on(self) -> bool:
        """Whether the widget is still there."""
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
