"""Where objects may be: the network over volumes, tile by tile, keeping of its maps only what can become an object."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from barlowtrack.data import FloatArray, IntArray
from barlowtrack.errors import InputError
from barlowtrack.nn.blocks import block_by_block, each_block
from barlowtrack.nn.device import half_precision
from barlowtrack.nn.local import Span, triple
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, Triple
from barlowtrack.nn.tiles import least, tiles

BORDER = 2
"""StarDist takes no candidate this close to the border of its maps, in voxels of the grid."""

TILE_VOXELS = 2**24
"""Of a tile unless told otherwise: about 2 GB, at 120 bytes a voxel of StarDist's default network on the grid (1, 2, 2) on two threads."""

_T = TypeVar("_T")


class Candidates(NamedTuple):
    """K voxels of a volume that may be an object's centre, in the order of the voxels.

    Attributes:
        points: (K, 3) z y x in voxels of the volume.
        prob: (K,) in (0, 1].
        dist: (K, R) to the object's surface, in voxels; may be negative, as the network said.
    """

    points: IntArray
    prob: FloatArray
    dist: FloatArray


def candidates(
    net: StarConvexNet,
    volume: NDArray[np.float32],
    prob_thresh: float,
    *,
    border: int | Triple = BORDER,
    region: NDArray[np.bool_] | None = None,
    tile_voxels: int = TILE_VOXELS,
) -> Candidates:
    """Runs the network on a volume and takes the voxels that are probable enough; draw() makes objects of them.

    Distances are computed for these voxels alone. A volume larger than tile_voxels goes through in tiles that overlap by what the network
    sees, so that the answer is that of the whole volume to rounding.

    Args:
        net: In evaluation mode, on any device; on a GPU it runs in bfloat16.
        volume: (Z, Y, X), or (Z, Y, X, C) of a network with C channels; normalised.
        prob_thresh: Least probability of an object's centre.
        border: Voxels of the grid at the ends of the maps without candidates, of all axes or z y x. With StarDist's 2 a volume of fewer
            than 5 planes of the grid has no objects: give (0, 2, 2) for a thin one.
        region: (Z, Y, X), true where centres may lie; what the network need not see for it is not computed. None: everywhere.
        tile_voxels: Of the largest tile, its overlap included; it bounds the memory.

    Raises:
        InputError: other axes, no voxels, voxels that are not finite, a region of another shape, or tile_voxels that no tile has.
    """
    return candidates_batch(net, volume[None], prob_thresh, border=border, region=region, tile_voxels=tile_voxels)[0]


def candidates_batch(
    net: StarConvexNet,
    volumes: NDArray[np.float32],
    prob_thresh: float,
    *,
    border: int | Triple = BORDER,
    region: NDArray[np.bool_] | None = None,
    tile_voxels: int = TILE_VOXELS,
) -> list[Candidates]:
    """Does for N volumes at once, (N, Z, Y, X) or (N, Z, Y, X, C), what candidates() does for one; region is that of all."""
    x = padded(net, volumes)
    shape, grid = triple(np.array(volumes.shape[1:4])), net.spec.grid
    if region is not None and region.shape != shape:
        raise InputError(f"region: expected the volume's shape {shape}, got {region.shape}")
    may = may_hold(on_grid(x, net.spec), shape, grid, border)
    if region is not None:
        here = region[:: grid[0], :: grid[1], :: grid[2]]
        may[tuple(map(slice, here.shape))] &= here

    def choose(where: Span, prob: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        good = (prob > prob_thresh) & torch.from_numpy(may[where.slices()]).to(prob.device)  # (N, z, y, x)
        dist = functional.linear(features.movedim(1, -1)[good], net.dist.weight.flatten(1), net.dist.bias)  # (k, R)
        return good.nonzero() + torch.tensor([0, *where.low.tolist()], device=prob.device), prob[good], dist

    with half_precision(net.prob.weight.device):
        found = through(net, x, choose, tile_voxels, may)
    return _collect(found, len(x), may.shape, net.spec)


def _collect(found: list[tuple[Tensor, Tensor, Tensor]], n: int, size: tuple[int, ...], spec: StarConvexSpec) -> list[Candidates]:
    if not found:
        nothing = Candidates(np.zeros((0, 3), np.int64), np.zeros(0, np.float32), np.zeros((0, spec.n_rays), np.float32))
        return [nothing] * n
    at = np.concatenate([a.cpu().numpy() for a, _, _ in found])  # (k, 4): volume, z, y, x on the grid
    prob, dist = (np.concatenate([part[i].float().cpu().numpy() for part in found]) for i in (1, 2))
    place = np.ravel_multi_index(tuple(at.T), (n, *size))
    order = np.argsort(place)  # suppression breaks ties by it: it must not depend on the tiles
    ends = np.searchsorted(place[order], np.arange(n + 1) * np.prod(size))
    rows = (order[a:b] for a, b in pairwise(ends))
    return [Candidates(at[row, 1:] * np.array(spec.grid), prob[row], dist[row]) for row in rows]


def on_grid(volumes: NDArray[np.float32], spec: StarConvexSpec) -> Triple:
    """Returns the size Z', Y', X' of the maps of (N, C, Z, Y, X)."""
    return triple(np.array(volumes.shape[2:]) // np.array(spec.grid))


def may_hold(size: Triple, shape: Triple, grid: Triple, border: int | Triple) -> NDArray[np.bool_]:
    """Returns where of maps of this size candidates may lie: inside the volume, and not too close to the maps' ends."""
    may = np.ones(size, bool)
    for axis, edge in enumerate((border,) * 3 if isinstance(border, int) else border):
        v = np.arange(size[axis])
        inside = (v >= edge) & (v < size[axis] - edge) & (v * grid[axis] < shape[axis])
        may &= np.expand_dims(inside, [a for a in range(3) if a != axis])
    return may


def padded(net: StarConvexNet, volumes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns (N, C, Z, Y, X) of (N, Z, Y, X) or (N, Z, Y, X, C), mirrored at the far ends up to a multiple of spec.divisor.

    Raises:
        InputError: other axes, no voxels, or voxels that are not finite.
    """
    channels = net.spec.n_channel_in
    x = volumes[..., None] if volumes.ndim == 4 and channels == 1 else volumes
    if x.ndim != 5 or x.shape[-1] != channels or not x.size:
        axes = f"(Z, Y, X{', C' if channels > 1 else ''})"
        raise InputError(f"volume: expected {axes} with {channels} channel(s), got shape {volumes.shape[1:]}")
    if not np.isfinite(x).all():
        raise InputError("volume: expected finite voxels, got NaN or infinity")
    missing = [(0, -size % divisor) for size, divisor in zip(x.shape[1:4], net.spec.divisor, strict=True)]
    return np.pad(x, ((0, 0), *missing, (0, 0)), mode="reflect").transpose(0, 4, 1, 2, 3)


def through(
    net: StarConvexNet,
    volumes: NDArray[np.float32],
    then: Callable[[Span, Tensor, Tensor], _T],
    tile_voxels: float,
    wanted: NDArray[np.bool_],
) -> list[_T]:
    """Takes volumes through the network tile by tile, and inside a tile block by block.

    Args:
        net: In evaluation mode.
        volumes: (N, C, Z, Y, X) as padded() gives them.
        then: Takes where on the grid a block lies, prob there (N, z, y, x), and the features dist is made of (N, C, z, y, x).
        tile_voxels: Of the largest tile of all N volumes.
        wanted: (Z', Y', X') on the grid; what is around it is left out.

    Returns:
        What then returned.

    Raises:
        InputError: there is no tile of so few voxels.
    """
    grid, box = np.array(net.spec.grid), _bounds(wanted)
    if box is None:
        return []
    cut = _cut(net, triple(np.array(volumes.shape[2:])), box)
    all_tiles = tiles(*cut, tile_voxels / len(volumes))
    if not all_tiles:
        raise InputError(f"tile_voxels: expected at least {least(*cut) * len(volumes)} for this network, got {tile_voxels}")
    answers: list[_T] = []
    for core, window in all_tiles:
        inside = _bounds(wanted[Span(core.low // grid, core.high // grid).slices()])
        if inside is None:
            continue
        offset = window.low // grid

        def heads(where: Span, features: Tensor, offset: IntArray = offset) -> _T:
            return then(where.moved(offset), torch.sigmoid(net.prob(features))[:, 0], features)

        with torch.inference_mode():
            part = torch.from_numpy(np.ascontiguousarray(volumes[:, :, *window.slices()])).to(net.prob.weight)
            layers, source = net.all_but_last(part, block_by_block)
        answers += each_block(layers, source, heads, inside.moved(core.low // grid - offset))
    return answers


def least_tile(net: StarConvexNet, shape: Triple, border: int | Triple) -> int:
    """Returns the voxels of the smallest tile in which a volume can go through the network; see candidates()."""
    size = np.array(shape) + -np.array(shape) % np.array(net.spec.divisor)
    box = _bounds(may_hold(triple(size // np.array(net.spec.grid)), shape, net.spec.grid, border))
    return least(*_cut(net, triple(size), box)) if box is not None else 1


def _cut(net: StarConvexNet, shape: Triple, box: Span) -> tuple[Span, Triple, Triple, tuple[Triple, Triple]]:
    """Returns what tiles() asks for, of a box on the grid."""
    grid, divisor = np.array(net.spec.grid), np.array(net.spec.divisor)
    inside = Span(box.low * grid // divisor * divisor, -(-box.high * grid // divisor) * divisor)
    before, behind = (triple(-(-np.array(side) // divisor) * divisor) for side in net.reach())
    return inside, shape, net.spec.divisor, (before, behind)


def _bounds(mask: NDArray[np.bool_]) -> Span | None:
    """Returns the smallest box around all that is true; None where nothing is."""
    along = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    if not len(along[0]):
        return None
    return Span(np.array([v[0] for v in along]), np.array([v[-1] + 1 for v in along]))
