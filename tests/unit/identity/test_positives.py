"""Sure identities against the truth."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from barlowtrack.config import ComputeConfig
from barlowtrack.data import UNKNOWN, Detections, Truth
from barlowtrack.identity.identify import identify
from barlowtrack.identity.positives import FEWEST_VOLUMES, sure_identities
from barlowtrack.identity.volumes import prepare
from tests.cases import CASES, SPACING_UM, arrangement, detections_at


def sure(detections: Detections, used: np.ndarray, vectors: np.ndarray | None = None, workers: int = 1, seed: int = 0) -> np.ndarray:
    return sure_identities(detections, used, vectors, seed=seed, compute=ComputeConfig(workers=workers))


def precision(detections: Detections, neuron: np.ndarray, truth: Truth) -> float:
    """Of pairs of detections in different volumes that are called one neuron, the share that is: what training is shown."""
    true = np.full(len(detections), UNKNOWN)
    for t in range(detections.n_volumes):
        rows, there = detections.rows_of(t), truth.t == t
        far = np.linalg.norm(detections.position_um[rows][:, None] - truth.position_um[there][None], axis=-1)
        if far.size:
            nearest = far.argmin(1)
            true[rows] = np.where(far[np.arange(len(far)), nearest] < 1.5, truth.neuron[there][nearest], UNKNOWN)
    right = total = 0
    for who in np.unique(neuron[neuron != UNKNOWN]):
        shown = true[neuron == who]
        counts = np.unique(shown[shown != UNKNOWN], return_counts=True)[1]
        right += int((counts * (counts - 1)).sum())
        total += len(shown) * (len(shown) - 1)
    return right / total


@pytest.mark.parametrize(("case", "least_known"), [("still", 0.9), ("bend", 0.9)])
def test_what_is_sure_is_right(case: str, least_known: float) -> None:
    detections, _, truth = CASES[case](0)
    neuron = sure(detections, np.arange(detections.n_volumes))
    assert precision(detections, neuron, truth) >= 0.97
    assert np.mean(neuron != UNKNOWN) >= least_known
    pairs = np.stack([detections.t, neuron], axis=1)[neuron != UNKNOWN]
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_what_is_less_than_sure_is_not_shown() -> None:
    rng = np.random.default_rng(0)
    rest = arrangement(30, rng)
    positions = np.concatenate([rest + 0.4 * SPACING_UM * rng.normal(size=rest.shape) for _ in range(10)])
    detections = detections_at(np.repeat(np.arange(10), 30), positions, 10)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(1) as pool:
        alone = identify(prepare(detections, None)[1], pool, seed=0)
    assert np.any((alone.neuron != UNKNOWN) & (alone.probability < 0.95))
    assert np.array_equal(sure(detections, np.arange(10)), np.where(alone.probability >= 0.95, alone.neuron, UNKNOWN))


def test_only_the_volumes_asked_for_are_looked_at() -> None:
    detections, _, _ = CASES["still"](0)
    used = np.arange(0, 20, 2)[::-1]  # in whatever order
    neuron = sure(detections, used)
    inside = np.isin(detections.t, used)
    assert np.all(neuron[~inside] == UNKNOWN)
    assert np.mean(neuron[inside] != UNKNOWN) > 0.9

    moved = detections.position_um.copy()
    moved[~inside] = np.random.default_rng(0).uniform(0, 50, moved[~inside].shape)
    assert np.array_equal(sure(detections_at(detections.t, moved, 20), used), neuron)


def test_where_in_the_recording_the_volumes_lie_changes_nothing() -> None:
    """Of long recordings the training volumes are few: nothing may be sampled from between them."""
    detections, _, _ = CASES["bend"](0)
    part = detections.subset(np.flatnonzero(detections.t < 10))
    far_apart = detections_at(part.t * 250 + 7, part.position_um, 3000)
    assert np.array_equal(sure(far_apart, np.arange(10) * 250 + 7), sure(part, np.arange(10)))


@pytest.mark.parametrize("n_volumes", [0, 1, FEWEST_VOLUMES - 1])
def test_of_too_few_volumes_nothing_is_sure(n_volumes: int) -> None:
    detections, _, _ = CASES["still"](0)
    assert np.all(sure(detections, np.arange(n_volumes)) == UNKNOWN)


def test_volumes_without_nuclei_do_not_count() -> None:
    detections, _, _ = CASES["still"](0)
    few = detections.subset(np.flatnonzero(detections.t < FEWEST_VOLUMES - 1))
    assert np.all(sure(few, np.arange(20)) == UNKNOWN)
    assert len(sure(Detections.empty(20), np.arange(20))) == 0


def test_a_nucleus_or_two_a_volume_do_no_harm() -> None:
    for n in (1, 2):
        t = np.repeat(np.arange(10), n)
        detections = detections_at(t, np.random.default_rng(0).uniform(0, 5, (10 * n, 3)), 10)
        assert len(sure(detections, np.arange(10))) == 10 * n


def test_looks_have_a_say_and_threads_have_none() -> None:
    detections, embeddings, truth = CASES["looks"](0)
    assert embeddings is not None
    used = np.arange(14)
    one, two = (sure(detections, used, embeddings.vectors, workers) for workers in (1, 2))
    assert np.array_equal(one, two)
    assert precision(detections, one, truth) >= 0.97
    blind = sure(detections, used)
    assert np.count_nonzero(one != UNKNOWN) > np.count_nonzero(blind != UNKNOWN)
