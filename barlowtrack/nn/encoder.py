"""The network that turns a crop into a vector, and the projector that training hangs behind it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from barlowtrack.errors import InputError
from barlowtrack.nn.checkpoint import pack, unpack
from barlowtrack.nn.facts import ENCODER_VERSION

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class EncoderSpec:
    """All that is needed to build an encoder and to cut crops for it.

    Attributes:
        window: Z, Y, X of a crop, in voxels.
        size_um: Size of the box the crop shows, z y x.
        embedding_dim: D.
        channels: Of the first and of the second resolution.
    """

    window: tuple[int, int, int]
    size_um: tuple[float, float, float]
    embedding_dim: int = 64
    channels: tuple[int, int] = (24, 48)

    def __post_init__(self) -> None:
        numbers = (*self.window, self.embedding_dim, *self.channels)
        good = len(self.window) == len(self.size_um) == 3 and all(isinstance(n, int) and n > 0 for n in numbers)
        if not (good and all(math.isfinite(s) and s > 0 for s in self.size_um)):
            raise InputError(f"encoder: expected positive sizes (Z, Y, X), got {str(self)[:200]!r}")

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> EncoderSpec:
        """Rebuilds the spec from what JSON kept of it.

        Raises:
            InputError: other or missing entries.
        """
        try:
            plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
            return cls(**plain)
        except (TypeError, AttributeError) as error:
            raise InputError(f"encoder: expected the spec of an encoder, got {str(facts)[:200]!r} ({error})") from None


class SqueezeExcitation(nn.Module):
    """Weighs channels by what the whole crop shows.

    Reference:
        Hu et al. 2018, "Squeeze-and-Excitation Networks".
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(4, channels // 4)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3))  # (N, C)
        weight = torch.sigmoid(self.excite(functional.relu(self.squeeze(pooled))))
        return x * weight[:, :, None, None]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with squeeze-excitation beside a shortcut.

    There is no normalisation: batch statistics would let a row depend on its neighbours, and normalising each crop would take away
    how bright its nucleus is. At this depth none is needed.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.weigh = SqueezeExcitation(outputs)
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.weigh(self.second(functional.relu(self.first(x))))
        return functional.relu(inner + self.shortcut(x))


class Encoder(nn.Module):
    """Crops (N, Z, Y, X) to unit vectors (N, D): a residual net in the plane, with z as channels.

    The feature map is flattened into the last layer, not averaged: where something lies in the crop is most of what tells neurons
    apart.

    Attributes:
        spec: Frozen; what crops it wants.
        epoch: Of the training that made it; 0 is what that began with, be it random weights or another encoder.
    """

    def __init__(self, spec: EncoderSpec, epoch: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.epoch = epoch
        low, high = spec.channels
        self.stem = nn.Conv2d(spec.window[0], low, 5, stride=2, padding=2)
        self.blocks = nn.Sequential(ResidualBlock(low, high, 2), ResidualBlock(high, high, 1))
        n_pixels = math.ceil(spec.window[1] / 4) * math.ceil(spec.window[2] / 4)
        self.head = nn.Linear(high * n_pixels, spec.embedding_dim)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def represent(self, crops: Tensor) -> Tensor:
        """Returns the vectors before they are made unit length, (N, D); what the projector sees."""
        x = crops.sign() * crops.abs().sqrt()  # nuclei differ 30-fold in brightness: dim ones shall be seen, photon noise be even
        x = x.contiguous(memory_format=torch.channels_last)  # (N, Z, Y, X)
        x = functional.relu(self.stem(x))  # (N, C1, Y/2, X/2)
        x = self.blocks(x)  # (N, C2, Y/4, X/4)
        z: Tensor = self.head(x.flatten(1))  # (N, D)
        return z

    def forward(self, crops: Tensor) -> Tensor:
        return functional.normalize(self.represent(crops).float(), dim=1)

    def to_bytes(self, origin: Mapping[str, Any] | None = None) -> bytes:
        """Returns a safetensors file with weights, spec, epoch, and what is said of its origin; equal encoders give equal bytes."""
        facts = {**(origin or {}), "spec": dataclasses.asdict(self.spec), "epoch": self.epoch}
        return pack("encoder", ENCODER_VERSION, self.state_dict(), facts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Encoder:
        """Rebuilds an encoder, in evaluation mode.

        Raises:
            InputError: not an encoder of ours, of another version, or weights that do not fit the spec.
        """
        tensors, facts = unpack("encoder", ENCODER_VERSION, data)
        spec, epoch = EncoderSpec.from_facts(facts.get("spec", {})), facts.get("epoch", 0)
        if not isinstance(epoch, int):
            raise InputError(f"encoder: expected a number of epochs, got {epoch!r}")
        _expect_weights(spec, tensors)
        return build(cls(spec, epoch), tensors, "encoder").eval()


def _expect_weights(spec: EncoderSpec, tensors: Mapping[str, Tensor]) -> None:
    """Refuses a spec that is not that of the weights before memory is asked for: a file may claim any size."""
    try:
        with torch.device("meta"):
            claimed = {name: tuple(weight.shape) for name, weight in Encoder(spec).state_dict().items()}
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"encoder: expected a spec that can be built, got {spec} ({' '.join(str(error).split())[:200]})") from None
    found = {name: tuple(weight.shape) for name, weight in tensors.items()}
    wrong = sorted(name for name in {*claimed, *found} if claimed.get(name) != found.get(name))
    if wrong:
        raise InputError(
            f"encoder: weights do not fit its spec: {wrong[0]}: expected {claimed.get(wrong[0], 'none')}, got {found.get(wrong[0], 'none')}"
        )


class Projector(nn.Module):
    """Layers behind the encoder in which the loss is taken; dropped after training.

    LayerNorm, not BatchNorm: a batch is one volume, and what its nuclei have in common is information.

    Attributes:
        width: P.
    """

    def __init__(self, inputs: int, dims: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, width in enumerate(dims):
            layers.append(nn.Linear(inputs, width))
            if i < len(dims) - 1:
                layers += [nn.LayerNorm(width), nn.ReLU()]
            inputs = width
        self.width = inputs
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        projected: Tensor = self.layers(z)  # (N, P)
        return projected


def build(module: M, tensors: Mapping[str, Tensor], what: str) -> M:
    """Loads weights into a module.

    Raises:
        InputError: missing, superfluous or misshapen weights.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise InputError(f"{what}: weights do not fit its spec: {' '.join(str(error).split())}") from None
    return module
