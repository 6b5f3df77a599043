"""Processes that are made to end badly: forked from one that has imported all that is slow, so that a test can afford many of them."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["barlowtrack.api", "barlowtrack.stages.segment", "tests.preloaded"])

WRITES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")


def born(work: Callable[..., Any], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """Starts a process that calls work; the caller waits for its end."""
    process = _CONTEXT.Process(target=_live, args=(work, arguments))
    process.start()
    return process


def end_of(work: Callable[..., Any], *arguments: Any, seconds: float = 120) -> int:
    """Calls work in a process of its own, and returns how that ended: its exit code, or minus the signal that killed it."""
    process = born(work, *arguments)
    process.join(seconds)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def _live(work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        work(*arguments)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def call(*arguments: Any, said: Path | None = None) -> None:
    """Calls the command line; what it says goes to a file."""
    from barlowtrack.cli import main

    if said is not None:
        log = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = ["barlowtrack", *map(str, arguments)]
    main()


def killed_before_write(number: int, folder: Path, *arguments: Any) -> None:
    """Calls the command line, and kills this process (SIGKILL) just before it changes the folder for the number-th time."""
    left, inside = number, str(folder)

    def look(event: str, given: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in WRITES or not given or not isinstance(given[0], (str, os.PathLike)):
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if os.fspath(given[0]).startswith(inside):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    call(*arguments)


def killed_in_a_file(most_bytes: int, *arguments: Any) -> None:
    """Calls the command line; the system kills this process in the middle of the first file that grows beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    call(*arguments)


def with_small_files(most_bytes: int, said: Path, *arguments: Any) -> None:
    """Calls the command line; files may not grow beyond so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    reader, writer = os.pipe()  # which has no limit
    child = os.fork()
    if child == 0:
        os.close(writer)
        while block := os.read(reader, 65536):
            os.write(log, block)
        os._exit(0)
    os.close(reader)
    os.dup2(writer, 2)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    call(*arguments)
