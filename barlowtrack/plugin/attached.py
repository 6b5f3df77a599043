"""The session of a viewer: one each, made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from barlowtrack.plugin.pointing import Pointing
from barlowtrack.plugin.session import Session

if TYPE_CHECKING:
    import napari

_SESSIONS: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()
_ATTACHED: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
"""What looks after a viewer, kept as long as it; must hold the viewer by a weak reference, or it would never go."""
_POINTING: WeakKeyDictionary[Any, ReferenceType[Pointing]] = WeakKeyDictionary()
"""Weak, as Pointing knows its viewer, which would never go; the viewer holds it."""


def session_of(viewer: napari.Viewer) -> Session:
    """Returns the session of a viewer; it lives as long as the viewer does."""
    session = _SESSIONS.get(viewer)
    if session is None:
        from barlowtrack.plugin.shown import ShownLayers

        session = _SESSIONS[viewer] = Session()
        attached = _ATTACHED[viewer] = []
        attached.append(ShownLayers(viewer, session))
        _POINTING[viewer] = ref(Pointing(viewer, session))
    return session


def pointing_of(viewer: napari.Viewer) -> Pointing:
    """Returns what binds a viewer to its session."""
    session_of(viewer)
    pointing = _POINTING[viewer]()
    assert pointing is not None, "the viewer holds it as long as it lives"
    return pointing


def read_again(viewer: napari.Viewer) -> None:
    """Has a viewer show what the run that is open in it says now."""
    session_of(viewer)
    for attached in _ATTACHED[viewer]:
        attached.read_again()
