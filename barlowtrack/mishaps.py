"""What a person is told when the machine fails in the middle of a stage: what, where, what is kept, and what to do."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barlowtrack.config import Config
from barlowtrack.data import Recording
from barlowtrack.errors import MachineError
from barlowtrack.faults import FULL, PASSING, behind, disk_error, is_device_lost, is_out_of_memory
from barlowtrack.io.location import scrubbed

log = logging.getLogger(__name__)

KEPT = "what is done is kept, and the same command goes on from there"


@contextmanager
def told_in_a_line(stage: str, folder: Path, recording: Recording, config: Config) -> Iterator[None]:
    """Turns what the machine does to a stage into one line.

    Raises:
        MachineError: the disk is full or does not answer, memory did not suffice, or the GPU failed.
    """
    try:
        yield
    except Exception as error:
        said = _said(error, stage, folder, recording, config)
        if said is None:
            raise
        log.info("where it happened", exc_info=True)
        raise MachineError(f"{stage}: {said}; {KEPT}") from error


def _said(error: Exception, stage: str, folder: Path, recording: Recording, config: Config) -> str | None:
    full = disk_error(error, FULL)
    if full is not None:
        return _of_a_full_disk(full, folder, recording, config)
    if is_out_of_memory(error):
        return _of_memory(error, stage, config)
    if is_device_lost(error):
        first = next(text for one in behind(error) if (text := str(one).strip())).splitlines()[0]
        return f'the GPU failed ({first}); where it does so again, [compute] device = "cpu" goes on without it'
    away = disk_error(error, PASSING)
    if away is not None:
        return f"{away.filename or folder}: {scrubbed(away.strerror or str(away))}: the disk does not answer; see whether it is there"
    return None


def _of_a_full_disk(error: OSError, folder: Path, recording: Recording, config: Config) -> str:
    from barlowtrack.check import bytes_on_disk
    from barlowtrack.storage.atomic import tree_size

    there = Path(os.fsdecode(error.filename)) if error.filename else folder
    if error.errno == errno.EFBIG:
        why = "a file may not grow any more (see 'ulimit -f', and what its file system allows)"
    elif error.errno == errno.EDQUOT:
        why = "your share of the disk is used up"
    else:
        why = f"the disk is full ({_size(shutil.disk_usage(folder).free)} free)"
    need, used = bytes_on_disk(recording, config), tree_size(folder)
    left = f"; the whole run takes about {_size(max(need, used))}, {_size(used)} of them are there"
    return f"{there}: {why}{left}; make room"


def _of_memory(error: Exception, stage: str, config: Config) -> str:
    first = next((text for one in behind(error) if (text := str(one).strip())), "").partition("\n")[0]
    if "GPU" in first or "CUDA" in first:
        said = f'{first}; end what else runs there, lower [compute] memory_gb, or set [compute] device = "cpu"'
    else:
        said = f"does not fit into memory{f' ({first})' if first else ''}: a stage may hold {config.compute.memory_gb:g} GB beside"
        said += " its model, by [compute] memory_gb; lower it, or [compute] workers, or end what else runs here"
    if stage == "train":  # its batches are volumes: smaller ones would be another training
        said += "; a smaller [crop] margin or grid takes less, and makes another encoder"
    return said


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
