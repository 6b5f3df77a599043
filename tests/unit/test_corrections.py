"""The noun: what a row may say, what is in force, and the tables of two people put together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barlowtrack.data import Correction, Corrections, Witnesses
from barlowtrack.data.corrections import edits_by_volume, edits_digest, place_text
from barlowtrack.errors import InputError

IS = Correction("is", t=3, label=7, neuron="23")

REFUSED = {
    "no such thing": ({"what": "maybe"}, "what: expected one of is, not-a-neuron"),
    "is without a neuron": ({"neuron": ""}, "is takes detection, neuron, t .*, got detection, t"),
    "is without a detection": ({"label": None}, "got neuron, t"),
    "absent with a detection": ({"what": "absent"}, "absent takes neuron, t"),
    "nobody is none": ({"what": "not-a-neuron"}, "not-a-neuron takes detection, t; or neuron"),
    "negative volume": ({"t": -1}, "t: expected 0 or more, got -1"),
    "label 0": ({"label": 0}, "label: expected 1 or more, got 0"),
    "a place nowhere": ({"position_um": (0.0, float("nan"), 0.0)}, "position: expected finite"),
    "half a neuron": ({"neuron": "2.5"}, "neuron: expected a whole number from 0 or a name, got 2.5"),
    "two ways to write a number": ({"neuron": "007"}, "expected a whole number from 0 or a name, got 007"),
    "a long name": ({"neuron": "A" * 65}, "neuron: expected at most 64 characters, got 65"),
    "two lines in one": ({"who": "ada\n=1"}, "who: .* cannot be printed"),
    "hidden letters": ({"neuron": "AVA\u202eL"}, "cannot be printed"),
    "blanks around": ({"neuron": " AVAL"}, "without blanks around it"),
    "no time": ({"when": "yesterday"}, "when: expected a time"),
    "a number for a name": (
        {"what": "name", "t": None, "label": None, "other": "5"},
        "name: expected a neuron and then a name, got the number 5 for a name",
    ),
    "merged with itself": ({"what": "merge", "t": None, "label": None, "other": "23"}, "merge: expected two neurons"),
    "split that ends before": ({"what": "split", "label": None, "until": 2, "other": "B"}, "until: expected 3 or more, got 2"),
    "added by a label": ({"what": "add", "neuron": ""}, r"add takes position, t .*, got label, t"),
    "added somewhere": ({"what": "add", "neuron": "", "label": None}, "add takes position, t .*, got t"),
    "added as somebody": (
        {"what": "add", "label": None, "position_um": (1.0, 2.0, 3.0)},
        "add takes position, t .*, got neuron, position, t",
    ),
    "divided at one place": (
        {"what": "divide", "neuron": "", "position_um": (1.0, 2.0, 3.0)},
        "divide takes other, position, t; or label, other, position, t .*, got label, position, t",
    ),
    "divided at half a place": (
        {"what": "divide", "neuron": "", "position_um": (1.0, 2.0, 3.0), "other": "1 2"},
        "divide: expected the place of the second nucleus, z y x in um, got '1 2'",
    ),
    "divided nowhere": (
        {"what": "divide", "neuron": "", "position_um": (1.0, 2.0, 3.0), "other": "1 2 nan"},
        "divide: expected the place of the second nucleus",
    ),
    "undo of the header": (
        {"what": "undo", "t": None, "label": None, "neuron": "", "other": "1"},
        "undo: expected the number of a line from 2",
    ),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_a_row_cannot_say_is_refused_by_line(change, said) -> None:
    with pytest.raises(InputError, match=f"corrections.csv: line 9: .*{said}"):
        replace(IS, line=9, **change)


@pytest.mark.parametrize(("line", "said"), [(5, "no such line above it"), (3, "an undo itself")])
def test_only_what_was_said_can_be_undone(line, said) -> None:
    with pytest.raises(InputError, match=said):
        Corrections((IS, Correction("undo", other="2", line=3), Correction("undo", other=str(line), line=4)))


def test_what_is_undone_is_as_if_it_had_never_been_said() -> None:
    other = replace(IS, t=4, line=3)
    undone = Corrections((IS, other, Correction("undo", other="2", line=4)))
    assert undone.in_force == (other,)
    assert undone.digest == Corrections((other,)).digest != Corrections((IS,)).digest
    assert Corrections((IS, Correction("undo", other="2", line=3))).digest == Corrections().digest == "none"


def test_the_digest_knows_what_is_said_and_not_by_whom() -> None:
    assert Corrections((replace(IS, who="ada", when="2025-01-01T00:00:00Z"),)).digest == Corrections((IS,)).digest
    for change in ({"t": 4}, {"label": 8}, {"neuron": "24"}, {"atlas": "a1"}, {"position_um": (1.0, 2.0, 3.0)}):
        assert Corrections((replace(IS, **change),)).digest != Corrections((IS,)).digest
    assert Corrections((IS, replace(IS, t=4, line=3))).digest.startswith("2 ")


def test_the_digest_knows_the_witnesses_that_count() -> None:
    marked = replace(IS, atlas="a1")
    told = Witnesses(np.array([23]), np.array([0]), np.zeros((1, 3)))
    moved = Witnesses(np.array([23]), np.array([0]), np.ones((1, 3)))
    assert Corrections((marked,), {"a1": told}).digest != Corrections((marked,), {"a1": moved}).digest
    assert Corrections((marked,), {"a1": told}).digest == Corrections((marked,), {"a1": told, "a2": moved}).digest


def test_a_row_that_does_not_say_its_atlas_goes_with_the_row_above() -> None:
    rows = (IS, replace(IS, t=4, atlas="a1", line=3), replace(IS, t=5, line=4))
    assert [row.atlas for row in Corrections(rows).in_force] == ["", "a1", "a1"]


rows = st.builds(
    lambda t, label, who: Correction("is", t=t, label=label, neuron="1", who=who),
    st.integers(0, 3), st.integers(1, 3), st.sampled_from(["ada", "bo"]),
)  # fmt: skip


@given(st.lists(rows, max_size=5), st.lists(rows, max_size=5), st.data())
def test_the_union_of_two_tables_has_every_row_once_and_undoes_the_same(ours, theirs, data) -> None:
    def table(said):
        numbered = [replace(row, line=2 + i) for i, row in enumerate(said)]
        if numbered and data.draw(st.booleans()):
            numbered.append(Correction("undo", other=str(data.draw(st.integers(2, 1 + len(said)))), line=2 + len(said)))
        return Corrections(tuple(numbered))

    a, b = table(ours), table(theirs)
    both = a.followed_by(b)
    assert [row.line for row in both.rows] == list(range(2, 2 + len(both)))
    said, taken_back = zip(*(_said_and_taken_back(one) for one in (a, b, both)), strict=True)
    assert said[2] == said[0] | said[1]
    assert taken_back[2] == taken_back[0] | taken_back[1]
    assert len(both.in_force) == len(said[2] - taken_back[2])
    assert both.followed_by(b) == both.followed_by(a) == both


def _said_and_taken_back(table):
    """Rows that are no undo, with how many equal ones stand above; all, and those that were undone."""
    by_line, above = {}, Counter()
    for row in table.rows:
        if row.what != "undo":
            anonymous = replace(row, line=2)
            by_line[row.line] = (anonymous, above[anonymous])
            above[anonymous] += 1
    return set(by_line.values()), {by_line[int(row.other)] for row in table.rows if row.what == "undo"}


def test_what_was_undone_and_said_again_at_once_is_said_in_the_union_of_two_tables() -> None:
    again = Corrections((IS, Correction("undo", other="2", line=3), replace(IS, line=4)))
    for ours in (Corrections(), Corrections((IS,)), Corrections(again.rows[:2]), again):
        assert [row.what for row in ours.followed_by(again).in_force] == ["is"]
        assert again.followed_by(ours) == again


places = st.tuples(*[st.floats(-500, 5000, allow_nan=False).map(lambda axis: round(axis, 4))] * 3)
edits = st.one_of(
    st.builds(lambda t, place: Correction("add", t=t, position_um=place), st.integers(0, 9), places),
    st.builds(
        lambda t, label, place, other: Correction("divide", t=t, label=label, position_um=place, other=place_text(other)),
        st.integers(0, 9), st.none() | st.integers(1, 99), places, places,
    ),
)  # fmt: skip


@given(st.lists(st.one_of(rows, edits), max_size=6))
def test_edits_are_the_rows_that_change_detections_and_names_do_not_move_their_digest(said) -> None:
    table = Corrections(tuple(replace(row, line=2 + i) for i, row in enumerate(said)))
    assert [row.what for row in table.edits] == [
        row.what for row in sorted(said, key=lambda row: row.t or 0) if row.what in ("add", "divide")
    ]
    alone = Corrections(tuple(row for row in table.rows if row.is_edit))
    assert edits_digest(table.edits) == edits_digest(alone.edits)
    assert (edits_digest(table.edits) == "none") == (not table.edits)
    by_volume = edits_by_volume(table.edits)
    assert [row for part in by_volume.values() for row in part] == list(table.edits)
    assert all(not row.about_detection for row in table.edits)


@given(places, places)
def test_the_second_place_of_a_division_comes_back_as_it_was_said(first, second) -> None:
    row = Correction("divide", t=0, position_um=first, other=place_text(second))
    assert row.other_um == second
    assert row == replace(row)
