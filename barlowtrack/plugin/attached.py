"""The session of a viewer: one each, made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from barlowtrack.plugin.session import Session

if TYPE_CHECKING:
    import napari

_SESSIONS: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()
_ATTACHED: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
"""What looks after a viewer, kept as long as it; must hold the viewer by a weak reference, or it would never go."""


def session_of(viewer: napari.Viewer) -> Session:
    """Returns the session of a viewer; it lives as long as the viewer does."""
    session = _SESSIONS.get(viewer)
    if session is None:
        from barlowtrack.plugin.shown import ShownLayers

        session = _SESSIONS[viewer] = Session()
        attached = _ATTACHED[viewer] = []
        attached.append(ShownLayers(viewer, session))
    return session
