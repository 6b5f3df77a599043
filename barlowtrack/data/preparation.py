"""How a recording is put right before anybody looks at it: numbers only, no copy of its voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data.arrays import BoolArray, FloatArray, IntArray, expect

AXES = ("z", "y", "x")


@dataclass(frozen=True)
class Shifts:
    """What was measured in one volume.

    Attributes:
        t: Its number.
        planes: (Z, 2) how far each plane lies from the others along y and x, in voxels; 0 where jitter is not asked for.
        sure: (Z,) whether a plane shows enough for that.
        field: (3,) how far the whole volume lies from where it lies in the middle of the recording, along z, y, x, in voxels.
    """

    t: int
    planes: FloatArray
    sure: BoolArray
    field: FloatArray


@dataclass(frozen=True)
class Deconvolution:
    """Who sharpens the volumes, and how.

    Attributes:
        name: As the settings say it.
        made_by: Package and version of the function.
        psf_um: Standard deviation of the point spread along z and in the plane.
        iterations: How often.
    """

    name: str
    made_by: str
    psf_um: tuple[float, float]
    iterations: int


@dataclass(frozen=True)
class Preparation:
    """What is done to every volume; None or "" is left alone. Without arguments it does nothing.

    Recorded places are those on the disk; prepared ones are where the same thing lies once all is done. In order: hot pixels, offset,
    then one interpolation of each plane (its jump, the drift and, of the signal channel, the other camera), deconvolution, planes, mirror.

    Attributes:
        shape: C, Z, Y, X of a recorded volume; None where nothing is done.
        offset: (C,) taken off every channel.
        dark: (C,) what a channel shows where there is no light, before the offset is taken off: stands where nothing was recorded.
        hot: (H, 3) channel, y, x of pixels that are replaced by what their neighbours show.
        jitter: (T, Z, 2) how far each plane jumped along y and x, in voxels.
        drift: (T, 3) how far each volume has drifted along z (whole planes), y, x, in voxels.
        matrix: (2, 3) from a place (y, x) on the camera of the reference channel to that on the signal's, in voxels.
        planes: First plane that is kept, and the one after the last.
        mirror: "z", "y" or "x".
        interpolation: linear or cubic.
        deconvolution: Who sharpens the volumes.
    """

    shape: tuple[int, int, int, int] | None = None
    offset: FloatArray | None = None
    dark: FloatArray | None = None
    hot: IntArray | None = None
    jitter: FloatArray | None = None
    drift: FloatArray | None = None
    matrix: FloatArray | None = None
    planes: tuple[int, int] | None = None
    mirror: str = ""
    interpolation: str = "linear"
    deconvolution: Deconvolution | None = None

    def __post_init__(self) -> None:
        if self.shape is None:
            parts = (self.offset, self.dark, self.hot, self.jitter, self.drift, self.matrix, self.planes, self.deconvolution)
            expect(not self.mirror and all(part is None for part in parts), "preparation: shape", "that of a volume", None)
            return
        n_channels, n_planes = self.shape[:2]
        for name, array, shape in (
            ("offset", self.offset, (n_channels,)),
            ("dark", self.dark, (n_channels,)),
            ("hot", self.hot, (-1, 3)),
            ("jitter", self.jitter, (-1, n_planes, 2)),
            ("drift", self.drift, (-1, 3)),
            ("matrix", self.matrix, (2, 3)),
        ):
            if array is not None:
                good = array.ndim == len(shape) and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
                expect(good and bool(np.isfinite(array).all()), f"preparation: {name}", f"finite numbers of shape {shape}", array.shape)
        if self.planes is not None:
            first, stop = self.planes
            expect(0 <= first < stop <= n_planes, "prepare: planes", f"some of 0 to {n_planes}", self.planes)
        expect(self.mirror in ("", *AXES), "preparation: mirror", "z, y or x", self.mirror)

    @property
    def moves(self) -> bool:
        """Whether planes are interpolated."""
        return self.jitter is not None or self.drift is not None or self.matrix is not None

    @property
    def makes_fractions(self) -> bool:
        """Whether voxels become other numbers than the camera wrote, so that whole numbers no longer hold them."""
        return self.moves or self.offset is not None or self.deconvolution is not None

    @property
    def displaces(self) -> bool:
        """Whether a thing lies elsewhere once all is done than the recording on the disk has it."""
        return self.jitter is not None or self.drift is not None or bool(self.mirror) or (self.planes is not None and self.planes[0] > 0)

    def places_as(self, other: Preparation) -> bool:
        """Whether things lie where another preparation of the same recording has them."""
        if not self.displaces or not other.displaces:
            return self.displaces == other.displaces
        same = [
            one is other_one or (one is not None and other_one is not None and np.array_equal(one, other_one))
            for one, other_one in ((self.jitter, other.jitter), (self.drift, other.drift))
        ]
        depths = self.mirror != "z" or self.kept == other.kept
        return all(same) and self.mirror == other.mirror and self.kept[0] == other.kept[0] and depths

    @property
    def kept(self) -> tuple[int, int]:
        """First plane that is kept, and the one after the last; of a preparation that does something."""
        assert self.shape is not None, "nothing is done"
        return self.planes or (0, self.shape[1])

    def prepared_um(self, t: IntArray, position_um: FloatArray, voxel_size_um: tuple[float, float, float]) -> FloatArray:
        """Returns where recorded places (N, 3) of volumes t (N,) lie once all is done, in um; may be outside."""
        if self.shape is None:
            return position_um
        at = np.asarray(position_um, np.float64) / voxel_size_um
        at[:, 1:] -= self._jump(t, at[:, 0])
        if self.drift is not None:
            at -= self.drift[t]
        at[:, 0] -= self.kept[0]
        return self._mirrored(at) * voxel_size_um

    def recorded_um(self, t: IntArray, position_um: FloatArray, voxel_size_um: tuple[float, float, float]) -> FloatArray:
        """The way back: where prepared places lie on the disk."""
        if self.shape is None:
            return position_um
        at = self._mirrored(np.asarray(position_um, np.float64) / voxel_size_um)
        at[:, 0] += self.kept[0]
        if self.drift is not None:
            at += self.drift[t]
        at[:, 1:] += self._jump(t, at[:, 0])
        return at * voxel_size_um

    def _jump(self, t: IntArray, depth: FloatArray) -> FloatArray:
        """Returns (N, 2) how far recorded depths have jumped: between two planes, something between the two."""
        if self.jitter is None:
            return np.zeros((len(depth), 2))
        depth = np.clip(depth, 0, self.jitter.shape[1] - 1)
        lower = np.minimum(depth.astype(np.int64), max(self.jitter.shape[1] - 2, 0))
        upper = np.minimum(lower + 1, self.jitter.shape[1] - 1)
        share = (depth - lower)[:, None]
        jump: FloatArray = self.jitter[t, lower] * (1 - share) + self.jitter[t, upper] * share
        return jump

    def _mirrored(self, at: FloatArray) -> FloatArray:
        if self.mirror and self.shape is not None:
            axis = AXES.index(self.mirror)
            last = (self.kept[1] - self.kept[0] if axis == 0 else self.shape[axis + 1]) - 1
            at[:, axis] = last - at[:, axis]
        return at
