"""What dividing by D^2 and N^2 does to Barlow Twins with the object term: how hard each of its four parts pulls.

The loss has four parts: diagonal and off-diagonal, of the features' and of the objects' correlation. Adam ignores how large a loss is, so
only their ratios matter: printed is each part's share of the summed gradient norms, with its published weight (in %).

First on drawn projections (N objects, D features), which resemble those of a network at its random start and after training; then
on the network itself, before and after training on a synthetic worm, with respect to its weights.

    python benchmarks/objective_balance.py --volumes 16 --neurons 20 80 --epochs 12
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from embedding_scores import InMemory, Kept, true_detections
from torch import Tensor

from barlowtrack.config import ComputeConfig, CropConfig, TrainConfig
from barlowtrack.data import Crops, Detections, Recording, VolumeLooks
from barlowtrack.nn.augment import Augmentation, view
from barlowtrack.nn.encoder import Encoder, Projector
from barlowtrack.nn.objectives.barlow import diagonal_and_rest, feature_correlation, object_correlation
from barlowtrack.nn.state import TrainState
from barlowtrack.stages.crop import crop
from barlowtrack.stages.train import train
from barlowtrack.synthetic import preset, simulate

PARTS = ("feature diag", "feature off", "object diag", "object off")
REGIMES = {  # what all objects share, what is an object's own, what is a view's own
    "start": (1.0, 0.2, 0.1),
    "trained": (0.0, 1.0, 0.3),
}


def parts(z1: Tensor, z2: Tensor, alpha: float, lambda_: float) -> list[Tensor]:
    """Returns the four parts, each with its published weight."""
    said = []
    for weight, correlation in ((1 - alpha, feature_correlation(z1, z2)), (alpha, object_correlation(z1, z2))):
        on, off = diagonal_and_rest(correlation)
        said += [weight * on / correlation.numel(), weight * lambda_ * off / correlation.numel()]
    return said


def pulls(values: Sequence[Tensor], inputs: Sequence[Tensor]) -> np.ndarray:
    """Returns the norm of each value's gradient."""
    norms = []
    for value in values:
        gradients = torch.autograd.grad(value, inputs, retain_graph=True)
        norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))
    return np.array(norms)


def drawn(n: int, d: int, regime: str, generator: torch.Generator) -> list[Tensor]:
    """Returns two views (N, D) of objects drawn at random."""
    shared, own, view = REGIMES[regime]
    same = shared * torch.randn(1, d, generator=generator) + own * torch.randn(n, d, generator=generator)
    return [(same + view * torch.randn(n, d, generator=generator)).double().requires_grad_() for _ in range(2)]


def of_network(state: TrainState, crops: Crops, config: TrainConfig) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Returns projections of two views of the first volume, and the weights they hang on."""
    encoder, projector = Encoder(state.spec), Projector(config.embedding_dim, config.projector_dims)
    encoder.load_state_dict(state.part("learner.encoder"))  # of this epoch, be it the best or not
    projector.load_state_dict({k.removeprefix("projector."): v for k, v in state.part("learner").items() if k.startswith("projector.")})
    augmentation = Augmentation(config.rotation_deg, config.elastic_vox, config.shift_vox, config.brightness, config.noise)
    values = torch.from_numpy(np.asarray(crops.read(0).values, np.float32))
    generator = torch.Generator().manual_seed(0)
    views = [view(values, crops.window, augmentation, generator) for _ in range(2)]
    z1, z2 = (projector(encoder.represent(seen)) for seen in views)
    return z1, z2, [*encoder.parameters(), *projector.parameters()]


def worm_crops(name: str, volumes: int, neurons: int) -> tuple[Crops, Detections]:
    worm = simulate(preset(name, n_volumes=volumes, n_neurons=neurons), seed=3)
    recording = Recording(**{**vars(worm.recording), "source": Kept(worm.recording)})
    detections, _ = true_detections(worm, recording, jitter_um=0.1, wrong=0.0)
    alike = VolumeLooks(np.bincount(detections.t, minlength=volumes), np.ones(volumes), np.ones(volumes))
    batches = list(crop(recording, detections, alike, config=CropConfig(), compute=ComputeConfig()))
    return Crops(InMemory(batches), CropConfig().grid, CropConfig().size_um), detections


def show(what: str, z1: Tensor, z2: Tensor, inputs: Sequence[Tensor], config: TrainConfig) -> None:
    norms = pulls(parts(z1, z2, config.alpha, config.lambda_off_diagonal), inputs)
    off = []
    for correlation in (feature_correlation(z1, z2), object_correlation(z1, z2)):
        c = correlation.detach()
        rest = (c.square().sum() - c.diagonal().square().sum()) / (c.numel() - len(c))
        off += [f"{float(c.diagonal().mean()):6.2f} {float(rest.sqrt()):6.2f}"]
    shares = "".join(f"{100 * share:14.1f}" for share in norms / norms.sum())
    even = config.lambda_off_diagonal * norms[2] / max(norms[3], 1e-30)
    print(f"{what:28s}{shares}   {off[0]}   {off[1]}   {even:12.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--volumes", type=int, default=16)
    parser.add_argument("--neurons", type=int, nargs="*", default=[20, 80])
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()

    config = TrainConfig(mode="scratch", objective="barlow-object", rotation_deg=60.0, epochs=args.epochs)
    print(f"{'':28s}" + "".join(f"{part:>14s}" for part in PARTS) + "   feature C     object C        lambda that")
    print(f"{'':84s}   diag  r.m.s.   diag  r.m.s.   evens object")
    for regime in REGIMES:
        for n in (20, 100, 200):
            for d in (64, 256, 512):
                views = drawn(n, d, regime, torch.Generator().manual_seed(0))
                show(f"{regime:8s} N {n:3d} D {d:3d}", *views, views, config)  # type: ignore[call-arg]
    for neurons in args.neurons:
        crops, detections = worm_crops(args.preset, args.volumes, neurons)
        states = list(train(crops, detections, None, config=config, compute=ComputeConfig(), seed=0))
        for state in (states[0], states[-1]):
            z1, z2, weights = of_network(state, crops, config)
            show(f"network N {len(z1):3d} D {z1.shape[1]:3d} epoch {state.epoch}", z1, z2, weights, config)


if __name__ == "__main__":
    main()
