"""A small body whose atlas is known without learning it, for tests of what people say against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.config import TrackConfig
from barlowtrack.data import UNKNOWN, Candidates, Correction, Corrections, Detections, Embeddings, Identities, Tracked, Witnesses
from barlowtrack.identity.atlas import smooth_shape
from barlowtrack.identity.claims import claims_of, together
from barlowtrack.identity.confidence import calibrate
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.opinions import NOT_ASKED
from barlowtrack.identity.rulings import number
from barlowtrack.identity.solve import Atlas, sight
from barlowtrack.identity.volumes import prepare
from barlowtrack.stages.track import track
from tests.cases import arrangement, detections_at

K, T = 16, 6


@dataclass(frozen=True)
class Scene:
    """Detections, the atlas, and what it says of them; true: (N,) the id that each has, UNKNOWN where it is none."""

    detections: Detections
    learned: Learned
    identities: Identities
    true: np.ndarray

    def row(self, t: int, neuron: int) -> int:
        """The detection that a neuron truly is."""
        return int(np.flatnonzero((self.detections.t == t) & (self.true == neuron))[0])

    def on(self, row: int, neuron: int | str | None, line: int = 2, **more: object) -> Correction:
        """A person says who a detection is; None: no neuron."""
        t, label = int(self.detections.t[row]), int(self.detections.label[row])
        said = {"what": "not-a-neuron"} if neuron is None else {"what": "is", "neuron": str(neuron)}
        return Correction(**said, t=t, label=label, line=line, **more)

    def tracked(self, *rows: Correction, witnesses: dict[str, Witnesses] | None = None, config: TrackConfig | None = None) -> Tracked:
        looks = Embeddings(np.ones((len(self.detections), 1), np.float32))
        return track(
            self.detections, looks, self.learned, self.identities, Corrections(rows, witnesses or {}), config=config or TrackConfig()
        )


def scene(seed: int = 0, *, swapped: bool = False, jitter_um: float = 0.2) -> Scene:
    """T volumes of a body of K that drifts, each with a false detection far from it; swapped: the atlas is wrong about two in volume 2."""
    rng = np.random.default_rng(seed)
    rest = arrangement(K, rng)
    t, place, entry = [], [], []
    for v in range(T):
        order = rng.permutation(K)
        t += [v] * (K + 1)
        place.append(np.concatenate([rest[order] + rng.normal(0, jitter_um, (K, 3)), [[0.0, 30.0, 30.0]]]) + rng.normal(0, 5, 3))
        entry += [*order, UNKNOWN]
    detections = detections_at(np.array(t), np.concatenate(place), T)
    true_entry = np.array(entry)
    said = true_entry.copy()
    if swapped:
        a, b = (np.flatnonzero((detections.t == 2) & (said == k))[0] for k in (0, 1))
        said[[a, b]] = said[[b, a]]
    learned = learned_of(detections, rest)
    identities = identities_of(detections, said)
    ids = np.full(K + 1, UNKNOWN)
    ids[number(detections, said)] = np.arange(K)
    return Scene(detections, learned, identities, ids[true_entry])


def learned_of(detections: Detections, rest: np.ndarray) -> Learned:
    """The atlas of a body at rest, believed as far as its own posterior goes: nobody else was asked."""
    preparation, volumes = prepare(detections, None)
    atlas = Atlas(smooth_shape(rest / preparation.unit_um), None, K)
    claims = together([claims_of(sight(volume, atlas), i) for i, volume in enumerate(volumes)])
    unasked = np.full((2, len(detections)), NOT_ASKED)
    return Learned(preparation, atlas, calibrate(claims, unasked, K, detections.n_volumes)[0])


def identities_of(detections: Detections, entry: np.ndarray, probability: float = 0.9) -> Identities:
    """Identities of which each detection has itself and the next entry as candidates."""
    known = entry >= 0
    who = np.where(known[:, None], np.stack([entry, (entry + 1) % K, np.full(len(entry), UNKNOWN)], axis=1), UNKNOWN)
    share = np.where(known[:, None], [probability, (1 - probability) / 2, 0], 0)
    absent = np.full((detections.n_volumes, K), 0.8, np.float32)
    absent[detections.t[known], entry[known]] = np.nan
    sure = np.full(len(entry), probability, np.float32)
    nowhere = np.full((*absent.shape, 3), np.nan, np.float32)
    return Identities(entry.astype(np.int32), sure, Candidates(who.astype(np.int32), share.astype(np.float32)), absent, nowhere)
