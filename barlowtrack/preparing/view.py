"""A recording seen through its preparation: every volume is put right when it is read, and nothing is copied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import ndimage

from barlowtrack.data import FloatArray, IntArray, Preparation, Recording, VoxelArray
from barlowtrack.data.preparation import AXES
from barlowtrack.errors import InputError
from barlowtrack.preparing.deconvolution import find, point_spread

ORDER: dict[str, Literal[1, 3]] = {"linear": 1, "cubic": 3}


@dataclass(frozen=True)
class PreparedVolumes:
    """Reads volumes of a recording and puts them right; from any thread.

    Attributes:
        recording: As it lies on the disk.
        preparation: What is done to it.
    """

    recording: Recording
    preparation: Preparation

    def read(self, t: int) -> VoxelArray:
        return self.finished(self.moved(t))

    def clean(self, t: int) -> VoxelArray:
        """Returns volume t (C, Z, Y, X) without hot pixels and offset, all else as it was recorded."""
        done, volume = self.preparation, self.recording.read(t)
        if done.makes_fractions:
            volume = volume.astype(np.float32)
        if done.hot is not None and len(done.hot):
            volume = mend_pixels(volume, self._hot)
        if done.offset is not None:
            volume -= done.offset[:, None, None, None].astype(np.float32)
        return volume

    def moved(self, t: int) -> VoxelArray:
        """Returns volume t with every plane where it belongs; all planes are there yet."""
        done, volume = self.preparation, self.clean(t)
        if not done.moves:
            return volume
        n_planes = volume.shape[1]
        jump = np.zeros((n_planes, 2)) if done.jitter is None else done.jitter[t]
        drift = np.zeros(3) if done.drift is None else done.drift[t]
        deeper = round(float(drift[0]))
        fill, moved = self._dark, np.empty_like(volume)
        for channel in range(len(volume)):
            elsewhere = done.matrix if channel == self.recording.signal else None
            for z in range(n_planes):
                source = z + deeper
                if 0 <= source < n_planes:
                    moved[channel, z] = self._plane(volume[channel, source], drift[1:] + jump[source], elsewhere, float(fill[channel]))
                else:
                    moved[channel, z] = fill[channel]
        return moved

    def finished(self, volume: VoxelArray) -> VoxelArray:
        """Sharpens a volume that is in place, takes the planes that are kept, and mirrors it."""
        done = self.preparation
        if done.deconvolution is not None:
            sharpen, psf = find(done.deconvolution), self._psf
            volume = np.stack([_same_shape(sharpen(channel, psf, done.deconvolution.iterations), channel) for channel in volume])
        volume = volume[:, slice(*done.kept)]
        return np.ascontiguousarray(np.flip(volume, AXES.index(done.mirror) + 1)) if done.mirror else volume

    def _plane(self, plane: FloatArray, shift: FloatArray, elsewhere: FloatArray | None, fill: float) -> FloatArray:
        """Returns what lies at every place (y, x), read at (y, x) + shift, on the other camera where a matrix says so."""
        order = ORDER[self.preparation.interpolation]
        if elsewhere is not None:
            turned = elsewhere[:, :2]
            read_at = elsewhere[:, 2] + turned @ shift
            return np.asarray(ndimage.affine_transform(plane, turned, read_at, order=order, mode="constant", cval=fill))
        if not shift.any():
            return plane
        return np.asarray(ndimage.shift(plane, -shift, order=order, mode="constant", cval=fill))

    @cached_property
    def _dark(self) -> FloatArray:
        """(C,) what a channel shows where there is no light."""
        done = self.preparation
        dark = np.zeros(self.recording.shape[1]) if done.dark is None else done.dark
        return dark if done.offset is None else dark - done.offset

    @cached_property
    def _hot(self) -> tuple[IntArray, IntArray, IntArray]:
        assert self.preparation.hot is not None, "asked only where there are some"
        return neighbours(self.preparation.hot, self.recording.shape[3:])

    @cached_property
    def _psf(self) -> FloatArray:
        assert self.preparation.deconvolution is not None, "asked only where there is one"
        return point_spread(self.preparation.deconvolution.psf_um, self.recording.voxel_size_um)


def prepared(recording: Recording, preparation: Preparation) -> Recording:
    """Returns the recording as it is seen through a preparation; its fingerprint stays that of the recording on the disk.

    Voxels that become other numbers than the camera wrote are float32: light a little below the offset, as noise has it, stays below 0.

    Raises:
        InputError: the preparation is that of another recording.
    """
    if preparation.shape is None:
        return recording
    lengths = {len(array) for array in (preparation.jitter, preparation.drift) if array is not None}
    if preparation.shape != recording.shape[1:] or lengths - {recording.n_volumes}:
        raise InputError(f"{recording.name}: was prepared when it had another shape; run 'barlowtrack prepare' again")
    if preparation.deconvolution is not None:
        find(preparation.deconvolution)  # said now, not hours later by a thread
    first, stop = preparation.kept
    fractions = preparation.makes_fractions
    return replace(
        recording,
        source=PreparedVolumes(recording, preparation),
        shape=(*recording.shape[:2], stop - first, *recording.shape[3:]),
        dtype=np.dtype(np.float32) if fractions else recording.dtype,
        recorded_dtype=recording.dtype if fractions and preparation.deconvolution is None else None,
        taken_off=() if preparation.offset is None else tuple(float(value) for value in preparation.offset),
    )


def seen_through(recording: Recording) -> PreparedVolumes | None:
    """Returns what a recording is made of, where it is a prepared one."""
    return recording.source if isinstance(recording.source, PreparedVolumes) else None


def neighbours(hot: IntArray, shape: tuple[int, ...]) -> tuple[IntArray, IntArray, IntArray]:
    """Returns pixels (H, 3) with the places of the eight around each, and which of these are in the picture and not hot themselves."""
    around = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx])
    places = hot[:, None, 1:] + around  # (H, 8, 2)
    inside = np.all((places >= 0) & (places < shape), axis=2)
    places = np.clip(places, 0, np.array(shape) - 1)
    flat = (hot[:, 0, None] * shape[0] + places[..., 0]) * shape[1] + places[..., 1]
    bad = (hot[:, 0] * shape[0] + hot[:, 1]) * shape[1] + hot[:, 2]
    return hot, places, inside & ~np.isin(flat, bad)


def mend_pixels(volume: VoxelArray, hot: tuple[IntArray, IntArray, IntArray]) -> VoxelArray:
    """Replaces hot pixels of a volume (C, Z, Y, X), in every plane, by the median of the good ones around them."""
    pixels, places, good = hot
    channel = pixels[:, 0]
    around = volume[channel[:, None], :, places[..., 0], places[..., 1]].astype(np.float32)  # (H, 8, Z)
    some = good.any(axis=1)
    around[~good] = np.nan
    volume = volume.copy()
    middle = np.nanmedian(around[some], axis=1)
    volume[channel[some], :, pixels[some, 1], pixels[some, 2]] = np.rint(middle) if volume.dtype.kind in "ui" else middle
    return volume


def _same_shape(sharp: FloatArray, channel: FloatArray) -> FloatArray:
    sharp = np.asarray(sharp, np.float32)
    if sharp.shape != channel.shape or not np.isfinite(sharp).all():
        raise InputError(f"prepare: deconvolution: expected finite numbers of shape {channel.shape}, got others, of shape {sharp.shape}")
    return sharp
