"""Which steps of `prepare` a recording needs, told from a few volumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from barlowtrack.config import Config
from barlowtrack.data import Recording, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.preparing.alignment import NO_CHANGE, correlation, displacement, lie_of_camera, projection
from barlowtrack.preparing.camera import dark_level, stuck_pixels
from barlowtrack.preparing.jitter import measure_jitter, roughness
from barlowtrack.preparing.view import mend_pixels, neighbours

SPREAD, LOOKED_AT = 8, (1, 3, 5)
"""Of so many volumes spread over the recording, which `check` looks at anyway, these."""
MUCH_JITTER_VOX = 0.6
"""Below, putting planes back gains no more than measuring them costs."""
FAR_OFF_VOX = 1.0
MORE_ALIKE = 0.03
FEWEST_STUCK = 1e-4
"""As a share of the pixels: of so few volumes, a handful is chance."""
MUCH_OFFSET = 0.05
"""Of the light of bright voxels above it: less of a constant hardly changes a ratio."""


class Advice(NamedTuple):
    """A step that is needed.

    Attributes:
        what: Was found.
        fix: The setting to give.
    """

    what: str
    fix: str


def advise(recording: Recording, config: Config) -> Iterator[Advice]:
    """Yields the steps that a recording needs and the settings do not ask for.

    Args:
        recording: As it lies on the disk; three volumes of it are read. Those that cannot be read are left out.
        config: The settings the run would have.
    """
    volumes = list(_some(recording))
    if not volumes:
        return
    asked = config.prepare
    stuck = [stuck_pixels(np.concatenate([volume[c] for volume in volumes])) for c in range(recording.shape[1])]
    hot = np.concatenate([np.c_[np.full(len(pixels), c), pixels] for c, pixels in enumerate(stuck)]).astype(np.int64)
    if len(hot) > FEWEST_STUCK * np.prod(recording.shape[3:]) and not asked.hot_pixels:
        said = ", ".join(f"{name} {len(pixels)}" for name, pixels in zip(recording.channel_names, stuck, strict=True))
        yield Advice(f"pixels of the cameras are stuck ({said})", "--set prepare.hot_pixels=true")
    if len(hot):  # they stay where they are while planes jump and cameras look elsewhere
        around = neighbours(hot, recording.shape[3:])
        volumes = [mend_pixels(volume, around) for volume in volumes]
    if not asked.background and asked.offset is None and not config.trace.background:
        yield from _offset(recording, volumes)
    if not asked.jitter:
        yield from _jitter(recording, volumes)
    if recording.signal is not None and not asked.alignment and asked.alignment_matrix is None:
        yield from _alignment(recording, recording.signal, volumes)


def _some(recording: Recording) -> Iterator[VoxelArray]:
    spread = np.linspace(0, recording.n_volumes - 1, SPREAD).round().astype(int)
    for t in np.unique(spread[list(LOOKED_AT)]).tolist():
        try:
            volume = recording.read(t)
        except (InputError, OSError):
            continue
        if volume.dtype.kind != "f" or np.isfinite(volume).all():
            yield volume


def _offset(recording: Recording, volumes: list[VoxelArray]) -> Iterator[Advice]:
    """Speaks where traces keep the background: an offset then flattens every ratio."""
    for role, channel in (("reference", recording.reference), ("signal", recording.signal)):
        if channel is None:
            continue
        dark = float(np.median([dark_level(volume[channel]) for volume in volumes]))
        bright = float(np.median([np.percentile(volume[channel], 99.5) for volume in volumes])) - dark
        if abs(dark) > MUCH_OFFSET * max(bright, 0):
            what = f"{recording.channel_names[channel]} ({role}): {dark:.4g} where there is no light, and trace.background is off"
            yield Advice(f"{what}: ratios and dF/F0 come out too small", "--set prepare.background=true, or trace.background=true")


def _jitter(recording: Recording, volumes: list[VoxelArray]) -> Iterator[Advice]:
    channels = [recording.reference] + ([] if recording.signal is None else [recording.signal])
    places, sure = zip(*(measure_jitter([volume[channel] for channel in channels]) for volume in volumes), strict=True)
    rough = roughness(places, sure)
    if rough > MUCH_JITTER_VOX:
        yield Advice(f"planes of a volume jump against each other by about {rough:.1f} voxels", "--set prepare.jitter=true")


def _alignment(recording: Recording, signal: int, volumes: list[VoxelArray]) -> Iterator[Advice]:
    pairs = [(projection(volume[recording.reference]), projection(volume[signal])) for volume in volumes]
    try:
        matrix, _ = lie_of_camera(pairs)
    except InputError:
        return  # the two show too little of the same to tell
    away = displacement(matrix, (recording.shape[3], recording.shape[4]))
    if away > FAR_OFF_VOX and correlation(pairs, matrix) - correlation(pairs, NO_CHANGE) > MORE_ALIKE:
        what = f"{recording.channel_names[signal]} lies {away:.1f} voxels off {recording.channel_names[recording.reference]}"
        yield Advice(what, "--set prepare.alignment=true")
