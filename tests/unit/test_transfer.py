"""Names that are carried from one folder to another, in the ids of their tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import barlowtrack as bt
from barlowtrack.errors import InputError
from barlowtrack.known import Known
from tests.unit.identity.test_across import K, another, body, learned


@pytest.fixture(scope="module")
def pair():
    """Two animals whose ids are no entries: one neuron of each is in no table; and who in the first is who in the second."""
    rest = body(5)
    place, who = another(rest, 0.2)
    rng = np.random.default_rng(1)
    one, two = (np.append(rng.permutation(n - 1), -1) for n in (len(place), K))
    source = Known(learned(place, 0.001), one, tuple(f"N{i}" if i % 2 else "" for i in range(len(place) - 1)))
    target = Known(learned(rest), two, ("",) * (K - 1))
    true = {int(one[i]): int(two[k]) for i, k in enumerate(who) if k >= 0}
    return source, target, true


@pytest.fixture(scope="module")
def everybody(pair):
    return bt.match(*pair[:2], min_probability=0)


def test_a_row_is_a_neuron_of_the_target_with_the_name_of_the_source(pair, everybody):
    _, _, true = pair
    assert everybody.columns.tolist() == ["neuron", "name", "probability", "from_neuron"]
    assert everybody["neuron"].is_monotonic_increasing
    assert not everybody["neuron"].duplicated().any()
    assert (everybody[["neuron", "from_neuron"]].to_numpy() >= 0).all()
    assert np.mean([true.get(f) == n for f, n in zip(everybody["from_neuron"], everybody["neuron"], strict=True)]) > 0.8
    assert everybody["name"].tolist() == [f"N{i}" if i % 2 else "" for i in everybody["from_neuron"]]


def test_doubtful_neurons_are_left_out(pair, everybody):
    sure = bt.match(*pair[:2], min_probability=0.9)
    assert 0 < len(sure) < len(everybody)
    assert sure.reset_index(drop=True).equals(everybody[everybody["probability"] >= 0.9].reset_index(drop=True))


def test_a_probability_is_a_probability(pair):
    with pytest.raises(InputError, match="min_probability"):
        bt.match(*pair[:2], min_probability=1.5)


def test_nobody_in_common_is_an_empty_table(pair):
    source, _, _ = pair
    few = replace(source, learned=learned(body(5)[:3]), neuron=np.arange(3), name=("A", "B", "C"))
    assert len(bt.match(few, source)) == 0
