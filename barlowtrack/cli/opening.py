"""open: a run in a window of napari."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from barlowtrack.errors import InputError

INSTALL = 'pip install "barlowtrack[gui]"'
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def open_here(path: Path, overrides: list[str]) -> None:
    """Shows a run, or a recording, until the window is closed.

    Raises:
        InputError: nothing to show, nothing to show it with, or settings for a run, which has its own.
    """
    from barlowtrack.config import load

    settings = load(None, overrides).recording
    _refuse(path, overrides)
    _napari()
    from barlowtrack.plugin.opening import show_alone

    show_alone(path, settings)


def _refuse(path: Path, overrides: list[str]) -> None:
    """Says what is wrong before a window is opened, which takes seconds."""
    from barlowtrack.io.location import as_url, shown
    from barlowtrack.io.readers import expected
    from barlowtrack.plugin.layers.opened import kind_of, run_of

    if as_url(path) is not None:
        raise InputError(
            f"{shown(path)}: an address is not opened here; give the folder of its run: barlowtrack run ADDRESS, then barlowtrack open RUN"
        )
    if not path.exists():
        raise InputError(f"{path}: not there; expected a run folder or a recording")
    if kind_of(path) is None:
        raise InputError(f"{path}: expected a run folder, or a recording: {expected()}")
    if overrides and run_of(path) is not None:
        raise InputError(f"{path}: has a run, whose settings count; 'barlowtrack run {path}' takes others")


def _napari(load: Callable[[str], Any] = importlib.import_module) -> Any:
    """Returns napari, told to read volumes beside the window, so that a slow disk does not stop it.

    Raises:
        InputError: napari or a Qt binding is missing, or there is no display.
    """
    os.environ.setdefault("NAPARI_ASYNC", "1")  # of this process alone: settings of napari would be kept for all others
    try:
        napari = load("napari")
    except ImportError as error:
        raise InputError(f"open: napari cannot be loaded ({_first_line(error)}); {INSTALL}") from None
    try:
        load("qtpy.QtWidgets")
    except ImportError as error:
        raise InputError(f"open: napari has no Qt to make windows with ({_first_line(error)}); {INSTALL}") from None
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in _DISPLAYS):
        raise InputError("open: there is no display to open a window on; over ssh, connect with 'ssh -X'")
    return napari


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
