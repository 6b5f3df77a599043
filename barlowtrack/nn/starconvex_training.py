"""What a star-convex network learns from: patches of labelled volumes, StarDist's targets and losses.

Reference:
    Weigert et al. 2020, "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy"; stardist 0.9.2, models/base.py
    and models/model3d.py, whose losses and targets these are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from stardist.geometry import star_dist3D
from stardist.utils import edt_prob
from torch import Tensor
from torch.nn import functional

from barlowtrack.data import FloatArray, IntArray
from barlowtrack.errors import InputError
from barlowtrack.nn.blocks import at_once
from barlowtrack.nn.brightness import Brightness
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, Triple

BACKGROUND_REGULARISATION = 1e-4  # StarDist's train_background_reg
DIST_WEIGHT = 0.2  # StarDist's train_loss_weights are (1, 0.2)


class Pair(NamedTuple):
    """A labelled volume on the model's voxel size.

    Attributes:
        image: (Z, Y, X) float32; two percentiles are 0 and 1, nothing is lifted yet.
        labels: (Z, Y, X) whole numbers: 0 background, one number a nucleus, negative: nobody knows, not learned from.
    """

    image: FloatArray
    labels: IntArray


class Batch(NamedTuple):
    """N patches.

    Attributes:
        image: (N, 1, Z, Y, X) as the network sees it.
        prob: (N, 1, Z', Y', X') on the grid: distance to the rim over its largest; -1: not learned from.
        dist: (N, R, Z', Y', X') voxels to the rim along every ray; 0 outside.
    """

    image: Tensor
    prob: Tensor
    dist: Tensor


@dataclass(frozen=True)
class PatchMaker:
    """Cuts random patches from pairs and varies them.

    Attributes:
        spec: Of the network: rays, grid, anisotropy.
        brightness: How the model sees brightness.
        patch: Z, Y, X of a patch; multiples of spec.divisor.
        foreground: Share of the patches whose middle lies in a nucleus.
        gain: Brightness is scaled by up to this factor, up or down.
        offset: And shifted by up to this.
        noise: Standard deviation of noise, after lifting, is up to this.
    """

    spec: StarConvexSpec
    brightness: Brightness
    patch: Triple
    foreground: float = 0.9
    gain: float = 2.5
    offset: float = 0.03
    noise: float = 0.03

    def __post_init__(self) -> None:
        if any(p % d for p, d in zip(self.patch, self.spec.divisor, strict=True)):
            raise InputError(f"patch: expected multiples of {self.spec.divisor}, got {self.patch}")

    def draw(self, pair: Pair, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Returns image (Z, Y, X), prob (Z', Y', X') and dist (R, Z', Y', X') of one patch."""
        image, labels = self._cut(pair, rng)
        image, labels = self._turn(image, labels, rng)
        gain, offset = np.exp(rng.uniform(-1, 1) * np.log(self.gain)), rng.uniform(-1, 1) * self.offset
        seen = self.brightness.lift(np.asarray(image * np.float32(gain) + np.float32(offset), np.float32))
        seen = seen + np.float32(rng.uniform(0, self.noise)) * rng.standard_normal(seen.shape, dtype=np.float32)
        prob, dist = targets(labels, self.spec)
        return seen, prob, dist

    def _cut(self, pair: Pair, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        """Cuts a patch, mirrored where the volume ends."""
        shape = np.array(pair.labels.shape)
        middle = rng.integers(0, shape)
        if rng.random() < self.foreground:
            inside = np.flatnonzero(pair.labels.ravel()[::_STEP] > 0) * _STEP
            if len(inside):
                middle = np.array(np.unravel_index(inside[rng.integers(len(inside))], shape))
                middle = middle + rng.integers(-np.array(self.patch) // 4, np.array(self.patch) // 4 + 1)
        start = np.clip(middle - np.array(self.patch) // 2, 0, np.maximum(shape - self.patch, 0))
        index = [np.arange(a, a + n) for a, n in zip(start, self.patch, strict=True)]
        mirrored = [_mirror(i, int(n)) for i, n in zip(index, shape, strict=True)]
        labels = pair.labels[np.ix_(*mirrored)]
        return pair.image[np.ix_(*mirrored)], _as_background(labels, index, shape)

    def _turn(self, image: FloatArray, labels: IntArray, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        """Mirrors along every axis, and turns by 90 degrees in a plane of square patches."""
        axes = tuple(int(axis) for axis in np.flatnonzero(rng.random(3) < 0.5))
        image, labels = np.flip(image, axes), np.flip(labels, axes)
        rays = self.spec.anisotropy or (1.0, 1.0, 1.0)
        if self.patch[1] == self.patch[2] and rays[1] == rays[2] and rng.random() < 0.5:
            image, labels = image.swapaxes(1, 2), labels.swapaxes(1, 2)
        return np.ascontiguousarray(image), np.ascontiguousarray(labels)

    def batch(self, pairs: list[Pair], rng: np.random.Generator) -> Batch:
        """Draws a patch of every pair."""
        drawn = [self.draw(pair, rng) for pair in pairs]
        image, prob, dist = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        return Batch(image[:, None], prob[:, None], dist)


_STEP = 7  # foreground is looked for in every seventh voxel, a number prime to most sizes


def _mirror(index: IntArray, n: int) -> IntArray:
    """Returns places 0 .. n - 1 for places beyond, as numpy's padding "reflect" does."""
    period = max(2 * (n - 1), 1)
    folded: IntArray = np.abs((index + n - 1) % period - (n - 1))
    return folded


def _as_background(labels: IntArray, index: list[IntArray], shape: IntArray) -> IntArray:
    """Marks mirrored voxels as unknown: nobody can say where a mirrored nucleus ends."""
    labels = labels.copy()
    for axis, (place, n) in enumerate(zip(index, shape, strict=True)):
        beyond = [slice(None)] * 3
        beyond[axis] = place >= n
        labels[tuple(beyond)] = -1
    return labels


def targets(labels: IntArray, spec: StarConvexSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Computes what StarDist learns.

    Args:
        labels: (Z, Y, X); negative: unknown.
        spec: Rays, grid and anisotropy.

    Returns:
        (Z', Y', X') on the grid: distance of a voxel to its nucleus' rim over the largest in that nucleus, 0 outside, -1 unknown; and
        (R, Z', Y', X') voxels to the rim along every ray, 0 outside.
    """
    known = np.ascontiguousarray(np.maximum(labels, 0).astype(np.uint16))
    z, y, x = (slice(None, None, g) for g in spec.grid)
    prob = np.ascontiguousarray(edt_prob(known, anisotropy=spec.anisotropy)[z, y, x], np.float32)
    prob[labels[z, y, x] < 0] = -1
    dist = star_dist3D(known, spec.ray_table, grid=spec.grid)
    return prob, np.ascontiguousarray(np.moveaxis(dist, -1, 0), np.float32)


class Losses(NamedTuple):
    """Scalars: total = prob + 0.2 dist."""

    total: Tensor
    prob: Tensor
    dist: Tensor


def losses(prob_logit: Tensor, dist: Tensor, prob_true: Tensor, dist_true: Tensor) -> Losses:
    """Computes StarDist's losses: cross entropy of the probability, and the distances' absolute error weighted by the probability.

    Args:
        prob_logit: (N, 1, Z', Y', X') before the sigmoid.
        dist: (N, R, Z', Y', X').
        prob_true: (N, 1, Z', Y', X'); -1 where unknown.
        dist_true: (N, R, Z', Y', X').
    """
    known = prob_true >= 0
    crossed = functional.binary_cross_entropy_with_logits(prob_logit, prob_true.clamp(min=0), reduction="none")
    prob = (crossed * known).sum() / known.sum().clamp(min=1)  # nothing known: nothing learned
    weight = prob_true.clamp(min=0)  # (N, 1, Z', Y', X')
    error = (weight * (dist - dist_true).abs()).mean() / (weight.mean() + 1e-7)
    outside = ((1 - weight) * known * dist.abs()).mean()
    away = error + BACKGROUND_REGULARISATION * outside
    return Losses(prob + DIST_WEIGHT * away, prob, away)


def forward(net: StarConvexNet, image: Tensor, *, half: bool) -> tuple[Tensor, Tensor]:
    """Runs the network for training.

    Args:
        net: Any.
        image: (N, 1, Z, Y, X).
        half: Backbone in bfloat16; both heads stay in float32.

    Returns:
        (N, 1, Z', Y', X') logits of the probability and (N, R, Z', Y', X') distances.
    """
    with torch.autocast(image.device.type, torch.bfloat16, enabled=half):
        features = at_once(*net.all_but_last(image, at_once))
    features = features.float()
    return net.prob(features), net.dist(features)


def initialise(net: StarConvexNet, generator: torch.Generator) -> None:
    """Draws first weights: He et al. 2015 for the layers behind which a ReLU stands; a probability that starts at 5 %."""
    for module in net.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    with torch.no_grad():
        net.prob.weight.mul_(0.1)
        net.dist.weight.mul_(0.3)
        torch.nn.init.constant_(net.prob.get_parameter("bias"), -3.0)
        torch.nn.init.constant_(net.dist.get_parameter("bias"), 3.0)
