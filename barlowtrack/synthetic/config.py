"""What a synthetic recording is made of: every knob, and the presets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from barlowtrack.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Voxels = Annotated[int, Field(ge=1, le=100_000)]


class SyntheticConfig(BaseModel):
    """A synthetic worm and the microscope that looks at it; light is counted in photons, one camera unit each."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False, validate_default=True)

    n_volumes: int = Field(200, ge=1, le=1_000_000, description="Volumes of the recording.")
    volume_shape: tuple[Voxels, Voxels, Voxels] = Field((22, 192, 384), description="Voxels along z, y, x.")
    voxel_size_um: tuple[Positive, Positive, Positive] = Field((1.5, 0.35, 0.35), description="Distance between voxels in um.")
    rate_hz: Positive = Field(3.0, description="Volumes a second.")

    n_neurons: int = Field(120, ge=0, le=2000, description="Nuclei of the worm.")
    radius_um: tuple[Positive, Positive] = Field((1.0, 1.9), description="Smallest and largest radius of a nucleus in um.")
    spacing_um: Positive = Field(3.2, description="Aimed-at distance between neighbours in um; sets how wide the body is.")
    least_gap: Share = Field(0.85, description="Least distance of two centres at rest, as a share of the sum of their radii.")

    motion: NotNegative = Field(0.5, description="Median displacement from volume to volume, in median neighbour distances.")
    bend_rad: NotNegative = Field(0.35, description="Size of the bends: spread of the tangent angle along the body.")
    turn_deg: float = Field(25.0, ge=0, le=180, description="How far the worm turns in the plane, either way.")
    drift_um: NotNegative = Field(3.0, description="How far the worm gets from the middle of the field before the stage follows.")
    local_jitter: NotNegative = Field(0.15, description="Movement of nuclei against each other, in median neighbour distances.")

    psf_um: tuple[Positive, Positive] = Field((0.8, 0.3), description="Standard deviation of the point spread along z and in the plane.")
    peak_photons: Positive = Field(150.0, description="Red light of the median nucleus.")
    brightness_spread: NotNegative = Field(0.7, description="Spread of the logarithm of brightness between nuclei.")
    texture: Share = Field(0.3, description="Depth of the pattern inside a nucleus.")
    depth_um: Positive = Field(80.0, description="Depth at which light has fallen to 1/e.")
    glow_photons: NotNegative = Field(8.0, description="Autofluorescence of the body at its middle.")
    background_photons: NotNegative = Field(4.0, description="Stray light everywhere.")
    granules: NotNegative = Field(0.05, description="Autofluorescent granules that are no neurons, a nucleus.")
    green_share: Positive = Field(0.5, description="Green light of a silent nucleus, as a share of its red.")
    activity: NotNegative = Field(1.5, description="Largest rise of the green light with activity, as a share of the silent light.")
    activity_period_s: Positive = Field(20.0, description="Typical time between two rises.")

    offset: NotNegative = Field(100.0, description="Camera offset.")
    read_noise: NotNegative = Field(2.0, description="Standard deviation of the camera's noise in the dark.")
    bleach_s: Positive | None = Field(900.0, description="Time in which bleaching takes the light to 1/e; none: no bleaching.")
    brightness_jitter: NotNegative = Field(0.03, description="Spread of the brightness of whole volumes.")
    missed_planes: Share = Field(0.0, description="Probability that a plane stays dark.")
    dropped_volumes: Share = Field(0.0, description="Probability that a volume shows nothing; never the first.")
    blurred_volumes: Share = Field(0.0, description="Probability that a volume is smeared in the plane.")
    blur_um: Positive = Field(0.7, description="Standard deviation of that smear in um.")

    @model_validator(mode="after")
    def _check(self) -> SyntheticConfig:
        if self.radius_um[0] > self.radius_um[1]:
            raise ValueError("radius_um: expected the smaller one first")
        return self


_NO_ACCIDENTS: dict[str, Any] = {"missed_planes": 0.0, "dropped_volumes": 0.0, "blurred_volumes": 0.0}
PRESETS: dict[str, dict[str, Any]] = {
    "still": {"motion": 0.0, "local_jitter": 0.0, **_NO_ACCIDENTS},
    "easy": {
        "motion": 0.2,
        "turn_deg": 15.0,
        "bend_rad": 0.25,
        "local_jitter": 0.1,
        "spacing_um": 3.8,  # a sparse marker: nuclei touch, but hardly ever merge
        "least_gap": 1.0,
        **_NO_ACCIDENTS,
    },
    "mid": {"motion": 0.5, "peak_photons": 110.0, "missed_planes": 0.002, "dropped_volumes": 0.005, "blurred_volumes": 0.02},
    "hard": {
        "motion": 1.3,
        "turn_deg": 40.0,
        "bend_rad": 0.45,
        "drift_um": 4.0,
        "local_jitter": 0.2,
        "peak_photons": 80.0,
        "brightness_spread": 0.8,
        "missed_planes": 0.005,
        "dropped_volumes": 0.01,
        "blurred_volumes": 0.05,
    },
}


def preset(name: str, **overrides: Any) -> SyntheticConfig:
    """Returns the settings of a preset (still, easy, mid, hard), with some of them changed.

    Raises:
        ConfigError: no such preset or setting, or a value out of bounds.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, got {name}")
    try:
        return SyntheticConfig.model_validate({**PRESETS[name], **overrides})
    except ValidationError as error:
        said = [f"synthetic: {'.'.join(map(str, e['loc']))}: {e['msg'].lower()}, got {e['input']!r}" for e in error.errors()]
        raise ConfigError("\n".join(said)) from None
