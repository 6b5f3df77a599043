"""Raters with known error rates: do probabilities find them without being told?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from barlowtrack.data import UNKNOWN
from barlowtrack.identity import solve
from barlowtrack.identity.atlas import Sighting
from barlowtrack.identity.claims import Claims, claims_of, together
from barlowtrack.identity.confidence import Calibration, calibrate
from barlowtrack.identity.curve import Curve
from barlowtrack.identity.identify import Identified, identify
from barlowtrack.identity.opinions import NO, NO_VOTE, NOT_ASKED, YES
from barlowtrack.identity.registration import Alignment
from barlowtrack.identity.volumes import Volume, prepare
from tests.cases import arrangement, bent, observe

K, T = 60, 40


def rater(right: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(len(right), K) names of all neurons in all volumes, of which a share `right` is right; the others are shuffled among themselves."""
    named = np.tile(np.arange(K), (len(right), 1))
    for volume in range(len(right)):
        wrong = np.flatnonzero(rng.random(K) > right[volume])
        named[volume, wrong] = np.roll(wrong, 1 + volume % 7)
    return named


def claims_by(named: np.ndarray, posterior: np.ndarray) -> Claims:
    n, nobody = named.size, np.full(named.size, UNKNOWN)
    candidates = np.stack([named.ravel(), nobody, nobody], axis=1)
    p = posterior.ravel()
    none = np.zeros(0, int)
    shown = np.stack([p, 0 * p, 0 * p], axis=1)
    return Claims(np.repeat(np.arange(len(named)), K), np.arange(n), named.ravel(), p, p, candidates, shown, none, none, np.zeros(0))


@pytest.mark.parametrize("accuracy", [0.95, 0.85, 0.7])
def test_independent_raters_tell_how_often_they_are_right(accuracy: float) -> None:
    rng = np.random.default_rng(0)
    # Some are easier than others, and the posterior knows a little of it, but claims far too much.
    ease = rng.beta(6 * accuracy, 6 * (1 - accuracy), (T, K))
    ours, others = rater(ease, rng), np.stack([rater(np.full((T, K), 0.8), rng) for _ in range(2)])
    claims = claims_by(ours, 0.9 + 0.09 * ease)
    calibration, votes, _ = calibrate(claims, others.reshape(2, -1), K, T)
    probability = calibration.probability(claims, votes)
    right = (ours == np.arange(K)).ravel()
    assert probability.mean() == pytest.approx(right.mean(), abs=0.04)
    surest = np.argsort(-probability, kind="stable")[: len(right) // 2]
    assert probability[surest].mean() < right[surest].mean() + 0.02
    assert right[surest].mean() > right.mean() + 0.4 * (1 - right.mean())
    # A volume that comes later has no second opinions: by evidence alone it is as true on average.
    assert calibration.probability(claims).mean() == pytest.approx(right.mean(), abs=0.04)


def test_votes_count() -> None:
    curve = Curve(np.array([1.0, 0.5]), 0.5)
    evidence = np.tile([1.0, 1.0], (4, 1))
    both, one, none, silent = curve.probability(evidence, np.array([[YES, YES, NO, NO_VOTE], [YES, NO, NO, NO_VOTE]]))
    assert both > one > none
    assert both > silent > none
    assert silent == curve.probability(evidence)[0]


def test_an_entry_that_is_seldom_found_is_rather_a_part_of_a_neuron() -> None:
    named = np.tile(np.arange(K), (T, 1))
    named[: T // 4, 0] = K  # neuron 0 goes by another name in a quarter of the volumes, in every atlas
    claims = claims_by(named, np.full((T, K), 0.95))
    calibration, votes, _ = calibrate(claims, np.stack([named.ravel()] * 2), K + 1, T)
    probability = calibration.probability(claims, votes).reshape(T, K)
    assert probability[0, 0] < 0.5 < probability[-1, 0] < probability[-1, 1] + 1e-9


def test_two_neurons_that_fit_alike_are_both_doubted() -> None:
    rng = np.random.default_rng(0)
    named = np.stack([rater(np.full((T, K), 0.95), rng) for _ in range(3)]).reshape(3, -1)
    claims = claims_by(named[0].reshape(T, K), np.full((T, K), 0.9))
    calibration, votes, _ = calibrate(claims, named[1:], K, T)
    alike = replace(claims, total=np.ones(K * T), posterior=np.full(K * T, 0.9))
    assert np.all(calibration.probability(alike, votes) < calibration.probability(claims, votes))


def test_without_second_opinions_the_posterior_is_all_there_is() -> None:
    rng = np.random.default_rng(0)
    claims = claims_by(np.tile(np.arange(K), (T, 1)), rng.uniform(0.1, 0.9, (T, K)))
    calibration, votes, _ = calibrate(claims, np.full((2, K * T), NOT_ASKED), K, T)
    assert np.all(votes == NO_VOTE)
    assert np.allclose(calibration.probability(claims, votes), claims.posterior * calibration.worth[claims.neuron], atol=1e-6)


@pytest.mark.parametrize("n_volumes", [2, 5, 40])
def test_what_second_opinions_said_holds_no_prior(n_volumes: int) -> None:
    rng = np.random.default_rng(n_volumes)
    right = np.full((n_volumes, K), 0.9)
    ours, others = np.tile(np.arange(K), (n_volumes, 1)), [rater(right * rng.random(K), rng).ravel() for _ in range(2)]
    claims = claims_by(ours, np.full((n_volumes, K), 0.9))
    calibration, votes, _ = calibrate(claims, np.stack(others), K, n_volumes)
    asked, share = calibration.said(n_volumes)
    assert np.all(asked == n_volumes)
    assert share == pytest.approx((votes == YES).mean(axis=0).reshape(n_volumes, K).mean(axis=0), abs=1e-12)


@pytest.mark.parametrize("n_volumes", [1, 30])
def test_who_was_never_asked_said_nothing(n_volumes: int) -> None:
    claims = claims_by(np.tile(np.arange(K), (n_volumes, 1)), np.full((n_volumes, K), 0.9))
    nobody = claims.neuron if n_volumes == 1 else np.full(K * n_volumes, NOT_ASKED)
    asked, share = calibrate(claims, np.tile(nobody, (2, 1)), K, n_volumes)[0].said(n_volumes)
    assert not asked.any()
    assert np.isnan(share).all()


def test_two_that_always_agree_with_us_were_asked_all_the_same() -> None:
    claims = claims_by(np.tile(np.arange(K), (T, 1)), np.full((T, K), 0.9))
    asked, share = calibrate(claims, np.tile(claims.neuron, (2, 1)), K, T)[0].said(T)
    assert np.all(asked == T)
    assert share == pytest.approx(np.ones(K))


def test_of_few_volumes_agreement_says_less() -> None:
    def said(n_volumes: int) -> float:
        """Mean probability where three raters agree in all of so many volumes."""
        claims = claims_by(np.tile(np.arange(K), (n_volumes, 1)), np.full((n_volumes, K), 0.9))
        calibration, votes, _ = calibrate(claims, np.tile(claims.neuron, (2, 1)), K, n_volumes)
        return float(calibration.probability(claims, votes).mean())

    assert said(4) < said(8) < said(T)
    assert 1 - said(4) > 3 * (1 - said(T))


def test_claims_read_a_sighting() -> None:
    posterior = np.array([[0.7, 0.2, 0.0], [0.2, 0.6, 0.0], [0.05, 0.1, 0.0], [0.0, 0.05, 0.1]])
    sighting = Sighting(Alignment(np.zeros((3, 3)), np.zeros((4, 3)), posterior, 1.0), np.array([0, 1, UNKNOWN]), np.array([7, 8, 9]))
    claims = claims_of(sighting, 2)
    assert claims.posterior.tolist() == [0.7, 0.6, 0.0]
    assert claims.candidates.tolist() == [[0, 1, 2], [1, 0, 2], [3, UNKNOWN, UNKNOWN]]
    assert claims.absent_neuron.tolist() == [2, 3]
    assert np.allclose(claims.absent_mass, [0.85, 0.85])
    assert np.allclose(claims.rival, [0.25 / 0.95, 0.35 / 0.95, 0])
    twice = together([claims, claims])
    assert twice.rows.tolist() == [7, 8, 9, 7, 8, 9]


def test_candidates_are_shared_out_by_posterior_and_hold_who_was_assigned() -> None:
    none = np.zeros(0, int)
    candidates = np.array([[4, 7, 1], [4, 7, 1], [4, 7, UNKNOWN]])
    shown = np.array([[0.6, 0.2, 0.1], [0.4, 0.3, 0.2], [0.03, 0.01, 0.0]])
    posterior, total = np.array([0.6, 0.05, 0.0]), np.array([0.9, 0.95, 0.04])
    claims = Claims(0 * none, np.arange(3), np.array([4, 9, UNKNOWN]), posterior, total, candidates, shown, none, none, np.zeros(0))
    nothing = Curve(np.zeros(0), 1.0)
    calibration = Calibration(nothing, nothing, nothing, *([np.ones(10)] * 4))
    who, chance = calibration.candidates(claims, np.array([0.8, 0.5, 0.9]))
    assert who.tolist() == [[4, 7, 1], [9, 4, 7], [4, 7, UNKNOWN]]
    assert np.allclose(chance[0], [0.8, 0.2 * 0.2 / 0.4, 0.2 * 0.1 / 0.4])
    assert np.allclose(chance[1], [0.5, 0.5 * 0.4 / 0.95, 0.5 * 0.3 / 0.95])
    assert np.allclose(chance[2], [0.075, 0.025, 0])


@pytest.fixture(scope="module")
def solved() -> tuple[Identified, list[Volume], np.ndarray]:
    """30 neurons in 16 volumes, a tenth missed, a tenth false."""
    rng = np.random.default_rng(3)
    position = bent(arrangement(30, rng), 16, rng, bend=0.3, turn_deg=20, drift_um=2)
    detections, _, _ = observe(position, rng, drop=0.1, false=0.1, jitter_um=0.5)
    volumes = prepare(detections, None)[1]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(1) as pool:
        return identify(volumes, pool, seed=0), volumes, np.asarray(detections.t)


def test_every_claim_has_a_probability(solved: tuple[Identified, list[Volume], np.ndarray]) -> None:
    found, volumes, t = solved
    n, k = len(t), found.atlas.n_neurons
    assert found.neuron.shape == found.probability.shape == (n,)
    assert found.candidates.shape == found.candidate_probability.shape == (n, 3)
    for probability in (found.probability, found.candidate_probability, found.absent_probability):
        assert probability.min() >= 0
        assert probability.max() <= 1
    assert found.candidate_probability.sum(1).max() <= 1 + 1e-9
    assert np.all((found.candidates == UNKNOWN) == (found.candidate_probability == 0))
    known = found.neuron >= 0
    own = (found.candidates == found.neuron[:, None]) & known[:, None]
    assert np.allclose(found.candidate_probability.sum(1, where=own)[known], found.probability[known])
    # Every neuron is somebody or absent in every volume, never both.
    volume = np.empty(n, int)
    for i, v in enumerate(volumes):
        volume[v.rows] = i
    cells = np.concatenate([volume[known] * k + found.neuron[known], found.absent_volume * k + found.absent_neuron])
    assert np.array_equal(np.sort(cells), np.arange(len(volumes) * k))


def test_a_later_volume_is_judged_by_the_same_calibration(solved: tuple[Identified, list[Volume], np.ndarray]) -> None:
    found, volumes, _ = solved
    calibration: Calibration = found.calibration
    claims = claims_of(solve.sight(volumes[3], found.atlas))
    known = claims.neuron >= 0
    assert calibration.probability(claims)[known].mean() == pytest.approx(found.probability[claims.rows][known].mean(), abs=0.15)
    worse = replace(claims, posterior=claims.posterior / 3, total=claims.total / 3)
    assert np.all(calibration.probability(worse)[known] < calibration.probability(claims)[known])
    assert len(calibration.absence(claims)) == len(claims.absent_neuron)
