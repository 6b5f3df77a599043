"""Trains the encoder that comes along, on crops of make_encoder_crops.py: the same neuron in two volumes is a pair.

In a synthetic worm it is known who is who, so that the encoder learns from true pairs what postures, blur and noise do to a look, on many
worms at once. Users' recordings have no such truth and none is used of them.

    python benchmarks/make_encoder.py /tmp/encoder_crops --out barlowtrack/weights/encoder
"""

from __future__ import annotations

import argparse
import math
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from make_encoder_crops import SIZE_UM
from torch import Tensor

from barlowtrack.config import CropConfig, TrainConfig
from barlowtrack.data import FloatArray
from barlowtrack.nn.augment import Augmentation, centre_window, view
from barlowtrack.nn.encoder import Encoder, EncoderSpec, Projector
from barlowtrack.nn.learner import Learner
from barlowtrack.nn.objectives.barlow import barlow_terms
from barlowtrack.nn.objectives.table import OBJECTIVES

VIEWS = Augmentation(
    rotation_deg=15, elastic_vox=0.7, shift_vox=0.7, shift_z_vox=0.4, scale=0.08, brightness=0.1, noise=0.03,
    neighbour_dropout=0.1, missing_planes=0.01, voxel_um=(1.5, 0.75, 0.75),
)  # fmt: skip
WARM_UP = 100
DECAY = 1e-4


class Worm:
    """The crops of one worm, left on the disk."""

    def __init__(self, path: Path) -> None:
        self.crops = np.load(path, mmap_mode="r")
        self.t, self.neuron = np.load(path.with_name(path.name.replace("crops", "who"))).T

    def pair(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Returns the crops of the neurons that two of its volumes share, row by row the same neuron."""
        first, second = (np.flatnonzero(self.t == t) for t in rng.choice(np.unique(self.t), 2, replace=False))
        _, i, j = np.intersect1d(self.neuron[first], self.neuron[second], return_indices=True)
        return self.crops[first[i]], self.crops[second[j]]


def seen_from(crops: Tensor, side: int) -> Tensor:
    """Turns crops by a multiple of 90 degrees and mirrors them: the eight ways in which a worm may lie, at no loss."""
    crops = torch.rot90(crops, side % 4, dims=(2, 3))
    return crops.flip(3) if side >= 4 else crops


def learner(objective: str, projector: tuple[int, ...], temperature: float | None) -> Learner:
    grid, defaults = CropConfig().grid, TrainConfig()
    spec = EncoderSpec(grid, SIZE_UM, defaults.embedding_dim)
    barlow = partial(barlow_terms, alpha=defaults.alpha, lambda_off_diagonal=defaults.lambda_off_diagonal)
    return Learner(Encoder(spec), Projector(defaults.embedding_dim, projector), OBJECTIVES[objective], barlow, temperature)


def agreement(taught: Learner, worms: list[Worm]) -> float:
    """Returns the share of neurons of unseen worms that are, in another volume, the nearest to themselves; the mean over the worms."""
    taught.eval()
    right = []
    for i, worm in enumerate(worms):
        with torch.inference_mode():
            z1, z2 = (
                taught.encoder(centre_window(torch.from_numpy(c).float(), taught.encoder.spec.window))
                for c in worm.pair(np.random.default_rng(i))
            )
        right.append(float(((z1 @ z2.T).argmax(1) == torch.arange(len(z1))).float().mean()))
    taught.train()
    return float(np.mean(right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--objective", default="simclr", choices=list(OBJECTIVES))
    parser.add_argument("--projector", type=int, nargs="*", default=[])
    parser.add_argument("--temperature", type=float, default=0.1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--held-out", type=int, default=10, help="worms, only looked at")
    parser.add_argument("--every", type=int, default=500, help="steps between two looks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng, generator = np.random.default_rng(arguments.seed), torch.Generator().manual_seed(arguments.seed)
    worms = [Worm(path) for path in sorted(arguments.crops.glob("*.crops.npy"))]
    held, worms = worms[: arguments.held_out], worms[arguments.held_out :]
    taught = learner(arguments.objective, tuple(arguments.projector), arguments.temperature)
    adam = torch.optim.AdamW(taught.taught(), lr=arguments.learning_rate, weight_decay=DECAY)
    window, began, losses = taught.encoder.spec.window, time.perf_counter(), []
    print(f"{len(worms)} worms, {len(held)} held out; step 0: nearest is itself {agreement(taught, held):.3f}", flush=True)
    for step in range(arguments.steps):
        for group in adam.param_groups:
            group["lr"] = arguments.learning_rate * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / arguments.steps))
        side = int(rng.integers(8))
        crops = (seen_from(torch.from_numpy(c).float(), side) for c in worms[int(rng.integers(len(worms)))].pair(rng))
        views = [view(c, window, VIEWS, generator) for c in crops]
        with torch.autocast("cpu", torch.bfloat16):
            terms = taught.loss(views[0], views[1])
        adam.zero_grad(set_to_none=True)
        terms.loss.backward()
        adam.step()
        taught.after_step(step, arguments.steps)
        losses.append(float(terms.loss.detach()))
        if (step + 1) % arguments.every == 0:
            took, loss = time.perf_counter() - began, float(np.mean(losses[-arguments.every :]))
            print(f"step {step + 1}: loss {loss:.4f}, nearest is itself {agreement(taught, held):.3f}, {took:.0f} s", flush=True)
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / "encoder.safetensors").write_bytes(taught.encoder.to_bytes())


if __name__ == "__main__":
    main()
