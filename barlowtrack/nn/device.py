"""Where networks run, and how: the device, the threads, and deterministic arithmetic."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch

from barlowtrack.config import ComputeConfig
from barlowtrack.errors import ConfigError
from barlowtrack.faults import nothing, side_by_side

_MOST_WORKERS = 8

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def pick_device(compute: ComputeConfig) -> torch.device:
    """Returns the device of the settings.

    Raises:
        ConfigError: cuda is asked for and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if compute.device == "cuda" and not has_cuda:
        raise ConfigError("[compute] device: expected a CUDA device for 'cuda', found none; use 'auto' or 'cpu'")
    return torch.device("cuda" if has_cuda and compute.device != "cpu" else "cpu")


def n_workers(compute: ComputeConfig) -> int:
    """Returns how many threads work on volumes side by side."""
    return compute.workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS)


def in_order(
    work: Callable[[_Item], _Answer], items: Sequence[_Item], workers: int, in_flight: int, alone: Callable[[], object] = nothing
) -> Generator[_Answer]:
    """Yields what work returns of every item, in order, while it is at work on those that follow; see side_by_side.

    Args:
        work: Called from several threads; each gets its share of the threads of arithmetic, so that all are busy, also while one waits for
            the disk or for the interpreter.
        items: Any number.
        workers: Threads.
        in_flight: Items that are in work, or done and not yet taken.
        alone: Called when memory did not suffice for that, and items are worked on one by one from now on.
    """
    workers, threads = min(workers, in_flight), torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "work", torch.set_num_threads, (max(1, threads // workers),))
    try:
        yield from side_by_side(pool, work, items, in_flight, alone)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Returns bfloat16 autocast on a GPU and nothing on a CPU, where few processors gain by it and results should not hang on which."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


@contextmanager
def deterministic() -> Iterator[None]:
    """Makes arithmetic repeat bit for bit inside, and leaves torch's switches as they were."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when the first product runs
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
