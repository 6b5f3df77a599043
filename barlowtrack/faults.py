"""What goes wrong with a machine and not with the input: its memory, its disk, its GPU; told apart by the errors that come of it.

Libraries raise what they like, and others wrap it; so the errors behind an error are looked at, too. Nothing slow is imported.
"""

from __future__ import annotations

import errno
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

log = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The disk is full, a quota is used up, a file may not grow."""

PASSING = {errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EIO, errno.EREMOTEIO, errno.ENOLINK, errno.EHOSTDOWN, errno.EHOSTUNREACH}
"""What a disk behind a network says when it is busy or away for a moment."""

_ELSE = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.EROFS}

# what torch and its libraries say, where they have no error of their own for it
_MEMORY_SAID = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "std::bad_alloc",
    "can't start new thread",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "Unable to find a valid cuDNN algorithm",  # all of them need more than there is
)
_DEVICE_SAID = (
    "CUDA error",
    "CUDA driver error",
    "cuDNN error",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "HIP error",
    "No CUDA GPUs are available",
)


def behind(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and those that it came of, also where it hides them."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def disk_error(error: BaseException, codes: set[int]) -> OSError | None:
    """Returns the error of the system behind another, if it is one of these."""
    return next((one for one in behind(error) if isinstance(one, OSError) and one.errno in codes), None)


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether memory did not suffice, of the machine or of its GPU."""
    return any(
        isinstance(one, MemoryError)
        or type(one).__name__ == "OutOfMemoryError"
        or (isinstance(one, RuntimeError) and any(text in str(one) for text in _MEMORY_SAID))
        or (isinstance(one, OSError) and one.errno == errno.ENOMEM)
        for one in behind(error)
    )


def is_device_lost(error: BaseException) -> bool:
    """Says whether a GPU failed or went away; one whose memory did not suffice is still there."""
    return any(
        type(one).__name__ == "AcceleratorError" or (isinstance(one, RuntimeError) and any(text in str(one) for text in _DEVICE_SAID))
        for one in behind(error)
    ) and not is_out_of_memory(error)


def is_of_the_machine(error: BaseException) -> bool:
    """Says whether it tells of the machine as it is now, and so nothing of what lies on its disk."""
    return is_out_of_memory(error) or is_device_lost(error) or disk_error(error, FULL | PASSING | _ELSE) is not None


def nothing() -> None:
    """What is done where there is nothing to do."""


def side_by_side(
    pool: ThreadPoolExecutor,
    work: Callable[[_Item], _Answer],
    items: Sequence[_Item],
    ahead: int,
    alone: Callable[[], object] = nothing,
) -> Generator[_Answer]:
    """Yields what work returns of every item, in order, while the pool is at work on those that follow.

    Where memory does not suffice for several at once, the rest is done one after the other; the answers are the same.

    Args:
        pool: Its threads do the work.
        work: Called once an item; again if memory did not suffice.
        items: Any number.
        ahead: Items that are in work, or done and not yet taken.
        alone: Called when from now on one item is worked on at a time.
    """
    waiting: deque[Future[_Answer] | None] = deque()  # None: memory did not suffice, to be done again alone
    try:
        for i in range(len(items)):
            waiting.extend(pool.submit(work, later) for later in items[i + len(waiting) : i + ahead])
            if ahead > 1 and _is_short(waiting[0]):
                ahead = 1
                log.warning("memory does not suffice for several volumes at once: from here on they are done one after the other")
                waiting = deque([None if _is_short(future) else future for future in waiting])  # waits for all of them
                alone()
            first = waiting.popleft()
            yield (first or pool.submit(work, items[i])).result()
    finally:
        for future in waiting:
            if future is not None:
                future.cancel()


def _is_short(future: Future[_Answer] | None) -> bool:
    error = None if future is None else future.exception()
    return error is not None and is_out_of_memory(error)
