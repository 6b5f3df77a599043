"""Who may work in a folder: locks that the system frees however a process ends, and files in their place on disks that have no locks.

Some file systems of networks know no locks (ENOLCK), and some of them no hard links either. There everybody who wants in first makes a file
that says who they are, and then looks for files of others: of two, whoever came second sees the first, so at most one goes on. Each file
has a name of its own, which never comes again: nobody can remove another's by mistake. It stays behind when its process is killed: one that
is known to be gone is passed over, and removed; of another machine, or of another container, nobody here can say, so a person must.
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
_KINDS = ("alone", "piece")


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
            with _by_file(path, refusal, alone=alone, patience_s=TRIES * PAUSE_S):
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


def say_holder(descriptor: int, more: str) -> None:
    """Adds to what a lock's file says of who holds it: a child that holds it, too.

    Args:
        descriptor: What locked() gives.
        more: Text.
    """
    with suppress(OSError):  # as in locked()
        os.write(descriptor, f"; {more}".encode())


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
    with _by_file(path, f"{path}: in use by {{holder}}", alone=True, patience_s=TURN_S):
        yield


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
    at_work = _at_work(path, _KINDS)
    return str(next(iter(at_work.values()))) if at_work else None


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
    """Who has a lock.

    Attributes:
        pid: Of the process; 0: a file that says nothing.
        host: Name of its machine.
        since: When it took the lock.
        began: When it was started, in ticks since the machine was; tells it from a later process of the same number.
        boot: Of its machine: each start of each has its own.
        space: In which its number counts: containers have their own. "" of what could not be known.
    """

    pid: int
    host: str
    since: str
    began: str = ""
    boot: str = ""
    space: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.pid, int) or not 0 <= self.pid < 2**31:
            raise TypeError("not a process")

    def __str__(self) -> str:
        who = f"process {self.pid} on {self.host}" if self.pid else "an unknown process"
        return f"{who}, since {self.since}"

    @property
    def is_here(self) -> bool:
        """Whether its number means the same here: same machine, not started anew since, same container."""
        place = (self.host, self.boot, self.space)
        return all(place) and bool(self.began) and place == _here()

    @property
    def is_gone(self) -> bool:
        """Whether it is known to be gone: of other machines and containers nobody here knows."""
        if not self.is_here or not self.pid:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # of somebody else
        began = _began(self.pid)  # may be hidden, where it is of somebody else
        return bool(began) and began != self.began


def _myself() -> _Holder:
    return _Holder(os.getpid(), socket.gethostname(), time.strftime("%Y-%m-%d %H:%M"), _began(os.getpid()), *_here()[1:])


def _here() -> tuple[str, str, str]:
    """Returns machine, start of the machine, and space of process numbers; "" where the system does not say."""
    try:
        return socket.gethostname(), Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")
    except OSError:
        return socket.gethostname(), "", ""


def _began(pid: int) -> str:
    """Returns when a process was started, in ticks since the machine was; "" where nobody knows, "over" where it has ended already."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "over" if facts[0] in "ZX" else facts[19]
    except (OSError, IndexError):
        return ""


@contextmanager
def _by_file(path: Path, refusal: str, *, alone: bool, patience_s: float) -> Iterator[None]:
    mine = _enter(path, refusal, alone=alone, patience_s=patience_s)
    try:
        yield
    finally:
        _remove(mine)


def _enter(path: Path, refusal: str, *, alone: bool, patience_s: float) -> Path:
    """Makes a file that says who is at work, and goes on when none is seen of those who may not be here at the same time.

    Where several have made theirs and see each other, the first by name stays, the others take theirs away and wait.
    """
    end, mine = time.monotonic() + patience_s, None
    try:
        while True:
            others = _at_work(path, _KINDS if alone else ("alone",), but=mine)
            if not others and mine is not None:
                return mine
            if not others:
                mine = _make_mine(path, "alone" if alone else "piece")
                continue
            if time.monotonic() > end:
                where, who = next(iter(others.items()))
                said = refusal.replace("{holder}", str(who))
                raise InUseError(said if who.is_here else f"{said}; if it is surely not at work any more, delete {where}")
            if mine is not None and min(others) < mine:
                mine.unlink(missing_ok=True)
                mine = None
            time.sleep(PAUSE_S)
    except BaseException:
        _remove(mine)
        raise


def _make_mine(path: Path, kind: str) -> Path:
    """Makes a file that is whole before others see it under its name, or not at all."""
    tail = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
    written, mine = (path.with_name(f"{path.name}.{part}-{tail}") for part in ("new", kind))
    try:
        with written.open("x", encoding="utf-8") as file:
            file.write(json.dumps(_myself().__dict__))
            file.flush()
            os.fsync(file.fileno())
        written.rename(mine)
    except BaseException:
        _remove(written)
        _remove(mine)
        raise
    return mine


def _remove(path: Path | None) -> None:
    """Removes a file if it can be: what is left keeps nobody out for longer than its process lives."""
    if path is not None:
        with suppress(OSError):
            path.unlink()


def _at_work(path: Path, kinds: tuple[str, ...], but: Path | None = None) -> dict[Path, _Holder]:
    """Returns who is at work, or may be, by their files; files of those who are gone are removed, for no other has their names."""
    found = {}
    for name in sorted(os.listdir(path.parent)):  # which raises where it cannot look
        kind = next((kind for kind in (*_KINDS, "new") if name.startswith(f"{path.name}.{kind}")), None)
        other = path.with_name(name)
        who = None if kind is None or other == but else _read(other)
        if who is not None and who.is_gone:
            _remove(other)
        elif who is not None and kind is not None and kind in kinds:
            found[other] = who
    return found


def _read(path: Path) -> _Holder | None:
    try:
        return _Holder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError):  # of a machine that crashed
        return _Holder(0, "an unknown machine", "an unknown time")
