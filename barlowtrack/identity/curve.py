"""From evidence about a claim, and votes, to the probability that it is right.

Reference:
    Platanios, Blum & Mitchell 2014, "Estimating accuracy from unlabeled data"; Platt 1999.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.identity.appearance import fit_logistic
from barlowtrack.identity.opinions import NO_VOTE, YES

Float = NDArray[np.floating[Any]]
Int = NDArray[np.int64]

SHARED_ERRORS = 1 / 3
"""How often a second opinion confirms a wrong claim, as a share of how often it confirms any."""
SUREST = 0.999


@dataclass(frozen=True)
class Curve:
    """From evidence to the probability that a claim is right.

    Attributes:
        beta: (F,) of the log odds that a second opinion confirms the claim, linear in the evidence.
        gamma: Turns the probability of being confirmed into that of being right: its power.
        shift: Of the log odds, where votes about the claim itself are heard: on average they change nothing.
    """

    beta: Float
    gamma: float
    shift: float = 0.0

    def probability(self, evidence: Float, votes: Int | None = None) -> Float:
        """Returns (n,) probabilities of claims.

        Args:
            evidence: (n, F).
            votes: (R, n) of second opinions, see opinions.py; where none was asked, evidence alone decides.
        """
        confirmed_share = np.clip(_logistic(evidence @ self.beta), 1e-4, 1 - 1e-4)
        right: Float = np.clip(confirmed_share**self.gamma, 1e-4, SUREST)
        if votes is None:
            return right
        if_wrong = SHARED_ERRORS * confirmed_share
        if_right = np.clip((confirmed_share - (1 - right) * if_wrong) / right, 1e-3, 1 - 1e-3)
        yes, no = np.log(if_right / if_wrong), np.log((1 - if_right) / (1 - if_wrong))
        told = np.where(votes == YES, yes, np.where(votes == NO_VOTE, 0.0, no)).sum(0)
        heard = (votes != NO_VOTE).any(0)
        return np.where(heard, np.clip(_logistic(_log_odds(right) + told + self.shift), 1e-4, SUREST), right)


def fit_curve(evidence: Sequence[Float], votes: Int, between: float, heard: Float, most: float = SUREST, doubt: float = 0.0) -> Curve:
    """Learns a curve from what two raters confirm of n claims.

    Args:
        evidence: (n, F) for the vote of each rater.
        votes: (2, n).
        between: How often the raters confirm each other's claims of this kind.
        heard: (n, F) evidence that the curve will be asked with.
        most: Largest share of the claims that can be right.
        doubt: Weight of even odds in the share that is taken to be right.
    """
    asked = votes != NO_VOTE
    x = np.concatenate([e[a] for e, a in zip(evidence, asked, strict=True)])
    y = np.concatenate([v[a] == YES for v, a in zip(votes, asked, strict=True)])
    if len(y) == 0:
        return Curve(np.eye(heard.shape[1])[0], 1.0)  # nobody was asked: the posterior is all there is
    beta = _rising(x, y)
    agree = [rate(v[a] == YES) for v, a in zip(votes, asked, strict=True)]
    right = min(float(np.sqrt(agree[0] * agree[1] / between)), SUREST)
    right = float(np.clip((1 - doubt) * right + doubt / 2, 1e-3, min(most, SUREST)))
    some = asked.any(0)
    share = np.clip(_logistic(heard[some] @ beta), 1e-4, 1 - 1e-4)
    gamma = _bisect(lambda g: float(np.clip(share**g, 1e-4, SUREST).mean()), right, 20.0, 1e-3)
    shift = _bisect(lambda s: float(Curve(beta, gamma, s).probability(heard[some], votes[:, some]).mean()), right, -8.0, 8.0)
    return Curve(beta, gamma, shift)


def _rising(x: Float, y: NDArray[np.bool_]) -> Float:
    """Logistic regression of y (n,) on evidence (n, F), the last column 1, in which none speaks against what it is evidence for.

    Kinds of evidence go along with each other; fitted freely, one of them may get the wrong sign, and a volume unlike all others, in which
    it alone is low, would be believed most.
    """
    used = np.arange(x.shape[1])
    beta = np.zeros(x.shape[1])
    while True:
        found = fit_logistic(x[:, used], y, np.full(len(y), 1 / len(y)))
        against = found[:-1] < 0
        if not against.any():
            beta[used] = found
            return beta
        used = np.delete(used, np.argmin(found[:-1]))


def _bisect(rising: Any, aim: float, low: float, high: float) -> float:
    """Returns where a function that rises from low to high (either may be the larger) meets aim."""
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rising(middle) < aim else (low, middle)
    return 0.5 * (low + high)


def rate(hits: NDArray[np.bool_]) -> float:
    """Share of hits, one of each outcome added."""
    return float((hits.sum() + 1) / (len(hits) + 2))


def log_odds_of(shares: Sequence[Float]) -> Float:
    """(n, F) log odds of shares, and 1."""
    return np.stack([*(_log_odds(share) for share in shares), np.ones(len(shares[0]))], axis=1)


def _log_odds(share: Float) -> Float:
    share = np.clip(share, 1e-3, 1 - 1e-3)
    return np.log(share / (1 - share))


def _logistic(x: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))
