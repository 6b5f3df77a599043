"""A trained star-convex network and all that must be known to use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from barlowtrack.nn.brightness import LINEAR, Brightness
from barlowtrack.nn.resample import Sizes
from barlowtrack.nn.starconvex import StarConvexNet
from barlowtrack.nn.starconvex_spec import StarConvexSpec


@dataclass(frozen=True)
class Thresholds:
    """Of a model's instances, as its thresholds.json gives them; the defaults are StarDist's.

    Attributes:
        prob: Least probability of an object.
        nms: Largest share of overlap of two objects.
    """

    prob: float = 0.5
    nms: float = 0.4


@dataclass(frozen=True)
class SegmentationModel:
    """What a model folder holds.

    Attributes:
        spec: Of the network.
        weights: For StarConvexNet(spec).load_state_dict.
        thresholds: For instances.
        brightness: How it wants to see brightness.
        voxel_size_um: That it was trained on, z y x; None where nobody said: volumes are then taken as they are.
        radius_um: Smallest and largest radius of the nuclei it was trained on; None where nobody said.
    """

    spec: StarConvexSpec
    weights: Mapping[str, Tensor]
    thresholds: Thresholds = Thresholds()
    brightness: Brightness = LINEAR
    voxel_size_um: Sizes | None = None
    radius_um: tuple[float, float] | None = None

    def network(self) -> StarConvexNet:
        """Returns the network with its weights, ready to predict."""
        net = StarConvexNet(self.spec)
        net.load_state_dict(self.weights)
        return net.eval()
