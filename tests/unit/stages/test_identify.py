"""identify: where the atlas has every neuron, in um, detected or not."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import UNKNOWN, Detections, Embeddings, Identities
from barlowtrack.stages.identify import identify
from tests.cases import arrangement, detections_at, looks_of

POINTS_ONLY = TrackConfig(appearance=False)
K, T = 16, 8


def identities(detections: Detections, config: TrackConfig = POINTS_ONLY, vectors: np.ndarray | None = None) -> Identities:
    embeddings = Embeddings(np.ones((len(detections), 1), np.float32) if vectors is None else vectors)
    compute = ComputeConfig(workers=1)
    return identify(detections, looks_of(detections), embeddings, config=config, compute=compute, seed=0).identities


def worm(turn: float = 0.4, flat: bool = False) -> tuple[Detections, np.ndarray, np.ndarray]:
    """A body that turns, drifts and trembles; every neuron is missed in every eighth volume. With who each is, and all true places."""
    rng = np.random.default_rng(3)
    rest = arrangement(K, rng) * ([0, 1, 1] if flat else [1, 1, 1])
    t, who, true = [], [], np.zeros((T, K, 3))
    for v in range(T):
        angle = rng.uniform(-turn, turn)
        about = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
        true[v] = (rest - rest.mean(0)) @ about + [20, 60, 90] + rng.normal(0, 3, 3) * ([0, 1, 1] if flat else 1)
        true[v] += rng.normal(0, 0.15, (K, 3)) * ([0, 1, 1] if flat else 1)
        kept = np.flatnonzero((np.arange(K) + v) % 8)
        t += [v] * len(kept)
        who += kept.tolist()
    t, who = np.array(t), np.array(who)
    return detections_at(t, true[t, who], T), who, true


@functools.cache
def known(flat: bool) -> Identities:
    return identities(worm(flat=flat)[0])


def entry_of(found: Identities, who: np.ndarray) -> np.ndarray:
    """(K,) entry that each true neuron mostly is."""
    return np.array([np.bincount(found.neuron[(who == k) & (found.neuron >= 0)]).argmax() for k in range(K)])


@pytest.mark.parametrize("flat", [False, True], ids=["body", "plane"])
def test_the_atlas_has_neurons_where_they_are_also_where_nobody_found_them(flat: bool) -> None:
    detections, who, true = worm(flat=flat)
    found = known(flat)
    place = found.place_um[:, entry_of(found, who)]  # (T, K, 3)
    off = np.linalg.norm(place - true, axis=2)
    missed = np.ones((T, K), bool)
    missed[detections.t, who] = False
    assert missed.sum() == T * K / 8
    assert np.median(off[~missed]) < 0.3
    assert np.median(off[missed]) < 0.6
    if flat:
        np.testing.assert_allclose(place[..., 0], 20, atol=0.02)  # what a plane leaves open is not turned


def test_places_move_with_the_worm() -> None:
    whole, who, _ = worm()
    few = np.flatnonzero(whole.t < 5)
    position_um, t, by = whole.position_um[few], whole.t[few], np.array([5.0, -7, 11])
    here, there = (identities(detections_at(t, place, 5)) for place in (position_um, 2 * (position_um + by)))
    ours, theirs = (entry_of(found, who[few]) for found in (here, there))
    np.testing.assert_allclose(there.place_um[:, theirs], 2 * (here.place_um[:, ours] + by), atol=0.02)


def test_a_volume_that_shows_nothing_has_no_places_and_one_with_little_has_finite_ones() -> None:
    detections, *_ = worm()
    rows = np.flatnonzero((detections.t != 5) & ((detections.t != 6) | (np.arange(len(detections)) == detections.rows_of(6).start)))
    found = identities(detections.subset(rows))
    known = np.isfinite(found.place_um).all(2)
    assert not known[5].any()
    assert known[np.arange(T) != 5].all()


def test_looks_alone_tell_no_places() -> None:
    detections, who, _ = worm()
    vectors = np.eye(K, dtype=np.float32)[who]
    found = identities(detections, TrackConfig(position=False), vectors)
    assert (found.neuron != UNKNOWN).mean() > 0.9
    assert np.isnan(found.place_um).all()
    assert found.place_um.shape == (T, found.n_neurons, 3)


def test_nobody_is_nowhere() -> None:
    assert identities(Detections.empty(3)).place_um.shape == (3, 0, 3)
