"""The session of a viewer: one each, made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from barlowtrack.plugin.session import Session

if TYPE_CHECKING:
    import napari

_SESSIONS: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: napari.Viewer) -> Session:
    """Returns the session of a viewer; it lives as long as the viewer does."""
    session = _SESSIONS.get(viewer)
    if session is None:
        session = _SESSIONS[viewer] = Session()
    return session
