"""Boxes around nuclei, and the vectors that describe them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from barlowtrack.data.arrays import FloatArray, IntArray, expect, expect_rows


class CropSource(Protocol):
    """The crops that training uses, one volume a batch."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> CropBatch: ...


@dataclass(frozen=True)
class CropBatch:
    """Crops of all n nuclei of one volume.

    Attributes:
        t: Which volume.
        row: (n,) rows of Detections.
        values: (n, Z, Y, X) reference channel on a grid fixed in um, scaled per volume; float16 or float32.
    """

    t: int
    row: IntArray
    values: FloatArray

    def __post_init__(self) -> None:
        expect(self.values.ndim == 4, f"crops of volume {self.t}", "(n, Z, Y, X)", self.values.shape)
        expect_rows(f"crops of volume {self.t}", len(self.row), values=self.values)


@dataclass(frozen=True)
class Crops:
    """The training crops of a recording, read one volume at a time, and how they were cut.

    Attributes:
        source: One batch a training volume; (n, Z', Y', X') with an equal margin on both sides of the window.
        window: Z, Y, X of the middle that the encoder will see.
        size_um: Size of that window, z y x.
    """

    source: CropSource
    window: tuple[int, int, int]
    size_um: tuple[float, float, float]

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> CropBatch:
        """Returns the crops of the index-th training volume."""
        batch = self.source.read(index)
        shape = batch.values.shape[1:]
        good = all(have >= want and (have - want) % 2 == 0 for have, want in zip(shape, self.window, strict=True))
        expect(good, f"crops of volume {batch.t}", f"the window {self.window} with an equal margin on both sides", shape)
        return batch


@dataclass(frozen=True)
class Embeddings:
    """(N, D) float32, unit length; row i describes detection i."""

    vectors: FloatArray

    def __post_init__(self) -> None:
        expect(self.vectors.ndim == 2, "embeddings", "(N, D)", self.vectors.shape)
        expect(bool(np.isfinite(self.vectors).all()), "embeddings", "finite numbers", "NaN or infinity")

    def __len__(self) -> int:
        return len(self.vectors)
