"""track on the catalogue of cases, and what must hold whatever the recording."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barlowtrack.config import ComputeConfig, TrackConfig
from barlowtrack.data import UNKNOWN, Detections, Embeddings, Tracks
from barlowtrack.errors import ConfigError, InputError
from barlowtrack.evaluate import Outcome, evaluate
from barlowtrack.evaluate.matching import map_ids
from barlowtrack.identity import solve as identity
from tests.cases import CASES, detections_at, looks_of, shuffled, tracked

REAL_POINTS = Path(__file__).parents[4] / "shared" / "data" / "nerve_worm1_points" / "points.csv"
POINTS_ONLY = TrackConfig(appearance=False)


def solve(
    detections: Detections, embeddings: Embeddings | None = None, config: TrackConfig = POINTS_ONLY, *, seed: int = 0, workers: int = 1
) -> Tracks:
    embeddings = embeddings or Embeddings(np.ones((len(detections), 1), np.float32))
    return tracked(detections, looks_of(detections), embeddings, config=config, compute=ComputeConfig(workers=workers), seed=seed)


def solved(name: str, config: TrackConfig | None = None) -> Tracks:
    return _solved(name, config)


@functools.cache  # by what is passed: with a default left out it would be another call
def _solved(name: str, config: TrackConfig | None) -> Tracks:
    detections, embeddings, _ = CASES[name](0)
    return solve(detections, embeddings, config or (POINTS_ONLY if embeddings is None else TrackConfig()))


def accuracy(name: str, config: TrackConfig | None = None) -> float:
    detections, _, truth = CASES[name](0)
    return evaluate(detections, solved(name, config), truth).identity_accuracy


LEAST_ACCURACY = {
    "still": 1.0,
    "drift": 1.0,
    "turn": 1.0,
    "bend": 0.99,
    "jump": 0.9,
    "dropout": 0.5,  # at most .70 were detected
    "false_detections": 0.88,
    "swap": 0.99,
    "merge": 0.86,
    "looks": 0.80,  # at most .90 were detected
    "useless_looks": 0.99,
    "empty_volume": 0.99,
    "few_in_some": 0.99,
    "one_neuron": 1.0,
    "one_volume": 1.0,
    "coplanar": 0.96,  # so small a body bends on the scale on which neighbours share their motion
    "same_place": 0.99,
    "two_worms": 0.95,
    "roll": 0.99,
    "many_false": 0.82,
    "far_apart": 0.99,
    "twins": 0.98,
    "leaving": 0.68,
}


def of_cases(names: Iterable[str]) -> list[Any]:
    """What is asked of one case is asked by one worker, which solves it once."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"case {name}")) for name in names]


@pytest.mark.parametrize("name", of_cases(LEAST_ACCURACY))
def test_identities_are_right(name: str) -> None:
    assert accuracy(name) >= LEAST_ACCURACY[name]


@pytest.mark.parametrize("name", of_cases(CASES))
def test_no_neuron_is_twice_in_a_volume(name: str) -> None:
    detections, _, _ = CASES[name](0)
    found = solved(name)
    known = found.neuron >= 0
    pairs = np.stack([detections.t[known], found.neuron[known]], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert np.array_equal(np.unique(found.neuron[known]), np.arange(found.n_neurons))


def test_nothing_in_nothing_out() -> None:
    assert solved("nothing").n_neurons == 0
    assert len(solved("nothing")) == 0


@pytest.mark.parametrize("name", of_cases(["bend", "swap"]))
def test_order_of_volumes_and_rows_changes_nothing(name: str) -> None:
    case = CASES[name](0)
    (detections, embeddings, _), old_row = shuffled(case, np.random.default_rng(5))
    config = POINTS_ONLY if embeddings is None else TrackConfig()
    again = solve(detections, embeddings, config)
    assert np.array_equal(again.neuron, solved(name).neuron[old_row])
    assert np.array_equal(again.probability, solved(name).probability[old_row])


@pytest.mark.xdist_group("case turn")
def test_shifting_every_volume_by_itself_changes_nothing_but_names() -> None:
    detections, _, _ = CASES["turn"](0)
    shift = np.random.default_rng(2).normal(0, 50, (detections.n_volumes, 3))[detections.t]
    moved = solve(detections_at(detections.t, detections.position_um + shift, detections.n_volumes))
    assert same_partition(moved.neuron, solved("turn").neuron) > 0.995


@pytest.mark.xdist_group("case turn")
def test_units_do_not_matter() -> None:
    detections, _, _ = CASES["turn"](0)
    scaled = solve(detections_at(detections.t, detections.position_um * 0.015, detections.n_volumes))
    assert same_partition(scaled.neuron, solved("turn").neuron) > 0.995


@pytest.mark.xdist_group("case swap")
def test_number_of_workers_changes_nothing() -> None:
    detections, embeddings, _ = CASES["swap"](0)
    threaded = solve(detections, embeddings, TrackConfig(), workers=3)
    assert np.array_equal(threaded.neuron, solved("swap").neuron)
    assert np.array_equal(threaded.probability, solved("swap").probability)


@pytest.mark.xdist_group("case looks")
def test_looks_carry_where_positions_are_poor() -> None:
    assert accuracy("looks") > accuracy("looks", POINTS_ONLY) + 0.2


@pytest.mark.xdist_group("case swap")
def test_looks_tell_swapped_neighbours_apart() -> None:
    assert accuracy("swap") > accuracy("swap", POINTS_ONLY) + 0.05


@pytest.mark.xdist_group("case swap")
def test_looks_alone_suffice_where_they_tell() -> None:
    assert accuracy("swap", TrackConfig(position=False)) >= 0.98


@pytest.mark.xdist_group("case useless_looks")
def test_useless_looks_alone_claim_nothing() -> None:
    assert solved("useless_looks", TrackConfig(position=False)).n_neurons == 0


@pytest.mark.xdist_group("case useless_looks")
def test_useless_looks_do_not_hurt() -> None:
    assert accuracy("useless_looks") >= accuracy("useless_looks", POINTS_ONLY) - 0.005


@pytest.mark.xdist_group("case false_detections")
def test_doubtful_assignments_become_unknown() -> None:
    detections, _, _ = CASES["false_detections"](0)
    bold = solved("false_detections")
    least = float(np.round(np.median(bold.probability[bold.neuron >= 0]), 3))
    careful = solve(detections, config=TrackConfig(appearance=False, min_probability=least))
    doubtful = (bold.neuron >= 0) & (bold.probability < least)
    assert doubtful.any()
    assert np.array_equal(careful.neuron == UNKNOWN, doubtful | (bold.neuron == UNKNOWN))
    assert careful.probability[careful.neuron >= 0].min() >= least
    assert np.allclose(careful.probability[doubtful], 1 - bold.probability[doubtful])


@pytest.mark.xdist_group("case false_detections")
def test_at_most_so_many_are_wrong() -> None:
    detections, _, truth = CASES["false_detections"](0)
    bold = solved("false_detections")
    careful = solve(detections, config=TrackConfig(appearance=False, max_error=0.02))
    kept, left_out = careful.neuron >= 0, (careful.neuron < 0) & (bold.neuron >= 0)
    assert left_out.any()
    assert np.mean(1 - careful.probability[kept]) <= 0.02
    assert bold.probability[left_out].max() < careful.probability[kept].min()
    outcome = evaluate(detections, careful, truth).outcome[kept]
    assert np.mean(outcome != Outcome.CORRECT) < np.mean(evaluate(detections, bold, truth).outcome[bold.neuron >= 0] != Outcome.CORRECT) / 2


@pytest.mark.xdist_group("case false_detections")
def test_probability_tells_right_from_wrong() -> None:
    found = solved("false_detections")
    detections, _, truth = CASES["false_detections"](0)
    right = evaluate(detections, found, truth).outcome == Outcome.CORRECT
    known = found.neuron >= 0
    assert found.probability[right & known].mean() > found.probability[~right & known].mean() + 0.05


def same_partition(a: np.ndarray, b: np.ndarray) -> float:
    """Share of rows in the same group under the best mapping of names."""
    mapping = map_ids(a, b)
    return float(np.mean([mapping.get(int(x)) == int(y) for x, y in zip(a, b, strict=True)]))


def test_says_how_far_it_is() -> None:
    detections, embeddings, _ = CASES["still"](0)
    said: list[tuple[int, int]] = []
    tracked(
        detections,
        looks_of(detections),
        embeddings or Embeddings(np.ones((len(detections), 1), np.float32)),
        config=POINTS_ONLY,
        compute=ComputeConfig(workers=1),
        seed=0,
        progress=lambda done, total: said.append((done, total)),
    )
    assert [done for done, _ in said] == list(range(len(said)))
    assert said[-1][0] == said[-1][1]


def test_no_more_volumes_are_worked_on_than_fit_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    detections, _, _ = CASES["still"](0)
    threads: set[str] = set()
    sight = identity.sight

    def watched(*args: Any) -> Any:
        threads.add(threading.current_thread().name)
        return sight(*args)

    monkeypatch.setattr(identity, "sight", watched)
    embeddings = Embeddings(np.ones((len(detections), 1), np.float32))
    few = tracked(
        detections, looks_of(detections), embeddings, config=POINTS_ONLY, compute=ComputeConfig(workers=4, memory_gb=1e-6), seed=0
    )
    assert len(threads) == 1
    threads.clear()
    many = tracked(detections, looks_of(detections), embeddings, config=POINTS_ONLY, compute=ComputeConfig(workers=4), seed=0)
    assert 1 < len(threads) <= 4
    assert np.array_equal(few.neuron, many.neuron)
    assert np.array_equal(few.probability, many.probability)


def test_refuses_rows_that_do_not_match() -> None:
    detections, _, _ = CASES["still"](0)
    with pytest.raises(InputError, match="one embedding a detection"):
        solve(detections, Embeddings(np.ones((3, 2), np.float32)))


def test_refuses_to_go_by_nothing() -> None:
    detections, _, _ = CASES["still"](0)
    with pytest.raises(ConfigError, match="both false"):
        solve(detections, config=TrackConfig(position=False, appearance=False))


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not REAL_POINTS.exists(), reason="the real points of ../shared/data are not here")
def test_real_worm() -> None:
    """Golden: python benchmarks/bench_track.py --points ... gives .892 on every 5th volume."""
    table = pd.read_csv(REAL_POINTS)
    table = table[np.unique(table["volume"], return_inverse=True)[1] % 5 == 0]
    t = np.unique(table["volume"], return_inverse=True)[1]
    found = solve(detections_at(t, table[["z", "y", "x"]].to_numpy(), int(t.max()) + 1))
    labelled = table["neuron"].notna().to_numpy()
    true, ours = table["neuron"].to_numpy()[labelled].astype(int), found.neuron[labelled]
    mapping = map_ids(ours[ours >= 0], true[ours >= 0])
    assert np.mean([mapping.get(int(a)) == int(b) for a, b in zip(ours, true, strict=True)]) >= 0.84


def test_weak_looks_alone_name_nobody_instead_of_confirming_themselves(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    detections, _, _ = CASES["still"](0)
    label = detections.label - detections.label.min()
    own = rng.normal(size=(label.max() + 1, 32))[label]
    told: list[tuple[int, int]] = []
    for scatter, least, most in ((3.0, 0.0, 0.0), (0.3, 0.9, 1.0)):
        vectors = own + scatter * rng.normal(size=own.shape)
        embeddings = Embeddings((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
        found = tracked(
            detections, looks_of(detections), embeddings, config=TrackConfig(position=False), compute=ComputeConfig(workers=1), seed=0,
            progress=lambda *at: told.append(at),
        )  # fmt: skip
        assert least <= np.mean(found.neuron >= 0) <= most
        assert told[-1][0] == told[-1][1]
    assert "nobody is named" in caplog.text
