"""A small recording of blobs in memory, real enough to crop, train and embed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from barlowtrack.data import Detections, Recording

VOXEL_UM = (1.5, 0.5, 0.5)


@dataclass(frozen=True)
class InMemory:
    """Volumes in a list."""

    volumes: list[NDArray]

    def read(self, t: int) -> NDArray:
        return self.volumes[t]


Film = tuple[Recording, Detections]


@pytest.fixture(scope="session")
def film() -> Callable[..., Film]:
    return make_film


def make_film(counts: list[int], seed: int = 0, offset: list[float] | None = None) -> Film:
    """Blobs that keep their place, size and brightness; counts says how many of them a volume has."""
    rng = np.random.default_rng(seed)
    shape = (8, 48, 56)
    most = max([*counts, 1])
    home = rng.random((most, 3)) * (np.array(shape) - 1) * VOXEL_UM
    brightness, radius = rng.uniform(100, 900, most), rng.uniform(0.8, 2.0, most)
    grid = np.stack(np.meshgrid(*(np.arange(n) * v for n, v in zip(shape, VOXEL_UM, strict=True)), indexing="ij"), -1)
    volumes, parts = [], []
    for t, n in enumerate(counts):
        here = home[:n] + rng.normal(0, 0.1, (n, 3))
        red = rng.poisson(20, shape) + (0 if offset is None else offset[t])
        for p, b, r in zip(here, brightness, radius, strict=False):
            red = red + b * np.exp(-((grid - p) ** 2).sum(-1) / (2 * r**2))
        volumes.append(np.stack([red, rng.poisson(20, shape)]).astype(np.uint16))
        peak = brightness[:n] + 20 + (0 if offset is None else offset[t])
        one = np.ones(n, np.float32)
        parts.append(Detections(len(counts), np.full(n, t), np.arange(1, n + 1), here, one, peak / 2, peak, one, one, one, one))
    recording = Recording(
        "film", InMemory(volumes), (len(counts), 2, *shape), np.dtype(np.uint16), VOXEL_UM, None, ("red", "green"), 0, 1, "made"
    )
    return recording, Detections.concatenate(parts, len(counts))
