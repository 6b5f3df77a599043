"""Every knob on one page: one section a stage, strict at every level, each with its bounds and a line that explains it.

CLI help, the commented default file, the JSON schema and the docs table are derived from these classes; a default is stated
once, here.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from barlowtrack.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=4096)]
Length = Annotated[float, Field(ge=0.001, le=1000)]
"""In um; beyond lies a mistake of units, and numbers that overflow."""
Lengths = tuple[Length, Length, Length]
Place = Annotated[float, Field(ge=-1e6, le=1e6)]
NameOrIndex = Annotated[str, Field(min_length=1)] | Annotated[int, Field(strict=True, ge=0)]
LARGEST_MARGIN = 3.0
"""Of crop.margin: crops grow with its square."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False, validate_default=True)


Section = TypeVar("Section", bound=BaseModel)


class RecordingConfig(_Section):
    """The recording: what its metadata does not say, or says wrongly."""

    voxel_size_um: Lengths | None = Field(None, description="Distance between voxel centres along z, y, x in um; empty: from the metadata.")
    rate_hz: float | None = Field(None, ge=1e-6, le=1e6, description="Volumes a second; empty: from the metadata.")
    axes: str | None = Field(
        None, pattern="^[TCZYX]{2,5}$", description="Order of the axes of each file, such as ZCYX; empty: from the metadata."
    )
    dataset: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Where a file holds several images, the one that is meant, such as images/red in HDF5; or one for each channel.",
    )
    planes: int | None = Field(
        None, ge=1, le=100_000, description="Planes a volume, where a TIFF holds nothing but planes, one volume after another."
    )
    channel_names: tuple[str, ...] | None = Field(None, description="A name for every channel; empty: from the metadata.")
    reference_channel: NameOrIndex | None = Field(None, description="Name or index of the channel that shows where the neurons are (red).")
    signal_channel: NameOrIndex | None = Field(None, description="Name or index of the channel that shows their activity (green).")

    @field_validator("dataset", mode="before")
    @classmethod
    def _one_or_several(cls, dataset: object) -> object:
        return (dataset,) if isinstance(dataset, str) else dataset

    @field_validator("dataset")
    @classmethod
    def _no_zeros_inside(cls, dataset: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if any(not name or "\0" in name for name in dataset or ()):
            raise ValueError("expected names that are not empty")
        return dataset

    @field_validator("channel_names")
    @classmethod
    def _names_apart(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        plain = [name.strip().lower() for name in names or ()]
        if names is not None and (not names or not all(plain) or len(set(plain)) < len(plain)):
            raise ValueError("expected a name for every channel, each another")
        return names


class ComputeConfig(_Section):
    """The machine; changes how fast results come, not what they mean."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where networks run; auto takes a GPU when there is one.")
    workers: int = Field(0, ge=0, le=256, description="Threads that work on volumes side by side; 0: one a core, at most 8.")
    memory_gb: Positive = Field(4.0, description="What a stage may hold beside its model, in GB.")


class PrepareConfig(_Section):
    """prepare: put the pictures right before anybody looks at them; as it comes, nothing is done."""

    background: bool = Field(
        False,
        description="Take the camera's offset and stray light off every channel and volume: the level where there is no light, measured.",
    )
    offset: tuple[Annotated[float, Field(ge=-1e9, le=1e9)], ...] | None = Field(
        None, description="Take this off instead, one number a channel; empty: nothing, or with background what is measured."
    )
    hot_pixels: bool = Field(False, description="Replace pixels of the cameras that are stuck bright or dark by their neighbours.")
    jitter: bool = Field(
        False, description="Put planes of a volume that jump against each other back, by what neighbouring planes have in common."
    )
    alignment: bool = Field(
        False, description="Lay the camera of the signal channel over that of the reference: shifted, turned, scaled, sheared, as measured."
    )
    alignment_matrix: tuple[Place, Place, Place, Place, Place, Place] | None = Field(
        None,
        description="Or by these numbers a, b, c, d, e, f: what lies at (y, x) of the reference, in voxels, lies at (a y + b x + c,"
        " d y + e x + f) of the signal.",
    )
    drift: bool = Field(False, description="Hold the picture still where the whole field drifts slowly; along z by whole planes.")
    planes: tuple[Annotated[int, Field(ge=0, le=100_000)], Annotated[int, Field(ge=1, le=100_000)]] | None = Field(
        None, description="Keep planes from the first of these to before the second, counted from 0; empty: all."
    )
    mirror: Literal["none", "z", "y", "x"] = Field("none", description="Turn the picture over along this axis, where optics mirror it.")
    interpolation: Literal["linear", "cubic"] = Field(
        "linear", description="Between voxels, where planes are moved: cubic keeps small nuclei sharper, and may ring beside bright ones."
    )
    deconvolution: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="Sharpen every volume: richardson-lucy, or the name of what you have installed for it; empty: no. Takes time whenever a"
        " volume is read, and its light is no measure of the camera's any more.",
    )
    psf_um: tuple[Length, Length] = Field(
        (0.8, 0.3), description="deconvolution: standard deviation of the point spread along z and in the plane, in um."
    )
    iterations: int = Field(10, ge=1, le=1000, description="deconvolution: how often; more is sharper, and noisier.")

    @property
    def asked(self) -> bool:
        """Whether anything is to be done."""
        switches = (self.background, self.hot_pixels, self.jitter, self.alignment, self.drift, self.mirror != "none", self.deconvolution)
        return any(switches) or not all(given is None for given in (self.offset, self.alignment_matrix, self.planes))

    @field_validator("alignment_matrix")
    @classmethod
    def _can_be_undone(cls, matrix: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if matrix is not None and not 0.05 < abs(matrix[0] * matrix[4] - matrix[1] * matrix[3]) < 20:
            raise ValueError("expected six numbers row by row, near 1 0 0 0 1 0")
        return matrix

    @field_validator("planes")
    @classmethod
    def _first_plane_first(cls, planes: tuple[int, int] | None) -> tuple[int, int] | None:
        if planes is not None and planes[0] >= planes[1]:
            raise ValueError("expected the first plane to keep, then the one after the last")
        return planes


class SegmentConfig(_Section):
    """segment: find the nuclei of every volume."""

    method: Literal["stardist", "log"] = Field(
        "stardist", description="stardist: a star-convex network; log: multi-scale Laplacian of Gaussian and watershed, without a model."
    )
    model: str = Field(
        "",
        description="stardist: folder of a StarDist model (config.json, weights_best.h5); empty: the one that comes along.",
    )
    model_voxel_um: Lengths | None = Field(
        None, description="stardist: voxel size that the model was trained on, z y x; empty: what the model says, or the recording's own."
    )
    probability: float | None = Field(None, ge=0.01, lt=1, description="stardist: least probability of a nucleus; empty: the model's own.")
    overlap: float | None = Field(
        None, gt=0, le=0.9, description="stardist: of two nuclei that share more than this the surer one stays; empty: the model's own."
    )
    expected: int | None = Field(
        None, ge=1, description="About how many nuclei a volume shows; moves the least probability or quality towards it, within bounds."
    )
    max_nuclei: int | None = Field(None, ge=1, description="Most nuclei of a volume: the surest ones are kept.")
    region_um: tuple[Place, Place, Place, Place, Place, Place] | None = Field(
        None, description="Keep nuclei whose middle lies in this box, in all volumes: z, y, x of its first corner, then of its last, in um."
    )
    radius_um: tuple[Length, Length] = Field(
        (1.1, 2.2),
        description="Smallest and largest radius of a nucleus, at half its brightness, in um; a model sees nuclei at the size it knows.",
    )
    n_scales: int = Field(2, ge=1, le=10, description="log: detector scales between the two radii.")
    min_quality: float | None = Field(
        None, ge=0, description="Least contrast of a nucleus, in units of the volume's noise; empty: 8 for log, none for stardist."
    )
    min_volume_um3: float = Field(1.0, ge=0, description="Instances smaller than this are dropped, in um^3.")

    @field_validator("region_um")
    @classmethod
    def _corners(cls, region_um: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if region_um is not None and any(a >= b for a, b in zip(region_um[:3], region_um[3:], strict=True)):
            raise ValueError("expected the corner with the smaller z, y, x first")
        return region_um

    @field_validator("radius_um")
    @classmethod
    def _smaller_first(cls, radius_um: tuple[float, float]) -> tuple[float, float]:
        if radius_um[0] > radius_um[1]:
            raise ValueError("expected the smaller radius first")
        return radius_um


class CropConfig(_Section):
    """crop: cut a box around every nucleus."""

    size_um: Lengths = Field((12.0, 24.0, 24.0), description="Size of the box along z, y, x in um.")
    grid: tuple[Count, Count, Count] = Field((8, 32, 32), description="Voxels of the box along z, y, x, whatever the recording's own.")
    margin: float = Field(
        1.4, ge=1, le=LARGEST_MARGIN, description="Training crops are this much larger, so that no augmented view shows an empty corner."
    )
    training_volumes: int = Field(100, ge=1, description="Volumes, evenly spread, whose crops are kept for training.")


class TrainConfig(_Section):
    """train: get an encoder ready that tells the neurons apart."""

    mode: Literal["zero-shot", "fine-tune", "scratch"] = Field(
        "zero-shot",
        description="zero-shot: take an encoder as it is; fine-tune: train it further on this recording; scratch: from random weights.",
    )
    start: str = Field(
        "", description="zero-shot, fine-tune: encoder.safetensors of another run, or of training on many; empty: the one that comes along."
    )
    epochs: int | None = Field(
        None, ge=0, description="Passes over the training volumes; empty: 20 from scratch, 5 to fine-tune. zero-shot makes none."
    )
    rounds: int = Field(
        0,
        ge=0,
        le=20,
        description="Rounds of self-training: before each, the tracker says which nuclei of different volumes are surely one neuron,"
        " and they are shown as two views; 0: views of one volume alone.",
    )
    learning_rate: Positive = Field(5e-4, description="Step size of Adam.")
    objective: Literal["barlow-object", "barlow", "object", "vicreg", "simclr", "moco", "swav", "byol", "simsiam", "dino"] = Field(
        "simclr", description="What training minimises; barlow-object, as published: Barlow Twins over features and over objects."
    )
    temperature: float | None = Field(
        None, ge=1e-3, le=1e3, description="simclr, moco, swav, dino: how softly similarities are compared; empty: as published."
    )
    alpha: Share = Field(0.67, description="barlow-object: weight of the object term against the feature term; 0 is plain Barlow Twins.")
    lambda_off_diagonal: float = Field(0.0051, ge=0, description="Weight of off-diagonal correlations in both terms of Barlow Twins.")
    object_scale: Literal["published", "per_object"] = Field(
        "published", description="Divide the object term of N nuclei by N^2, as published, or by N (per_object): then it weighs more."
    )
    lambda_object: float | None = Field(
        None, ge=0, description="Weight of off-diagonal correlations in the object term; empty: lambda_off_diagonal, as published."
    )
    schedule: Literal["constant", "cosine"] = Field("cosine", description="Step size over training: constant, or falling to zero.")
    embedding_dim: int = Field(64, ge=2, le=4096, description="scratch: length of an embedding.")
    projector_dims: tuple[Count, ...] = Field((512, 512, 256), description="Widths of the projector, which is dropped after training.")
    rotation_deg: float | None = Field(
        None,
        ge=0,
        le=180,
        description="Views are rotated about z by up to this angle; empty: as far as the surroundings of nuclei turn in this recording,"
        " measured on positions, and 60 where too few volumes tell.",
    )
    rotation: Literal["per_object", "shared"] = Field(
        "per_object", description="Every nucleus of a view turns by an angle of its own, or all by the same one (shared)."
    )
    tilt_deg: float = Field(0.0, ge=0, le=30, description="Views are tilted about x and about y by up to this angle each.")
    scale: float = Field(0.0, ge=0, le=0.5, description="Views are enlarged or made smaller along z, y and x by up to this share.")
    elastic_vox: float = Field(1.5, ge=0, description="Elastic deformation of views, in voxels of the crop grid.")
    shift_vox: float = Field(0.5, ge=0, description="Shift of views, in voxels of the crop grid.")
    shift_z_vox: float = Field(0.0, ge=0, description="Further shift of views along z alone, in voxels of the crop grid.")
    noise: float = Field(0.02, ge=0, description="Noise added to views, after scaling, as a share of the brightest neuron.")
    brightness: Share = Field(0.05, description="Views are scaled in brightness by up to this share.")
    blur_vox: float = Field(
        0.0, ge=0, le=10, description="Views are blurred in the plane by up to this spread, in voxels of the crop grid."
    )
    neighbour_dropout: Share = Field(0.0, description="Probability that light beside the nucleus is taken out of a view.")
    missing_planes: Share = Field(0.0, description="Probability of each plane of a view to be dark.")
    held_out: Share = Field(0.1, description="Share of the training volumes kept aside to measure agreement.")

    @property
    def n_epochs(self) -> int:
        """Passes over the training volumes in this mode."""
        if self.mode == "zero-shot":
            return 0
        return self.epochs if self.epochs is not None else {"fine-tune": 5, "scratch": 20}[self.mode]


class EmbedConfig(_Section):
    """embed: describe every nucleus by a vector."""

    batch: int = Field(512, ge=1, description="Crops a forward pass.")


class TrackConfig(_Section):
    """track: decide which nuclei are the same neuron."""

    position: bool = Field(True, description="Use positions; false: embeddings alone.")
    appearance: bool = Field(True, description="Use embeddings; false: positions alone.")
    min_probability: Share = Field(0.0, description="Assignments below this probability become unknown.")
    max_error: Share | None = Field(
        None, description="Least sure assignments become unknown until the expected share of wrong ones is at most this, such as 0.01."
    )


class MeasureConfig(_Section):
    """measure: read the light of every nucleus, and where neurons should be that were not found."""

    background_percentile: float = Field(
        20.0, ge=0, le=100, description="Percentile of the shell around a nucleus taken as its background."
    )
    shell_um: Length = Field(
        2.0,
        le=20,
        description="Thickness of that shell in um; at most 20: beyond a few nuclei's width it is no background of this nucleus any more,"
        " and reading it takes time and memory with the third power.",
    )
    brightest_voxels: int = Field(20, ge=1, le=100_000, description="Voxels that the reading 'brightest' takes the mean of.")
    saturated_at: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Value at which the camera is at its end, of both channels; empty: of each channel, the most that the voxels' type of"
        " whole numbers holds, or the most of 8, 10, 12 or 14 bits (in the lowest or the highest of 16) where its brightest nucleus is"
        " exactly that.",
    )


class TraceConfig(_Section):
    """trace: make the activity of every neuron of its light."""

    reading: Literal["mean", "sum", "brightest", "soft"] = Field(
        "soft",
        description="Of a nucleus: the mean of its voxels; their sum; the mean of its brightest (measure.brightest_voxels); soft: the"
        " mean in which its middle counts most.",
    )
    background: bool = Field(True, description="Subtract the background of each nucleus.")
    unseen: Literal["predicted", "gap"] = Field(
        "predicted", description="A neuron that no nucleus of a volume is: read where the atlas expects it, or leave a gap."
    )
    bleaching: Literal["auto", "none", "mono", "bi"] = Field(
        "auto", description="Fading that is divided out of each channel: one or two exponentials, what fits of both and none, or none."
    )
    motion: Literal["none", "linear"] = Field(
        "linear",
        description="linear: what moves alike in the reference channel is taken out of green before dF/F0; none where green shines into"
        " that channel: activity would go with it.",
    )
    r0_percentile: float = Field(
        20.0, ge=0, le=100, description="Percentile of a neuron's ratio taken as its R0, and of its green light as its F0; 50: the median."
    )
    swaps: bool = Field(True, description="Look for neurons that were taken for each other, by their light.")
    min_probability: Share = Field(0.0, description="Values below this probability are left out of the traces.")
    max_gap: int = Field(0, ge=0, le=100_000, description="Gaps of up to this many volumes are bridged by a straight line; 0: none is.")
    smooth: float = Field(0.0, ge=0, le=10_000, description="Width of the Gaussian that smooths traces, in volumes; 0: none does.")


class ReportConfig(_Section):
    """report: the page that says what came out and how far to trust it."""

    max_traces: int = Field(40, ge=1, description="Single traces shown, best first.")


class SegmentationTrainingConfig(_Section):
    """train-segmentation: teach a star-convex network from labelled volumes."""

    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random.")
    voxel_size_um: Lengths = Field((1.2, 0.4, 0.4), description="Voxel size of the model along z, y, x; pairs are resampled to it.")
    radius_um: tuple[Length, Length] | None = Field(
        None,
        description="Smallest and largest radius of the pairs' nuclei; others are scaled to it by segment.radius_um; empty: they are not.",
    )
    grid: tuple[Count, Count, Count] = Field((1, 2, 2), description="The network answers for every grid-th voxel, z y x; powers of 2.")
    rays: int = Field(64, ge=16, le=256, description="Rays from a nucleus' middle to its rim.")
    filters: int = Field(16, ge=4, le=256, description="Channels of the network's first level.")
    depth: int = Field(2, ge=0, le=5, description="Levels of the U-Net below its first.")
    features: int = Field(64, ge=0, le=1024, description="Channels of the layer before the two outputs; 0: no such layer.")
    low_percentile: float = Field(1.0, ge=0, le=50, description="Percentile of a volume that becomes 0.")
    high_percentile: float = Field(99.8, ge=50, le=100, description="Percentile of a volume that becomes 1.")
    curve: float = Field(20.0, ge=0, le=1000, description="Lifts dim nuclei: asinh(curve v) / asinh(curve); 0: brightness stays linear.")
    epochs: int = Field(50, ge=1, description="Rounds of training.")
    steps: int = Field(200, ge=1, description="Steps a round.")
    batch: int = Field(4, ge=1, le=1024, description="Patches a step.")
    patch: tuple[Count, Count, Count] = Field((24, 64, 64), description="Voxels of a patch along z, y, x.")
    learning_rate: Positive = Field(1e-3, description="Step size of Adam; falls to zero as a cosine.")
    foreground: Share = Field(0.9, description="Share of the patches whose middle lies in a nucleus.")
    gain: float = Field(2.5, ge=1, le=100, description="Patches are brightened or darkened by up to this factor.")
    noise: float = Field(0.03, ge=0, description="Noise added to patches, at most; 1 is the bright end of a volume.")
    held_out: Share = Field(0.1, description="Share of the pairs kept aside to choose the best round and the thresholds.")
    half_precision: bool = Field(True, description="Convolve in bfloat16 while training.")


class Config(_Section):
    """All settings."""

    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random.")
    recording: RecordingConfig = RecordingConfig()
    compute: ComputeConfig = ComputeConfig()
    prepare: PrepareConfig = PrepareConfig()
    segment: SegmentConfig = SegmentConfig()
    crop: CropConfig = CropConfig()
    train: TrainConfig = TrainConfig()
    embed: EmbedConfig = EmbedConfig()
    track: TrackConfig = TrackConfig()
    measure: MeasureConfig = MeasureConfig()
    trace: TraceConfig = TraceConfig()
    report: ReportConfig = ReportConfig()


def load(path: Path | None = None, overrides: Sequence[str] = (), base: Config | None = None) -> Config:
    """Reads settings: a TOML file over the base (the defaults), then overrides such as "track.min_probability=0.5" over both.

    Raises:
        ConfigError: a file that is no TOML, a setting that does not exist, or a value out of bounds; names all three.
    """
    values = (base or Config()).model_dump()
    where = "settings"
    if path is not None:
        where = path.name
        values = _merge(values, _moved(_read_toml(path)), where)
    config = validate(values, where)
    if overrides:
        for override in overrides:
            values = _merge(values, _parse_override(override), "--set")
        config = validate(values, "--set")
    return config


def validate(values: Mapping[str, Any], where: str = "settings") -> Config:
    """Makes a Config of nested plain values.

    Raises:
        ConfigError: one line a wrong setting: where, which, what was expected, what was given.
    """
    _refuse_unknown(values, Config, where, ())
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(where, problem) for problem in error.errors())) from None


def load_section(section: type[Section], path: Path | None = None, overrides: Sequence[str] = ()) -> Section:
    """Reads the settings of one section that stands alone, such as SegmentationTrainingConfig: a TOML file, then overrides over it.

    Raises:
        ConfigError: as load does.
    """
    values: dict[str, Any] = {}
    where = "--set"
    if path is not None:
        where = path.name
        values = _read_toml(path)
        _refuse_unknown(values, section, where, ())
    for override in overrides:
        over = _parse_override(override, 'such as "epochs=20"')
        _refuse_unknown(over, section, "--set", ())
        values = {**values, **over}
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(where, problem) for problem in error.errors())) from None


def load_recording(path: Path) -> RecordingConfig:
    """Reads what a file beside a recording says of it: the settings of [recording], under that heading or without one.

    Raises:
        ConfigError: as load does.
    """
    values = _read_toml(path)
    said = values.get("recording")
    if isinstance(said, dict):
        others = [name for name in values if name != "recording"]
        if others:
            raise ConfigError(f"{path}: {others[0]} does not belong here: expected nothing but [recording]; other settings go to --config")
        values = said
    _refuse_unknown(values, RecordingConfig, str(path), ())
    try:
        return RecordingConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(str(path), problem) for problem in error.errors())) from None


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yields the name and class of every section."""
    for name, info in Config.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield name, info.annotation


def to_toml(config: Config, *, commented: bool = False, empty: bool = False, only: Collection[str] | None = None) -> str:
    """Returns the settings as TOML.

    Args:
        config: Settings.
        commented: Each with its explanation above it, an empty one as a comment.
        empty: Name those that are not set, as comments.
        only: Sections to name; all where not given.
    """
    lines = [*_toml_lines("seed", Config.model_fields["seed"].description, config.seed, commented)]
    for name, section in sections():
        if only is not None and name not in only:
            continue
        lines += ["", f"[{name}]" + (f"  # {(section.__doc__ or '').splitlines()[0]}" if commented else "")]
        for key, info in section.model_fields.items():
            value = getattr(getattr(config, name), key)
            unset = value is None and empty and not commented
            lines += [f"# {key}: not set"] if unset else _toml_lines(key, info.description, value, commented)
    return "\n".join(lines) + "\n"


def section_to_toml(section: _Section) -> str:
    """Returns one section that stands alone as TOML, each setting with its explanation above it."""
    lines = [f"# {(section.__doc__ or '').splitlines()[0]}"]
    for key, info in type(section).model_fields.items():
        lines += _toml_lines(key, info.description, getattr(section, key), True)
    return "\n".join(lines) + "\n"


def to_schema() -> str:
    """Returns the JSON schema of the settings."""
    return json.dumps(Config.model_json_schema(), indent=2)


def parse_value(text: str) -> Any:
    """Reads a value as TOML would ("1e-6" is a number, "[1, 2]" a list); what is no TOML is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Says how two settings differ: "track.min_probability 0.0 -> 0.5", one text a setting."""
    said = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            said += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            said.append(f"{prefix}{key} {_toml_value(before)} -> {_toml_value(after)}")
    return said


def _read_toml(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ConfigError(f"{path}: expected a file, got a pipe, a socket or a device, which is not read")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _moved(values: dict[str, Any]) -> dict[str, Any]:
    """Returns settings of a file with those in their section that an older version kept in another: run folders outlive versions."""
    old, new = values.get("trace"), values.get("measure", {})
    if not isinstance(old, dict) or not isinstance(new, dict):
        return values  # refused later, by name
    moved = {name: old[name] for name in MeasureConfig.model_fields if name in old}
    return values | {"trace": {name: old[name] for name in old if name not in moved}, "measure": moved | new} if moved else values


def _parse_override(text: str, example: str = 'section.setting=value, such as "track.min_probability=0.5"') -> dict[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set {text}: expected {example}")
    nested: Any = parse_value(value.strip())
    for part in reversed(name.strip().split(".")):
        nested = {part: nested}
    return dict(nested)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any], where: str) -> dict[str, Any]:
    _refuse_unknown(over, Config, where, ())
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = {**old, **value} if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _refuse_unknown(values: Mapping[str, Any], model: type[BaseModel], where: str, path: tuple[str, ...]) -> None:
    known = model.model_fields
    for key, value in values.items():
        title = f"[{'.'.join(path)}] {key}" if path else key
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
            raise ConfigError(f"{where}: {title} is not a setting; {hint}")
        annotation = known[key].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: {title} is a section; expected settings below it, got {value!r}")
            _refuse_unknown(value, annotation, where, (*path, key))


def _explain(where: str, problem: Any) -> str:
    *path, key = [str(part) for part in problem["loc"] if not (isinstance(part, str) and part.startswith(("tuple", "function")))]
    hint = ""
    if key.isdecimal() and path:  # one number of several
        key = f"{path.pop()}, number {int(key) + 1}"
    if key.startswith("voxel_size_um"):
        hint = "; sizes are in um, in the order z y x"
    title = f"[{'.'.join(path)}] {key}" if path else key
    said = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {title}: {said[:1].lower()}{said[1:]}, got {problem['input']!r}{hint}"


def _toml_value(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return repr(value)


def _toml_lines(key: str, description: str | None, value: Any, commented: bool) -> list[str]:
    lines = [f"# {description}"] if commented and description else []
    if value is None:
        return [*lines, f"# {key} ="] if commented else lines
    return [*lines, f"{key} = {_toml_value(value)}"]
