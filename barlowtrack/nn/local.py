"""Layers that see only their neighbourhood, so that a block of a volume can go through them as it would inside the whole volume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from barlowtrack.data import IntArray
from barlowtrack.nn.starconvex_spec import Triple

_HAS_MKLDNN = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]

Cut = Sequence[tuple[bool, bool]]
"""Of a block, for z y x: does the volume go on before it, and behind it? What goes on is given with the block, and used up on the way."""

WHOLE: Cut = ((False, False),) * 3


class Span(NamedTuple):
    """Voxels low <= v < high of every axis.

    Attributes:
        low: (3,) z y x.
        high: (3,).
    """

    low: IntArray
    high: IntArray

    def slices(self) -> tuple[slice, slice, slice]:
        z, y, x = (slice(int(low), int(high)) for low, high in zip(self.low, self.high, strict=True))
        return z, y, x

    def moved(self, by: IntArray) -> Span:
        return Span(self.low + by, self.high + by)

    @property
    def shape(self) -> Triple:
        return triple(self.high - self.low)


def triple(values: IntArray) -> Triple:
    """Returns z, y, x as plain numbers."""
    z, y, x = values.tolist()
    return z, y, x


def whole_span(shape: Sequence[int]) -> Span:
    """Returns all voxels of a volume."""
    return Span(np.zeros(3, np.int64), np.array(shape))


class Local:
    """A module that says what it must see; forward(x, cut) answers for a block."""

    def needed(self, span: Span) -> Span:
        """Returns what of the input the answer in a span depends on."""
        raise NotImplementedError


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns the voxels that TensorFlow's padding "same" adds before and behind an axis; an odd one goes behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv3d(nn.Conv3d, Local):
    """A convolution padded as TensorFlow pads, which differs from torch where it strides or a kernel is even.

    Attributes:
        keras_name: What StarDist calls the layer; "" where it leaves the name to Keras.
    """

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1), *, bias: bool = True, name: str = "") -> None:
        super().__init__(inputs, outputs, kernel, stride, bias=bias)
        self.keras_name = name

    def needed(self, span: Span) -> Span:
        stride = np.array(self.stride)
        before, behind = np.transpose([same_padding(s, k, s) for k, s in zip(self.kernel_size, self.stride, strict=True)])
        return Span(span.low * stride - before, span.high * stride + behind)

    def forward(self, x: Tensor, cut: Cut = WHOLE) -> Tensor:
        around, sides = [], []
        for axis, (low, high) in enumerate(cut):
            kernel, stride = self.kernel_size[axis], self.stride[axis]
            # of a volume cut in blocks the size is a multiple of the stride
            before, behind = same_padding(stride if low or high else x.shape[2 + axis], kernel, stride)
            before, behind = 0 if low else before, 0 if high else behind
            alike = before == behind
            around.append(before if alike else 0)
            sides.append((0, 0) if alike else (before, behind))
        if any(map(any, sides)):
            x = functional.pad(x, [n for side in reversed(sides) for n in side])  # from the last axis to the first, as torch wants it
        if _HAS_MKLDNN and x.device.type == "cpu" and x.dtype is torch.float32 and not torch.is_grad_enabled():
            # asked for by name: for one volume of few channels torch would take a loop of its own, which halves the speed of a U-Net
            return torch.mkldnn_convolution(x, self.weight, self.bias, around, self.stride, self.dilation, self.groups)
        return functional.conv3d(x, self.weight, self.bias, self.stride, tuple(around), self.dilation, self.groups)


def needed(layers: Iterable[nn.Module], span: Span) -> Span:
    """Returns what of the input the layers, one behind the other, must see to answer in a span; it may reach over the volume's ends."""
    for layer in reversed(list(layers)):
        if isinstance(layer, Local):
            span = layer.needed(span)
        elif isinstance(layer, nn.Sequential):
            span = needed(layer, span)
        elif isinstance(layer, nn.MaxPool3d):
            span = Span(span.low * layer.kernel_size, span.high * layer.kernel_size)
    return span


def run(layers: Iterable[nn.Module], x: Tensor, cut: Cut = WHOLE) -> Tensor:
    """Runs layers, one behind the other, on a block.

    Args:
        layers: Local ones, poolings, and those that treat every voxel by itself.
        x: (N, C, Z, Y, X); where the volume goes on it holds what needed() says.
        cut: Where the volume goes on.
    """
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            x = run(layer, x, cut)
        elif isinstance(layer, Local):
            x = layer(x, cut)
        else:
            x = layer(x)
    return x
