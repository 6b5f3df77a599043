"""Layers over a large volume block by block: what lies between them stays in the processor's cache, and the blocks' memory is used again.

Whole maps are slower by a third on a CPU: every one of them is fresh memory, which the system clears page by page.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from barlowtrack.data import IntArray
from barlowtrack.nn.local import Span, needed, run, triple, whole_span
from barlowtrack.nn.starconvex_spec import Triple
from barlowtrack.nn.tiles import Tile, tiles

CPU_BYTES, GPU_BYTES = 20 * 2**20, 2**30
"""Of the largest map of a block. glibc returns what is above 32 MB to the system at once; small blocks repeat more at their edges."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Join:
    """What comes up from a coarser level beside what was skipped.

    Attributes:
        coarse: (N, C, Z / pool, Y / pool, X / pool).
        skipped: (N, C', Z, Y, X).
        pool: z y x.
    """

    coarse: Tensor
    skipped: Tensor
    pool: Triple

    def __getitem__(self, where: tuple[slice, ...]) -> Tensor:
        """Returns (N, C + C', ...) in a part of Z, Y, X: every coarse voxel repeated, then what was skipped."""
        around = [slice(s.start // p, -(-s.stop // p)) for s, p in zip(where[2:], self.pool, strict=True)]
        inside = [slice(s.start - a.start * p, s.stop - a.start * p) for s, a, p in zip(where[2:], around, self.pool, strict=True)]
        fine = functional.interpolate(self.coarse[:, :, *around], scale_factor=[float(p) for p in self.pool], mode="nearest")
        return torch.cat([fine[:, :, *inside], self.skipped[where]], dim=1)


Run = Callable[[nn.Module, Tensor | Join], Tensor]
"""Takes what goes into some layers through them."""


def _everything(source: Tensor | Join) -> Span:
    return whole_span((source.skipped if isinstance(source, Join) else source).shape[2:])


def at_once(layers: nn.Module, source: Tensor | Join) -> Tensor:
    """Runs layers on the whole."""
    y: Tensor = layers(source[:, :, *_everything(source).slices()] if isinstance(source, Join) else source)
    return y


def _widest(layers: nn.Module) -> float:
    """Returns the channels of the largest map, for every voxel of the input."""
    widest, voxels = 1.0, 1.0
    for layer in layers.modules():
        if isinstance(layer, nn.Conv3d):
            widest = max(widest, layer.in_channels * voxels)
            voxels /= float(np.prod(layer.stride))
            widest = max(widest, layer.out_channels * voxels)
    return widest


def each_block(layers: nn.Module, source: Tensor | Join, then: Callable[[Span, Tensor], _T], box: Span | None = None) -> list[_T]:
    """Runs layers block by block, on a CPU as many blocks side by side as torch has threads; without gradients.

    Args:
        layers: For nn.local.run.
        source: What goes in.
        then: Takes where in the output a block lies, and what is there: (N, C, z, y, x); called from several threads.
        box: The part of the output that is wanted; None: all. The blocks fill it.

    Returns:
        What then returned.
    """
    everything, step, around = _everything(source), *_steps(layers)
    wanted = Span(box.low * step, box.high * step) if box else everything
    tensor = source.skipped if isinstance(source, Join) else source
    n_threads = torch.get_num_threads() if tensor.device.type == "cpu" else 1
    most = (CPU_BYTES if tensor.device.type == "cpu" else GPU_BYTES) / (tensor.element_size() * len(tensor) * _widest(layers))
    unit = triple(step)
    cut_up = tiles(wanted, everything.shape, unit, around, most) or tiles(wanted, everything.shape, unit, around, np.inf)

    def one(tile: Tile) -> _T:
        before, behind = tile.window.low > 0, tile.window.high < everything.high
        cut = [(bool(a), bool(b)) for a, b in zip(before, behind, strict=True)]
        where = Span(tile.core.low // step, tile.core.high // step)
        first = np.where(before, where.low, 0)  # an end of the volume is padded, so the block answers for all up to there
        with torch.inference_mode():
            block = run([layers], source[:, :, *tile.window.slices()], cut)
            return then(where, block[:, :, *where.moved(-first).slices()])

    if min(n_threads, len(cut_up)) < 2:
        return [one(tile) for tile in cut_up]
    try:  # a thread a block: threads that share a block wait for each other after every layer
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(one, cut_up))
    finally:
        torch.set_num_threads(n_threads)  # the pool's setting would be that of new threads


def _steps(layers: nn.Module) -> tuple[IntArray, tuple[Triple, Triple]]:
    """Returns the voxels of the input to one of the output, and those that are seen before and behind."""
    nothing, one = (needed([layers], Span(np.zeros(3, np.int64), np.full(3, n))) for n in (0, 1))
    return one.high - nothing.high, (triple(-nothing.low), triple(nothing.high))


def block_by_block(layers: nn.Module, source: Tensor | Join) -> Tensor:
    """Runs layers block by block and puts the whole together; equal to at_once to rounding, without gradients."""
    shape = triple(_everything(source).high // _steps(layers)[0])
    channels = [layer.out_channels for layer in layers.modules() if isinstance(layer, nn.Conv3d)][-1]
    tensor = source.skipped if isinstance(source, Join) else source
    whole = tensor.new_empty((len(tensor), channels, *shape)).contiguous(memory_format=torch.channels_last_3d)

    def keep(where: Span, block: Tensor) -> None:
        whole[:, :, *where.slices()] = block

    each_block(layers, source, keep)
    return whole
