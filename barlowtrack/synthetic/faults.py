"""What a microscope does to pictures beside noise: planes that jump, a field that drifts, cameras that do not look at the same place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import ndimage

from barlowtrack.data import FloatArray, IntArray
from barlowtrack.errors import ConfigError
from barlowtrack.synthetic.worm import Pose, stream

NotNegative = Annotated[float, Field(ge=0)]
Voxels = Annotated[float, Field(ge=-1000, le=1000)]


class FaultsConfig(BaseModel):
    """Faults of the microscope; none where nothing is said."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False, validate_default=True)

    jitter_vox: float = Field(0.0, ge=0, le=100, description="Spread of the jumps of every single plane along y and x, in voxels.")
    drift_vox: tuple[Voxels, Voxels, Voxels] = Field((0.0, 0.0, 0.0), description="How far the field drifts a volume, along z, y, x.")
    offset: tuple[NotNegative, NotNegative] = Field((0.0, 0.0), description="Further offset of the red and of the green camera.")
    hot_pixels: float = Field(0.0, ge=0, le=0.1, description="Share of the pixels of each camera that are stuck bright.")
    hot_photons: NotNegative = Field(400.0, description="How much too bright a hot pixel is at most; at least an eighth of that.")
    shift_vox: tuple[Voxels, Voxels] = Field((0.0, 0.0), description="How far off the green camera looks, along y and x, in voxels.")
    turn_deg: float = Field(0.0, ge=-45, le=45, description="How far the green camera is turned against the red one.")
    scale: float = Field(1.0, ge=0.5, le=2, description="How much larger the green camera sees things.")


def faults_config(**given: Any) -> FaultsConfig:
    """Returns faults of the given size.

    Raises:
        ConfigError: no such fault, or a value out of bounds.
    """
    try:
        return FaultsConfig.model_validate(given)
    except ValidationError as error:
        said = [f"faults: {'.'.join(map(str, e['loc']))}: {e['msg'].lower()}, got {e['input']!r}" for e in error.errors()]
        raise ConfigError("\n".join(said)) from None


@dataclass(frozen=True)
class Faults:
    """Faults of one recording; every volume's are drawn alike however often they are asked for.

    Attributes:
        config: How large they are.
        seed: Of everything random.
        volume_shape: Z, Y, X.
    """

    config: FaultsConfig
    seed: int
    volume_shape: tuple[int, int, int]

    def jitter(self, t: int) -> FloatArray:
        """Returns (Z, 2) how far each plane of volume t jumps along y and x, in voxels."""
        jumps: FloatArray = self.config.jitter_vox * stream(self.seed, 11, t).normal(size=(self.volume_shape[0], 2))
        return jumps

    def drift(self, t: int) -> FloatArray:
        """Returns (3,) how far the field has drifted by volume t, along z, y, x, in voxels."""
        drift: FloatArray = t * np.array(self.config.drift_vox)
        return drift

    @cached_property
    def matrix(self) -> FloatArray:
        """(2, 3) from a place (y, x) on the red camera to that on the green one, in voxels."""
        turn, middle = np.deg2rad(self.config.turn_deg), (np.array(self.volume_shape[1:]) - 1) / 2
        turned = self.config.scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix: FloatArray = np.column_stack([turned, middle + self.config.shift_vox - turned @ middle])
        return matrix

    @cached_property
    def hot(self) -> FloatArray:
        """(2, Y, X) photons that every pixel of the red and of the green camera shows too many."""
        rng, shape = stream(self.seed, 12), (2, *self.volume_shape[1:])
        much: FloatArray = self.config.hot_photons * rng.uniform(0.125, 1.0, shape) * (rng.random(shape) < self.config.hot_pixels)
        return much

    def drifted(self, pose: Pose, t: int, voxel_size_um: tuple[float, float, float]) -> Pose:
        """Returns the pose as the drifted field shows it."""
        shift = self.drift(t) * voxel_size_um
        return replace(pose, position_um=pose.position_um + shift, centreline_um=pose.centreline_um + shift[1:])

    def recorded_um(self, position_um: FloatArray, t: int, voxel_size_um: tuple[float, float, float]) -> FloatArray:
        """Returns where the red camera shows places (n, 3) of volume t: a nucleus goes with the planes it lies in."""
        jitter, planes = self.jitter(t), np.arange(self.volume_shape[0])
        moved = np.array(position_um, np.float64)
        for axis in (0, 1):
            depth = position_um[:, 0] / voxel_size_um[0]
            moved[:, axis + 1] += np.interp(depth, planes, jitter[:, axis]) * voxel_size_um[axis + 1]
        return moved

    def bent(self, light: FloatArray, t: int) -> FloatArray:
        """Returns (2, Z, Y, X) light as it falls on the two cameras: planes jump, and the green camera looks elsewhere."""
        if not self.config.jitter_vox and np.array_equal(self.matrix, np.eye(2, 3)):
            return light
        there = np.linalg.inv(self.matrix[:, :2])
        for z, jump in enumerate(self.jitter(t)):
            light[0, z] = ndimage.shift(light[0, z], jump, order=3, mode="nearest")
            light[1, z] = ndimage.affine_transform(light[1, z], there, -there @ self.matrix[:, 2] - jump, order=3, mode="nearest")
        return np.maximum(light, 0)

    def bent_labels(self, labels: IntArray, t: int) -> IntArray:
        """Returns (Z, Y, X) labels as the red camera shows them."""
        if not self.config.jitter_vox:
            return labels
        planes = [ndimage.shift(plane, jump, order=0, mode="constant") for plane, jump in zip(labels, self.jitter(t), strict=True)]
        return np.stack(planes)

    def exposed(self, units: FloatArray) -> FloatArray:
        """Returns (2, Z, Y, X) camera units with offset and hot pixels."""
        units += self.hot[:, None].astype(np.float32) + np.array(self.config.offset, np.float32)[:, None, None, None]
        return units
