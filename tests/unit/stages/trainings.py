"""Trainings of seconds, for the tests of training."""

from collections.abc import Callable
from dataclasses import dataclass

from barlowtrack.config import ComputeConfig, CropConfig, TrainConfig
from barlowtrack.data import CropBatch, Crops, Detections
from barlowtrack.nn.encoder import Encoder
from barlowtrack.stages.crop import crop
from barlowtrack.stages.train import TrainState, train
from tests.cases import looks_of


@dataclass(frozen=True)
class Batches:
    """Crops in a list, and the detections they show."""

    batches: list[CropBatch]
    detections: Detections

    def __len__(self) -> int:
        return len(self.batches)

    def read(self, index: int) -> CropBatch:
        return self.batches[index]


COMPUTE = ComputeConfig(device="cpu", workers=2)
SMALL = TrainConfig(
    mode="scratch", objective="barlow-object", epochs=4, embedding_dim=16, projector_dims=(32, 24), held_out=0.25, rotation_deg=60.0
)


def make_crops(film: Callable, counts: list[int], seed: int = 0, margin: float = 1.4) -> Crops:
    recording, detections = film(counts, seed=seed)
    config = CropConfig(size_um=(9.0, 8.0, 8.0), grid=(4, 16, 16), margin=margin)
    batches = list(crop(recording, detections, looks_of(detections), config=config, compute=COMPUTE))
    return Crops(Batches(batches, detections), config.grid, config.size_um)


def with_batches(crops: Crops, batches: list[CropBatch]) -> Crops:
    """The same crops with other contents."""
    return Crops(Batches(batches, crops.source.detections), crops.window, crops.size_um)


def run(crops: Crops, config: TrainConfig = SMALL, seed: int = 5, start: Encoder | None = None, **rest) -> list[TrainState]:
    return list(train(crops, crops.source.detections, start, config=config, compute=COMPUTE, seed=seed, **rest))


def changed(config: TrainConfig = SMALL, **settings) -> TrainConfig:
    return TrainConfig(**config.model_dump() | settings)
