"""train: teach the encoder what makes a nucleus itself."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from barlowtrack.config import ComputeConfig, TrainConfig
from barlowtrack.data import CropBatch, Crops, FloatArray, IntArray, Progress, silent
from barlowtrack.embedding.diagnosis import Watch
from barlowtrack.errors import InputError
from barlowtrack.nn.agreement import effective_rank, mutual_neighbours
from barlowtrack.nn.augment import Augmentation, least_crop, two_views
from barlowtrack.nn.device import deterministic, half_precision, pick_device
from barlowtrack.nn.encoder import Encoder, EncoderSpec, Projector, build
from barlowtrack.nn.learner import Learner
from barlowtrack.nn.objectives.barlow import barlow_terms
from barlowtrack.nn.objectives.table import OBJECTIVES
from barlowtrack.nn.resume import kept, restore_adam, split
from barlowtrack.nn.state import HISTORY_COLUMNS, Epoch, TrainState

__all__ = ["HISTORY_COLUMNS", "Epoch", "TrainState", "train"]

log = logging.getLogger(__name__)

_MOST_WATCHED = 20  # held-out volumes looked at each epoch


def train(
    crops: Crops,
    *,
    config: TrainConfig,
    compute: ComputeConfig,
    seed: int,
    checkpoint: TrainState | None = None,
    progress: Progress = silent,
) -> Iterator[TrainState]:
    """Trains an encoder on a recording's own crops, without labels.

    A batch is one volume, in which all objects are different. Some volumes are held out and only watched; of a single volume, that
    one is watched too.

    Args:
        crops: One batch a training volume.
        config: Objective, augmentation, optimiser.
        compute: Device.
        seed: Of weights, order and augmentation.
        checkpoint: A state this function yielded; training goes on behind it and ends with the same bytes as one never stopped.
        progress: Told after every epoch.

    Yields:
        The state after every epoch, first the random start (epoch 0); the last one holds the trained encoder.

    Raises:
        InputError: no crops, a checkpoint of another training, or a loss that is not finite.
    """
    if not len(crops):
        raise InputError(
            "train: expected crops of at least one volume with two nuclei, got none; try another [segment] probability or radius_um"
        )
    training = _Training(crops, config, pick_device(compute), seed)
    watch = Watch(config.epochs)
    if checkpoint is None:
        state = training.start()
        watch.look(training.seen, state.history)
        yield state
    else:
        training.resume(checkpoint)
        state = checkpoint
    progress(state.epoch, config.epochs)
    for epoch in range(state.epoch + 1, config.epochs + 1):
        state = training.advance(state, epoch)
        watch.look(training.seen, state.history)
        yield state
        progress(epoch, config.epochs)


class _Training:
    """The modules, the optimiser and the split, for as long as train runs."""

    def __init__(self, crops: Crops, config: TrainConfig, device: torch.device, seed: int) -> None:
        self.crops, self.config, self.device, self.seed = crops, config, device, seed
        self.spec = EncoderSpec(crops.window, crops.size_um, config.embedding_dim)
        with torch.random.fork_rng(devices=[]):  # the modules draw their first weights from torch's own generator
            torch.manual_seed(seed)
            self.learner = _learner(self.spec, config).to(device)
        self.adam = torch.optim.Adam(self.learner.taught(), lr=config.learning_rate)
        self.used, self.watched = _split(len(crops), config.held_out)
        self.made_from = {"train": config.model_dump(mode="json"), "seed": seed, "crops": _fingerprint(crops)}
        self.seen: list[FloatArray] = []  # embeddings of the watched volumes, when last looked at
        self.augmentation = _augmentation(config, crops)

    def start(self) -> TrainState:
        """Returns the random start, its losses measured on the watched volumes."""
        terms, agreement, rank = self.watch()
        return self.state(Epoch(0, *terms, agreement, rank), ())

    def resume(self, checkpoint: TrainState) -> None:
        if checkpoint.made_from != self.made_from or checkpoint.spec != self.spec:
            raise InputError("train: expected a checkpoint of this training, got one with other settings, seed or crops")
        build(self.learner, checkpoint.part("learner"), "training state")
        restore_adam(self.adam, self.learner.taught(), checkpoint.part("adam"))

    def advance(self, before: TrainState, epoch: int) -> TrainState:
        """Passes over the training volumes once."""
        generator = _generator(self.device, self.seed, epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.used)
        self.learner.train()
        losses = []
        with deterministic(), ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.crops.read, int(order[0]))
            for i in range(len(order)):
                batch = waiting.result()
                if i + 1 < len(order):
                    waiting = pool.submit(self.crops.read, int(order[i + 1]))
                step, n_steps = (epoch - 1) * len(order) + i, self.config.epochs * len(order)
                self.set_step_size(step, n_steps)
                losses.append(self.step(batch, generator))
                self.learner.after_step(step, n_steps)
        _, agreement, rank = self.watch()
        loss, feature, object_ = (math.fsum(values) / len(losses) for values in zip(*losses, strict=True))
        row = Epoch(epoch, loss, feature, object_, agreement, rank)
        log.info("epoch %d: loss %.4f, held-out agreement %.3f, effective rank %.1f", epoch, loss, agreement, rank)
        return self.state(row, before.history)

    def set_step_size(self, step: int, n_steps: int) -> None:
        falling = 0.5 * (1 + math.cos(math.pi * step / n_steps)) if self.config.schedule == "cosine" else 1.0
        for group in self.adam.param_groups:
            group["lr"] = self.config.learning_rate * falling

    def step(self, batch: CropBatch, generator: torch.Generator) -> tuple[float, float, float]:
        terms = self.learner.loss(*self.views(batch, generator))
        if not bool(torch.isfinite(terms.loss)):
            raise InputError(f"train: volume {batch.t}: expected a finite loss, got {terms.loss.item()}; try a smaller train.learning_rate")
        self.adam.zero_grad(set_to_none=True)
        terms.loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return float(terms.loss.detach()), float(terms.feature.detach()), float(terms.object.detach())

    def views(self, batch: CropBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        values = torch.from_numpy(np.asarray(batch.values, dtype=np.float32)).to(self.device)  # (N, Z', Y', X')
        return two_views(values, self.crops.window, self.augmentation, generator)

    @torch.no_grad()
    def watch(self) -> tuple[tuple[float, float, float], float, float]:
        """Returns losses, agreement and effective rank on the watched volumes, with the same views every epoch."""
        self.learner.eval()
        generator = _generator(self.device, self.seed, 0)
        losses, agree, vectors = [], [], []
        with deterministic():
            for index in self.watched[:_MOST_WATCHED]:
                views = self.views(self.crops.read(int(index)), generator)
                losses.append([float(term) for term in self.learner.loss(*views)])
                with half_precision(self.device):
                    z1, z2 = self.learner.encoder(views[0]), self.learner.encoder(views[1])  # (N, D)
                agree.append(mutual_neighbours(z1, z2).cpu())
                vectors.append(z1.float().cpu())
        self.seen = [part.numpy() for part in vectors]
        loss, feature, object_ = (math.fsum(values) / len(losses) for values in zip(*losses, strict=True))
        return (loss, feature, object_), float(torch.cat(agree).double().mean()), effective_rank(torch.cat(vectors))

    def state(self, row: Epoch, history: tuple[Epoch, ...]) -> TrainState:
        weights = {f"learner.{name}": value for name, value in self.learner.state_dict().items()}
        for i, entries in self.adam.state_dict()["state"].items():
            weights |= {f"adam.{i}.{name}": value for name, value in entries.items()}
        return TrainState(row.epoch, self.spec, kept(weights), (*history, row), self.made_from)


def _learner(spec: EncoderSpec, config: TrainConfig) -> Learner:
    barlow = partial(
        barlow_terms,
        alpha=config.alpha,
        lambda_off_diagonal=config.lambda_off_diagonal,
        lambda_object=config.lambda_object,
        per_object=config.object_scale == "per_object",
    )
    encoder, projector = Encoder(spec), Projector(config.embedding_dim, config.projector_dims)
    return Learner(encoder, projector, OBJECTIVES[config.objective], barlow, config.temperature)


def _augmentation(config: TrainConfig, crops: Crops) -> Augmentation:
    """Returns the ranges of the views, and warns where they reach beyond the crops."""
    z, y, x = (size / n for size, n in zip(crops.size_um, crops.window, strict=True))
    augmentation = Augmentation(
        rotation_deg=config.rotation_deg,
        elastic_vox=config.elastic_vox,
        shift_vox=config.shift_vox,
        brightness=config.brightness,
        noise=config.noise,
        shared_rotation=config.rotation == "shared",
        tilt_deg=config.tilt_deg,
        scale=config.scale,
        shift_z_vox=config.shift_z_vox,
        blur_vox=config.blur_vox,
        neighbour_dropout=config.neighbour_dropout,
        missing_planes=config.missing_planes,
        voxel_um=(z, y, x),
    )
    needed, have = least_crop(crops.window, augmentation), crops.read(0).values.shape[1:]
    if any(least > size + 2 for least, size in zip(needed, have, strict=True)):  # a voxel on either side is hardly seen
        margin = math.ceil(100 * max(least / n for least, n in zip(needed, crops.window, strict=True))) / 100
        said = "views reach beyond the crops, whose edges they repeat: crops of %s voxels, %s needed; set crop.margin to %.2f"
        log.warning(f"{said}, or less rotation_deg, tilt_deg, scale or shift in [train]", have, needed, margin)
    return augmentation


def _split(n: int, held_out: float) -> tuple[IntArray, IntArray]:
    """Returns the volumes to train on and those to watch, the latter evenly spread; a single volume is both."""
    if n == 1:
        return np.arange(1), np.arange(1)
    return split(n, held_out)


def _generator(device: torch.device, seed: int, epoch: int) -> torch.Generator:
    """Returns a generator that depends on seed and epoch alone, so that no generator needs to be saved."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint32)
    return torch.Generator(device).manual_seed(int(words[0]) << 31 ^ int(words[1]))


def _fingerprint(crops: Crops) -> str:
    """Returns a hash of the number of volumes and of the first and last one's crops: enough to notice another run's checkpoint."""
    digest = hashlib.sha256(repr((len(crops), crops.window, crops.size_um)).encode())
    for index in (0, len(crops) - 1):
        batch = crops.read(index)
        digest.update(repr((batch.t, batch.values.shape)).encode() + np.ascontiguousarray(batch.values).tobytes())
    return digest.hexdigest()
