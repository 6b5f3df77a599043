"""How a star-convex model wants to see brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import VoxelArray
from barlowtrack.nn.instances import normalise

BRIGHTEST = 50.0
"""What is brighter is taken as this bright: a hot pixel a thousand times as bright as the nuclei blinds a network that sees linearly."""


@dataclass(frozen=True)
class Brightness:
    """Two percentiles become 0 and 1; then, where asked for, dim nuclei are lifted.

    Attributes:
        low: Percentile that becomes 0.
        high: Percentile that becomes 1.
        curve: c of asinh(c v) / asinh(c), which is linear below 1 / c and a logarithm above; 0: linear throughout, as StarDist's users do.
    """

    low: float = 1.0
    high: float = 99.8
    curve: float = 0.0

    def __call__(self, volume: VoxelArray) -> NDArray[np.float32]:
        """Returns the volume as the network sees it.

        Raises:
            InputError: an empty volume, or voxels that are not finite.
        """
        return self.lift(np.minimum(self.scale(volume), np.float32(BRIGHTEST)))

    def scale(self, volume: VoxelArray) -> NDArray[np.float32]:
        """Makes the two percentiles 0 and 1, nothing more."""
        return normalise(volume, self.low, self.high)

    def lift(self, normal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Applies the curve alone, to a volume whose percentiles are 0 and 1."""
        if not self.curve:
            return normal
        lifted: NDArray[np.float32] = np.arcsinh(normal * np.float32(self.curve)) / np.float32(np.arcsinh(self.curve))
        return lifted


LINEAR = Brightness()
"""As StarDist's users do."""
