"""Every objective on one synthetic worm, same epochs: identity accuracy of appearance alone, agreement, rank and time, in one table.

Scored like bench_encoder.py, beside pixels and random weights: no objective is worth more than what it adds to those.

    python benchmarks/bench_objectives.py --preset hard --volumes 60 --neurons 80 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from embedding_scores import InMemory, Kept, all_alike, embed_all, identity_accuracy, reduced, true_detections, windows

from barlowtrack import config as settings
from barlowtrack.config import ComputeConfig, CropConfig, TrainConfig
from barlowtrack.data import Crops, Detections, IntArray, Recording
from barlowtrack.nn.objectives.table import OBJECTIVES
from barlowtrack.stages.crop import crop
from barlowtrack.stages.train import train
from barlowtrack.synthetic import preset, simulate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="hard")
    parser.add_argument("--volumes", type=int, default=60)
    parser.add_argument("--neurons", type=int, default=80)
    parser.add_argument("--worm-seed", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=TrainConfig(mode="scratch").n_epochs)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objectives", nargs="+", choices=list(OBJECTIVES), default=list(OBJECTIVES))
    parser.add_argument("--size-um", type=float, nargs=3, default=CropConfig().size_um, help="of the crops, z y x")
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help="of [train], such as object_scale=per_object")
    args = parser.parse_args()

    worm = simulate(preset(args.preset, n_volumes=args.volumes, n_neurons=args.neurons), seed=args.worm_seed)
    recording = Recording(**{**vars(worm.recording), "source": Kept(worm.recording)})
    detections, neuron = true_detections(worm, recording)
    alike = all_alike(detections)
    boxes = CropConfig(size_um=tuple(args.size_um))
    batches = list(crop(recording, detections, alike, config=boxes, compute=ComputeConfig()))
    crops = Crops(InMemory(batches), boxes.grid, boxes.size_um)

    pixels = reduced(np.concatenate(list(windows(batches, crops.window))))
    rows = np.concatenate([batch.row for batch in batches])
    print(
        f"{len(crops)} volumes, {len(detections) / args.volumes:.0f} neurons in each, {args.epochs} epochs, seeds {args.seeds}", flush=True
    )
    print(f"{'':16s} {'identity accuracy':>24s} {'agreement':>10s} {'rank':>6s} {'seconds':>8s}")
    print(f"{'pixels, PCA 64':16s} {identity_accuracy(pixels, detections.t[rows], neuron[rows]):24.3f}", flush=True)
    base = settings.load(overrides=["train.mode=scratch", *(f"train.{text}" for text in args.set)]).train
    ways = {"random weights": {"epochs": 0}} | {name: {"epochs": args.epochs, "objective": name} for name in args.objectives}
    for name, changed in ways.items():
        report(name, [one(recording, detections, neuron, crops, base.model_copy(update=changed), seed) for seed in args.seeds])


def one(recording: Recording, detections: Detections, neuron: IntArray, crops: Crops, config: TrainConfig, seed: int) -> list[float]:
    """Returns accuracy, agreement, rank and seconds of one training."""
    began = time.perf_counter()
    *_, state = train(crops, detections, None, config=config, compute=ComputeConfig(), seed=seed)
    took, kept = time.perf_counter() - began, state.history[state.best]
    vectors = embed_all(recording, detections, state.encoder(), ComputeConfig())
    return [identity_accuracy(vectors, detections.t, neuron), kept.held_out_agreement, kept.effective_rank, took]


def report(name: str, runs: Sequence[Sequence[float]]) -> None:
    """Prints means over seeds, of the accuracy the range as well."""
    accuracy, agreement, rank, took = np.mean(runs, axis=0)
    scores = [run[0] for run in runs]
    said = f"{accuracy:.3f} ({min(scores):.3f}-{max(scores):.3f})"
    print(f"{name:16s} {said:>24s} {agreement:10.3f} {rank:6.1f} {took:8.0f}", flush=True)


if __name__ == "__main__":
    main()
