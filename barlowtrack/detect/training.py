"""Teach a star-convex network from labelled volumes, resumably, watched on volumes it does not learn from."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch

from barlowtrack.config import ComputeConfig, SegmentationTrainingConfig
from barlowtrack.data import IntArray, Progress, silent
from barlowtrack.detect.agreement import Agreement, agreement
from barlowtrack.detect.state import Round, SegmentationState
from barlowtrack.errors import InputError
from barlowtrack.nn import resume
from barlowtrack.nn.brightness import Brightness
from barlowtrack.nn.device import pick_device
from barlowtrack.nn.instances import instances, predict
from barlowtrack.nn.resume import kept, restore_adam
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, UNet
from barlowtrack.nn.starconvex_training import Batch, Pair, PatchMaker, forward, initialise, losses

log = logging.getLogger(__name__)

_MOST_WATCHED = 8  # held-out pairs looked at after every round
_WATCHED_PATCHES = 16
_WATCHED_VOXELS = 1_000_000  # of each watched pair, from its middle
_PROB, _NMS = 0.4, 0.3  # while training; the final ones are chosen at its end


class PairSource(Protocol):
    """Labelled volumes, read one at a time."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Pair: ...


def spec_of(config: SegmentationTrainingConfig) -> StarConvexSpec:
    """Returns the network that the settings describe; its rays are spread evenly in um."""
    sizes = np.array(config.voxel_size_um)
    anisotropy = tuple(float(a) for a in sizes / sizes.min())  # as StarDist means it: a ball spans fewest voxels where this is largest
    rays = {"name": "Rays_GoldenSpiral", "kwargs": {"n": config.rays, "anisotropy": anisotropy}}
    z, y, x = config.grid
    backbone = UNet(n_depth=config.depth, n_filter_base=config.filters)
    return StarConvexSpec(backbone, rays, (z, y, x), (anisotropy[0], anisotropy[1], anisotropy[2]), 1, config.features)


def brightness_of(config: SegmentationTrainingConfig) -> Brightness:
    """Returns how a model of these settings sees brightness."""
    return Brightness(config.low_percentile, config.high_percentile, config.curve)


def train_segmentation(
    pairs: PairSource,
    *,
    config: SegmentationTrainingConfig,
    compute: ComputeConfig,
    checkpoint: SegmentationState | None = None,
    progress: Progress = silent,
) -> Iterator[SegmentationState]:
    """Trains on pairs of volumes and labels.

    Args:
        pairs: At least two, on the model's voxel size; some are held out and only watched.
        config: Network, patches, optimiser.
        compute: Device.
        checkpoint: A state this function yielded; training goes on behind it.
        progress: Told after every round.

    Yields:
        The state after every round, first the random start (round 0).

    Raises:
        InputError: fewer than two pairs, no nucleus in them, a state of another training, or a loss that is not finite.
    """
    training = _Training(pairs, config, pick_device(compute))
    if checkpoint is None:
        state = training.start()
        yield state
    else:
        training.resume(checkpoint)
        state = checkpoint
    progress(state.epoch, config.epochs)
    for epoch in range(state.epoch + 1, config.epochs + 1):
        state = training.advance(state, epoch)
        yield state
        progress(epoch, config.epochs)


class _Training:
    """Network, optimiser and split, for as long as training runs."""

    def __init__(self, pairs: PairSource, config: SegmentationTrainingConfig, device: torch.device) -> None:
        self.pairs, self.config, self.device = pairs, config, device
        if not any((pairs.read(i).labels > 0).any() for i in range(len(pairs))):
            raise InputError(f"train-segmentation: expected nuclei in the labels, got none in {len(pairs)} pair(s)")
        self.used, self.watched = split(len(pairs), config.held_out)
        self.net = StarConvexNet(spec_of(config))
        initialise(self.net, torch.Generator().manual_seed(config.seed))
        self.net.to(device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=config.learning_rate)
        z, y, x = config.patch
        self.maker = PatchMaker(
            self.net.spec, brightness_of(config), (z, y, x), config.foreground, config.gain, noise=config.noise, offset=0.03
        )
        self.made_from = _origin(pairs, config)
        self.held_out = self._held_out()

    def start(self) -> SegmentationState:
        loss, prob, dist = self._watch_losses()
        found = self._watch_nuclei()
        return self._state(Round(0, loss, prob, dist, loss, found.mean_iou, found.f1), None)

    def resume(self, state: SegmentationState) -> None:
        _expect_origin(state, self.made_from)
        self.net.load_state_dict(state.part("net"))
        restore_adam(self.adam, list(self.net.parameters()), state.part("adam"))

    def advance(self, before: SegmentationState, epoch: int) -> SegmentationState:
        """Takes one round of steps."""
        rng, config = np.random.default_rng([self.config.seed, epoch]), self.config
        seen: list[tuple[float, float, float]] = []
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self._draw, rng)
            for i in range(config.steps):
                batch = waiting.result()
                if i + 1 < config.steps:
                    waiting = pool.submit(self._draw, rng)
                done = ((epoch - 1) * config.steps + i) / (config.epochs * config.steps)
                for group in self.adam.param_groups:
                    group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
                seen.append(self._step(batch))
        loss, prob, dist = (math.fsum(values) / len(seen) for values in zip(*seen, strict=True))
        held_out_loss, _, _ = self._watch_losses()
        found = self._watch_nuclei()
        row = Round(epoch, loss, prob, dist, held_out_loss, found.mean_iou, found.f1)
        log.info("epoch %d: loss %.4f, held out: loss %.4f, IoU %.3f, F1 %.3f", epoch, loss, held_out_loss, found.mean_iou, found.f1)
        return self._state(row, before)

    def _draw(self, rng: np.random.Generator) -> Batch:
        chosen = rng.integers(len(self.used), size=self.config.batch)
        return self.maker.batch([self.pairs.read(int(self.used[i])) for i in chosen], rng)

    def _step(self, batch: Batch) -> tuple[float, float, float]:
        image, prob, dist = (part.to(self.device) for part in batch)
        self.net.train()
        total, prob_loss, dist_loss = losses(*forward(self.net, image, half=self.config.half_precision), prob, dist)
        if not bool(torch.isfinite(total)):
            raise InputError(f"train-segmentation: expected a finite loss, got {total.item()}; try a smaller learning_rate")
        self.adam.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return float(total.detach()), float(prob_loss.detach()), float(dist_loss.detach())

    def _held_out(self) -> list[Batch]:
        """Draws the patches whose loss is watched: always the same ones."""
        rng = np.random.default_rng([self.config.seed, 0])
        index = self.watched[rng.integers(len(self.watched), size=_WATCHED_PATCHES)]
        return [self.maker.batch([self.pairs.read(int(i))], rng) for i in index]

    @torch.no_grad()
    def _watch_losses(self) -> tuple[float, float, float]:
        self.net.eval()
        said = []
        for batch in self.held_out:
            image, prob, dist = (part.to(self.device) for part in batch)
            said.append([float(v) for v in losses(*forward(self.net, image, half=False), prob, dist)])
        loss, prob_loss, dist_loss = (math.fsum(values) / len(said) for values in zip(*said, strict=True))
        return loss, prob_loss, dist_loss

    def _watch_nuclei(self) -> Agreement:
        self.net.eval()
        found = Agreement.nothing()
        for index in self.watched[:_MOST_WATCHED]:
            image, labels = middle_of(self.pairs.read(int(index)), _WATCHED_VOXELS)
            prob, dist = predict(self.net, self.maker.brightness.lift(np.asarray(image, np.float32)))
            z, y, x = labels.shape
            drawn = instances(prob, dist, self.net.spec, _PROB, _NMS, (z, y, x), border=0)
            found = found + agreement(labels, drawn.labels)
        return found

    def _state(self, row: Round, before: SegmentationState | None) -> SegmentationState:
        now = kept(self.net.state_dict())
        best = now if before is None or row.held_out_loss < before.best.held_out_loss else before.part("best")
        weights = {f"net.{name}": value for name, value in now.items()} | {f"best.{name}": value.clone() for name, value in best.items()}
        for i, entries in self.adam.state_dict()["state"].items():
            weights |= kept({f"adam.{i}.{name}": value for name, value in entries.items()})
        return SegmentationState(row.epoch, weights, (*(before.history if before else ()), row), self.made_from)


def refuse_another(state: SegmentationState, pairs: PairSource, config: SegmentationTrainingConfig) -> None:
    """Refuses to go on from a state of another training.

    Raises:
        InputError: it was made with other settings or pairs.
    """
    _expect_origin(state, _origin(pairs, config))


def _expect_origin(state: SegmentationState, made_from: Mapping[str, Any]) -> None:
    if state.made_from != made_from:
        raise InputError("train-segmentation: expected a state of this training, got one with other settings or pairs")


def _origin(pairs: PairSource, config: SegmentationTrainingConfig) -> dict[str, Any]:
    return {"config": config.model_dump(mode="json"), "pairs": _fingerprint(pairs)}


def split(n: int, held_out: float) -> tuple[IntArray, IntArray]:
    """Returns the pairs to learn from and those to watch, the latter evenly spread.

    Raises:
        InputError: fewer than two.
    """
    if n < 2:
        raise InputError(f"train-segmentation: expected at least two pairs, one to learn from and one to watch, got {n}")
    return resume.split(n, held_out)


def middle_of(pair: Pair, most_voxels: int) -> Pair:
    """Cuts the middle of a pair in the plane, so that it has at most about this many voxels."""
    z, y, x = pair.labels.shape
    share = min(1.0, math.sqrt(most_voxels / (z * y * x)))
    height, width = max(1, round(y * share)), max(1, round(x * share))
    box = (slice(None), slice((y - height) // 2, (y - height) // 2 + height), slice((x - width) // 2, (x - width) // 2 + width))
    return Pair(pair.image[box], pair.labels[box])


def _fingerprint(pairs: PairSource) -> str:
    """Returns a hash of the number of pairs and of the first and last one: enough to notice another training's state."""
    digest = hashlib.sha256(f"{len(pairs)} {getattr(pairs, 'fingerprint', '')}".encode())
    for index in (0, len(pairs) - 1):
        pair: Any = pairs.read(index)
        digest.update(np.ascontiguousarray(pair.image).tobytes() + np.ascontiguousarray(pair.labels).tobytes())
    return digest.hexdigest()
