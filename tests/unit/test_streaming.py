"""Volumes that come one by one: the same identities as at once, in the same ids, whatever the order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import barlowtrack as bt
from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import Detections, Embeddings
from barlowtrack.errors import InputError, StorageError
from barlowtrack.identity.claims import claims_of
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.solve import Atlas, sight
from barlowtrack.identity.volumes import Preparation
from barlowtrack.known import open_known
from barlowtrack.stages.identify import Identification, identify
from barlowtrack.streaming import SeenVolume
from tests import cases


def learn(detections: Detections, embeddings: Embeddings | None) -> Identification:
    found = embeddings or Embeddings(np.ones((len(detections), 1), np.float32))
    config = TrackConfig(appearance=embeddings is not None)
    return identify(detections, cases.looks_of(detections), found, config=config, compute=ComputeConfig(workers=1), seed=0)


@pytest.fixture(scope="module")
def looks():
    """The first volumes of neurons that only position and looks together tell apart."""
    detections, embeddings, _ = cases.looks()
    few = detections.rows_of(9).stop
    columns = {name: getattr(detections, name)[:few] for name in detections.__dataclass_fields__ if name != "n_volumes"}
    found, seen = Detections(10, **columns), Embeddings(embeddings.vectors[:few])
    return found, seen, learn(found, seen)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tracked points, as a folder."""
    detections, _, _ = cases.bend()
    rows = detections.t < 6
    frame = pd.DataFrame({"t": detections.t[rows], **{axis: detections.position_um[rows, i] for i, axis in enumerate("zyx")}})
    path = tmp_path_factory.mktemp("points") / "found"
    bt.track_points(frame, path)
    return path


def test_one_by_one_says_the_same_as_at_once_in_any_order(looks):
    detections, embeddings, found = looks
    tracker = bt.Tracker(found.learned)
    for t in (7, 2, 2, 0, 9):
        rows = detections.rows_of(t)
        seen = tracker.update(detections.position_um[rows], embeddings.vectors[rows])
        assert np.array_equal(seen.neuron, found.identities.neuron[rows])
        assert np.array_equal(np.isnan(seen.absent), np.isin(np.arange(tracker.known.n_neurons), seen.neuron))
        known = seen.neuron >= 0
        assert np.array_equal(seen.candidates.neuron[known, 0], seen.neuron[known])
        assert np.allclose(seen.candidates.probability[known, 0], seen.probability[known])
        assert (seen.candidates.probability.sum(1) <= 1 + 1e-6).all()


def test_turn_place_and_order_of_rows_change_nothing(looks):
    detections, embeddings, found = looks
    tracker, rng = bt.Tracker(found.learned), np.random.default_rng(0)
    rows = detections.rows_of(4)
    place, vectors = detections.position_um[rows].astype(np.float64), embeddings.vectors[rows]
    before = tracker.update(place, vectors)
    order = rng.permutation(len(place))
    turn = np.array([[1, 0, 0], [0, -0.6, 0.8], [0, -0.8, -0.6]])
    after = tracker.update((place @ turn.T + (5, -40, 90))[order], vectors[order])
    assert (after.neuron == before.neuron[order]).mean() > 0.9


def test_ids_are_those_of_the_tables(folder):
    tracks = pd.read_parquet(folder / "tracks.parquet")
    tracker = bt.Tracker.load(folder)
    assert tracker.known.n_neurons == tracks["neuron"].max() + 1
    for _, volume in tracks.groupby("t"):
        seen = tracker.update(volume[["z", "y", "x"]].to_numpy())
        assert seen.neuron.tolist() == volume["neuron"].fillna(-1).tolist()
    assert sorted(open_known(folder / "atlas.safetensors").neuron) == list(range(tracker.known.learned.atlas.n_neurons))


def test_doubtful_assignments_become_unknown(folder, looks):
    detections, _, found = looks
    place = detections.position_um[detections.rows_of(3)]
    plain, strict = bt.Tracker(found.learned).update(place), bt.Tracker(found.learned, min_probability=0.9).update(place)
    doubtful = (plain.neuron >= 0) & (plain.probability < 0.9)
    assert doubtful.any()
    assert np.array_equal(strict.neuron, np.where(doubtful, -1, plain.neuron))
    assert np.allclose(strict.absent[plain.neuron[doubtful]], 1 - plain.probability[doubtful])


def test_of_two_entries_that_are_one_neuron_the_surer_stays(looks):
    detections, embeddings, found = looks
    rows = detections.rows_of(4)
    plain = bt.Tracker(found.learned)
    before = plain.update(detections.position_um[rows], embeddings.vectors[rows])
    a, b = np.flatnonzero(before.neuron >= 0)[:2]
    sure, other = (a, b) if before.probability[a] >= before.probability[b] else (b, a)
    one = replace(plain.known, neuron=np.where(plain.known.neuron == before.neuron[b], before.neuron[a], plain.known.neuron))
    after = bt.Tracker(one).update(detections.position_um[rows], embeddings.vectors[rows])
    assert after.neuron[sure] == before.neuron[a]
    assert (after.neuron[other], after.probability[other]) == (-1, pytest.approx(1 - before.probability[other]))
    assert np.isnan(after.absent[before.neuron[[a, b]]]).all()
    for who in after.candidates.neuron:
        assert len(np.unique(who[who >= 0])) == (who >= 0).sum()


def mean_probability(seen: SeenVolume) -> float:
    return float(seen.probability[seen.neuron >= 0].mean()) if (seen.neuron >= 0).any() else 0.0


def test_volumes_of_the_recording_keep_their_probability(looks):
    detections, embeddings, found = looks
    tracker, calibration = bt.Tracker(found.learned), found.learned.calibration
    for t in range(0, 10, 3):
        rows = detections.rows_of(t)
        place, vectors = detections.position_um[rows].astype(np.float64), embeddings.vectors[rows]
        claims = claims_of(sight(found.learned.preparation.volume(np.arange(len(place)), place, vectors), found.learned.atlas))
        known = claims.neuron >= 0
        kept = calibration.probability(claims)[known].mean()
        assert mean_probability(tracker.update(place, vectors)) == pytest.approx(kept, abs=0.01)


def test_a_few_nuclei_are_somebody_by_their_looks_and_nobody_by_their_place(looks):
    detections, embeddings, found = looks
    tracker, start = bt.Tracker(found.learned), detections.rows_of(4).start
    for n in (1, 2, 3):
        place, vectors = detections.position_um[start : start + n], embeddings.vectors[start : start + n]
        assert mean_probability(tracker.update(place, vectors)) > 0.8
        seen = tracker.update(place)
        assert mean_probability(seen) < 0.3
        assert seen.candidates.probability.sum(1).max() < 0.3


def test_what_is_not_the_animal_is_not_believed(folder):
    tracker, rng = bt.Tracker.load(folder), np.random.default_rng(0)
    tracks = pd.read_parquet(folder / "tracks.parquet")
    place = tracks.loc[tracks["t"] == 0, ["z", "y", "x"]].to_numpy()
    familiar = mean_probability(tracker.update(place))
    assert familiar > 0.8
    box = [mean_probability(tracker.update(rng.uniform(place.min(0), place.max(0), place.shape))) for _ in range(8)]
    assert np.mean(box) < 0.4
    assert mean_probability(tracker.update(place * (1, 1, -1))) < 0.8 * familiar


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_detections(folder, n):
    seen = bt.Tracker.load(folder).update(np.arange(3.0 * n).reshape(n, 3))
    assert len(seen.neuron) == len(seen.candidates) == n
    assert np.isfinite(seen.absent).sum() >= len(seen.absent) - n


def test_an_atlas_of_nobody_knows_nobody():
    seen = bt.Tracker(Learned(Preparation(1.0), Atlas(None, None, 0))).update(np.zeros((2, 3)))
    assert seen.neuron.tolist() == [-1, -1]


def test_what_cannot_be_used_is_refused(looks, folder, tmp_path):
    tracker = bt.Tracker(looks[2].learned)
    with pytest.raises(InputError, match="min_probability: expected 0 to 1, got 2"):
        bt.Tracker(looks[2].learned, min_probability=2)
    with pytest.raises(InputError, match=r"shape \(n, 3\), got \(3,\)"):
        tracker.update(np.zeros(3))
    with pytest.raises(InputError, match="row 1"):
        tracker.update(np.array([[0, 0, 0], [0, np.nan, 0]]))
    with pytest.raises(InputError, match=r"vectors: expected shape \(2, 32\)"):
        tracker.update(np.zeros((2, 3)), np.zeros((2, 5)))
    with pytest.raises(InputError, match=r"vectors: .* row 0"):
        tracker.update(np.zeros((1, 3)), np.full((1, 32), np.inf))
    with pytest.raises(StorageError, match="expected a run folder"):
        bt.Tracker.load(tmp_path)
    pd.read_parquet(folder / "neurons.parquet").assign(entry=1000).to_parquet(tmp_path / "neurons.parquet")
    (tmp_path / "atlas.safetensors").write_bytes((folder / "atlas.safetensors").read_bytes())
    with pytest.raises(InputError, match="one recording"):
        bt.Tracker.load(tmp_path)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ([[object(), 2, 3]], "positions: expected rows of numbers"),
        ([[1e200, 0, 0], [0, 0, 0]], "positions: .* row 0"),
        ([["a", "b", "c"]], "positions: expected real numbers"),
        ([[1, 2, 3], [1, 2]], "positions: expected rows of numbers, all of one length"),
        ([[1j, 2, 3]], "positions: expected real numbers, got complex"),
        ([[None, 2, 3]], "positions: expected finite numbers"),
    ],
)
def test_positions_that_are_none_are_refused(looks, place, said):
    with pytest.raises(InputError, match=said):
        bt.Tracker(looks[2].learned).update(place)


def test_looks_that_are_none_are_refused(looks):
    tracker = bt.Tracker(looks[2].learned)
    for vectors in (np.full((2, 32), 1e200), np.full((2, 32), 1j), np.full((2, 32), "a")):
        with pytest.raises(InputError, match="vectors: expected"):
            tracker.update(np.zeros((2, 3)), vectors)


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (1.4, False), (10.0, True), (0.1, True)])
def test_positions_in_another_unit_are_warned_of_once(folder, caplog, factor, warned):
    tracker = bt.Tracker.load(folder)
    place = cases.bend()[0].position_um[cases.bend()[0].rows_of(0)]
    for _ in range(2):
        tracker.update(factor * place)
    assert [("expected positions in its unit" in record.getMessage()) for record in caplog.records] == [True] * warned
