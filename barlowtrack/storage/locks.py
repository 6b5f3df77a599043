"""Who may work in a folder: locks that the system frees however a process ends, and files in their place on disks that have no locks.

Some file systems of networks know no locks (ENOLCK). There a file that only one process can make says who is at work. It stays behind when
that process is killed: one of this machine that is gone is passed over; of another machine nobody here can say, so a person must.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from barlowtrack.errors import InUseError

log = logging.getLogger(__name__)

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
TRIES, PAUSE_S = 4, 0.05
"""Somebody who only looks whether a folder is in use has its lock for an instant."""
TURN_S = 30.0


@contextmanager
def locked(path: Path, refusal: str, *, alone: bool = True) -> Iterator[int]:
    """Holds a lock as long as the context lasts.

    Args:
        path: Of the lock's file, which stays.
        refusal: What is said where others have it; {holder} stands for them.
        alone: Keep everybody out; else, only those who want it alone.

    Yields:
        The descriptor of the lock's file: a child that inherits it holds the lock, too, where the disk knows locks.

    Raises:
        InUseError: others have it.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            got = _try(file.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.info("%s: this disk has no locks (%s); a file says who is at work", path, error.strerror)
            with _by_file(path, refusal, alone):
                yield file.fileno()
            return
        if not got:
            file.seek(0)
            raise InUseError(refusal.replace("{holder}", file.read().strip() or "another process"))
        with suppress(OSError):  # a full disk: who it is remains unsaid, and the lock holds all the same
            file.truncate(0)
            file.write(str(_myself()) if alone else "jobs that make pieces")
            file.flush()
        yield file.fileno()


@contextmanager
def taking_turns(file: IO[Any], path: Path) -> Iterator[None]:
    """Holds a lock for a moment, after waiting for others who do so too.

    Args:
        file: Open for writing; the lock goes when it is closed.
        path: Its path.

    Raises:
        InUseError: others have it for longer than a moment.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    else:
        yield
        return
    end = time.monotonic() + TURN_S
    while True:
        try:
            mine = _make_mine(_beside(path, "alone"), f"{path}: in use by {{holder}}")
            break
        except InUseError:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE_S)
    try:
        yield
    finally:
        mine.unlink(missing_ok=True)


def holder(path: Path) -> str | None:
    """Says who has a lock, without taking it for longer than an instant; None where nobody has."""
    try:
        with path.open("r+b" if os.access(path, os.W_OK) else "rb") as file:  # some disks lock only what may be written
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().decode("utf-8", "replace").strip() or "another process"
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in {*NO_LOCKS, errno.EBADF}:
            raise
    for other in (_beside(path, "alone"), *_pieces(path)):
        at_work = _read(other)
        if at_work is not None and not at_work.is_gone:
            return str(at_work)
    return None


def _try(descriptor: int, how: int) -> bool:
    for attempt in range(TRIES):
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < TRIES:
                time.sleep(PAUSE_S)
        else:
            return True
    return False


@dataclass(frozen=True)
class _Holder:
    """Who has a lock; began: when the process was started, which tells it from a later one of the same number."""

    pid: int
    host: str
    since: str
    began: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether it is known to be gone: of other machines nobody here knows."""
        return self.is_here and _began(self.pid) != self.began


def _myself() -> _Holder:
    return _Holder(os.getpid(), socket.gethostname(), time.strftime("%Y-%m-%d %H:%M"), _began(os.getpid()))


def _began(pid: int) -> str:
    """Returns when a process of this machine was started, in ticks since the machine was; "" where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@contextmanager
def _by_file(path: Path, refusal: str, alone: bool) -> Iterator[None]:
    """Both kinds are made first and look then: of two at the same moment at most one goes on."""
    name = _beside(path, "alone")
    mine = _make_mine(name if alone else _beside(path, f"piece-{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"), refusal)
    try:
        for other in _pieces(path) if alone else [name]:
            _refuse_if_held(other, refusal)
        yield
    finally:
        mine.unlink(missing_ok=True)


def _make_mine(path: Path, refusal: str) -> Path:
    content = json.dumps(_myself().__dict__)
    for _ in range(TRIES):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            _refuse_if_held(path, refusal)
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        return path
    raise InUseError(refusal.replace("{holder}", "another process"))


def _refuse_if_held(path: Path, refusal: str) -> None:
    who = _read(path)
    if who is None:
        return
    if not who.is_gone:
        said = refusal.replace("{holder}", str(who))
        raise InUseError(said if who.is_here else f"{said}; if it is surely not at work any more, delete {path}")
    aside = path.with_name(f"{path.name}.gone-{os.getpid()}")
    with suppress(FileNotFoundError):
        path.rename(aside)  # one of several who find it gone; a newer one that came in between is put back
        newer = _read(aside)
        if newer is not None and newer != who:
            with suppress(OSError):
                os.link(aside, path)
        aside.unlink()


def _read(path: Path) -> _Holder | None:
    try:
        return _Holder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):  # just made, and not yet written
        return _Holder(0, "an unknown machine", "just now")


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.name}.{what}")


def _pieces(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.piece-*"))
