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
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from barlowtrack.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=4096)]
Length = Annotated[float, Field(ge=0.001, le=1000)]
"""In um; beyond lies a mistake of units, and numbers that overflow."""
Lengths = tuple[Length, Length, Length]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False, validate_default=True)


class RecordingConfig(_Section):
    """The recording: what its metadata does not say, or says wrongly."""

    voxel_size_um: Lengths | None = Field(None, description="Distance between voxel centres along z, y, x in um; empty: from the metadata.")
    rate_hz: float | None = Field(None, ge=1e-6, le=1e6, description="Volumes a second; empty: from the metadata.")
    axes: str | None = Field(
        None, pattern="^[TCZYX]{2,5}$", description="Order of the axes of each file, such as ZCYX; empty: from the metadata."
    )
    channel_names: tuple[str, ...] | None = Field(None, description="A name for every channel; empty: from the metadata.")
    reference_channel: str | int | None = Field(None, description="Name or index of the channel that shows where the neurons are (red).")
    signal_channel: str | int | None = Field(None, description="Name or index of the channel that shows their activity (green).")


class ComputeConfig(_Section):
    """The machine; changes how fast results come, not what they mean."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where networks run; auto takes a GPU when there is one.")
    workers: int = Field(0, ge=0, le=256, description="Threads that work on volumes side by side; 0: one a core, at most 8.")
    memory_gb: Positive = Field(4.0, description="What a stage may hold beside its model, in GB.")


class SegmentConfig(_Section):
    """segment: find the nuclei of every volume."""

    method: Literal["log"] = Field("log", description="log: multi-scale Laplacian of Gaussian and watershed.")
    radius_um: tuple[Length, Length] = Field((1.1, 2.2), description="Smallest and largest radius of a nucleus in um.")
    n_scales: int = Field(2, ge=1, le=10, description="Detector scales between the two radii.")
    min_quality: float = Field(8.0, ge=0, description="Least contrast of a nucleus, in units of the volume's noise.")
    min_volume_um3: float = Field(1.0, ge=0, description="Instances smaller than this are dropped, in um^3.")

    @field_validator("radius_um")
    @classmethod
    def _smaller_first(cls, radius_um: tuple[float, float]) -> tuple[float, float]:
        if radius_um[0] > radius_um[1]:
            raise ValueError("expected the smaller radius first")
        return radius_um


class CropConfig(_Section):
    """crop: cut a box around every nucleus."""

    size_um: Lengths = Field((12.0, 16.0, 16.0), description="Size of the box along z, y, x in um.")
    grid: tuple[Count, Count, Count] = Field((8, 32, 32), description="Voxels of the box along z, y, x, whatever the recording's own.")
    margin: float = Field(
        1.4, ge=1, le=3, description="Training crops are this much larger, so that no augmented view shows an empty corner."
    )
    training_volumes: int = Field(100, ge=1, description="Volumes, evenly spread, whose crops are kept for training.")


class TrainConfig(_Section):
    """train: teach the encoder what makes a neuron itself."""

    epochs: int = Field(20, ge=0, description="Passes over the training volumes; 0 keeps the random weights.")
    learning_rate: Positive = Field(5e-4, description="Step size of Adam.")
    alpha: Share = Field(0.67, description="Weight of the object term against the feature term; 0 is plain Barlow Twins.")
    lambda_off_diagonal: float = Field(0.0051, ge=0, description="Weight of off-diagonal correlations in both terms.")
    object_scale: Literal["published", "per_object"] = Field(
        "published", description="Divide the object term of N nuclei by N^2, as published, or by N (per_object): then it weighs more."
    )
    lambda_object: float | None = Field(
        None, ge=0, description="Weight of off-diagonal correlations in the object term; empty: lambda_off_diagonal, as published."
    )
    schedule: Literal["constant", "cosine"] = Field("cosine", description="Step size over training: constant, or falling to zero.")
    embedding_dim: int = Field(64, ge=2, le=4096, description="Length of an embedding.")
    projector_dims: tuple[Count, ...] = Field((512, 512, 256), description="Widths of the projector, which is dropped after training.")
    rotation_deg: float = Field(60.0, ge=0, le=180, description="Views are rotated about z by up to this angle.")
    elastic_vox: float = Field(1.5, ge=0, description="Elastic deformation of views, in voxels of the crop grid.")
    shift_vox: float = Field(0.5, ge=0, description="Shift of views, in voxels of the crop grid.")
    noise: float = Field(0.02, ge=0, description="Noise added to views, after scaling, as a share of the brightest neuron.")
    brightness: Share = Field(0.05, description="Views are scaled in brightness by up to this share.")
    held_out: Share = Field(0.1, description="Share of the training volumes kept aside to measure agreement.")


class EmbedConfig(_Section):
    """embed: describe every nucleus by a vector."""

    batch: int = Field(512, ge=1, description="Crops a forward pass.")


class TrackConfig(_Section):
    """track: decide which nuclei are the same neuron."""

    position: bool = Field(True, description="Use positions; false: embeddings alone.")
    appearance: bool = Field(True, description="Use embeddings; false: positions alone.")
    min_probability: Share = Field(0.0, description="Assignments below this probability become unknown.")


class TraceConfig(_Section):
    """trace: read the activity of every neuron."""

    background_percentile: float = Field(
        20.0, ge=0, le=100, description="Percentile of the shell around a nucleus taken as its background."
    )
    shell_um: Length = Field(2.0, description="Thickness of that shell in um.")
    r0_percentile: float = Field(20.0, ge=0, le=100, description="Percentile of a neuron's ratio taken as its R0.")
    min_probability: Share = Field(0.0, description="Assignments below this probability are left out of the traces.")


class ReportConfig(_Section):
    """report: the page that says what came out and how far to trust it."""

    max_traces: int = Field(40, ge=1, description="Single traces shown, best first.")


class Config(_Section):
    """All settings."""

    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random.")
    recording: RecordingConfig = RecordingConfig()
    compute: ComputeConfig = ComputeConfig()
    segment: SegmentConfig = SegmentConfig()
    crop: CropConfig = CropConfig()
    train: TrainConfig = TrainConfig()
    embed: EmbedConfig = EmbedConfig()
    track: TrackConfig = TrackConfig()
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
        values = _merge(values, _read_toml(path), where)
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


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yields the name and class of every section."""
    for name, info in Config.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield name, info.annotation


def to_toml(config: Config, *, commented: bool = False, only: Collection[str] | None = None) -> str:
    """Returns the settings as TOML.

    Args:
        config: Settings.
        commented: Each with its explanation above it, an empty one as a comment.
        only: Sections to name; all where not given.
    """
    lines = [*_toml_lines("seed", Config.model_fields["seed"].description, config.seed, commented)]
    for name, section in sections():
        if only is not None and name not in only:
            continue
        lines += ["", f"[{name}]" + (f"  # {(section.__doc__ or '').splitlines()[0]}" if commented else "")]
        for key, info in section.model_fields.items():
            lines += _toml_lines(key, info.description, getattr(getattr(config, name), key), commented)
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
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _parse_override(text: str) -> dict[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f'--set {text}: expected section.setting=value, such as "track.min_probability=0.5"')
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
    return f"{where}: {title}: {problem['msg'].lower()}, got {problem['input']!r}{hint}"


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
