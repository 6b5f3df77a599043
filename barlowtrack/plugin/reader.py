"""What napari asks of a reader: a run folder or a recording that was dropped on it, and a recording to try things with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from barlowtrack.errors import BarlowtrackError
from barlowtrack.io.location import scrubbed
from barlowtrack.plugin.layers.axes import LayerData
from barlowtrack.plugin.layers.opened import kind_of, recording_layers, run_layers
from barlowtrack.plugin.roles import KEY, Role, layers_of

NOTHING: list[Any] = [(None,)]
"""What a reader returns that has read, and has no layer to add."""


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Any]] | None:
    """Returns what reads a path, by a look at names alone; None where it is no run folder and no recording.

    Args:
        path: A path, or a list of it alone, as where Shift is held while it is dropped; several are none of ours.
    """
    one = _alone(path)
    return None if one is None or kind_of(one) is None else read


def read(path: str | list[str]) -> list[Any]:
    """Returns the layers of a run folder or a recording.

    Raises:
        BarlowtrackError: it cannot be opened. Where there is a window, the window says so instead.
    """
    from napari import current_viewer
    from napari.utils.notifications import show_error, show_warning

    from barlowtrack.config import RecordingConfig
    from barlowtrack.plugin.attached import read_again, session_of

    one = _alone(path)
    assert one is not None, "get_reader has seen to that"
    where, viewer = one.absolute(), current_viewer()
    try:
        if viewer is not None and _comes_later(viewer, where):
            return NOTHING
        if kind_of(where) == "run":
            layers = run_layers(where, complain=show_warning)
        else:
            layers = recording_layers(where, RecordingConfig(), complain=show_warning)
    except BarlowtrackError as error:
        if viewer is None:
            raise
        show_error(scrubbed(str(error)))
        return NOTHING
    if viewer is None:
        return layers
    session = session_of(viewer)  # looks after our layers, from now on
    if session.path != where:
        return layers
    read_again(viewer)
    return [layer for layer in layers if not _is_there(viewer, layer, where)] or NOTHING


def _comes_later(viewer: Any, where: Path) -> bool:
    """Says whether a viewer that is just opening something else shows this afterwards, or opens the very same."""
    from barlowtrack.plugin.opening import comes_later  # imported late: it wants Qt

    return comes_later(viewer, where, lambda: viewer.open(where, plugin="barlowtrack"))


def _alone(path: str | list[str]) -> Path | None:
    """Returns the only path there is; None where there are several."""
    paths = [path] if isinstance(path, str) else path
    return Path(paths[0]) if len(paths) == 1 else None


def _is_there(viewer: Any, layer: LayerData, run: Path) -> bool:
    """Says whether a viewer has a layer of a run already, whatever it is called and however it looks."""
    data, keywords, _ = layer
    alike = layers_of(viewer.layers, Role(keywords["metadata"][KEY]["role"]), run)
    return any(getattr(one.data, "channel", None) == getattr(data, "channel", None) for one in alike)


def moving_worm() -> list[LayerData]:
    """Returns a small synthetic worm, made when it is looked at, and where its neurons truly are."""
    from napari import current_viewer

    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.layers.sample import sample_layers

    viewer = current_viewer()
    if viewer is not None:
        session_of(viewer)
    return sample_layers()
