"""What clashes in a table, whatever the atlas."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barlowtrack.data import Correction, Corrections
from barlowtrack.identity.statements import merge_corrections, state


def on(neuron: str, t: int = 3, label: int = 7) -> Correction:
    return Correction("is", t=t, label=label, neuron=neuron)


def name(neuron: str, other: str) -> Correction:
    return Correction("name", neuron=neuron, other=other)


def merge(neuron: str, other: str) -> Correction:
    return Correction("merge", neuron=neuron, other=other)


def split(neuron: str, t: int, other: str, until: int | None = None) -> Correction:
    return Correction("split", t=t, until=until, neuron=neuron, other=other)


NOBODY = Correction("not-a-neuron", t=3, label=7)
NONE = Correction("not-a-neuron", neuron="23")
ABSENT = Correction("absent", t=3, neuron="23")


def table(*rows: Correction) -> Corrections:
    return Corrections(tuple(replace(row, line=line) for line, row in enumerate(rows, 2)))


CLASHES = {
    "a detection is two neurons": ((on("23"), on("24")), (2, 3), "is 23 and 24"),
    "a neuron is two detections": ((on("23"), on("23", label=8)), (2, 3), "two detections in volume 3"),
    "there and absent": ((ABSENT, on("23")), (2, 3), "absent from volume 3 and is there"),
    "none and somebody": ((on("23"), NOBODY), (2, 3), "is no neuron and is 23"),
    "none at all and seen": ((on("23"), NONE), (2, 3), "23 is no neuron and is seen in volume 3"),
    "none at all and named": ((NONE, name("23", "AVAL")), (2, 3), "23 is no neuron and is called AVAL"),
    "none at all and merged": ((NONE, merge("5", "23")), (2, 3), "23 is no neuron and is merged: 5 and 23 are one"),
    "two names": ((name("23", "AVAL"), name("23", "AVAR")), (2, 3), "two names, AVAL and AVAR"),
    "two names of one by merging": ((name("23", "AVAL"), merge("23", "5"), name("5", "AVAR")), (2, 4), "two names"),
    "one name for two": ((name("23", "AVAL"), name("5", "AVAL")), (2, 3), "AVAL is the name of two neurons, 23 and 5"),
    "a name merged and given to another": (
        (on("AVRA"), merge("12", "AVRA"), name("13", "AVRA")),
        (3, 4),
        "AVRA is neuron 12, which was merged with it, and 13",
    ),
    "merged but both there": ((on("23"), merge("23", "5"), on("5", label=8)), (2, 4), "23 and 5 are one"),
    "merged by name but both there": ((on("23"), name("23", "AVAL"), on("AVAL", label=8)), (2, 4), "two detections"),
    "split and merged": ((split("23", 4, "B"), merge("23", "B")), (2, 3), "are one neuron and are two"),
    "split twice at once": ((split("23", 4, "B"), split("23", 4, "C")), (2, 3), "becomes two neurons from volume 4 on"),
    "split off from two": ((split("23", 4, "B"), split("5", 4, "B")), (2, 3), "B is split off twice"),
    "seen after it was split away": ((split("23", 3, "B"), on("23")), (2, 3), "what was 23 is B in volume 3"),
}


@pytest.mark.parametrize(("rows", "lines", "why"), CLASHES.values(), ids=CLASHES.keys())
def test_clashes_name_both_lines(rows, lines, why) -> None:
    found = state(table(*rows).in_force).clashes
    assert [clash.lines for clash in found] == [lines]
    assert why in found[0].why
    assert str(found[0].error()).startswith(f"corrections.csv: lines {lines[0]} and {lines[1]} clash: ")


@pytest.mark.parametrize("rows", [rows for key, (rows, *_) in CLASHES.items() if "given to another" not in key])
def test_the_order_of_rows_does_not_matter(rows) -> None:
    assert state(table(*reversed(rows)).in_force).clashes


FINE = {
    "said twice": (on("23"), on("23")),
    "by id and by name": (on("23"), name("23", "AVAL"), on("AVAL")),
    "split and seen before": (split("23", 4, "B"), on("23")),
    "split for a while and seen after": (split("23", 1, "B", until=2), on("23")),
    "the piece split off is none": (split("23", 4, "B"), Correction("not-a-neuron", neuron="B"), on("23")),
    "absent elsewhere": (ABSENT, on("23", t=4)),
    "same label in another volume": (on("23"), on("24", t=4)),
    "a piece that gets a name": (split("23", 4, "B"), name("B", "AVAL")),
    "named and then merged by that name": (name("13", "AVRA"), merge("12", "AVRA")),
    "merged and named": (merge("12", "13"), name("13", "AVRA")),
    "named twice alike": (name("23", "AVAL"), name("23", "AVAL")),
    "merged and named alike": (name("23", "AVAL"), merge("23", "5"), name("5", "AVAL")),
}


@pytest.mark.parametrize("rows", FINE.values(), ids=FINE.keys())
def test_what_can_be_true_together(rows) -> None:
    assert state(table(*rows).in_force).clashes == ()


def test_undoing_one_of_two_that_clash_settles_it() -> None:
    assert state(table(on("23"), on("24"), Correction("undo", other="2")).in_force).clashes == ()


def test_merged_neurons_are_called_by_the_id_that_stays() -> None:
    statements = state(table(merge("23", "5"), merge("AVAL", "23"), name("7", "AVAR")).in_force)
    assert {statements.neuron(called) for called in ("23", "5", "AVAL")} == {"23"}
    assert statements.neuron("AVAR") == "7"


def test_splits_follow_each_other() -> None:
    statements = state(table(split("23", 10, "B"), split("B", 20, "C", until=29), split("23", 40, "D")).in_force)
    assert [statements.moved("23", t) for t in (9, 10, 20, 29, 30, 40)] == ["23", "B", "C", "C", "B", "D"]


def test_two_peoples_tables_give_their_union_and_what_clashes() -> None:
    ada = table(on("23"), name("23", "AVAL"), on("9", t=5))
    bo = table(on("23"), on("24", t=4), Correction("undo", other="3"), name("24", "AVAL"), on("8", t=5))
    both, clashes = merge_corrections(ada, bo)
    assert len(both) == 7
    assert both.rows[4].other == "5"  # the undo follows its row
    assert [clash.lines for clash in clashes] == [(3, 7), (4, 8)]
    assert [clash.why for clash in clashes] == ["AVAL is the name of two neurons, 23 and 24", "one detection of volume 5 is 9 and 8"]


def test_ids_of_two_atlases_are_not_the_same_ids() -> None:
    ada, bo = table(replace(on("23"), atlas="a1")), table(replace(on("24"), atlas="a2"))
    assert merge_corrections(ada, bo)[1] == ()
    assert len(merge_corrections(ada, table(replace(on("24"), atlas="a1")))[1]) == 1
