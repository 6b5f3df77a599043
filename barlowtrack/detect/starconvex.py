"""Nuclei as star-convex shapes: a volume brought to the model's scale, its nuclei drawn on the recording's own voxels.

Reference:
    Weigert et al. 2020, "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from stardist.rays3d import Rays_Explicit

from barlowtrack.config import SegmentConfig
from barlowtrack.data import FloatArray, IntArray
from barlowtrack.detect.found import Found, keep, renumber
from barlowtrack.detect.volume import background, contrast, grain, noise
from barlowtrack.errors import InputError
from barlowtrack.nn import geometry
from barlowtrack.nn.batches import candidates_in_passes
from barlowtrack.nn.candidates import TILE_VOXELS, Candidates
from barlowtrack.nn.instances import suppress
from barlowtrack.nn.resample import Sizes, resample
from barlowtrack.nn.segmentation_model import SegmentationModel
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec, Triple

LARGEST = 5.0
"""No nucleus reaches further than this many of the largest radii: what a network says of light it never saw can be without bounds."""

FEWEST_PLANES = 2  # of a volume on the model's voxel size


@dataclass(frozen=True)
class StarConvexFinder:
    """A model, ready to look for nuclei in volumes of one voxel size.

    Attributes:
        model: What it was made from.
        net: Its network, in evaluation mode, on the device where it shall run.
        voxel_size_um: Of the volumes, z y x.
        scale_um: Voxel size that the network shall see.
        config: Thresholds and sizes.
        tile_voxels: A larger volume goes through the network in tiles.
        alone: Whether it is at work on nothing else meanwhile.
    """

    model: SegmentationModel
    net: StarConvexNet
    voxel_size_um: Sizes
    scale_um: Sizes
    config: SegmentConfig
    tile_voxels: int = TILE_VOXELS
    alone: bool = True

    def __call__(self, reds: Sequence[FloatArray]) -> list[Found]:
        """Finds the nuclei of volumes of one shape, which go through the network together.

        Args:
            reds: (Z, Y, X) reference channel of each, dark planes mended.

        Returns:
            Labels 1 to n in raster order of the centres; none where all voxels are alike.

        Raises:
            InputError: too few planes for a 3-D network; too little memory.
        """
        seen = [self._seen(red) for red in reds if float(np.ptp(red)) > 0.0]
        bounds, looked = bounds_of(self.model, self.config), []
        if seen:
            looked = candidates_in_passes(self.net, np.stack(seen), bounds[0], border=0, tile_voxels=self.tile_voxels, alone=self.alone)
        told = iter(looked)
        return [self._found(red, next(told) if float(np.ptp(red)) > 0.0 else None) for red in reds]

    def _seen(self, red: FloatArray) -> NDArray[np.float32]:
        seen = self.model.brightness(resample(red, self.voxel_size_um, self.scale_um))
        if len(seen) < FEWEST_PLANES:
            raise InputError(
                f"expected at least {FEWEST_PLANES} planes {self.scale_um[0]:g} um apart for a 3-D model, got {len(seen)};"
                ' for single planes use a 2-D model or [segment] method = "log"'
            )
        return seen

    def _found(self, red: FloatArray, looked: Candidates | None) -> Found:
        z, y, x = red.shape
        bounds = bounds_of(self.model, self.config)
        if looked is None:
            return measured(np.zeros((z, y, x), np.int32), np.zeros(0), red, self.voxel_size_um, self.config, bounds)
        farthest = LARGEST * self.config.radius_um[1] / min(self.scale_um)
        looked = looked._replace(dist=np.minimum(looked.dist, np.float32(farthest)))
        points, prob, dist = suppress(looked, self.model.spec, overlap_of(self.model, self.config))
        ratio = np.array(self.scale_um) / np.array(self.voxel_size_um)
        labels, prob = draw(points * ratio, prob, dist, self.model.spec, ratio, (z, y, x))
        return measured(labels, prob, red, self.voxel_size_um, self.config, bounds)


def bytes_a_voxel(model: SegmentationModel) -> int:
    """Returns about what the network holds, a voxel of a tile: measured with StarDist's default one as 118, at 32 filters."""
    return 4 * model.spec.backbone.n_filter_base + 24


def bounds_of(model: SegmentationModel, config: SegmentConfig) -> tuple[float, float, float]:
    """Returns probabilities: the least looked for, the usual least, and the one beyond doubt; see Found."""
    usual = model.thresholds.prob if config.probability is None else config.probability
    return (usual if config.expected is None else usual / 3), usual, (1 + usual) / 2


def overlap_of(model: SegmentationModel, config: SegmentConfig) -> float:
    """Returns the share of overlap from which the less probable of two nuclei goes."""
    return model.thresholds.nms if config.overlap is None else config.overlap


def measured(
    labels: IntArray, prob: FloatArray, red: FloatArray, voxel_size_um: Sizes, config: SegmentConfig, bounds: tuple[float, float, float]
) -> Found:
    """Makes Found of labels 1 to n and their probabilities; nuclei too dim or too small for the settings are left out."""
    n = len(prob)
    above = red - background(red, np.array(voxel_size_um), config.radius_um[1])
    quality = contrast(above, labels, n, noise(red, grain(red)))
    volume_um3 = np.bincount(labels.ravel(), minlength=n + 1)[1:] * float(np.prod(voxel_size_um))
    found = Found(labels, prob, quality, prob, bounds)
    return keep(found, (quality >= (config.min_quality or 0.0)) & (volume_um3 >= max(config.min_volume_um3, 1e-9)))


def scale_of(model: SegmentationModel, voxel_size_um: Sizes, config: SegmentConfig) -> Sizes:
    """Returns the voxel size that the network shall see: its own, larger or smaller as the nuclei are than those it knows.

    Args:
        model: May know its voxel size and its nuclei, or not.
        voxel_size_um: Of the recording; taken as it is where nobody knows better.
        config: May name the model's voxel size; says how large nuclei are.
    """
    if config.model_voxel_um is not None:
        return config.model_voxel_um
    if model.voxel_size_um is None:
        return voxel_size_um
    known = model.radius_um or config.radius_um
    factor = float(np.sqrt(np.prod(config.radius_um) / np.prod(known)))
    z, y, x = (factor * size for size in model.voxel_size_um)
    return z, y, x


def draw(
    points: FloatArray, prob: FloatArray, dist: FloatArray, spec: StarConvexSpec, ratio: NDArray[np.float64], shape: Triple
) -> tuple[IntArray, FloatArray]:
    """Draws star-convex shapes on another voxel grid than the network's.

    Args:
        points: (K, 3) centres, in voxels of the volume to draw in.
        prob: (K,) where shapes overlap, the more probable one shows.
        dist: (K, R) along spec's rays, in voxels of the network.
        spec: Of the network.
        ratio: (3,) voxels of the volume to a voxel of the network, z y x.
        shape: Z, Y, X of the volume.

    Returns:
        (Z, Y, X) int32 labels 1 to n in raster order of the centres, and (n,) their probabilities; shapes that do not show are left out.
    """
    if not len(points):
        return np.zeros(shape, np.int32), np.zeros(0)
    order = np.lexsort(points.T[::-1])
    points, prob, dist = points[order], prob[order], dist[order]
    rays = Rays_Explicit((spec.ray_table.vertices * ratio).tolist(), spec.ray_table.faces.tolist())
    labels = geometry.drawn(np.maximum(dist, 1e-3), points, prob, rays, shape)
    shows = np.bincount(labels.ravel(), minlength=len(points) + 1)[1:] > 0
    return renumber(labels, shows), prob[shows]
