import dataclasses
import pickle

import pytest
import safetensors.torch
import torch

from barlowtrack.errors import InputError
from barlowtrack.nn.checkpoint import pack, unpack
from barlowtrack.nn.encoder import Encoder, EncoderSpec, Projector

SPEC = EncoderSpec((4, 16, 16), (9.0, 8.0, 8.0), embedding_dim=12, channels=(8, 12))


def make(spec: EncoderSpec = SPEC, seed: int = 0) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(spec, epoch=3).eval()


def crops(n: int, window: tuple[int, int, int] = SPEC.window) -> torch.Tensor:
    return torch.rand(n, *window, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("window", [(8, 32, 32), (1, 1, 1), (3, 17, 9), (16, 64, 64)])
def test_any_window_gives_unit_vectors(window: tuple[int, int, int]) -> None:
    vectors = make(EncoderSpec(window, (1.0, 1.0, 1.0), 12, (8, 12)))(crops(3, window))
    assert vectors.shape == (3, 12)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-6)


def test_no_crops_give_no_vectors() -> None:
    assert make()(crops(0)).shape == (0, 12)


def test_a_row_depends_on_its_own_crop_only_even_while_training() -> None:
    encoder, many = make().train(), crops(9)
    assert torch.allclose(encoder(many)[4:5], encoder(many[4:5]), atol=1e-5)


def test_where_something_lies_is_seen() -> None:
    """Moved by a whole stride, a blob gives the same features elsewhere: an average over places could not tell."""
    spec = EncoderSpec((4, 32, 32), (9.0, 16.0, 16.0), 12, (8, 12))
    blob = torch.zeros(1, 4, 32, 32)
    blob[:, :, 12:16, 10:14] = 1
    one, other = make(spec)(torch.cat([blob, blob.roll(4, 3)])).detach()
    assert float((one - other).norm()) > 1e-3


def test_saved_and_loaded_is_the_same() -> None:
    encoder = make()
    again = Encoder.from_bytes(encoder.to_bytes())
    assert again.spec == SPEC
    assert again.epoch == 3
    assert not again.training
    assert torch.equal(again(crops(5)), encoder(crops(5)))
    assert again.to_bytes() == encoder.to_bytes()


@pytest.mark.parametrize("data", [b"", b"garbage" * 9, pickle.dumps({"a": 1}), safetensors.torch.save({"a": torch.zeros(2)})])
def test_what_is_no_encoder_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="encoder: expected"):
        Encoder.from_bytes(data)


def test_a_cut_file_is_refused() -> None:
    with pytest.raises(InputError, match="safetensors"):
        Encoder.from_bytes(make().to_bytes()[:-10])


def test_weights_that_do_not_fit_the_spec_are_refused() -> None:
    tensors, facts = unpack("encoder", 1, make().to_bytes())
    facts["spec"]["embedding_dim"] = 13
    with pytest.raises(InputError, match="do not fit its spec"):
        Encoder.from_bytes(pack("encoder", 1, tensors, facts))
    del tensors["head.bias"]
    with pytest.raises(InputError, match="do not fit its spec"):
        Encoder.from_bytes(pack("encoder", 1, tensors, {**facts, "spec": dataclasses.asdict(SPEC)}))


@pytest.mark.parametrize("spec", [{}, {"window": [4, 16]}, {"window": [4, 16, 0], "size_um": [1, 1, 1]}, {"other": 1}, None])
def test_a_spec_that_is_none_is_refused(spec: object) -> None:
    with pytest.raises(InputError, match="encoder"):
        Encoder.from_bytes(pack("encoder", 1, {}, {"spec": spec}))


def test_another_version_is_refused() -> None:
    with pytest.raises(InputError, match="expected encoder version 1, got encoder version 2"):
        Encoder.from_bytes(pack("encoder", 2, {}, {}))


def test_projector_normalises_rows_not_batches() -> None:
    projector = Projector(12, (20, 20, 6))
    z = torch.randn(7, 12, generator=torch.Generator().manual_seed(0))
    assert projector(z).shape == (7, 6)
    assert torch.allclose(projector(z)[2:3], projector(z[2:3]), atol=1e-6)
    assert [type(layer).__name__ for layer in projector.layers] == ["Linear", "LayerNorm", "ReLU"] * 2 + ["Linear"]
