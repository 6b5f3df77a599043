"""A seedable moving worm with perfect truth.

Matched by eye and figure to real volumes of a freely moving C. elegans (Park et al., targettrack; voxels assumed 1.5 x 0.35 x
0.35 um): full width at half maximum of a nucleus about 2.1-3 um in the plane and 3-4 um in depth, neighbours 2.4-4 um apart and
touching at 1.4 um, brightness spread over a factor of 30 between nuclei (log-normal), crowded ganglia and a line of cord neurons, and
green light that follows neither brightness nor place of the red. Motion is matched to the recording of Nguyen et al. 2017: from
volume to volume about 0.9 of the neighbour distance (0.3 to 1.3). Unlike the real volumes, which were background-subtracted, ours
carry the camera's offset, noise and the body's glow.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from barlowtrack.data import FloatArray, IntArray, Labels, Recording, Truth, VoxelArray
from barlowtrack.synthetic.config import PRESETS, SyntheticConfig, preset
from barlowtrack.synthetic.faults import Faults, FaultsConfig, faults_config
from barlowtrack.synthetic.render import Accidents, Appearance, draw_labels, peak_light, render
from barlowtrack.synthetic.worm import Pose, Worm

__all__ = [
    "PRESETS", "Faults", "FaultsConfig", "SyntheticConfig", "SyntheticRecording", "faults_config", "measure_motion", "preset", "simulate",
]  # fmt: skip

VERSION = 1  # of the simulator: another one makes other voxels of the same seed


@dataclass(frozen=True)
class _Film:
    """Volumes, rendered when asked for."""

    worm: Worm
    look: Appearance
    seed: int
    faults: Faults | None

    def read(self, t: int) -> VoxelArray:
        volume = np.rint(render(self.worm, self.look, self.seed, t, self.faults))
        return np.clip(volume, 0, 65535).astype(np.uint16)


@dataclass(frozen=True)
class _TrueLabels:
    worm: Worm
    look: Appearance
    seed: int
    faults: Faults | None

    def read(self, t: int) -> VoxelArray:
        if Accidents.of(self.worm.config, self.seed, t).dropped:
            return np.zeros(self.worm.config.volume_shape, np.int32)
        labels = draw_labels(self.worm, self.look, _pose(self.worm, self.faults, t))
        return labels if self.faults is None else self.faults.bent_labels(labels, t)


def _pose(worm: Worm, faults: Faults | None, t: int) -> Pose:
    pose = worm.pose(t)
    return pose if faults is None else faults.drifted(pose, t, worm.config.voxel_size_um)


@dataclass(frozen=True)
class SyntheticRecording:
    """A synthetic recording and all that is true of it.

    Attributes:
        config: What was asked for.
        seed: Of everything random.
        faults: Of the microscope, beside noise; None where it has none.
        recording: Two channels, red (reference) and green (signal), uint16; volumes are rendered when read, from any thread.
        labels: The bodies of the nuclei, rendered when read; label = neuron + 1; where bodies meet, the relatively nearer one.
    """

    config: SyntheticConfig
    seed: int
    recording: Recording
    labels: Labels
    _worm: Worm
    _look: Appearance
    faults: Faults | None = None

    @cached_property
    def truth(self) -> Truth:
        """Position, identity and activity of every neuron in every volume that shows it: not dropped, its centre in the field.

        Positions are those at which the red camera shows the nuclei: where planes jump or the field drifts, nuclei do so too.
        """
        when, who, where, activity = [], [], [], []
        for t in range(self.config.n_volumes):
            neuron = self._shown(t)
            when.append(np.full(len(neuron), t, np.int64))
            who.append(neuron)
            where.append(self._where(t)[neuron])
            activity.append(self._worm.activity(t)[neuron])
        return Truth(np.concatenate(when), np.concatenate(who), np.concatenate(where), np.concatenate(activity))

    @cached_property
    def red(self) -> FloatArray:
        """(n_neurons, T) true red light at the middle of each neuron, above background, camera units; NaN where not shown."""
        return self._light[0]

    @cached_property
    def green(self) -> FloatArray:
        """(n_neurons, T) true green light, likewise."""
        return self._light[1]

    def is_dropped(self, t: int) -> bool:
        """Says whether volume t shows nothing."""
        return Accidents.of(self.config, self.seed, t).dropped

    @cached_property
    def _light(self) -> tuple[FloatArray, FloatArray]:
        light = np.full((2, self.config.n_neurons, self.config.n_volumes), np.nan, np.float32)
        for t in range(self.config.n_volumes):
            neuron, accidents = self._shown(t), Accidents.of(self.config, self.seed, t)
            light[:, neuron, t] = peak_light(self._worm, self._look, self._worm.pose(t), accidents, t)[:, neuron]
        return light[0], light[1]

    def _shown(self, t: int) -> IntArray:
        if self.is_dropped(t):
            return np.zeros(0, np.int64)
        place = self._where(t) / self.config.voxel_size_um
        return np.flatnonzero(np.all((place >= -0.5) & (place <= np.array(self.config.volume_shape) - 0.5), axis=1))

    def _where(self, t: int) -> FloatArray:
        position_um = _pose(self._worm, self.faults, t).position_um[: self.config.n_neurons]
        return position_um if self.faults is None else self.faults.recorded_um(position_um, t, self.config.voxel_size_um)


def simulate(config: SyntheticConfig, *, seed: int, faults: FaultsConfig | None = None) -> SyntheticRecording:
    """Makes a synthetic recording; nothing is rendered before it is read.

    Volume t depends on the settings (other than n_volumes), the seed and t alone: a longer recording begins with the shorter one.

    Args:
        config: The worm and its microscope.
        seed: Of everything random.
        faults: Of the microscope, beside noise; the worm is the same with and without.

    Raises:
        InputError: more nuclei than fit into the volume.
    """
    worm = Worm.grow(config, seed)
    look = Appearance.draw(worm, seed)
    _ = worm.phase_step, worm.neighbour_um  # computed here once, not by several threads at once
    wrong = None if faults is None else Faults(faults, seed, config.volume_shape)
    content = f"{VERSION} {seed} {config.model_dump_json()}" + ("" if faults is None else f" {faults.model_dump_json()}")
    recording = Recording(
        name=f"synthetic-{seed}",
        source=_Film(worm, look, seed, wrong),
        shape=(config.n_volumes, 2, *config.volume_shape),
        dtype=np.dtype(np.uint16),
        voxel_size_um=config.voxel_size_um,
        rate_hz=config.rate_hz,
        channel_names=("red", "green"),
        reference=0,
        signal=1,
        fingerprint=hashlib.sha256(content.encode()).hexdigest(),
    )
    labels = Labels(_TrueLabels(worm, look, seed, wrong), (config.n_volumes, *config.volume_shape))
    return SyntheticRecording(config, seed, recording, labels, worm, look, wrong)


def measure_motion(truth: Truth) -> float:
    """Returns the median displacement between successive volumes in units of the median neighbour distance; NaN without pairs."""
    displacements, neighbours = [], []
    before: dict[int, FloatArray] = {}
    last = -2
    for t in np.unique(truth.t):
        rows = truth.t == t
        position, who = truth.position_um[rows], truth.neuron[rows]
        if len(position) > 1:
            neighbours.append(np.asarray(cKDTree(position).query(position, k=2)[0])[:, 1])
        if t == last + 1:
            displacements += [np.linalg.norm(p - before[n]) for n, p in zip(who.tolist(), position, strict=True) if n in before]
        before, last = dict(zip(who.tolist(), position, strict=True)), int(t)
    if not displacements or not neighbours:
        return float("nan")
    return float(np.median(displacements) / np.median(np.concatenate(neighbours)))
