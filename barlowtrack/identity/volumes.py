"""From detections in um to volumes in neighbour distances, with the leading directions of their embeddings.

Volumes and rows are put into an order that depends on their content alone, so that shuffling a recording, or the detections of a
volume, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from barlowtrack.data import Detections
from barlowtrack.identity.appearance import components

Float = NDArray[np.floating[Any]]

SAMPLED_EMBEDDINGS = 20_000


@dataclass(frozen=True)
class Volume:
    """The detections of one volume.

    Attributes:
        rows: (n,) where they stand in the recording; n >= 1.
        points: (n, 3) z, y, x about their mean, in neighbour distances.
        features: (n, P) embeddings, reduced; None where looks are not used.
    """

    rows: NDArray[np.int64]
    points: Float
    features: Float | None


@dataclass(frozen=True)
class Preparation:
    """How the detections of a recording become volumes; kept with the atlas, so that later ones are prepared alike.

    Attributes:
        unit_um: Median distance between neighbours, in um.
        mean: (D,) of the embeddings; None where looks are not used.
        axes: (D, P) leading directions, see appearance.components; None with mean.
    """

    unit_um: float
    mean: Float | None = None
    axes: Float | None = None

    def volume(self, rows: NDArray[np.int64], position_um: Float, vectors: Float | None) -> Volume:
        """Prepares one volume.

        Args:
            rows: (n,) where its detections stand in the recording; n >= 1.
            position_um: (n, 3) z, y, x.
            vectors: (n, D) embeddings; not looked at where looks are not used.
        """
        points = position_um.astype(np.float64)
        points = (points - points.mean(0)) / self.unit_um
        order = np.lexsort(points.T)
        features = None
        if self.mean is not None and self.axes is not None and vectors is not None:
            features = ((vectors[order] - self.mean) @ self.axes).astype(np.float32)
        return Volume(rows[order], points[order], features)

    def to_um(self, points: Float, position_um: Float) -> Float:
        """Returns where points (K, 3) of a prepared volume lie in the recording, in um; position_um (n, 3) are its detections."""
        return np.asarray(points * self.unit_um + position_um.mean(0, dtype=np.float64))


def neighbour_distance_um(detections: Detections, most_volumes: int = 200) -> float:
    """Returns the median distance to the nearest other detection; 1 where there is none."""
    step = max(detections.n_volumes // most_volumes, 1)
    found = [np.zeros(0)]
    for t in range(0, detections.n_volumes, step):
        points = detections.position_um[detections.rows_of(t)]
        if len(points) > 1:
            distance, _ = cKDTree(points).query(points, 2)
            found.append(np.asarray(distance)[:, 1])
    distance = np.concatenate(found)
    distance = distance[distance > 0]
    return float(np.median(distance)) if len(distance) else 1.0


def prepare(detections: Detections, vectors: Float | None) -> tuple[Preparation, list[Volume]]:
    """Cuts a recording into its volumes, in an order given by their content; empty ones are left out.

    Args:
        detections: N of them.
        vectors: (N, D) embeddings, or None where looks are not to be used.
    """
    preparation = Preparation(neighbour_distance_um(detections))
    rows = [np.arange(part.start, part.stop) for part in map(detections.rows_of, range(detections.n_volumes)) if part.stop > part.start]
    volumes = [preparation.volume(part, detections.position_um[part], None) for part in rows]
    keys = [(len(volume.rows), (volume.points**2).sum()) for volume in volumes]
    volumes = [volumes[i] for i in sorted(range(len(volumes)), key=lambda i: keys[i])]
    if vectors is None or not volumes:
        return preparation, volumes
    ordered = np.concatenate([v.rows for v in volumes])
    mean, axes = components(vectors[ordered[:: max(len(ordered) // SAMPLED_EMBEDDINGS, 1)]])
    preparation = Preparation(preparation.unit_um, mean, axes)
    return preparation, [Volume(v.rows, v.points, ((vectors[v.rows] - mean) @ axes).astype(np.float32)) for v in volumes]
