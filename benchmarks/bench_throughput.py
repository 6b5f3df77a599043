"""Crops a second of our encoder beside the published kind: 3-D residual squeeze-excitation of 4 and 8 channels on 8 x 64 x 64 voxels.

Both in float32 on the same number of threads, alternating; ours in bfloat16 too, where the processor has it, and the published kind in both
layouts of memory. Ratios are those of pairs. Seconds are the processor's, so that crops are those of one core.
With --accuracy both are also trained from scratch on one synthetic worm, by the same objective on the same volumes for as many epochs,
and scored as bench_encoder.py scores embeddings; each sees the crops that it is made for, ours also the smaller box of the other.

    python benchmarks/bench_throughput.py --threads 1 --rounds 7
    python benchmarks/bench_throughput.py --accuracy
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from bench_encoder import PUBLISHED, Row, Scene, cut, scored, show, synthetic_scene
from embedding_scores import embed_all
from torch import Tensor, nn
from torch.nn import functional

from barlowtrack.config import ComputeConfig, CropConfig, TrainConfig
from barlowtrack.config import load as load_settings
from barlowtrack.data import Crops, Detections
from barlowtrack.embedding.training import Training
from barlowtrack.nn.encoder import Encoder, EncoderSpec

CROPS = 64
PUBLISHED_CROP = load_settings(PUBLISHED).crop


class Block3d(nn.Module):
    """Two 3 x 3 x 3 convolutions with squeeze-excitation beside a shortcut (Fieseler et al. 2025 name the kind and the channels)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv3d(outputs, outputs, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm3d(outputs), nn.BatchNorm3d(outputs)])
        self.weigh = nn.Sequential(
            nn.Linear(outputs, max(2, outputs // 2)), nn.ReLU(), nn.Linear(max(2, outputs // 2), outputs), nn.Sigmoid()
        )
        self.shortcut = nn.Conv3d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norms[0](self.first(x)))
        inner = self.norms[1](self.second(inner))
        inner = inner * self.weigh(inner.mean(dim=(2, 3, 4)))[:, :, None, None, None]
        return functional.relu(inner + self.shortcut(x))


class PublishedKind(nn.Module):
    """(N, 8, 64, 64) to unit vectors (N, 64).

    Brightness is seen as our encoder sees it, so that the networks differ and nothing else.
    """

    def __init__(self, layout: torch.memory_format = torch.channels_last_3d) -> None:
        super().__init__()
        self.layout = layout
        self.spec = EncoderSpec(PUBLISHED_CROP.grid, PUBLISHED_CROP.size_um)
        self.blocks = nn.Sequential(Block3d(1, 4), nn.MaxPool3d((1, 2, 2)), Block3d(4, 8), nn.MaxPool3d(2))
        self.head = nn.Linear(8 * 4 * 16 * 16, self.spec.embedding_dim)
        self.to(memory_format=layout)  # type: ignore[call-overload]

    def represent(self, crops: Tensor) -> Tensor:
        """Returns the vectors before they are made unit length, (N, 64); what the projector sees."""
        x = crops.sign() * crops.abs().sqrt()
        x = x[:, None].contiguous(memory_format=self.layout)  # (N, 1, Z, Y, X)
        z: Tensor = self.head(self.blocks(x).flatten(1))
        return z

    def forward(self, crops: Tensor) -> Tensor:
        return functional.normalize(self.represent(crops).float(), dim=1)


NETWORKS: dict[str, tuple[type[nn.Module], CropConfig]] = {
    "published kind": (PublishedKind, PUBLISHED_CROP),
    "ours": (Encoder, CropConfig()),
    "ours, 16 um": (Encoder, CropConfig(size_um=PUBLISHED_CROP.size_um)),  # the box that the published kind sees
}


class PublishedTraining(Training):
    """Our training, of the published kind of network."""

    def __init__(self, crops: Crops, detections: Detections, config: TrainConfig, seed: int) -> None:
        super().__init__(crops, detections, None, config, ComputeConfig(), seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.learner.encoder = PublishedKind()  # type: ignore[assignment]
        if self.learner.teacher is not None:
            raise ValueError("expected an objective without a teacher, which would still be of our network")
        self.adam = torch.optim.Adam(self.learner.taught(), lr=config.learning_rate)


def taught(encoder: type[nn.Module], epochs: int, scene: Scene, crops: Crops, seed: int) -> Row:
    """Trains a network from scratch, keeps the epoch that train() would keep, and scores it."""
    config = load_settings(None, ("train.mode=scratch", f"train.epochs={epochs}")).train
    began = time.perf_counter()
    if encoder is PublishedKind:
        training: Training = PublishedTraining(crops, scene.detections, config, seed)
    else:
        training = Training(crops, scene.detections, None, config, ComputeConfig(), seed)
    state = training.start()
    for epoch in range(1, epochs + 1):
        state = training.advance(state, epoch)
        print(f"    epoch {epoch}: loss {state.history[-1].loss:.3f}, round trips {state.history[-1].round_trips:.3f}", flush=True)
    minutes = (time.perf_counter() - began) / 60
    training.learner.encoder.load_state_dict(state.part("best"))
    began = time.perf_counter()
    vectors = embed_all(scene.recording, scene.detections, training.learner.encoder.eval(), ComputeConfig())
    speed = len(vectors) / (time.perf_counter() - began)
    return scored(vectors, scene, seed, crops_a_second=speed, minutes=minutes)


def compare_accuracy(scene: Scene, networks: list[str], epochs: list[int], seed: int) -> None:
    """Prints looks alone, inside track, crops a second (cutting included) and minutes of training of every network after every training."""
    usual = TrainConfig(mode="scratch").n_epochs
    rows = []
    for name in networks:
        kind, box = NETWORKS[name]
        crops = cut(scene, box)
        lengths = sorted({*epochs} if kind is PublishedKind else {*epochs, usual})
        rows += [(f"{name}, {n} epochs", taught(kind, n, scene, crops, seed)) for n in lengths]
    print(f"{'':26s}{'prototypes':>20s}{'propagation':>20s}{'in track':>20s}{'crops/s':>10s}{'minutes':>9s}")
    for name, row in rows:
        show(name, [row])


@torch.inference_mode()
def crops_a_second(forward: Callable[[Tensor], Tensor], crops: Tensor, least_s: float = 1.0) -> float:
    """Repeats until the clock can be trusted. Seconds are the processor's, of all threads: other work beside it hardly stretches them."""
    done, began = 0, time.process_time()
    while (took := time.process_time() - began) < least_s or not done:
        forward(crops)
        done += len(crops)
    return done / took


def in_bfloat16(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def half(crops: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return forward(crops)

    return half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--accuracy", action="store_true", help="train both as well, before they are timed")
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--volumes", type=int, default=30)
    parser.add_argument("--neurons", type=int, default=60)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--epochs", type=int, nargs="+", default=[0, 6], help="of every network; ours is trained for its usual number too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.accuracy:
        print(f"{args.preset}, {args.volumes} volumes of {args.neurons} neurons, seed {args.seed}", flush=True)
        compare_accuracy(synthetic_scene(args.preset, args.volumes, args.neurons, args.seed), args.networks, args.epochs, args.seed)
    torch.manual_seed(0)
    ours = Encoder(EncoderSpec(CropConfig().grid, CropConfig().size_um)).eval()
    theirs, mine = torch.rand(CROPS, *PUBLISHED_CROP.grid), torch.rand(4 * CROPS, *CropConfig().grid)
    ways = {
        "published kind": (PublishedKind(torch.contiguous_format).eval(), theirs),
        "the same, channels last": (PublishedKind().eval(), theirs),
        "ours, float32": (ours, mine),
        "ours, bfloat16": (in_bfloat16(ours), mine),
    }
    for forward, crops in ways.values():
        crops_a_second(forward, crops, 0.2)
    rates = np.array([[crops_a_second(forward, crops) for forward, crops in ways.values()] for _ in range(args.rounds)])
    for column, name in enumerate(ways):
        ratios = [rates[:, column] / rates[:, other] for other in (0, 1)]
        said = ", to channels last ".join(f"{np.median(ratio):5.1f} ({ratio.min():.1f}-{ratio.max():.1f})" for ratio in ratios)
        print(f"{name:26s}{np.median(rates[:, column]):8.0f} crops/s   ratio {said}")


if __name__ == "__main__":
    main()
