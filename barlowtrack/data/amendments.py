"""What people changed of the detections themselves: whole volumes that stand in for those that were found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data.arrays import UNKNOWN, FloatArray, IntArray, VoxelArray, expect, expect_rows
from barlowtrack.data.crops import Embeddings
from barlowtrack.data.detections import Detections
from barlowtrack.data.identities import Amended, Candidates, Clicks, Identities
from barlowtrack.data.light import Light, Places
from barlowtrack.data.recording import Labels, VolumeSource

NOTHING_KNOWN = 0.5
"""How surely a detection of which the atlas said nothing is none of its neurons, and how surely a neuron is absent that lost its own."""


@dataclass(frozen=True)
class AmendedVolume:
    """One volume whose detections people added to, or divided: all that it holds now.

    Attributes:
        t: Which.
        said: Digest of the edits that made it, see edits_digest.
        origin: (n,) row of the found detections that each is; UNKNOWN of those that people made, added ones and both parts of divided
            ones.
        detections: Its n detections; rows of this volume only, n_volumes that of the recording.
        vectors: (n, D) embeddings.
        light: Of the n.
        places: Where the atlas expects neurons that none of them fills, and the light there.
        voxels: (V,) index in the raveled volume of every voxel whose label changed.
        labels: (V,) labels they have now.
        clicks_um: (C, 3) z, y, x where the edits say that nuclei are, by line; none twice.
        clicked: (C,) label of the nucleus that lies there by them; 0 where none could be made.
    """

    t: int
    said: str
    origin: IntArray
    detections: Detections
    vectors: FloatArray
    light: Light
    places: Places
    voxels: IntArray
    labels: IntArray
    clicks_um: FloatArray
    clicked: IntArray

    def __post_init__(self) -> None:
        what, n = f"amended volume {self.t}", len(self.detections)
        expect_rows(what, n, origin=self.origin, vectors=self.vectors, light=self.light.voxels)
        expect(bool(np.all(self.detections.t == self.t) and np.all(self.places.t == self.t)), what, "its own rows only", "others")
        expect_rows(what, len(self.voxels), labels=self.labels)
        expect_rows(what, len(self.clicked), clicks_um=self.clicks_um)


@dataclass(frozen=True)
class Amendments:
    """All volumes whose detections people changed; makes the edition of each table that has them.

    Row i of every edition is the same nucleus. What was found keeps its label; what people made comes where its volume and label put it.

    Attributes:
        volumes: By t, each once.
    """

    volumes: tuple[AmendedVolume, ...] = ()

    def __post_init__(self) -> None:
        t = [volume.t for volume in self.volumes]
        expect(t == sorted(set(t)), "amendments", "volumes in rising order, each once", t)

    def __len__(self) -> int:
        return len(self.volumes)

    def origin(self, found: Detections) -> IntArray:
        """Returns (N',) row of the found detections that each row of an edition is; UNKNOWN of those that people made."""
        parts = [np.arange(part.start, part.stop) if volume is None else volume.origin for part, volume in self._parts(found)]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def detections(self, found: Detections) -> Detections:
        """Returns the edition of the detections."""
        columns = [
            found.subset(np.arange(part.start, part.stop)) if volume is None else volume.detections for part, volume in self._parts(found)
        ]
        return Detections.concatenate(columns, found.n_volumes)

    def embeddings(self, found: Detections, embeddings: Embeddings) -> Embeddings:
        """Returns the edition of the embeddings; rows as in `found`."""
        vectors = [embeddings.vectors[part] if volume is None else volume.vectors for part, volume in self._parts(found)]
        return Embeddings(np.concatenate([embeddings.vectors[:0], *vectors]))

    def clicks(self, found: Detections) -> Clicks:
        """Returns where people said that nuclei are, with rows of the edition."""
        parts, start = [Clicks.none()], 0
        for part, volume in self._parts(found):
            if volume is None:
                start += part.stop - part.start
                continue
            label = volume.detections.label
            at = np.searchsorted(label, volume.clicked)
            there = (at < len(label)) & (np.take(label, at, mode="clip") == volume.clicked) if len(label) else np.zeros(len(at), bool)
            parts.append(Clicks(np.full(len(at), volume.t), volume.clicks_um, np.where(there, at + start, UNKNOWN)))
            start += len(volume.detections)
        return Clicks(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("t", "place_um", "row")))

    def light(self, found: Detections, light: Light) -> Light:
        """Returns the edition of the light; rows as in `found`."""
        return Light.concatenate(
            [light.subset(np.arange(part.start, part.stop)) if volume is None else volume.light for part, volume in self._parts(found)]
        )

    def places(self, places: Places) -> Places:
        """Returns the edition of the places."""
        parts, start = [], 0
        for volume in self.volumes:
            stop, after = (int(row) for row in np.searchsorted(places.t, [volume.t, volume.t + 1]))
            parts += [places.subset(np.arange(start, stop)), volume.places]
            start = after
        return Places.concatenate([*parts, places.subset(np.arange(start, len(places)))])

    def labels(self, labels: Labels) -> Labels:
        """Returns the edition of the label image, read lazily."""
        return Labels(_AmendedLabels(labels.source, {volume.t: volume for volume in self.volumes}), labels.shape)

    def identities(self, found: Detections, identities: Identities, entry: IntArray) -> Identities:
        """Returns the edition of what the atlas says: nothing yet of what people made.

        Args:
            found: N detections.
            identities: Of these.
            entry: Entries of the atlas in the order of their ids: these stay.
        """
        origin = self.origin(found)
        fresh = origin == UNKNOWN
        neuron, who = _taken(identities.neuron, origin, UNKNOWN), _taken(identities.candidates.neuron, origin, UNKNOWN)
        probability, share = _taken(identities.probability, origin, NOTHING_KNOWN), _taken(identities.candidates.probability, origin, 0)
        absent = identities.absent.copy()
        gone = np.setdiff1d(np.flatnonzero(identities.neuron >= 0), origin)
        absent[found.t[gone], identities.neuron[gone]] = NOTHING_KNOWN
        amended = Amended(identities.mark, entry, fresh, self.clicks(found))
        return replace(
            identities, neuron=neuron, probability=probability, candidates=Candidates(who, share), absent=absent, amended=amended
        )

    def _parts(self, found: Detections) -> Iterator[tuple[slice, AmendedVolume | None]]:
        """Yields stretches of rows that stay, and, between them, those that amended volumes stand in for."""
        start = 0
        for volume in self.volumes:
            rows = found.rows_of(volume.t)
            yield slice(start, rows.start), None
            yield rows, volume
            start = rows.stop
        yield slice(start, len(found)), None


def _taken(column: NDArray[Any], origin: IntArray, empty: float) -> NDArray[Any]:
    """Returns (N', ...) the rows that were found, and what stands for those that people made."""
    taken = np.full((len(origin), *column.shape[1:]), empty, column.dtype)
    taken[origin >= 0] = column[origin[origin >= 0]]
    return taken


@dataclass(frozen=True)
class _AmendedLabels:
    """Labels with the voxels that changed."""

    source: VolumeSource
    volumes: dict[int, AmendedVolume]

    def read(self, t: int) -> VoxelArray:
        found = self.source.read(t)
        if t not in self.volumes:
            return found
        labels = np.array(found)
        labels.ravel()[self.volumes[t].voxels] = self.volumes[t].labels
        return labels
