"""Work beside the window, one after the other: what was said first is written first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from barlowtrack.plugin.background import in_background, say
from barlowtrack.plugin.listening import Listening


@dataclass(frozen=True)
class _Task:
    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[BaseException], None]


class InOrder:
    """A line of work, done in another thread; results arrive in the thread of the window, in the same order.

    Args:
        listening: Of the window that is told; work is done all the same when it is over.
    """

    def __init__(self, listening: Listening) -> None:
        self._listening = listening
        self._waiting: deque[_Task] = deque()
        self._lock = threading.Lock()
        self._busy = False

    @property
    def busy(self) -> bool:
        """Whether something is on its way."""
        return self._busy

    def do(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None] | None = None) -> None:
        """Does work when all before it is done; see background.in_background."""
        self._waiting.append(_Task(work, done, failed or say))
        if not self._busy:
            self._start()

    def finish(self) -> None:
        """Does what waits now, in this thread, as where the window closes; returns when all of it is done."""
        with self._lock:  # whatever is on its way ends first
            while self._waiting:
                _run(self._waiting.popleft())()

    def _start(self) -> None:
        self._busy = True
        in_background(self._next, self._arrived)

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            return _run(self._waiting.popleft()) if self._waiting else None

    def _arrived(self, tell: Callable[[], None] | None) -> None:
        try:
            if tell is not None and self._listening.on:
                tell()  # before the next is done, which may depend on what is told
        finally:
            self._busy = False
            if self._waiting:
                self._start()


def _run(task: _Task) -> Callable[[], None]:
    """Does a piece of work, and returns what is then to be told in the thread of the window."""
    try:
        result = task.work()
    except BaseException as error:
        caught = error
        return lambda: task.failed(caught)
    return lambda: task.done(result)
