"""Long work beside the window, never in it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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


class WindowGoneError(Exception):
    """The window was closed, or the program told to end, while something was waited for."""


def meanwhile(work: Callable[[], T], there: Callable[[], bool] = lambda: True) -> T:
    """Does work in another thread, and returns what comes of it; until then the window is drawn, but takes no keys and clicks.

    Args:
        work: Touches no widget and no layer.
        there: Says whether anybody still waits for it.

    Raises:
        WindowGoneError: nobody does, or the program was told to end; what is at work ends by itself.
        KeyboardInterrupt: Ctrl+C, where nobody else listens for it.
        What the work raised.
    """
    loop, watch, pool = QEventLoop(), QTimer(), ThreadPoolExecutor(1, "barlowtrack opening")
    future = pool.submit(work)
    watch.timeout.connect(lambda: loop.quit() if future.done() or not there() else None)
    watch.start(WATCH_MS)
    try:
        with _interrupting(loop):
            if not future.done():
                loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    finally:
        watch.stop()
        pool.shutdown(wait=False)
    if not future.done() or not there():
        raise WindowGoneError
    return future.result()


@contextmanager
def _interrupting(loop: QEventLoop) -> Iterator[None]:
    """Has Ctrl+C end a loop, and come out of it: raised in what Qt calls, it would end Python. Others who listen for it go on to."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = threading.Event()

    def press(_number: int, _frame: object) -> None:
        pressed.set()
        loop.quit()

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed.is_set():
        raise KeyboardInterrupt


def say(error: BaseException) -> None:
    """Shows an error: ours as one line, any other as a bug."""
    if isinstance(error, BarlowtrackError):
        show_error(scrubbed(str(error)))
        return
    raise error
