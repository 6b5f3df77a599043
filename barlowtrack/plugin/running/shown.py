"""Opens what a run has made in the viewer that started it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack.plugin.background import in_background
from barlowtrack.plugin.opening import open_run
from barlowtrack.plugin.session import Session
from barlowtrack.plugin.solution import Solution

if TYPE_CHECKING:
    import napari


def open_result(viewer: napari.Viewer, session: Session, path: Path) -> None:
    """Shows a run: solved again where it is open; else it is opened."""
    if session.path != path.absolute():
        open_run(viewer, path)
        return
    in_background(lambda: Solution.read(path), session.take)
