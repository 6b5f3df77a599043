"""Reads all the light of one volume: of its nuclei, and of the places where nuclei should be."""

from __future__ import annotations

import numpy as np

from barlowtrack.config import MeasureConfig
from barlowtrack.data import Detections, FloatArray, Identities, IntArray, MeasuredVolume, Places, Recording, VoxelArray, medians_by
from barlowtrack.detect.light import Volume, nuclei_light, places_light
from barlowtrack.errors import InputError

CAMERA_BITS = (8, 10, 12, 14, 16)
"""Of cameras; their voxels are often kept in a wider type."""


class Reader:
    """What is the same for all volumes of a recording.

    Args:
        recording: Says channels, voxel size and type.
        detections: N nuclei as they were found: how large and how bright nuclei are.
        identities: Where each entry of the atlas should lie, and which detections it is.
        config: Shell, percentile, number of brightest voxels, end of the camera.
    """

    def __init__(self, recording: Recording, detections: Detections, identities: Identities, config: MeasureConfig) -> None:
        self._channels = [recording.reference] + ([] if recording.signal is None else [recording.signal])
        self._size_um, self._place_um, self._config = recording.voxel_size_um, identities.place_um, config
        end = camera_end(recording, detections) if config.saturated_at is None else np.full(2, config.saturated_at)
        self._saturated_at = end[: len(self._channels)]
        self._radius_um = typical_radius_um(detections, identities)

    def read(self, t: int, volume: VoxelArray, labels: VoxelArray, wanted: IntArray) -> MeasuredVolume:
        """Reads one volume.

        Args:
            t: Its number.
            volume: (C, Z, Y, X) camera units.
            labels: (Z, Y, X) of its nuclei.
            wanted: (n,) labels to read, in the order of rows.

        Raises:
            InputError: a label without voxels.
        """
        seen = Volume(volume[self._channels], labels.astype(np.int32, copy=False), self._size_um, self._saturated_at)
        light = nuclei_light(seen, wanted, self._config)
        lost = np.flatnonzero(light.voxels == 0)
        if len(lost):
            what = f"label {wanted[lost[0]]} of the detections has no voxels"
            raise InputError(f"measure: volume {t}: {what}; labels and detections are of two runs")
        entry, there = places_light(seen, self._place_um[t], self._radius_um, self._config)
        return MeasuredVolume(t, light, Places(np.full(len(entry), t, np.int32), entry.astype(np.int32), self._place_um[t, entry], there))


def typical_radius_um(detections: Detections, identities: Identities) -> FloatArray:
    """Returns (K,) radius of the ball as large as each entry's nuclei usually are; of one never seen, as nuclei are; NaN without any."""
    radius = np.cbrt(3 / (4 * np.pi) * detections.volume_um3.astype(np.float64))
    typical = medians_by(radius, identities.neuron, identities.n_neurons)
    return np.where(np.isfinite(typical), typical, np.median(radius) if len(radius) else np.nan)


def camera_end(recording: Recording, detections: Detections) -> FloatArray:
    """Returns the value at which the camera is at its end, of red and of green: each channel may have a camera of its own.

    The most that the camera's bits hold if the channel's brightest nucleus is just there, in the lowest or in the highest bits of 16; else
    the most that the voxels' type holds.
    """
    dtype = recording.recorded_dtype or recording.dtype
    type_end = float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else np.inf
    ends = np.array(sorted({float((2**bits - 1) << shift) for bits in CAMERA_BITS for shift in {0, max(CAMERA_BITS) - bits}}))
    slack = 0.0 if recording.recorded_dtype is None else 0.5  # voxels between two that are at the end are so too, but for rounding
    found = []
    for peaks, channel in ((detections.red_peak, recording.reference), (detections.green_peak, recording.signal)):
        off = recording.taken_off[channel] if recording.taken_off and channel is not None else 0.0
        brightest = float(np.max(peaks, initial=0, where=np.isfinite(peaks))) + off
        nearest = float(ends[np.argmin(np.abs(ends - brightest))])
        found.append((nearest if abs(nearest - brightest) <= slack else type_end) - off - slack)
    return np.array(found)
