"""Nuclei by a 2-D star-convex model, plane by plane, joined along z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.config import SegmentConfig
from barlowtrack.data import FloatArray
from barlowtrack.detect.found import Found
from barlowtrack.detect.starconvex import bounds_of, measured, overlap_of
from barlowtrack.nn.planes import find_in_planes
from barlowtrack.nn.resample import Sizes, resample, resample_labels
from barlowtrack.nn.segmentation_model import SegmentationModel
from barlowtrack.nn.starconvex import StarConvexNet

BLUR_UM = 2.0
"""What the point spread along z adds to the diameter of a nucleus; longer stacks of outlines may be two nuclei."""


@dataclass(frozen=True)
class PlanesFinder:
    """A 2-D model, ready to look for nuclei in volumes of one voxel size; attributes as those of StarConvexFinder."""

    model: SegmentationModel
    net: StarConvexNet
    voxel_size_um: Sizes
    scale_um: Sizes
    config: SegmentConfig

    def __call__(self, red: FloatArray) -> Found:
        """Finds the nuclei of one volume.

        Args:
            red: (Z, Y, X) reference channel, dark planes mended; any number of planes.

        Returns:
            Labels 1 to n; none where all voxels are alike.
        """
        bounds = bounds_of(self.model, self.config)
        if float(np.ptp(red)) == 0.0:
            return measured(np.zeros(red.shape, np.int32), np.zeros(0), red, self.voxel_size_um, self.config, bounds)
        scale = (self.voxel_size_um[0], *self.scale_um[1:])  # planes stay as they are
        drawn = find_in_planes(
            self.net,
            self.model.brightness(resample(red, self.voxel_size_um, scale)),
            bounds[0],
            overlap_of(self.model, self.config),
            voxel_size_um=scale,
            max_diameter_um=2 * self.config.radius_um[1] + BLUR_UM,
        )
        labels = resample_labels(drawn.labels, scale, self.voxel_size_um, red.shape)
        return measured(labels, drawn.prob, red, self.voxel_size_um, self.config, bounds)
