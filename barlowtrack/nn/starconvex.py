"""The StarDist 3-D network in torch: the same layers in the same order as StarDist's, so that its weights fit exactly.

Reference:
    Weigert et al. 2020, "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy".
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from barlowtrack.nn.blocks import Join, Run, at_once
from barlowtrack.nn.local import WHOLE, Cut, Local, SameConv3d, Span, needed, run, triple, whole_span
from barlowtrack.nn.starconvex_spec import ResNet, StarConvexSpec, Triple, UNet

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "swish": nn.SiLU,
    "linear": nn.Identity,
}
_KERAS_EPSILON, _KERAS_MOMENTUM = 1e-3, 0.01  # of its BatchNormalization; torch counts momentum the other way round


def _activation(name: str) -> nn.Module:
    return nn.ReLU(inplace=True) if name == "relu" else _ACTIVATIONS[name]()  # what it is given is never needed again


def _norm(channels: int) -> nn.BatchNorm3d:
    return nn.BatchNorm3d(channels, eps=_KERAS_EPSILON, momentum=_KERAS_MOMENTUM)


def _layer(net: UNet, inputs: int, outputs: int, name: str, activation: str) -> nn.Sequential:
    layer = nn.Sequential()
    layer.add_module("conv", SameConv3d(inputs, outputs, net.kernel_size, name=net.prefix + name))
    if net.batch_norm:
        layer.add_module("norm", _norm(outputs))
    layer.add_module("activation", _activation(activation))
    if net.dropout:
        layer.add_module("dropout", nn.Dropout(net.dropout))
    return layer


class UNetBackbone(nn.Module):
    """(N, C, Z, Y, X) to (N, channels, Z / grid, Y / grid, X / grid): convolutions and poolings down to the grid, then a U-Net."""

    def __init__(self, net: UNet, inputs: int, steps: tuple[Triple, ...]) -> None:
        super().__init__()
        self.n_steps = len(steps)
        self.to_grid = nn.Sequential()
        for step in steps:
            for _ in range(net.n_conv_per_depth):
                self.to_grid.append(SameConv3d(inputs, net.n_filter_base, net.kernel_size))
                self.to_grid.append(_activation(net.activation))
                inputs = net.n_filter_base
            self.to_grid.append(nn.MaxPool3d(step))
        self.pool = nn.MaxPool3d(net.pool)
        last = net.n_conv_per_depth - 1
        self.down = nn.ModuleList()
        for level in range(net.n_depth):
            block = nn.Sequential()
            for i in range(net.n_conv_per_depth):
                block.append(_layer(net, inputs, net.channels(level), f"down_level_{level}_no_{i}", net.activation))
                inputs = net.channels(level)
            self.down.append(block)
        self.middle = nn.Sequential()
        for i in range(net.n_conv_per_depth):
            # StarDist numbers the last one as if there were one more
            outputs, name = (net.channels(net.n_depth), i) if i < last else (net.channels(net.n_depth - 1), i + 1)
            self.middle.append(_layer(net, inputs, outputs, f"middle_{name}", net.activation))
            inputs = outputs
        self.up = nn.ModuleList()
        for level in reversed(range(net.n_depth)):
            block = nn.Sequential()
            inputs += net.channels(level)
            for i in range(net.n_conv_per_depth):
                outputs, name = (net.channels(level), i) if i < last else (net.channels(level - 1), i + 1)
                activation = net.last_activation if i == last and level == 0 else net.activation
                block.append(_layer(net, inputs, outputs, f"up_level_{level}_no_{name}", activation))
                inputs = outputs
            self.up.append(block)
        self.channels = inputs

    def needed(self, span: Span) -> Span:
        return needed(self.to_grid, self._needed_below(span, 0))

    def _needed_below(self, span: Span, level: int) -> Span:
        if level == len(self.down):
            return needed(self.middle, span)
        span = needed([self.up[-1 - level]], span)
        pool = np.array(self.pool.kernel_size)
        below = self._needed_below(Span(span.low // pool, -(-span.high // pool)), level + 1)
        both = Span(np.minimum(span.low, below.low * pool), np.maximum(span.high, below.high * pool))
        return needed([self.down[level]], both)

    def all_but_last(self, x: Tensor, run: Run) -> tuple[nn.Module, Tensor | Join]:
        """Returns the last layers and what goes into them.

        Args:
            x: (N, C, Z, Y, X).
            run: What takes x through all others.
        """
        per_step = len(self.to_grid) // max(self.n_steps, 1)
        for i in range(self.n_steps):
            x = run(self.to_grid[i * per_step : (i + 1) * per_step], x)
        skipped = []
        for block in self.down:
            x = run(block, x)
            skipped.append(x)
            x = self.pool(x)
        layers: nn.Module = self.middle
        source: Tensor | Join = x
        for block in self.up:
            source = Join(run(layers, source), skipped.pop(), self.pool.kernel_size)  # type: ignore[arg-type]
            layers = block
        return layers, source


class StarDistBlock(nn.Module, Local):
    """Convolutions beside a shortcut; the first one strides."""

    def __init__(self, net: ResNet, inputs: int, outputs: int, stride: Triple) -> None:
        super().__init__()
        self.inner = nn.Sequential()
        channels = inputs
        for i in range(net.n_conv_per_block):
            self.inner.append(SameConv3d(channels, outputs, net.kernel_size, stride if i == 0 else (1, 1, 1), bias=not net.batch_norm))
            if net.batch_norm:
                self.inner.append(_norm(outputs))
            if i < net.n_conv_per_block - 1:
                self.inner.append(_activation(net.activation))
            channels = outputs
        same = inputs == outputs and stride == (1, 1, 1)
        self.shortcut = nn.Identity() if same else SameConv3d(inputs, outputs, (1, 1, 1), stride, bias=not net.batch_norm)
        self.activation = _activation(net.activation)

    def needed(self, span: Span) -> Span:
        return needed(self.inner, span)

    def forward(self, x: Tensor, cut: Cut = WHOLE) -> Tensor:
        inner = run(self.inner, x, cut)
        around = self.needed(whole_span((0, 0, 0)))
        for axis, (low, high) in enumerate(cut):  # the shortcut sees less than what is beside it
            first, end = -int(around.low[axis]) if low else 0, int(around.high[axis]) if high else 0
            x = x.narrow(2 + axis, first, x.shape[2 + axis] - first - end)
        y: Tensor = self.activation(self.shortcut(x) + inner)
        return y


class ResNetBackbone(nn.Module):
    """(N, C, Z, Y, X) to (N, channels, Z / grid, Y / grid, X / grid): two plain convolutions, then residual blocks."""

    def __init__(self, net: ResNet, inputs: int, steps: tuple[Triple, ...]) -> None:
        super().__init__()
        channels = net.n_filter_base
        self.stem = nn.Sequential(SameConv3d(inputs, channels, (7, 7, 7)), SameConv3d(channels, channels, (3, 3, 3)))
        self.blocks = nn.Sequential()
        for i in range(net.n_blocks):
            stride = steps[i] if i < len(steps) else (1, 1, 1)
            outputs = channels * 2 if i < len(steps) else channels
            self.blocks.append(StarDistBlock(net, channels, outputs, stride))
            channels = outputs
        self.channels = channels

    def needed(self, span: Span) -> Span:
        return needed([self.stem, self.blocks], span)

    def all_but_last(self, x: Tensor, run: Run) -> tuple[nn.Module, Tensor | Join]:
        """Returns the last layers and what goes into them; run takes x (N, C, Z, Y, X) through all others."""
        x = run(self.stem, x)
        *others, last = self.blocks.children()
        for block in others:
            x = run(block, x)
        return last, x


class StarConvexNet(nn.Module):
    """Normalised volumes to the probability of an object's inside and the distances to its surface.

    Layers are registered in the order in which StarDist makes them.

    Attributes:
        spec: What it is made of.
    """

    def __init__(self, spec: StarConvexSpec) -> None:
        super().__init__()
        self.spec = spec
        net = spec.backbone
        backbone = UNetBackbone if isinstance(net, UNet) else ResNetBackbone
        self.backbone = backbone(net, spec.n_channel_in, spec.steps)  # type: ignore[arg-type]
        channels = self.backbone.channels
        self.features: nn.Module = nn.Identity()
        if spec.conv_after:
            conv = SameConv3d(channels, spec.conv_after, net.kernel_size, name="features")
            self.features = nn.Sequential(conv, _activation(net.activation))
            channels = spec.conv_after
        self.prob = SameConv3d(channels, 1, (1, 1, 1), name="prob")
        self.dist = SameConv3d(channels, spec.n_rays, (1, 1, 1), name="dist")
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns both maps on the grid.

        Args:
            x: (N, C, Z, Y, X); Z, Y, X are multiples of spec.divisor.

        Returns:
            (N, 1, Z', Y', X') in [0, 1] and (N, R, Z', Y', X') in voxels; a distance may come out negative.
        """
        x = at_once(*self.all_but_last(x, at_once))
        return torch.sigmoid(self.prob(x)), self.dist(x)

    def all_but_last(self, x: Tensor, run: Run) -> tuple[nn.Module, Tensor | Join]:
        """Returns the last layers before both heads, and what goes into them; run takes x (N, C, Z, Y, X) through all others."""
        layers, source = self.backbone.all_but_last(x.contiguous(memory_format=torch.channels_last_3d), run)
        return nn.Sequential(layers, self.features), source

    def reach(self) -> tuple[Triple, Triple]:
        """Returns how far, in voxels z y x, the answer depends on what lies before and behind it.

        It holds for a part of the volume that begins and ends at multiples of spec.divisor; of others it is less than one divisor more.
        """
        seen = self.backbone.needed(needed([self.features], whole_span((0, 0, 0))))
        return triple(-seen.low), triple(seen.high)
