"""The StarDist 3-D network in torch: the same layers in the same order as StarDist's, so that its weights fit exactly.

Reference:
    Weigert et al. 2020, "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

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
_HAS_MKLDNN = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
_KERAS_EPSILON, _KERAS_MOMENTUM = 1e-3, 0.01  # of its BatchNormalization; torch counts momentum the other way round


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns the voxels that TensorFlow's padding "same" adds before and behind an axis; an odd one goes behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv3d(nn.Conv3d):
    """A convolution padded as TensorFlow pads, which differs from torch where it strides or a kernel is even.

    Attributes:
        keras_name: What StarDist calls the layer; "" where it leaves the name to Keras.
    """

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1), *, bias: bool = True, name: str = "") -> None:
        self.lopsided = any(s > 1 or k % 2 == 0 for s, k in zip(stride, kernel, strict=True))
        self.around = (0, 0, 0) if self.lopsided else (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        super().__init__(inputs, outputs, kernel, stride, self.around, bias=bias)
        self.keras_name = name

    def forward(self, x: Tensor) -> Tensor:
        if self.lopsided:
            sides: list[int] = []
            for size, kernel, stride in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride), strict=True):
                sides += same_padding(size, kernel, stride)  # from the last axis to the first, as torch wants it
            x = functional.pad(x, sides)
        if _HAS_MKLDNN and x.device.type == "cpu" and x.dtype is torch.float32 and not torch.is_grad_enabled():
            # asked for by name: for one volume of few channels torch would take a loop of its own, which halves the speed of a U-Net
            return torch.mkldnn_convolution(x, self.weight, self.bias, self.around, self.stride, self.dilation, self.groups)
        return super().forward(x)


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
        self.to_grid = nn.Sequential()
        for step in steps:
            for _ in range(net.n_conv_per_depth):
                self.to_grid.append(SameConv3d(inputs, net.n_filter_base, net.kernel_size))
                self.to_grid.append(_activation(net.activation))
                inputs = net.n_filter_base
            self.to_grid.append(nn.MaxPool3d(step))
        self.pool = nn.MaxPool3d(net.pool)
        self.unpool = nn.Upsample(scale_factor=tuple(float(p) for p in net.pool), mode="nearest")
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

    def forward(self, x: Tensor) -> Tensor:
        x = self.to_grid(x)
        skipped = []
        for block in self.down:
            x = block(x)
            skipped.append(x)
            x = self.pool(x)
        x = self.middle(x)
        for block, skip in zip(self.up, reversed(skipped), strict=True):
            x = block(torch.cat([self.unpool(x), skip], dim=1))
        return x


class StarDistBlock(nn.Module):
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

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.shortcut(x) + self.inner(x))
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

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.blocks(self.stem(x))
        return y


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
        x = self.features(self.backbone(x.contiguous(memory_format=torch.channels_last_3d)))
        return torch.sigmoid(self.prob(x)), self.dist(x)
