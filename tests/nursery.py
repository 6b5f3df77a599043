"""Processes that are made to end badly: forked from one that has imported all that is slow, so that a test can afford many of them."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
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


def typed(*arguments: Any, cwd: Path | str | None = None) -> subprocess.CompletedProcess[str]:
    """Calls the command line as if it was typed in a folder, without waiting for what every run imports."""
    with tempfile.TemporaryDirectory() as kept:
        out, err = Path(kept) / "out", Path(kept) / "err"
        code = end_of(_in_folder, cwd, out, err, *map(str, arguments), seconds=600)
        return subprocess.CompletedProcess(["barlowtrack", *map(str, arguments)], code, out.read_text(), err.read_text())


def _in_folder(cwd: Path | str | None, out: Path, err: Path, *arguments: str) -> None:
    for place, number in ((out, 1), (err, 2)):
        os.dup2(os.open(place, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    if cwd is not None:
        os.chdir(cwd)
    try:
        call(*arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


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


NO_DISK = 77
_NEW_USER, _NEW_MOUNTS, _REMOUNT, _PRIVATE = 0x10000000, 0x00020000, 32, (1 << 18) | (1 << 14)


def on_a_small_disk(disk: Path, kept: Path, report: Path, *arguments: Any) -> None:
    """Calls the command line on a disk that is full, again and again, each time with a little more room, until it comes through.

    The disk is a tmpfs that this process alone sees. What each call said goes to the report, the run folder to kept.
    """
    system = ctypes.CDLL(None, use_errno=True)
    if system.unshare(_NEW_MOUNTS) and not _as_root_of_our_own(system):
        os._exit(NO_DISK)
    system.mount(b"none", b"/", None, _PRIVATE, None)  # what is mounted here stays here
    ends, size, said = [], 100_000, report.with_suffix(".said")
    if system.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 0, f"size={size}".encode()):
        os._exit(NO_DISK)
    while (code := _forked(call_and_say, said, *arguments)) != 0 and size < 10**9:
        ends.append((code, said.read_text()))
        size = size * 8 // 5
        system.mount(b"none", os.fsencode(disk), None, _REMOUNT, f"size={size}".encode())
    report.write_text(json.dumps(ends))
    shutil.copytree(disk / "run.barlowtrack", kept)


def _as_root_of_our_own(system: ctypes.CDLL) -> bool:
    """Makes this process root in a world of its own, where the system lets people do so."""
    user, group = os.getuid(), os.getgid()
    if system.unshare(_NEW_USER | _NEW_MOUNTS):
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        try:
            Path(f"/proc/self/{name}").write_text(text)
        except OSError:
            return False
    return True


def call_and_say(said: Path, *arguments: Any) -> None:
    """Calls the command line; what it says goes to a file."""
    call(*arguments, said=said)


def _forked(work: Callable[..., Any], *arguments: Any) -> int:
    child = os.fork()
    if child == 0:
        code: Any = 0
        try:
            _live(work, arguments)
        except SystemExit as ended:
            code = ended.code
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def work_in_little_memory() -> None:
    """Works on volumes that need 200 MB each, by four threads that may have 300 MB more than they have."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from barlowtrack.faults import side_by_side

    tries = []

    def work(item: int) -> int:
        tries.append(item)
        volume = np.ones(200_000_000, np.uint8)
        time.sleep(0.1)
        return int(volume[item]) * item

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(time.sleep, [0.1] * 4))  # its threads have their stacks
        has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + 300_000_000,) * 2)
        alone: list[int] = []
        assert list(side_by_side(pool, work, range(6), 4, lambda: alone.append(1))) == list(range(6))
    assert alone == [1]
    assert len(tries) > 6
