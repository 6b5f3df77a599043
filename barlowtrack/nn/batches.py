"""Volumes that go through the network together, as many as the device's memory holds."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from barlowtrack.errors import InputError
from barlowtrack.faults import is_out_of_memory
from barlowtrack.nn.candidates import TILE_VOXELS, Candidates, candidates_batch, least_tile
from barlowtrack.nn.device import deterministic
from barlowtrack.nn.local import triple
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import Triple

log = logging.getLogger(__name__)

LEAST_TILE = 2**18
"""Voxels: what is repeated around smaller tiles would be most of the work. A network that sees far has larger ones."""

_gpu = threading.Lock()


def volumes_at_once(device: torch.device, volume_voxels: int, tile_voxels: int, most: int) -> int:
    """Returns how many volumes go through the network together: on a CPU one, which keeps all of its threads busy by itself.

    Args:
        device: Of the network.
        volume_voxels: Of one volume as the network sees it.
        tile_voxels: That the device's memory holds.
        most: That the machine's memory holds.
    """
    return 1 if device.type == "cpu" else int(np.clip(tile_voxels // volume_voxels, 1, max(most, 1)))


def candidates_in_passes(
    net: StarConvexNet,
    volumes: NDArray[np.float32],
    prob_thresh: float,
    *,
    border: int | Triple,
    tile_voxels: int = TILE_VOXELS,
    alone: bool = True,
) -> list[Candidates]:
    """Does what candidates_batch() does; where memory does not suffice for all volumes, in passes of half as many.

    One volume that is too large goes through in smaller and smaller tiles; on a CPU only where nothing else is at work, for what holds
    the memory there may be what goes on beside. On a GPU one pass is made at a time, whoever asks, so that the
    bound on memory holds, and with arithmetic that repeats. How many volumes there are in a pass changes the answer by rounding only.

    Args:
        net: In evaluation mode, on any device.
        volumes: (N, Z, Y, X), or (N, Z, Y, X, C) of a network with C channels; normalised.
        prob_thresh: Least probability of an object's centre.
        border: See candidates().
        tile_voxels: Of the largest tile of all N volumes; one volume goes through in the smallest tiles that there are in any case.
        alone: Whether nothing else is at work in this process.

    Raises:
        InputError: as candidates(); a GPU's memory does not suffice for the least tile.
    """
    device = net.prob.weight.device
    smallest = max(least_tile(net, triple(np.array(volumes.shape[1:4])), border), LEAST_TILE)
    tile_voxels = max(tile_voxels, smallest * len(volumes))
    try:
        with _turn(device):
            return candidates_batch(net, volumes, prob_thresh, border=border, tile_voxels=tile_voxels)
    except Exception as error:
        last = len(volumes) == 1 and tile_voxels <= smallest
        if not is_out_of_memory(error) or (not isinstance(error, torch.OutOfMemoryError) and (last or not alone)):
            raise
        log.debug("%d volumes, tiles of %d voxels: out of memory", len(volumes), tile_voxels)
    _say_smaller()
    torch.cuda.empty_cache()  # here, not where the error's traceback still holds what did not fit
    if len(volumes) > 1:
        parts = [volumes[: len(volumes) // 2], volumes[len(volumes) // 2 :]]
    elif tile_voxels > smallest:
        parts, tile_voxels = [volumes], max(min(tile_voxels, volumes.size) // 2, smallest)
    else:
        raise InputError('expected more free memory on the GPU; end what else runs there, or use [compute] device = "cpu"')
    again = functools.partial(candidates_in_passes, net, border=border, tile_voxels=tile_voxels, alone=alone)
    return [found for part in parts for found in again(part, prob_thresh)]


@functools.cache
def _say_smaller() -> None:
    log.warning("memory does not suffice for the network's volumes: fewer at a time, or smaller parts; results are the same up to rounding")


@contextmanager
def _turn(device: torch.device) -> Iterator[None]:
    if device.type == "cpu":
        yield
        return
    with _gpu, deterministic():  # a switch of all threads, so that none may leave it while another is inside
        yield
