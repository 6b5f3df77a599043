"""Long work beside the window, never in it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error

from barlowtrack.errors import BarlowtrackError
from barlowtrack.io.location import scrubbed

log = logging.getLogger(__name__)


def in_background(work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None] | None = None) -> Any:
    """Does work in another thread; what comes of it arrives in the thread of the window.

    Args:
        work: Touches no widget and no layer.
        done: Gets the result.
        failed: Gets what work raised; where not given, an error of ours is shown as one line, and any other goes napari's way, with its
            traceback.

    Returns:
        The worker, which somebody may wait for.
    """
    worker = create_worker(work, _start_thread=False, _ignore_errors=True)  # else napari raises them again beside telling whoever asked
    worker.returned.connect(done)
    worker.errored.connect(failed or say)
    worker.start()
    return worker


def say(error: BaseException) -> None:
    """Shows an error: ours as one line, any other as a bug."""
    if isinstance(error, BarlowtrackError):
        show_error(scrubbed(str(error)))
        return
    raise error
