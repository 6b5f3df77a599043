"""How much alike two nuclei look, as a likelihood ratio calibrated on the recording itself.

Reference:
    Ioffe 2006 (probabilistic linear discriminant analysis) for the ratio, Platt 1999 for its calibration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.pairs import is_large

Float = NDArray[np.floating[Any]]

N_COMPONENTS = 64
LIMIT = 8.0
LEAST_MATCHES = 60
FEW_VOLUMES = 10
"""With fewer, all but one are learned from to judge the one that is held out: half of them would teach too little."""
BELIEVED = 0.5
N_WRONG = 8
MOST_HELD_OUT = 500
FIRST_ROWS = 400
"""Rows of a large first volume that are looked for in others."""
CHUNK = 4096


@dataclass(frozen=True)
class Appearance:
    """The look of K neurons.

    Attributes:
        centre: (P,) mean of all features.
        axes: (P, Q) directions in which neurons differ, scaled so that one neuron scatters by 1.
        weight: (K, 2 Q + 1) of [x^2, x, 1]: the log likelihood ratio of whitened features x.
        slope: Calibration: how far that ratio is to be believed; 0 where looks say nothing.
        offset: Calibration: added after.
    """

    centre: Float
    axes: Float
    weight: Float
    slope: float = 1.0
    offset: float = 0.0

    def score(self, features: Float) -> Float:
        """Returns the ratio (K, n) before calibration and limits."""
        return np.asarray(self.weight @ self._expanded(features).T)

    def log_ratio(self, features: Float) -> Float:
        """Returns (K, n) log p(look | this neuron) / p(look | another one) of features (n, P)."""
        return self._calibrated(self.score(features))

    def score_of(self, features: Float) -> Callable[[NDArray[np.int64], NDArray[np.int64]], Float]:
        """Returns score for some pairs: a function of neurons (R,) and rows (R, C) of features (n, P) that gives (R, C)."""
        expanded, weight = self._expanded(features).astype(np.float32), self.weight.astype(np.float32)

        def score(neuron: NDArray[np.int64], row: NDArray[np.int64]) -> Float:
            found = np.empty(row.shape, np.float32)
            for start in range(0, len(neuron), CHUNK):
                part = slice(start, start + CHUNK)
                found[part] = (expanded[row[part]] @ weight[neuron[part], :, None])[:, :, 0]
            return found

        return score

    def log_ratio_of(self, features: Float) -> Callable[[NDArray[np.int64], NDArray[np.int64]], Float]:
        """Returns log_ratio for some pairs, see score_of."""
        score = self.score_of(features)
        return lambda neuron, row: self._calibrated(score(neuron, row))

    def only(self, neuron: NDArray[np.int64]) -> Appearance:
        """Returns the look of some neurons."""
        return replace(self, weight=self.weight[neuron])

    def _expanded(self, features: Float) -> Float:
        x = (features - self.centre) @ self.axes  # (n, Q)
        return np.concatenate([x * x, x, np.ones((len(x), 1))], axis=1)

    def _calibrated(self, score: Float) -> Float:
        return np.asarray(np.clip(self.slope * score + self.offset, -LIMIT, LIMIT))


def components(sample: Float, n_components: int = N_COMPONENTS) -> tuple[Float, Float]:
    """Returns the mean (D,) and leading principal axes (D, P) of a sample (M, D); P <= n_components, total variance 1 along them."""
    sample = sample.astype(np.float64)
    mean = sample.mean(0)
    values, axes = np.linalg.eigh((sample - mean).T @ (sample - mean) / len(sample))
    leading = np.argsort(-values, kind="stable")[:n_components]
    leading = leading[values[leading] > 1e-9 * max(values.max(), 1e-30)]
    return mean, axes[:, leading] / np.sqrt(max(values[leading].sum(), 1e-30))


def learn_appearance(features: list[Float], neuron: list[NDArray[np.int64]], trust: list[Float], n_neurons: int) -> Appearance | None:
    """Learns the look of every neuron from believed matches, and how far looks are to be believed from matches held out.

    Args:
        features: (n, P) of each volume.
        neuron: (n,) of each volume, or UNKNOWN.
        trust: (n,) posterior of that neuron.
        n_neurons: K.

    Returns:
        The appearance, or None where there is too little to learn from.
    """
    matches = sum(int(((who >= 0) & (sure > 0.5)).sum()) for who, sure in zip(neuron, trust, strict=True))
    if matches < LEAST_MATCHES or n_neurons < 3 or len(features) < 4 or not features[0].shape[1]:
        return None
    scores, same = [], []
    n_folds = 2 if len(features) >= FEW_VOLUMES else len(features)
    for fold in range(n_folds):
        learned = [i for i in range(len(features)) if i % n_folds != fold]
        look = _discriminant(*_believed(features, neuron, trust, learned), n_neurons)
        for i in range(fold, len(features), n_folds):
            score, own = _held_out(look, features[i], neuron[i], trust[i], n_neurons)
            scores.append(score)
            same.append(own)
    slope, offset = _calibrate(np.concatenate(scores), np.concatenate(same))
    look = _discriminant(*_believed(features, neuron, trust, list(range(len(features)))), n_neurons)
    return replace(look, slope=slope, offset=offset)


def first_matches(features: list[Float]) -> tuple[list[NDArray[np.int64]], float]:
    """Matches the first volume with others by looks alone, keeping what a third volume confirms; of a large one only a part.

    Args:
        features: (n, P) of each volume.

    Returns:
        For each volume (n,) the row in the first one, or UNKNOWN; and the share of round trips that closed, in [0, 1]: near 1 where
        looks identify a neuron, near 0 where they say nothing.
    """
    unit = [f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-9) for f in features]
    n = len(unit[0])
    rows = np.linspace(0, n - 1, FIRST_ROWS).astype(int) if is_large(n, n) else np.arange(n)
    first = [_partner(unit[0], rows, other) for other in unit]  # each (rows,)
    closed = tried = 0
    neuron = []
    for m, other in enumerate(unit):
        votes = np.full(len(rows), int(m == 0))
        for k in range(1, len(unit)):
            if m in (0, k):
                continue
            onward = _partner(other, first[m], unit[k])
            both = (onward >= 0) & (first[k] >= 0)
            votes += both * np.where(onward == first[k], 1, -1)
            closed, tried = closed + int((both & (onward == first[k])).sum()), tried + int(both.sum())
        who = np.full(len(other), UNKNOWN)
        if len(rows) < n and m == 0:
            who[:] = np.arange(n)
        good = (votes > 0) & (first[m] >= 0)
        who[first[m][good]] = rows[good]
        neuron.append(who)
    return neuron, closed / max(tried, 1)


def _mutual(a: Float, b: Float) -> NDArray[np.int64]:
    """For each row of a the row of b that looks most like it, if that holds both ways; else UNKNOWN."""
    likeness = a @ b.T
    there, back = likeness.argmax(1), likeness.argmax(0)
    return np.where(back[there] == np.arange(len(a)), there, UNKNOWN)


def _partner(a: Float, rows: NDArray[np.int64], b: Float) -> NDArray[np.int64]:
    """What _mutual says of some rows of a, UNKNOWN for those that are UNKNOWN; never all pairs of large volumes."""
    if not is_large(len(a), len(b)):
        return np.asarray(np.append(_mutual(a, b), UNKNOWN)[rows])
    there = (a[rows] @ b.T).argmax(1)
    back = (b[there] @ a.T).argmax(1)
    return np.where((rows >= 0) & (back == rows), there, UNKNOWN)


def _believed(
    features: list[Float], neuron: list[NDArray[np.int64]], trust: list[Float], volumes: list[int]
) -> tuple[Float, NDArray[np.int64], Float]:
    """Features, neurons and trust of the matches of some volumes that are more likely right than wrong."""
    good = [(neuron[i] >= 0) & (trust[i] > BELIEVED) for i in volumes]
    return (
        np.concatenate([features[i][g] for i, g in zip(volumes, good, strict=True)]).astype(np.float64),
        np.concatenate([neuron[i][g] for i, g in zip(volumes, good, strict=True)]),
        np.concatenate([trust[i][g] for i, g in zip(volumes, good, strict=True)]).astype(np.float64),
    )


def _discriminant(x: Float, who: NDArray[np.int64], trust: Float, n_neurons: int) -> Appearance:
    """Learns the ratio between each neuron's own Gaussian and that of all neurons, from matches x (M, P), who (M,), trust (M,)."""
    p = x.shape[1]
    count = np.bincount(who, trust, minlength=n_neurons)[:, None]  # (K, 1)
    total = np.stack([np.bincount(who, trust * x[:, j], minlength=n_neurons) for j in range(p)], axis=1)
    centre = total.sum(0) / max(trust.sum(), 1e-9)
    own = total / np.maximum(count, 1e-9)  # (K, P)
    inside = x - own[who]
    within = _shrunk(inside * np.sqrt(trust)[:, None], max(trust.sum() - (count > 0).sum(), 1.0))
    within += (1e-3 * np.trace(within) / p + 1e-12) * np.eye(p)
    seen = count[:, 0] > 1
    between = np.zeros((p, p))
    if seen.sum() > 2:
        # The means of few sightings scatter by themselves; that part is no difference between neurons.
        between = np.cov(own[seen].T, ddof=1).reshape(p, p) - within * (1 / count[seen]).mean()
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)  # (P, P)
    spread, turn = np.linalg.eigh(whiten.T @ between @ whiten)
    spread, axes = spread[spread > 0], (whiten @ turn)[:, spread > 0]  # (Q,), (P, Q)
    look = (own - centre) @ axes * (count > 0)  # (K, Q)
    belief = spread * count / (spread * count + 1) * look  # expected mean of each neuron
    variance = 1 + spread / (spread * count + 1)  # (K, Q)
    flat = 1 + spread
    # log N(x; belief, variance) - log N(x; 0, flat)
    square = 0.5 / flat - 0.5 / variance
    constant = 0.5 * (np.log(flat) - np.log(variance) - belief**2 / variance).sum(1, keepdims=True)
    return Appearance(centre, axes, np.concatenate([square, belief / variance, constant], axis=1))


def _shrunk(x: Float, freedom: float) -> Float:
    """Returns the covariance (P, P) of centred rows x (M, P), drawn towards a ball as far as so few of them ask for.

    Reference:
        Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    if len(x) < 2:  # a single match is its own mean
        return np.zeros((x.shape[1], x.shape[1]))
    covariance, _ = ledoit_wolf(x, assume_centered=True)
    return np.asarray(covariance) * len(x) / freedom


def _held_out(look: Appearance, features: Float, neuron: NDArray[np.int64], trust: Float, k: int) -> tuple[Float, NDArray[np.bool_]]:
    """Scores of believed matches of one volume, of many of them a part, and of a few wrong partners of each; k neurons."""
    rows = np.flatnonzero((neuron >= 0) & (trust > BELIEVED))
    rows = rows[:: -(-len(rows) // MOST_HELD_OUT) or 1]
    step = np.linspace(1, k - 1, min(N_WRONG, k - 1)).astype(int)
    wrong = (neuron[rows][:, None] + step) % k  # (n, N_WRONG)
    score = look.score_of(features)
    own = score(neuron[rows], rows[:, None])[:, 0]
    others = score(wrong.ravel(), np.repeat(rows, len(step))[:, None])[:, 0]
    return np.concatenate([own, others]), np.concatenate([np.ones(len(own), bool), np.zeros(len(others), bool)])


def _calibrate(score: Float, same: NDArray[np.bool_]) -> tuple[float, float]:
    """Fits slope and offset such that slope * score + offset is a log likelihood ratio; both classes weigh alike."""
    weight = np.where(same, 0.5 / max(same.sum(), 1), 0.5 / max((~same).sum(), 1))
    scale = max(float(score.std()), 1e-9)
    beta = fit_logistic(np.stack([np.clip(score / scale, -10, 10), np.ones(len(score))], axis=1), same, weight)
    slope = float(beta[0]) / scale
    # A negative slope would say that a neuron looks least like itself: chance, or a mistake of ours.
    return (min(slope, 1.5), float(beta[1])) if slope > 0 else (0.0, 0.0)


def fit_logistic(x: Float, y: NDArray[np.bool_], weight: Float) -> Float:
    """Returns the coefficients (p,) of a weighted logistic regression of y (n,) on x (n, p); the weights sum to about 1."""
    ridge = 1e-3 * np.eye(x.shape[1])
    beta = np.zeros(x.shape[1])
    for _ in range(40):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (weight * (y - p)) - ridge @ beta
        step = np.linalg.solve((x.T * (weight * p * (1 - p))) @ x + ridge, gradient)
        beta += np.clip(step, -2, 2)
    return beta
