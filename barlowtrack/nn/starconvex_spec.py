"""What a star-convex network is made of: StarDist's own options, checked once, read from and written to its config.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from stardist import rays3d

from barlowtrack.errors import InputError

Triple = tuple[int, int, int]

ACTIVATIONS = ("relu", "elu", "selu", "tanh", "sigmoid", "softplus", "swish", "linear")
"""Those that mean the same in every version of Keras and have no parameter."""

# StarDist itself evaluates the name as code; a model folder from elsewhere shall not run code here.
_RAYS = ("Rays_GoldenSpiral", "Rays_Cartesian", "Rays_Tetra", "Rays_Octo", "Rays_Explicit")

CIRCLE = "circle"
"""Our name for the rays of a 2-D model, which StarDist leaves without one: evenly around in the plane."""

_FLAT = ("grid", "unet_kernel_size", "unet_pool")  # what a 2-D model says of y and x alone

# Options that say how a model was trained or where it ran, not what it is; n_classes is a further head that prob and dist do not need.
_ASIDE = ("train_", "use_gpu", "n_classes", "n_channel_out", "n_dim", "axes", "net_mask_shape", "resnet_kernel_init", "unet_kernel_init")


_MOST_RAYS = 1024


def _triple(values: Any) -> Triple:
    z, y, x = values
    return int(z), int(y), int(x)


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_triple(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(_is_count(v) for v in value) and max(value) <= 256


def _expect(good: bool, what: str, expected: str, got: object) -> None:
    if not good:
        raise InputError(f"star-convex network: {what}: expected {expected}, got {got}")


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def _counts(least: int, most: int) -> _Check:
    return lambda value: _is_count(value, least) and value <= most, f"a whole number from {least} to {most}"


_Check = tuple[Callable[[Any], bool], str]
_TRIPLE: _Check = (_is_triple, "three whole numbers of at least 1")
_ACTIVATION: _Check = (lambda value: value in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}")
_CHECKS: dict[str, _Check] = {
    "n_depth": _counts(0, 10),
    "n_filter_base": _counts(1, 4096),
    "n_conv_per_depth": _counts(1, 64),
    "n_blocks": _counts(1, 64),
    "n_conv_per_block": _counts(2, 64),
    "kernel_size": _TRIPLE,
    "pool": _TRIPLE,
    "activation": _ACTIVATION,
    "last_activation": _ACTIVATION,
    "batch_norm": (lambda value: isinstance(value, bool), "true or false"),
    "dropout": (lambda value: _is_number(value) and 0 <= value < 1, "a share below 1"),
    "expansion": (lambda value: _is_number(value) and 1 <= value <= 8, "a number from 1 to 8"),
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
    """All that is needed to build a StarDist network and to make instances of what it says.

    A 2-D model is the same network, flat: kernel, pooling and grid are 1 along z, so that it takes a whole volume, plane by plane.

    Attributes:
        backbone: U-Net or ResNet; of a 2-D model a flat U-Net.
        rays: StarDist's rays as its config.json gives them: name and kwargs; of a 2-D model {"name": CIRCLE, "kwargs": {"n": R}}.
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
        _expect(_is_count(self.n_channel_in) and self.n_channel_in <= 64, "n_channel_in", "a whole number from 1 to 64", self.n_channel_in)
        _expect(
            _is_count(self.conv_after, 0) and self.conv_after <= 4096, "net_conv_after", "a whole number from 0 to 4096", self.conv_after
        )
        kind = "resnet" if isinstance(self.backbone, ResNet) else "unet"
        for name, value in vars(self.backbone).items():
            good, expected = _CHECKS[name]
            _expect(good(value), f"{kind}_{name}", expected, value)
        if isinstance(self.backbone, ResNet):
            reach = self.backbone.n_blocks >= len(self.steps)
            _expect(reach, "resnet_n_blocks", f"at least {len(self.steps)}, to reach grid {self.grid}", self.backbone.n_blocks)
        if self.n_dim == 3:
            _ = self.ray_table  # refuses rays that do not exist
        else:
            n = self.rays["kwargs"].get("n")
            _expect(_is_count(n, 3), "n_rays", "a whole number of at least 3", n)
            _expect(isinstance(self.backbone, UNet), "backbone", "unet, as for every 2-D model", kind)
            for name, value in (("grid", self.grid), *((f"unet_{name}", getattr(self.backbone, name)) for name in ("kernel_size", "pool"))):
                _expect(value[0] == 1, name, "1 along z for a 2-D model", value)
            _expect(self.anisotropy is None, "anisotropy", "none for a 2-D model", self.anisotropy)

    @property
    def n_dim(self) -> int:
        """3, or 2 of a network that takes a volume plane by plane."""
        return 2 if self.rays["name"] == CIRCLE else 3

    @cached_property
    def ray_table(self) -> Any:
        """The rays as stardist's compiled geometry wants them: .vertices (R, 3) z y x in voxels, .faces; refuses those of a 2-D model."""
        name = self.rays.get("name")
        # the compiled geometry aborts the whole program on rays that span no space
        _expect(name != CIRCLE, "rays", "those of a 3-D model to make bodies of", "those of a 2-D model, which makes outlines in planes")
        _expect(name in _RAYS, "rays_json.name", f"one of {', '.join(_RAYS)}", name)
        n = self.rays["kwargs"].get("n", 0)
        _expect(_is_number(n) and n <= _MOST_RAYS, "rays_json.kwargs.n", f"at most {_MOST_RAYS}", n)
        try:
            rays = getattr(rays3d, str(name))(**self.rays.get("kwargs", {}))
            vertices, faces = np.asarray(rays.vertices, np.float64), np.asarray(rays.faces)
            good = vertices.ndim == 2 and vertices.shape[1] == 3 and 4 <= len(vertices) <= _MOST_RAYS and bool(np.isfinite(vertices).all())
            good = good and faces.ndim == 2 and faces.shape[1] == 3 and faces.dtype.kind in "iu"
            good = good and faces.min() >= 0 and faces.max() < len(vertices) and bool((np.abs(np.linalg.det(vertices[faces])) > 1e-9).all())
        except (TypeError, ValueError, RuntimeError, OverflowError, IndexError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"star-convex network: rays_json: cannot be built from {str(dict(self.rays))[:200]}: {said}") from None
        _expect(good, "rays_json", "finite rays in all directions and triangles between them", str(dict(self.rays))[:200])
        return rays

    @property
    def n_rays(self) -> int:
        return len(self.ray_table) if self.n_dim == 3 else int(self.rays["kwargs"]["n"])

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
        InputError: channels first, an option that is not known, or a value that cannot be.
    """
    try:
        return _read_config(config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{where}: expected the options of a StarDist model, got a value of another kind ({error})") from None


def _read_config(config: Mapping[str, Any]) -> StarConvexSpec:
    said_axes = config.get("axes")
    n_dim = config.get("n_dim", 2 if said_axes in ("YX", "YXC") else 3)
    axes = "YXC" if n_dim == 2 else "ZYXC"
    fits = n_dim in (2, 3) and said_axes in (None, axes, axes[:-1])
    _expect(fits, "axes", "YXC of a 2-D or ZYXC of a 3-D model, channels last", f"{said_axes} of a {n_dim}-D model")
    if n_dim == 2:
        config = _with_z(config)
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
            raise InputError(f"star-convex network: {key}: is not an option of a StarDist {n_dim}-D model with backbone {kind}")
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
    _expect(spec.n_dim == n_dim, "rays_json.name", f"one of {', '.join(_RAYS)}", spec.rays["name"])
    _expect(n_rays in (None, spec.n_rays), "n_rays", f"{spec.n_rays}, as rays_json says", n_rays)
    return spec


def _with_z(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a 2-D model's options as those of the flat 3-D network that does the same."""
    kind = config.get("backbone", "unet")
    _expect(kind == "unet", "backbone", "unet, as for every 2-D model", kind)
    for key in ("anisotropy", "rays_json"):
        if key in config:
            raise InputError(f"star-convex network: {key}: is not an option of a StarDist 2-D model with backbone {kind}")
    said = {"unet_n_depth": 3, "unet_kernel_size": (3, 3), "unet_pool": (2, 2), "grid": (1, 1), **config}  # Config2D's defaults
    for key in _FLAT:
        good = isinstance(said[key], (tuple, list)) and len(said[key]) == 2 and all(_is_count(v) for v in said[key])
        _expect(good, key, "two whole numbers of at least 1", said[key])
        said[key] = (1, *said[key])
    return {**said, "rays_json": {"name": CIRCLE, "kwargs": {"n": config.get("n_rays", 32)}}}


def config_from_spec(spec: StarConvexSpec) -> dict[str, Any]:
    """Returns the options as StarDist's config.json states them; those of training are left to its defaults."""
    kind = "resnet" if isinstance(spec.backbone, ResNet) else "unet"
    options = {f"{kind}_{name}": getattr(spec.backbone, name) for name in type(spec.backbone).__dataclass_fields__}
    rays = {"name": spec.rays["name"], "kwargs": dict(spec.rays.get("kwargs", {}))}
    said = {
        "axes": "ZYXC"[3 - spec.n_dim :],
        "n_dim": spec.n_dim,
        "n_channel_in": spec.n_channel_in,
        "n_channel_out": 1 + spec.n_rays,
        "n_rays": spec.n_rays,
        "rays_json": rays,
        "grid": spec.grid,
        "anisotropy": spec.anisotropy,
        "backbone": kind,
        "n_classes": None,
        "net_input_shape": [*[None] * spec.n_dim, spec.n_channel_in],
        "net_mask_shape": [*[None] * spec.n_dim, 1],
        **options,
        f"net_conv_after_{kind}": spec.conv_after,
    }
    if spec.n_dim == 2:
        del said["rays_json"], said["anisotropy"]
        said |= {key: said[key][1:] for key in _FLAT}
    return said
