"""Long work beside the window, never in it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import QEventLoop, QTimer

from barlowtrack.errors import BarlowtrackError
from barlowtrack.io.location import scrubbed

log = logging.getLogger(__name__)

T = TypeVar("T")
WATCH_MS = 5
"""So often it is looked at whether work that is waited for is done."""


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


def meanwhile(work: Callable[[], T]) -> T:
    """Does work in another thread, and returns what comes of it; until then the window is drawn, but takes no keys and clicks.

    Args:
        work: Touches no widget and no layer.

    Raises:
        What the work raised.
    """
    loop = QEventLoop()
    with ThreadPoolExecutor(1, "barlowtrack opening") as pool:
        future = pool.submit(work)
        watch = QTimer()
        watch.timeout.connect(lambda: loop.quit() if future.done() else None)
        watch.start(WATCH_MS)
        if not future.done():
            loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        watch.stop()
        return future.result()


def say(error: BaseException) -> None:
    """Shows an error: ours as one line, any other as a bug."""
    if isinstance(error, BarlowtrackError):
        show_error(scrubbed(str(error)))
        return
    raise error
