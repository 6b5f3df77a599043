"""What other atlases confirm, on claims made by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.opinions import NO, NO_VOTE, NOT_ASKED, YES, absences, confirmed, missed_too, partner_of


def names(n_neurons: int, n_volumes: int) -> np.ndarray:
    return np.tile(np.arange(n_neurons), n_volumes)


def volumes(n_neurons: int, n_volumes: int) -> np.ndarray:
    return np.repeat(np.arange(n_volumes), n_neurons)


def test_other_names_for_the_same_are_confirmed() -> None:
    ours = names(5, 4)
    assert np.all(confirmed(ours, (ours + 3) % 5 + 10, volumes(5, 4)) == YES)


def test_who_is_swapped_in_one_volume_is_not_confirmed_there() -> None:
    ours = names(5, 4)
    theirs = ours.copy()
    theirs[[5, 6]] = theirs[[6, 5]]
    assert np.flatnonzero(confirmed(ours, theirs, volumes(5, 4)) == NO).tolist() == [5, 6]


def test_both_halves_of_a_neuron_that_theirs_has_cut_in_two_confirm_it() -> None:
    ours, volume = names(5, 10), volumes(5, 10)
    theirs = np.where((ours == 2) & (volume >= 6), 7, ours)
    assert np.all(confirmed(ours, theirs, volume) == YES)
    # Where ours is cut in two, its lesser half is not confirmed.
    assert np.array_equal(confirmed(theirs, ours, volume) == NO, theirs == 7)
    # Two that show together are two neurons: not both of them are the one of ours.
    ours = np.append(ours, 2)
    theirs, volume = np.append(theirs, 7), np.append(volume, 0)
    assert np.array_equal(confirmed(ours, theirs, volume) == NO, theirs == 7)


def test_what_was_met_once_or_not_asked_about_has_no_vote() -> None:
    ours = np.array([0, 1, 0, 2, 0, 2])
    theirs = np.array([0, 1, 0, 2, NOT_ASKED, NOT_ASKED])
    assert confirmed(ours, theirs, np.array([0, 0, 1, 1, 2, 2])).tolist() == [YES, NO_VOTE, YES, NO_VOTE, NO_VOTE, NO_VOTE]


@pytest.mark.parametrize("n_volumes", [2, 3, 5])
def test_chance_is_hardly_ever_confirmed(n_volumes: int) -> None:
    """Matched by all detections, the one that is asked about included, a half of two volumes would always seem confirmed."""
    rng = np.random.default_rng(0)
    ours, theirs = (np.concatenate([rng.permutation(100) for _ in range(n_volumes)]) for _ in range(2))
    assert np.mean(confirmed(ours, theirs, volumes(100, n_volumes)) == YES) < 0.05


def test_unknown_is_confirmed_by_unknown_and_by_who_is_nobody_of_ours() -> None:
    ours = np.array([0, 1, UNKNOWN, 0, 1, UNKNOWN, 0, 1, UNKNOWN])
    theirs = np.array([5, 6, UNKNOWN, 5, 6, 7, UNKNOWN, 6, 5])
    assert confirmed(ours, theirs, volumes(3, 3))[ours == UNKNOWN].tolist() == [YES, YES, NO]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_names_and_order_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours, theirs = rng.integers(-1, 8, 60), rng.integers(-2, 8, 60)
    volume = rng.integers(0, 12, 60)
    vote = confirmed(ours, theirs, volume)
    rename, other = rng.permutation(8), rng.permutation(8)
    renamed = np.where(ours >= 0, rename[ours], ours), np.where(theirs >= 0, other[theirs], theirs)
    assert np.array_equal(confirmed(*renamed, volume), vote)
    order = rng.permutation(60)
    assert np.array_equal(confirmed(ours[order], theirs[order], volume[order]), vote[order])


def test_partners_are_mutual() -> None:
    ours = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    theirs = np.array([4, 4, 4, 4, 3, 3, UNKNOWN, 4])
    assert partner_of(ours, theirs).tolist() == [4, 3, UNKNOWN]


def test_an_absence_is_confirmed_where_the_other_atlas_misses_the_same_neuron() -> None:
    volume = np.repeat(np.arange(4), 3)
    truly = np.tile(np.arange(3), 4)
    ours = truly.copy()
    ours[[3, 7]] = UNKNOWN  # neuron 0 in volume 1, neuron 1 in volume 2
    theirs = truly + 5
    theirs[3] = UNKNOWN
    where, who = absences(ours, volume)
    assert sorted(zip(where.tolist(), who.tolist(), strict=True)) == [(1, 0), (2, 1)]
    assert missed_too(where, who, ours, theirs, volume).tolist() == [YES, NO]
    theirs[volume == 2] = NOT_ASKED
    assert missed_too(where, who, ours, theirs, volume).tolist() == [YES, NO_VOTE]
