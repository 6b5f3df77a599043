"""Crops a second of our encoder beside the published kind: 3-D residual squeeze-excitation of 4 and 8 channels on 8 x 64 x 64 voxels.

Both in float32 on the same number of threads, alternating; ours in bfloat16 too, where the processor has it. The ratio is that of pairs.

    python benchmarks/bench_throughput.py --threads 1 --rounds 7
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from barlowtrack.config import CropConfig
from barlowtrack.nn.encoder import Encoder, EncoderSpec

CROPS = 64


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
    """(N, 8, 64, 64) to unit vectors (N, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block3d(1, 4), nn.MaxPool3d((1, 2, 2)), Block3d(4, 8), nn.MaxPool3d(2))
        self.head = nn.Linear(8 * 4 * 16 * 16, 64)

    def forward(self, crops: Tensor) -> Tensor:
        return functional.normalize(self.head(self.blocks(crops[:, None]).flatten(1)), dim=1)


@torch.inference_mode()
def crops_a_second(forward: Callable[[Tensor], Tensor], crops: Tensor, least_s: float = 1.0) -> float:
    """Repeats until the clock can be trusted."""
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < least_s or not done:
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
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ours, published = Encoder(EncoderSpec(CropConfig().grid, CropConfig().size_um)).eval(), PublishedKind().eval()
    ways = {
        "published kind, float32": (published, torch.rand(CROPS, 8, 64, 64)),
        "ours, float32": (ours, torch.rand(4 * CROPS, *CropConfig().grid)),
        "ours, bfloat16": (in_bfloat16(ours), torch.rand(4 * CROPS, *CropConfig().grid)),
    }
    for forward, crops in ways.values():
        crops_a_second(forward, crops, 0.2)
    rates = np.array([[crops_a_second(forward, crops) for forward, crops in ways.values()] for _ in range(args.rounds)])
    ratios = rates / rates[:, :1]
    for column, name in enumerate(ways):
        ratio = ratios[:, column]
        print(f"{name:26s}{np.median(rates[:, column]):8.0f} crops/s   ratio {np.median(ratio):5.1f} ({ratio.min():.1f}-{ratio.max():.1f})")


if __name__ == "__main__":
    main()
