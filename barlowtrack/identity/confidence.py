"""How sure to be of a claim, learned without truth: how often do atlases learned from other volumes claim the same?

If three raters err independently, the rates at which they agree with each other tell how often each is right. What they have in common,
they err in together; so three things that all atlases of a recording share take away from what their agreement says: a detection that fits
two neurons, an entry that is a part of a neuron, and a thing that is no neuron (see nucleus.py).

Reference:
    Dawid & Skene 1979; Platanios, Blum & Mitchell 2014, "Estimating accuracy from unlabeled data"; Platt 1999.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.claims import Claims
from barlowtrack.identity.curve import Curve, fit_curve, log_odds_of, rate
from barlowtrack.identity.opinions import ASKED_VOLUMES, NO_VOTE, NOT_ASKED, YES, absences, confirmed, missed_too

Float = NDArray[np.floating[Any]]
Int = NDArray[np.int64]

CHAIN = 2.0
"""Wrong assignments come in chains, each neuron pushed onto its neighbour: about so many for every neuron that is pushed out at the end."""
DOUBTED_VOLUMES = 0.5
"""So many volumes more than there are, of even odds: of a handful the atlases share more than of many."""
PRIOR_VOTES = 3.0
PRIOR_VOLUMES = 5.0


@dataclass(frozen=True)
class Calibration:
    """Probabilities of the claims of one atlas, also about volumes that come later; K neurons.

    Attributes:
        assigned: Of "this detection is that neuron".
        unknown: Of "this detection is none of the atlas".
        absent: Of "no detection is that neuron".
        posterior: (K,) mean over the recording.
        occupancy: (K,) share of its volumes in which it was found.
        confirmed: (K,) share of its detections that second opinions confirm; prior included.
        worth: (K,) probability that the entry is a whole neuron: neither part of one nor none at all.
    """

    assigned: Curve
    unknown: Curve
    absent: Curve
    posterior: Float
    occupancy: Float
    confirmed: Float
    worth: Float

    def said(self, n_volumes: int) -> tuple[Int, Float]:
        """Returns what second opinions said themselves, without the prior that `confirmed` holds.

        Args:
            n_volumes: T of the recording that it was learned from.

        Returns:
            (K,) detections of each neuron that both were asked about, 0 where they were never asked or it was met once; (K,) share of
            them that was confirmed, NaN where there are none. Of a recording so long that only some volumes were asked about, both are
            as if those showed each neuron as often as the others do.
        """
        asked = min(1.0, ASKED_VOLUMES / max(n_volumes, 1))
        met = np.rint(self.occupancy * n_volumes)
        votes = np.where((met > 1) & np.any(self.confirmed != rate(np.zeros(0, bool))), asked * met, 0.0)  # else nobody voted
        if not votes.any():
            return np.zeros(len(met), np.int64), np.full(len(met), np.nan)
        # The prior is the share of all votes, one of each outcome added (see _share_by_neuron): what it was follows from the sum.
        total, summed = votes.sum(), float((self.confirmed * (votes + PRIOR_VOTES)).sum())
        typical = (summed + 1) / (total + 2 + PRIOR_VOTES * len(met))
        share = (self.confirmed * (votes + PRIOR_VOTES) - PRIOR_VOTES * typical) / np.where(votes > 0, votes, np.nan)
        return np.rint(votes).astype(np.int64), np.clip(share, 0, 1)

    def probability(self, claims: Claims, votes: Int | None = None) -> Float:
        """Returns (n,) that each claim about a detection is right, unknown or not; claims may be of one new volume or of many.

        Args:
            claims: Of this atlas.
            votes: (R, n) of second opinions, where there are any.
        """
        probability = np.zeros(len(claims.rows))
        fit = _fit_of_volume(claims)
        for known, curve in ((True, self.assigned), (False, self.unknown)):
            which = np.flatnonzero((claims.neuron >= 0) == known)
            evidence = self._about_assigned(claims, which, fit, self.confirmed) if known else _about_unknown(claims, which, fit)
            probability[which] = curve.probability(evidence, None if votes is None else votes[:, which])
        return np.clip(probability * _apart_from_votes(claims, self.worth), 0, 1)

    def absence(self, claims: Claims, votes: Int | None = None) -> Float:
        """Returns (m,) that each absence is one; votes (R, m)."""
        right = self.absent.probability(self._about_absent(claims, _fit_of_volume(claims)), votes)
        return right * self.worth[claims.absent_neuron]  # a part of a neuron is not all that is there of it

    def candidates(self, claims: Claims, probability: Float) -> tuple[Int, Float]:
        """Returns (n, C) neurons a detection may be, UNKNOWN pads, and their probabilities; what is left of 1 is that it is none.

        Args:
            claims: Of this atlas.
            probability: (n,) of the claims.
        """
        known, listed = (claims.neuron >= 0)[:, None], claims.candidates.copy()
        left_out = known[:, 0] & (listed != claims.neuron[:, None]).all(1)  # so that others could have theirs
        listed[left_out, -1] = claims.neuron[left_out]
        own = (listed == claims.neuron[:, None]) & known
        rest = np.where(own, 0.0, claims.candidate_posterior)
        nobody = np.where(known, np.clip(1 - claims.total, 1e-3, 1)[:, None], 0.0)
        others = np.maximum((claims.total - claims.posterior)[:, None], rest.sum(1, keepdims=True))
        share = rest / np.maximum(others + nobody, 1e-9)
        chance = np.where(own, probability[:, None], (1 - probability)[:, None] * share)
        order = np.argsort(-chance, axis=1, kind="stable")
        chance, neuron = np.take_along_axis(chance, order, 1), np.take_along_axis(listed, order, 1)
        return np.where(chance > 0, neuron, UNKNOWN), chance

    def _about_assigned(self, claims: Claims, which: NDArray[np.intp], fit: Float, confirmed_share: Float) -> Float:
        who = claims.neuron[which]
        columns = [claims.posterior[which], self.posterior[who], self.occupancy[who], confirmed_share[who], fit[claims.volume[which]]]
        return log_odds_of(columns)

    def _about_absent(self, claims: Claims, fit: Float) -> Float:
        who = claims.absent_neuron
        return log_odds_of([claims.absent_mass, self.posterior[who], self.occupancy[who], self.confirmed[who], fit[claims.absent_volume]])


def calibrate(claims: Claims, opinions: Int, n_neurons: int, n_volumes: int) -> tuple[Calibration, Int, Int]:
    """Learns how far the claims of an atlas can be trusted.

    Args:
        claims: About all N detections; rows 0 to N - 1, each once.
        opinions: (2, N) of detections by row, see second_opinions.
        n_neurons: K.
        n_volumes: T.

    Returns:
        The calibration; votes (2, N) about the claims and (2, m) about the absences, in their order.
    """
    known = claims.neuron >= 0
    who = claims.neuron[known]
    met = np.bincount(who, minlength=n_neurons)
    ours, theirs, volume = claims.neuron, opinions[:, claims.rows], claims.volume
    votes = np.stack([confirmed(ours, other, volume) for other in theirs])
    cells = np.stack([missed_too(claims.absent_volume, claims.absent_neuron, ours, other, volume) for other in theirs])
    each = np.stack([_share_by_neuron(who, vote[known], n_neurons) for vote in votes])  # (2, K)
    nothing = Curve(np.zeros(0), 1.0)
    posterior = np.bincount(who, claims.posterior[known], minlength=n_neurons) / np.maximum(met, 1)
    found = Calibration(nothing, nothing, nothing, posterior, met / max(n_volumes, 1), each.mean(0), _whole(met, n_volumes))
    fit = _fit_of_volume(claims)
    rows = np.flatnonzero(known)
    # A vote is never told by itself: the share of the one rater is evidence for the vote of the other.
    crossed = [found._about_assigned(claims, rows, fit, share) for share in each[::-1]]
    of_unknown, of_absent = _about_unknown(claims, np.flatnonzero(~known), fit), found._about_absent(claims, fit)
    between = [confirmed(theirs[0], theirs[1], volume), confirmed(theirs[1], theirs[0], volume)]
    heard = found._about_assigned(claims, rows, fit, found.confirmed)
    doubt = DOUBTED_VOLUMES / (n_volumes + DOUBTED_VOLUMES)
    assigned = fit_curve(crossed, votes[:, known], _agreement_about_names(between, theirs, known), heard, doubt=doubt)
    right = assigned.probability(heard, votes[:, known]) * _apart_from_votes(claims, found.worth)[known]
    pushed_out = float((1 - right).sum()) / CHAIN
    # Of the detections that belong to who was pushed out, about half went to others.
    unknown = fit_curve(
        [of_unknown] * 2, votes[:, ~known], _agreement(between, theirs == UNKNOWN), of_unknown, _most(pushed_out / 2, of_unknown)
    )
    absent = fit_curve([of_absent] * 2, cells, _agreement_about_absence(theirs, volume), of_absent, _most(pushed_out, of_absent))
    calibration = replace(found, assigned=assigned, unknown=unknown, absent=absent)
    return calibration, votes, cells


def _most(wrong: float, claims: Float) -> float:
    """Largest share right of claims (n, F) so many of which are wrong, one of each outcome added."""
    return max(1 - (wrong + 1) / (len(claims) + 2), 0.01)


def _apart_from_votes(claims: Claims, worth: Float) -> Float:
    """What all atlases err in together, (n,): half of what another neuron has of a detection, as the rest shows in the votes; and worth."""
    known = claims.neuron >= 0
    factor = np.ones(len(known))
    factor[known] = worth[claims.neuron[known]] * np.sqrt(1 - claims.rival[known])
    return factor


def _agreement(between: Sequence[Int], kind: NDArray[np.bool_]) -> float:
    return float(np.mean([rate(vote[(vote != NO_VOTE) & of_kind] == YES) for vote, of_kind in zip(between, kind, strict=True)]))


def _agreement_about_names(between: Sequence[Int], theirs: Int, known: NDArray[np.bool_]) -> float:
    """How often two raters give a detection the same name, of those that the atlas has named: who says unknown does not."""
    rates = []
    for vote, own in zip(between, theirs, strict=True):
        use = known & (theirs > NOT_ASKED).all(0) & ((vote != NO_VOTE) | (own < 0))
        rates.append(rate((vote[use] == YES) & (own[use] >= 0)))
    return float(np.mean(rates))


def _agreement_about_absence(theirs: Int, volume: Int) -> float:
    if (theirs == NOT_ASKED).all():
        return 0.5
    rates = []
    for one, other in ((theirs[0], theirs[1]), (theirs[1], theirs[0])):
        vote = missed_too(*absences(one, volume), one, other, volume)
        rates.append(rate(vote[vote != NO_VOTE] == YES))
    return float(np.mean(rates))


def _share_by_neuron(who: Int, vote: Int, n_neurons: int) -> Float:
    asked = vote != NO_VOTE
    typical = rate(vote[asked] == YES)
    yes = np.bincount(who[asked], vote[asked] == YES, minlength=n_neurons)
    return np.asarray((yes + PRIOR_VOTES * typical) / (np.bincount(who[asked], minlength=n_neurons) + PRIOR_VOTES))


def _whole(met: Int, n_volumes: int) -> Float:
    """Probability (K,) that an entry is a neuron and not a lesser part of one, split where the animal moves as if it were another.

    An entry that is found as often as others is whole. One that is found in less than half of those volumes is more likely the lesser part.
    """
    seen = np.repeat(met, met)
    typical = float(np.median(seen)) / max(n_volumes, 1) if len(seen) else 1.0
    occupancy = (met + PRIOR_VOLUMES * typical) / (n_volumes + PRIOR_VOLUMES)
    share = np.clip(occupancy / max(typical, 1e-9), 1e-3, 1 - 1e-3)
    return np.asarray(share**3 / (share**3 + (1 - share) ** 3))


def _fit_of_volume(claims: Claims) -> Float:
    """Mean posterior of the assigned detections of each volume."""
    known = claims.neuron >= 0
    size = int(max(claims.volume.max(initial=0), claims.absent_volume.max(initial=0))) + 1
    count = np.bincount(claims.volume[known], minlength=size)
    return np.bincount(claims.volume[known], claims.posterior[known], minlength=size) / np.maximum(count, 1)


def _about_unknown(claims: Claims, which: NDArray[np.intp], fit: Float) -> Float:
    best = claims.candidate_posterior[which].max(1, initial=0)
    return log_odds_of([1 - claims.total[which], 1 - best, fit[claims.volume[which]]])
