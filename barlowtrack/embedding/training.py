"""The training of an encoder on a recording's own crops, one epoch at a time: modules, optimiser, split, and what is watched."""

from __future__ import annotations

import hashlib
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from barlowtrack.config import LARGEST_MARGIN, ComputeConfig, TrainConfig
from barlowtrack.data import UNKNOWN, CropBatch, Crops, Detections, FloatArray, IntArray, VolumeLooks
from barlowtrack.embedding.best import best_epoch
from barlowtrack.embedding.rounds import round_starts
from barlowtrack.embedding.sample import spread
from barlowtrack.errors import InputError
from barlowtrack.identity.motion import motion_range
from barlowtrack.identity.positives import sure_identities
from barlowtrack.nn.agreement import effective_rank, mutual_neighbours, round_trips
from barlowtrack.nn.augment import Augmentation, centre_window, least_crop, view
from barlowtrack.nn.device import deterministic, half_precision, pick_device
from barlowtrack.nn.encoder import Encoder, EncoderSpec, Projector, build
from barlowtrack.nn.facts import expect_crops
from barlowtrack.nn.learner import Learner
from barlowtrack.nn.objectives.barlow import barlow_terms
from barlowtrack.nn.objectives.table import OBJECTIVES
from barlowtrack.nn.resume import kept, restore_adam, split
from barlowtrack.nn.state import Epoch, TrainState

log = logging.getLogger(__name__)

ROTATION_DEG = 60.0
"""Where the recording does not tell."""
LEAST_ROTATION_DEG = 5.0
"""Of a still animal: rotations interpolate, which the encoder should overlook as well."""

_MOST_WATCHED = 20  # held-out volumes looked at each epoch
_FEWEST_FOR_TRIPS = 3


class Training:
    """The modules, the optimiser and the split, for as long as train runs."""

    def __init__(
        self, crops: Crops, detections: Detections, start: Encoder | None, config: TrainConfig, compute: ComputeConfig, seed: int
    ) -> None:
        self.crops, self.detections, self.config, self.compute, self.seed = crops, detections, config, compute, seed
        if config.mode == "scratch":
            start = None
        self.device = device = pick_device(compute)
        with torch.random.fork_rng(devices=[]):  # the modules draw their first weights from torch's own generator
            torch.manual_seed(seed)
            encoder = _first_encoder(crops, start, config)
            self.learner = _learner(encoder, config)
        self.spec = encoder.spec
        self.learner.to(device)
        self.adam = torch.optim.Adam(self.learner.taught(), lr=config.learning_rate)
        self.used, self.watched = self.divide()
        settings = config.model_dump(mode="json", exclude={"start"})  # where it lies is nothing to a training that goes on
        self.made_from = {"train": settings, "seed": seed, "crops": self.fingerprint(start)}
        self.believed = torch.full((len(detections),), UNKNOWN)
        self.seen: list[FloatArray] = []  # embeddings of the watched volumes, when last looked at
        self.augmentation = _augmentation(config, crops, self.rotation_deg())

    def divide(self) -> tuple[IntArray, IntArray]:
        """Returns which volumes to train on, and which to watch."""
        used, watched = _split(len(self.crops), self.config.held_out)
        return used, watched[:_MOST_WATCHED]

    def fingerprint(self, start: Encoder | None) -> str:
        """Returns a hash of what the training is made from beside settings and seed."""
        return _fingerprint(self.crops, self.detections, start)

    def rotation_deg(self) -> float:
        """Returns how far views are turned either way: half of the difference that two of them may have."""
        if self.config.rotation_deg is not None:
            return self.config.rotation_deg
        if not self.config.n_epochs:  # nothing learns from it
            return ROTATION_DEG
        rows = np.flatnonzero(np.isin(self.detections.t, [self.crops.read(int(index)).t for index in self.used]))
        turn = measured_turn(self.detections.subset(rows), self.seed)
        if turn is None:
            log.info("too few volumes or nuclei to measure how far surroundings turn: views turn by up to %.0f degrees", ROTATION_DEG)
            return ROTATION_DEG
        log.info("surroundings turn between volumes: views by up to %.0f degrees either way", turn)
        return turn

    def start(self) -> TrainState:
        """Returns the start, its losses measured on the watched volumes."""
        terms, *rest = self.watch()
        return self.state(Epoch(0, *terms, *rest), None)

    def resume(self, checkpoint: TrainState) -> None:
        if checkpoint.made_from != self.made_from or checkpoint.spec != self.spec:
            raise InputError("train: expected a checkpoint of this training, got one with other settings, seed or crops")
        build(self.learner, checkpoint.part("learner"), "training state")
        restore_adam(self.adam, self.learner.taught(), checkpoint.part("adam"))
        self.believed = checkpoint.weights["believed"]

    def advance(self, before: TrainState, epoch: int) -> TrainState:
        """Passes over the training volumes once."""
        if epoch - 1 in round_starts(self.config.rounds, self.config.n_epochs):
            self.believe(epoch)
        generator = _generator(self.device, self.seed, epoch)
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(self.used)
        partner = rng.choice(self.used, len(order))
        self.learner.train()
        losses = []
        with deterministic(), ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.read, int(order[0]), int(partner[0]))
            for i in range(len(order)):
                batch, again = waiting.result()
                if i + 1 < len(order):
                    waiting = pool.submit(self.read, int(order[i + 1]), int(partner[i + 1]))
                step, n_steps = (epoch - 1) * len(order) + i, self.config.n_epochs * len(order)
                self.set_step_size(step, n_steps)
                losses.append(self.step(batch, again, generator))
                self.learner.after_step(step, n_steps)
        _, *rest = self.watch()
        loss, feature, object_ = (math.fsum(values) / len(losses) for values in zip(*losses, strict=True))
        row = Epoch(epoch, loss, feature, object_, *rest)
        said = "epoch %d: loss %.4f, held-out agreement %.3f, effective rank %.1f, round trips %.3f"
        log.info(said, epoch, loss, row.held_out_agreement, row.effective_rank, row.round_trips)
        return self.state(row, before)

    def believe(self, epoch: int) -> None:
        """Asks the tracker which nuclei of the training volumes are surely one neuron; a random encoder has no say in it."""
        vectors = None
        if epoch > 1 or self.config.mode != "scratch":
            vectors = np.zeros((len(self.detections), self.spec.embedding_dim), np.float32)
        used = []
        self.learner.eval()
        with deterministic():
            for index in self.used:
                batch = self.crops.read(int(index))
                used.append(batch.t)
                if vectors is not None:
                    vectors[batch.row] = self.embed(batch).cpu().numpy()
        who = sure_identities(self.detections, np.array(used), vectors, seed=self.seed, compute=self.compute)
        self.believed = torch.from_numpy(who)
        n_sure, n = np.count_nonzero(who >= 0), np.count_nonzero(np.isin(self.detections.t, used))
        log.info("epoch %d: %d of %d nuclei have a sure identity", epoch, n_sure, n)
        if not n_sure:
            log.warning("epoch %d: no nucleus of the %d training volumes has a sure identity: self-training adds nothing", epoch, len(used))

    def read(self, index: int, partner: int) -> tuple[CropBatch, FloatArray]:
        """Returns the crops of a volume, and those of the same neurons in another one, where that is sure, else the same."""
        batch = self.crops.read(index)
        if not self.config.rounds or partner == index:
            return batch, batch.values
        other = self.crops.read(partner)
        mine, theirs = self.believed.numpy()[batch.row], self.believed.numpy()[other.row]
        both, i, j = np.intersect1d(mine, theirs, return_indices=True)  # nobody is twice in a volume, but for UNKNOWN
        sure = both != UNKNOWN
        again = np.array(batch.values)
        again[i[sure]] = other.values[j[sure]]
        return batch, again

    def set_step_size(self, step: int, n_steps: int) -> None:
        falling = 0.5 * (1 + math.cos(math.pi * step / n_steps)) if self.config.schedule == "cosine" else 1.0
        for group in self.adam.param_groups:
            group["lr"] = self.config.learning_rate * falling

    def step(self, batch: CropBatch, again: FloatArray, generator: torch.Generator) -> tuple[float, float, float]:
        terms = self.learner.loss(self.view(batch.values, generator), self.view(again, generator))
        if not bool(torch.isfinite(terms.loss)):
            raise InputError(f"train: volume {batch.t}: expected a finite loss, got {terms.loss.item()}; try a smaller train.learning_rate")
        self.adam.zero_grad(set_to_none=True)
        terms.loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return float(terms.loss.detach()), float(terms.feature.detach()), float(terms.object.detach())

    def view(self, values: FloatArray, generator: torch.Generator) -> Tensor:
        there = torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self.device)  # (N, Z', Y', X')
        return view(there, self.crops.window, self.augmentation, generator)

    @torch.no_grad()
    def embed(self, batch: CropBatch) -> Tensor:
        """Returns (N, D) unit vectors of the nuclei as they are."""
        values = torch.from_numpy(np.asarray(batch.values, dtype=np.float32)).to(self.device)
        with half_precision(self.device):
            z: Tensor = self.learner.encoder(centre_window(values, self.crops.window))
        return z.float()

    @torch.no_grad()
    def watch(self) -> tuple[tuple[float, float, float], float, float, float]:
        """Returns losses, agreement, effective rank and round trips on the watched volumes, with the same views every epoch."""
        self.learner.eval()
        generator = _generator(self.device, self.seed, 0)
        losses, agree, vectors, plain = [], [], [], []
        with deterministic():
            for index in self.watched:
                batch = self.crops.read(int(index))
                views = self.view(batch.values, generator), self.view(batch.values, generator)
                losses.append([float(term) for term in self.learner.loss(*views)])
                with half_precision(self.device):
                    z1, z2 = self.learner.encoder(views[0]), self.learner.encoder(views[1])  # (N, D)
                agree.append(mutual_neighbours(z1, z2).cpu())
                vectors.append(z1.float().cpu())
                plain.append(self.embed(batch).cpu())
            trips = self.trips(plain)
        self.seen = [part.numpy() for part in vectors]
        loss, feature, object_ = (math.fsum(values) / len(losses) for values in zip(*losses, strict=True))
        rank = effective_rank(torch.cat(vectors))
        return (loss, feature, object_), float(torch.cat(agree).double().mean()), rank, trips

    def trips(self, watched: list[Tensor]) -> float:
        """Returns how many round trips through the watched volumes close, given what the encoder says of each."""
        if len(watched) < _FEWEST_FOR_TRIPS:  # of so few the trained ones have to serve as well: it is still no label that is asked for
            watched = [self.embed(self.crops.read(int(index))).cpu() for index in spread(len(self.crops), _MOST_WATCHED)]
        return round_trips(watched)

    def state(self, row: Epoch, before: TrainState | None) -> TrainState:
        history = (*(before.history if before else ()), row)
        weights = {f"learner.{name}": value for name, value in self.learner.state_dict().items()}
        for i, entries in self.adam.state_dict()["state"].items():
            weights |= {f"adam.{i}.{name}": value for name, value in entries.items()}
        weights["believed"] = self.believed
        best = best_epoch([past.round_trips for past in history], [past.effective_rank for past in history])
        is_new = before is None or best == row.epoch
        encoder = self.learner.encoder.state_dict() if is_new or before is None else before.part("best")
        weights |= {f"best.{name}": value for name, value in encoder.items()}
        return TrainState(row.epoch, self.spec, kept(weights), history, self.made_from, best)


def _first_encoder(crops: Crops, start: Encoder | None, config: TrainConfig) -> Encoder:
    """Returns a copy of the start, or random weights."""
    if start is None and config.mode != "scratch":
        raise InputError(f"train: expected an encoder to start from in mode {config.mode}, got none")
    if start is None:
        return Encoder(EncoderSpec(crops.window, crops.size_um, config.embedding_dim))
    expect_crops(vars(start.spec), crops.window, crops.size_um)
    return build(Encoder(start.spec), start.state_dict(), "encoder to start from")


def _learner(encoder: Encoder, config: TrainConfig) -> Learner:
    barlow = partial(
        barlow_terms,
        alpha=config.alpha,
        lambda_off_diagonal=config.lambda_off_diagonal,
        lambda_object=config.lambda_object,
        per_object=config.object_scale == "per_object",
    )
    projector = Projector(encoder.spec.embedding_dim, config.projector_dims)
    return Learner(encoder, projector, OBJECTIVES[config.objective], barlow, config.temperature)


def _augmentation(config: TrainConfig, crops: Crops, rotation_deg: float) -> Augmentation:
    """Returns the ranges of the views, and warns where they reach beyond the crops."""
    z, y, x = (size / n for size, n in zip(crops.size_um, crops.window, strict=True))
    augmentation = Augmentation(
        rotation_deg=rotation_deg,
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
        fix = f"set crop.margin to {margin:.2f}, or" if margin <= LARGEST_MARGIN else "set"
        said = (
            "views reach beyond the crops, whose edges they repeat: crops of %s voxels, %s needed; %s less rotation_deg, tilt_deg, scale or"
        )
        log.warning(f"{said} shift in [train]", have, needed, fix)
    return augmentation


def measured_turn(seen: Detections, seed: int) -> float | None:
    """Returns how far, either way, views have to turn to show all that surroundings of nuclei do; None where too few volumes tell."""
    alike = np.ones(seen.n_volumes)
    found = motion_range(seen, VolumeLooks(np.bincount(seen.t, minlength=len(alike)), alike, alike), seed)
    return min(max(found.rotation_deg / 2, LEAST_ROTATION_DEG), 180.0) if found.n_neighbourhoods else None


def _split(n: int, held_out: float) -> tuple[IntArray, IntArray]:
    """Returns the volumes to train on and those to watch, the latter evenly spread; a single volume is both."""
    if n == 1:
        return np.arange(1), np.arange(1)
    return split(n, held_out)


def _generator(device: torch.device, seed: int, epoch: int) -> torch.Generator:
    """Returns a generator that depends on seed and epoch alone, so that no generator needs to be saved."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint32)
    return torch.Generator(device).manual_seed(int(words[0]) << 31 ^ int(words[1]))


def _fingerprint(crops: Crops, detections: Detections, start: Encoder | None) -> str:
    """Returns a hash of start, detections and the first and last volume's crops: enough to notice another run's checkpoint."""
    digest = hashlib.sha256(repr((len(crops), crops.window, crops.size_um)).encode())
    digest.update(np.ascontiguousarray(detections.t, np.int64).tobytes())
    digest.update(np.ascontiguousarray(detections.position_um, np.float64).tobytes())
    if start is not None:
        digest.update(start.to_bytes())
    for index in (0, len(crops) - 1):
        batch = crops.read(index)
        digest.update(repr((batch.t, batch.values.shape)).encode() + np.ascontiguousarray(batch.values).tobytes())
    return digest.hexdigest()
