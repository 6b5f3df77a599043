"""What a star-convex network is made of: StarDist's own options, checked once, read from and written to its config.json."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from stardist import rays3d

from barlowtrack.errors import InputError

Triple = tuple[int, int, int]

ACTIVATIONS = ("relu", "elu", "selu", "tanh", "sigmoid", "softplus", "swish", "linear")
"""Those that mean the same in every version of Keras and have no parameter."""

# StarDist itself evaluates the name as code; a model folder from elsewhere shall not run code here.
_RAYS = ("Rays_GoldenSpiral", "Rays_Cartesian", "Rays_Tetra", "Rays_Octo", "Rays_Explicit")

# Options that say how a model was trained or where it ran, not what it is; n_classes is a further head that prob and dist do not need.
_ASIDE = ("train_", "use_gpu", "n_classes", "n_channel_out", "n_dim", "axes", "net_mask_shape", "resnet_kernel_init", "unet_kernel_init")


def _triple(values: Any) -> Triple:
    z, y, x = values
    return int(z), int(y), int(x)


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_triple(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(_is_count(v) for v in value) and math.prod(value) < 10**6


def _expect(good: bool, what: str, expected: str, got: object) -> None:
    if not good:
        raise InputError(f"star-convex network: {what}: expected {expected}, got {got}")


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def _counts(least: int) -> _Check:
    return lambda value: _is_count(value, least), f"a whole number of at least {least}"


_Check = tuple[Callable[[Any], bool], str]
_TRIPLE: _Check = (_is_triple, "three whole numbers of at least 1")
_ACTIVATION: _Check = (lambda value: value in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}")
_CHECKS: dict[str, _Check] = {
    "n_depth": _counts(0),
    "n_filter_base": _counts(1),
    "n_conv_per_depth": _counts(1),
    "n_blocks": _counts(1),
    "n_conv_per_block": _counts(2),
    "kernel_size": _TRIPLE,
    "pool": _TRIPLE,
    "activation": _ACTIVATION,
    "last_activation": _ACTIVATION,
    "batch_norm": (lambda value: isinstance(value, bool), "true or false"),
    "dropout": (lambda value: _is_number(value) and 0 <= value < 1, "a share below 1"),
    "expansion": (lambda value: _is_number(value) and value >= 1, "a number of at least 1"),
    "prefix": (lambda value: isinstance(value, str), "a text"),
}


@dataclass(frozen=True)
class UNet:
    """The U-Net backbone; every field is StarDist's option unet_NAME.

    Attributes:
        n_depth: Levels below the first.
        kernel_size: Of every convolution, z y x, in voxels.
        n_filter_base: Channels of the first level.
        n_conv_per_depth: Convolutions of a level, each way.
        pool: Pooling between levels, z y x.
        activation: Of every convolution.
        last_activation: Of the last one.
        batch_norm: Normalise behind every convolution.
        dropout: Share of activations dropped in training.
        expansion: Channels grow by this factor a level.
        prefix: Of the layers' names in the file.
    """

    n_depth: int = 2
    kernel_size: Triple = (3, 3, 3)
    n_filter_base: int = 32
    n_conv_per_depth: int = 2
    pool: Triple = (2, 2, 2)
    activation: str = "relu"
    last_activation: str = "relu"
    batch_norm: bool = False
    dropout: float = 0.0
    expansion: float = 2
    prefix: str = ""

    def channels(self, level: int) -> int:
        """Returns the channels of a level; what is above the first level counts as the first."""
        return int(self.n_filter_base * self.expansion ** max(0, level))


@dataclass(frozen=True)
class ResNet:
    """The ResNet backbone; every field is StarDist's option resnet_NAME.

    Attributes:
        n_blocks: Residual blocks.
        kernel_size: Of their convolutions, z y x, in voxels.
        n_filter_base: Channels of the first block; doubled by every block that strides.
        n_conv_per_block: At least 2.
        activation: Of every convolution.
        batch_norm: Normalise behind every convolution.
    """

    n_blocks: int = 4
    kernel_size: Triple = (3, 3, 3)
    n_filter_base: int = 32
    n_conv_per_block: int = 3
    activation: str = "relu"
    batch_norm: bool = False


@dataclass(frozen=True)
class StarConvexSpec:
    """All that is needed to build a StarDist 3-D network and to make instances of what it says.

    Attributes:
        backbone: U-Net or ResNet.
        rays: StarDist's rays as its config.json gives them: name and kwargs.
        grid: The network answers for every grid-th voxel, z y x; powers of 2.
        anisotropy: Voxels an object spans relative to each other, z y x; None where it was not given.
        n_channel_in: Channels of the volume.
        conv_after: Channels of the layer "features" behind the backbone; 0: none.
    """

    backbone: UNet | ResNet = UNet()
    rays: Mapping[str, Any] = field(default_factory=lambda: {"name": "Rays_GoldenSpiral", "kwargs": {"n": 96, "anisotropy": None}})
    grid: Triple = (1, 1, 1)
    anisotropy: tuple[float, float, float] | None = None
    n_channel_in: int = 1
    conv_after: int = 128

    def __post_init__(self) -> None:
        object.__setattr__(self, "rays", {"name": self.rays.get("name"), "kwargs": _frozen(self.rays.get("kwargs", {}))})
        _expect(_is_triple(self.grid) and all(g & (g - 1) == 0 for g in self.grid), "grid", "three powers of 2", self.grid)
        _expect(_is_count(self.n_channel_in), "n_channel_in", "a whole number of at least 1", self.n_channel_in)
        _expect(_is_count(self.conv_after, 0), "net_conv_after", "a whole number of at least 0", self.conv_after)
        kind = "resnet" if isinstance(self.backbone, ResNet) else "unet"
        for name, value in vars(self.backbone).items():
            good, expected = _CHECKS[name]
            _expect(good(value), f"{kind}_{name}", expected, value)
        if isinstance(self.backbone, ResNet):
            reach = self.backbone.n_blocks >= len(self.steps)
            _expect(reach, "resnet_n_blocks", f"at least {len(self.steps)}, to reach grid {self.grid}", self.backbone.n_blocks)
        _ = self.ray_table  # refuses rays that do not exist

    @cached_property
    def ray_table(self) -> Any:
        """The rays as stardist's compiled geometry wants them: .vertices (R, 3) z y x in voxels, .faces."""
        name = self.rays.get("name")
        _expect(name in _RAYS, "rays_json.name", f"one of {', '.join(_RAYS)}", name)
        try:
            return getattr(rays3d, str(name))(**self.rays.get("kwargs", {}))
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"star-convex network: rays_json: cannot be built from {dict(self.rays)}: {error}") from None

    @property
    def n_rays(self) -> int:
        return len(self.ray_table)

    @property
    def steps(self) -> tuple[Triple, ...]:
        """The poolings, one behind the other, that lead from the volume to the grid."""
        steps: list[Triple] = []
        reached: Triple = (1, 1, 1)
        while reached != self.grid:
            step = tuple(2 if want > have else 1 for want, have in zip(self.grid, reached, strict=True))
            reached = _triple(have * s for have, s in zip(reached, step, strict=True))
            steps.append(_triple(step))
        return tuple(steps)

    @property
    def divisor(self) -> Triple:
        """Z, Y, X of a volume that goes through the network must be multiples of this."""
        if isinstance(self.backbone, ResNet):
            return self.grid
        return _triple(p**self.backbone.n_depth * g for p, g in zip(self.backbone.pool, self.grid, strict=True))


def spec_from_config(config: Mapping[str, Any], where: str = "config.json") -> StarConvexSpec:
    """Reads StarDist's options.

    Args:
        config: What its config.json says; what is missing takes StarDist's default.
        where: The file, for errors.

    Raises:
        InputError: a 2-D model, channels first, an option that is not known, or a value that cannot be.
    """
    try:
        return _read_config(config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: expected the options of a StarDist 3-D model, got a value of another kind ({error})") from None


def _read_config(config: Mapping[str, Any]) -> StarConvexSpec:
    axes = str(config.get("axes", "ZYXC"))
    _expect(int(config.get("n_dim", 3)) == 3 and axes in ("ZYX", "ZYXC"), "axes", "a 3-D model, channels last (ZYXC)", axes)
    kind = config.get("backbone", "unet")
    _expect(kind in ("unet", "resnet"), "backbone", "unet or resnet", kind)
    maker: type[UNet] | type[ResNet] = UNet if kind == "unet" else ResNet
    options: dict[str, Any] = {}
    known = {"backbone", "grid", "anisotropy", "n_channel_in", "rays_json", "n_rays", f"net_conv_after_{kind}", "net_input_shape"}
    for key, value in config.items():
        name = key.removeprefix(f"{kind}_")
        if name != key and name in maker.__dataclass_fields__:
            options[name] = tuple(value) if isinstance(value, list) else value
        elif key not in known and not key.startswith(_ASIDE):
            raise InputError(f"star-convex network: {key}: is not an option of a StarDist 3-D model with backbone {kind}")
    if options.get("last_activation", "") is None:
        options["last_activation"] = options.get("activation", "relu")
    if options.get("dropout", 0) is None:
        options["dropout"] = 0.0
    n_rays, rays = config.get("n_rays"), config.get("rays_json")
    if rays is None:
        rays = {"name": "Rays_GoldenSpiral", "kwargs": {"n": n_rays or 96, "anisotropy": None}}
    anisotropy = config.get("anisotropy")
    spec = StarConvexSpec(
        maker(**options),
        rays,
        _triple(config.get("grid", (1, 1, 1))),
        None if anisotropy is None else tuple(anisotropy),
        config.get("n_channel_in", 1),
        config.get(f"net_conv_after_{kind}", 128),
    )
    _expect(n_rays in (None, spec.n_rays), "n_rays", f"{spec.n_rays}, as rays_json says", n_rays)
    return spec


def config_from_spec(spec: StarConvexSpec) -> dict[str, Any]:
    """Returns the options as StarDist's config.json states them; those of training are left to its defaults."""
    kind = "resnet" if isinstance(spec.backbone, ResNet) else "unet"
    options = {f"{kind}_{name}": getattr(spec.backbone, name) for name in type(spec.backbone).__dataclass_fields__}
    rays = {"name": spec.rays["name"], "kwargs": dict(spec.rays.get("kwargs", {}))}
    return {
        "axes": "ZYXC",
        "n_dim": 3,
        "n_channel_in": spec.n_channel_in,
        "n_channel_out": 1 + spec.n_rays,
        "n_rays": spec.n_rays,
        "rays_json": rays,
        "grid": spec.grid,
        "anisotropy": spec.anisotropy,
        "backbone": kind,
        "n_classes": None,
        "net_input_shape": [None, None, None, spec.n_channel_in],
        "net_mask_shape": [None, None, None, 1],
        **options,
        f"net_conv_after_{kind}": spec.conv_after,
    }
