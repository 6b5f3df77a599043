"""amend: put detections right where people say that nuclei were missed, or found as one."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from barlowtrack.config import ComputeConfig, MeasureConfig
from barlowtrack.data import (
    AmendedVolume,
    Correction,
    Detections,
    Embeddings,
    FloatArray,
    Identities,
    IntArray,
    Labels,
    Light,
    Progress,
    Recording,
    VoxelArray,
    silent,
)
from barlowtrack.data.corrections import edits_by_volume, edits_digest
from barlowtrack.detect.edits import edit, usual_radius_um
from barlowtrack.detect.found import Found
from barlowtrack.detect.measure import measure
from barlowtrack.detect.reading import Reader
from barlowtrack.detect.volume import background, contrast, grain, mend_planes, noise
from barlowtrack.errors import InputError
from barlowtrack.nn.crops import crop_volume
from barlowtrack.nn.device import pick_device
from barlowtrack.nn.encoder import Encoder
from barlowtrack.nn.forward import embed_crops
from barlowtrack.nn.scale import scale_volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Made:
    """The recording and what was made of it, as `amend` gets it."""

    recording: Recording
    labels: Labels
    detections: Detections
    embeddings: Embeddings
    encoder: Encoder
    device: torch.device


def amend(
    recording: Recording,
    labels: Labels,
    detections: Detections,
    embeddings: Embeddings,
    encoder: Encoder,
    identities: Identities,
    light: Light,
    edits: tuple[Correction, ...],
    *,
    config: MeasureConfig,
    compute: ComputeConfig,
    start: int = 0,
    progress: Progress = silent,
) -> Iterator[AmendedVolume]:
    """Adds and divides nuclei, and describes and measures them as the others were; reads only the volumes that people changed.

    What was found and is not divided keeps its row, label and embedding, bit for bit. The light of a volume that was changed is read anew,
    all of it: what was background may be a nucleus now.

    Args:
        recording: T volumes.
        labels: Their instance labels.
        detections: N nuclei.
        embeddings: (N, D).
        encoder: That made them.
        identities: Where each entry of the atlas should lie, and how large its nuclei are.
        light: Of the N nuclei; read with the settings that read it now.
        edits: What people say: rows that add or divide, by volume, then line.
        config: As for measure.
        compute: Device.
        start: Volumes with edits already done; they are not made again.
        progress: Told after every volume with edits.

    Yields:
        Every volume that people changed, by number.

    Raises:
        InputError: an edit that cannot be, by its line; or inputs that are not of one recording.
    """
    _check(recording, labels, detections, embeddings, identities, light)
    device = pick_device(compute)
    made = _Made(recording, labels, detections, embeddings, copy.deepcopy(encoder).to(device).eval(), device)
    reader = Reader(recording, detections, identities, config)
    by_volume = edits_by_volume(edits)
    for done, (t, rows) in enumerate(by_volume.items(), 1):
        if done > start:
            yield _amended(made, reader, t, rows)
        progress(done, len(by_volume))


def _check(
    recording: Recording, labels: Labels, detections: Detections, embeddings: Embeddings, identities: Identities, light: Light
) -> None:
    for what, got in (("an embedding", len(embeddings)), ("an identity", len(identities)), ("light", len(light))):
        if got != len(detections):
            raise InputError(f"amend: expected {what} for each of {len(detections)} detections, got {got}")
    shape = (recording.n_volumes, *recording.volume_shape)
    if labels.shape != shape or detections.n_volumes != recording.n_volumes:
        raise InputError(f"amend: expected labels and detections of a recording {shape} (T Z Y X), got others")


def _amended(made: _Made, reader: Reader, t: int, rows: tuple[Correction, ...]) -> AmendedVolume:
    recording, found = made.recording, made.detections
    if t >= recording.n_volumes:
        raise rows[0].refused(f"t: expected a volume from 0 to {recording.n_volumes - 1}, got {t}")
    volume, before = recording.read(t), made.labels.read(t).astype(np.int32, copy=False)
    red = mend_planes(volume[recording.reference].astype(np.float32))
    edited = edit(before, rows, recording.voxel_size_um, usual_radius_um(found), red)
    for line, why in edited.idle.items():
        log.warning("corrections.csv: line %d: %s; nothing is changed", line, why)
    for error in edited.refused.values():
        log.warning("%s; it is left out, and what is said of that nucleus with it", error)
    part = found.rows_of(t)
    fresh = np.array(sorted(edited.made), np.int64)
    stays = np.arange(part.start, part.stop)[~np.isin(found.label[part], fresh)]
    people = _measured(volume, red, edited.labels, fresh, t, recording, found)
    now, origin = found.subset(stays).joined(people, stays)
    vectors = np.empty((len(now), made.embeddings.vectors.shape[1]), np.float32)
    vectors[origin >= 0] = made.embeddings.vectors[stays]
    vectors[origin < 0] = _embedded(made, volume, people, found.red_peak[part])
    shown = reader.read(t, volume, edited.labels, now.label)
    changed = np.flatnonzero(edited.labels != before)
    values = edited.labels.ravel()[changed]
    clicks, clicked = edited.clicked
    return AmendedVolume(t, edits_digest(rows), origin, now, vectors, shown.light, shown.places, changed, values, clicks, clicked)


def _measured(
    volume: VoxelArray, red: FloatArray, labels: IntArray, wanted: IntArray, t: int, recording: Recording, found: Detections
) -> Detections:
    """Measures the nuclei that people made, as `segment` does those that it finds; how surely they are nuclei no detector said."""
    named = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    named[wanted] = np.arange(1, len(wanted) + 1)
    alone, n = named[labels], len(wanted)
    radius = np.cbrt(3 / (4 * np.pi) * found.volume_um3.astype(np.float64))
    largest_um = float(np.percentile(radius, 99))
    above = red - background(red, np.asarray(recording.voxel_size_um, np.float64), largest_um)
    quality = contrast(above, alone, n, noise(red, grain(red)))
    people = measure(volume, red, Found(alone, quality, quality, np.full(n, np.nan), (0.0, 0.0, 0.0)), t, recording, largest_um).detections
    return replace(people, label=wanted.astype(np.int32))


def _embedded(made: _Made, volume: VoxelArray, people: Detections, red_peak: FloatArray) -> FloatArray:
    """(m, D) embeddings of what people made, in the brightness that the volume's other nuclei were scaled to."""
    if not len(people):
        return np.zeros((0, made.encoder.spec.embedding_dim), np.float32)
    scaled = scale_volume(volume[made.recording.reference], red_peak if len(red_peak) else people.red_peak)
    place, spec = torch.as_tensor(people.position_um.astype(np.float64)), made.encoder.spec
    crops = crop_volume(torch.from_numpy(scaled), place, made.recording.voxel_size_um, spec.size_um, spec.window)
    return embed_crops(made.encoder, crops, made.device)
