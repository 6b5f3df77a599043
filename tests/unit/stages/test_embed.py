import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from barlowtrack.config import ComputeConfig, EmbedConfig
from barlowtrack.data import Detections
from barlowtrack.errors import InputError
from barlowtrack.nn.encoder import Encoder, EncoderSpec
from barlowtrack.stages.embed import embed
from tests.unit.stages.conftest import InMemory

COMPUTE = ComputeConfig(workers=2, device="cpu")
SPEC = EncoderSpec((4, 16, 16), (9.0, 8.0, 8.0), embedding_dim=12, channels=(8, 8))


@pytest.fixture
def encoder() -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Encoder(SPEC).eval()


def every(recording, detections, encoder, *, batch: int = 512, **rest) -> list[np.ndarray]:
    return list(embed(recording, detections, encoder, config=EmbedConfig(batch=batch), compute=COMPUTE, **rest))


def test_every_volume_gets_its_rows_empty_ones_none(film: Callable, encoder: Encoder) -> None:
    recording, detections = film([5, 0, 1, 2, 0])
    steps = []
    parts = every(recording, detections, encoder, progress=lambda *at: steps.append(at))

    assert [part.shape for part in parts] == [(5, 12), (0, 12), (1, 12), (2, 12), (0, 12)]
    assert all(part.dtype == np.float32 for part in parts)
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(parts), axis=1), 1, atol=1e-5)
    assert steps[-1] == (5, 5)


def test_a_row_depends_on_its_own_crop_only(film: Callable, encoder: Encoder) -> None:
    recording, detections = film([9])
    whole = every(recording, detections, encoder)[0]
    np.testing.assert_allclose(every(recording, detections, encoder, batch=2)[0], whole, atol=1e-5)
    keep = np.array([1, 4, 8])
    columns = {name: getattr(detections, name)[keep] for name in Detections.__dataclass_fields__ if name != "n_volumes"}
    columns["red_peak"] = np.full(3, np.percentile(detections.red_peak, 90))  # the volume's one brightness scale stays what it was
    few = Detections(1, **columns)
    np.testing.assert_allclose(every(recording, few, encoder)[0], whole[keep], atol=1e-5)


def test_going_on_gives_the_same_bytes(film: Callable, encoder: Encoder) -> None:
    recording, detections = film([5, 3, 0, 4, 6])
    whole = every(recording, detections, encoder)
    rest = every(recording, detections, encoder, start=2)
    assert [part.tobytes() for part in rest] == [part.tobytes() for part in whole[2:]]


def test_the_encoder_comes_back_as_it_was(film: Callable, encoder: Encoder) -> None:
    recording, detections = film([3])
    encoder.train()
    every(recording, detections, encoder)
    assert encoder.training


def test_embedding_is_in_evaluation_mode(film: Callable, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    recording, detections = film([3])
    modes, represent = [], Encoder.represent

    def spy(self: Encoder, crops: torch.Tensor) -> torch.Tensor:
        modes.append(self.training)
        return represent(self, crops)

    monkeypatch.setattr(Encoder, "represent", spy)
    every(recording, detections, encoder.train())
    assert modes == [False]


def test_brightness_of_the_whole_volume_does_not_matter(film: Callable, encoder: Encoder) -> None:
    plain, detections = film([6])
    shifted, shifted_detections = film([6], offset=[500.0])
    np.testing.assert_allclose(every(plain, detections, encoder)[0], every(shifted, shifted_detections, encoder)[0], atol=1e-3)


def test_the_reference_channel_is_embedded_wherever_it_lies(film: Callable, encoder: Encoder) -> None:
    recording, detections = film([4, 3])
    flipped = InMemory([volume[::-1] for volume in recording.source.volumes])
    other = dataclasses.replace(recording, source=flipped, channel_names=("green", "red"), reference=1, signal=0)
    for a, b in zip(every(recording, detections, encoder), every(other, detections, encoder), strict=True):
        assert a.tobytes() == b.tobytes()
    wrong = dataclasses.replace(other, reference=0, signal=1)
    assert not np.allclose(every(recording, detections, encoder)[0], every(wrong, detections, encoder)[0], atol=0.01)


def test_broken_weights_are_refused(film: Callable, encoder: Encoder) -> None:
    recording, detections = film([3])
    with torch.no_grad():
        encoder.head.bias[0] = torch.nan
    with pytest.raises(InputError, match="volume 0: expected finite embeddings"):
        every(recording, detections, encoder)


def test_detections_of_another_recording_are_refused(film: Callable, encoder: Encoder) -> None:
    recording, _ = film([3, 3])
    with pytest.raises(InputError, match="expected detections of 2 volumes, got 5"):
        every(recording, Detections.empty(5), encoder)
