"""corrections.csv: appended to, never broken, readable by people."""

from __future__ import annotations

import csv
import fcntl
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barlowtrack.data import Correction, Corrections, Witnesses
from barlowtrack.data.corrections import LONGEST, cleaned, place_text
from barlowtrack.errors import InputError
from barlowtrack.io.columns import TABLES
from barlowtrack.storage import append_correction, read_corrections, write_corrections
from barlowtrack.storage.corrections import COLUMNS, NAME

IS = Correction(
    "is", t=3, label=7, position_um=(1.5, 2.25, -3.0), neuron="23", who="ada", when="2025-03-01T12:00:00Z", atlas="a0123456789ab"
)
WITNESSES = Witnesses(np.array([0, 23]), np.array([1, 2]), np.array([[1.0, 2, 3], [4, 5, 6]]))


@pytest.fixture(autouse=True)
def flushed(monkeypatch):
    """Files that were flushed to the disk; they are not, here, for that takes a while."""
    names = []
    monkeypatch.setattr("os.fsync", lambda descriptor: names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
    return names


def test_a_row_is_on_the_disk_when_append_returns(tmp_path, flushed) -> None:
    append_correction(tmp_path, IS)
    assert NAME in flushed
    assert tmp_path.name in flushed


def test_what_is_appended_is_read(tmp_path) -> None:
    assert read_corrections(tmp_path) == Corrections()
    written = [append_correction(tmp_path, row, WITNESSES) for row in (IS, replace(IS, t=4), Correction("undo", other="2"))]
    assert [row.line for row in written] == [2, 3, 4]
    found = read_corrections(tmp_path)
    assert found.rows == tuple(written)
    assert list(found.witnesses) == [IS.atlas]
    assert np.array_equal(found.witnesses[IS.atlas].position_um, WITNESSES.position_um)


def test_witnesses_of_an_atlas_are_those_of_the_first_row(tmp_path) -> None:
    append_correction(tmp_path, IS, WITNESSES)
    append_correction(tmp_path, IS, replace(WITNESSES, t=WITNESSES.t + 5))
    append_correction(tmp_path, replace(IS, atlas="affffffffffff"), replace(WITNESSES, t=WITNESSES.t + 9))
    found = read_corrections(tmp_path).witnesses
    assert {mark: told.t.tolist() for mark, told in found.items()} == {IS.atlas: [1, 2], "affffffffffff": [10, 11]}


hostile = st.text(max_size=LONGEST).map(cleaned) | st.sampled_from(
    ['=cmd|"/c calc"!A1', '"', "a,b", "'; --", "<script>", "ÄÖ 神経", '","', "\\"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(who=hostile, name=hostile)
def test_whatever_people_are_called_comes_back_or_is_refused(tmp_path_factory, who, name) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    try:
        row = Correction("name", neuron="3", other=name, who=who)
    except InputError:
        return
    append_correction(folder, row)
    append_correction(folder, IS)
    assert read_corrections(folder).rows == (row, replace(IS, line=3))
    with (folder / NAME).open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["other"] == name


@pytest.mark.parametrize("cut", [1, 3, 20, 60])
def test_a_row_that_was_cut_off_is_left_out_and_said_and_then_replaced(tmp_path, caplog, cut) -> None:
    append_correction(tmp_path, IS)
    whole = (tmp_path / NAME).read_bytes()
    append_correction(tmp_path, replace(IS, t=4))
    both = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(both[: -1 - cut])
    with caplog.at_level(logging.WARNING):
        assert read_corrections(tmp_path).rows == (IS,)
    assert "line 3 is cut off and left out" in caplog.text
    assert append_correction(tmp_path, replace(IS, t=4)).line == 3
    assert (tmp_path / NAME).read_bytes() == both
    assert whole in both


def test_every_cut_of_the_first_row_is_survived(tmp_path) -> None:
    append_correction(tmp_path, IS)
    both = (tmp_path / NAME).read_bytes()
    for length in range(len(both)):
        (tmp_path / NAME).write_bytes(both[:length])
        assert read_corrections(tmp_path).rows in ((), (IS,), (replace(IS, atlas=""),))
        append_correction(tmp_path, replace(IS, t=9))
        assert read_corrections(tmp_path).rows[-1].t == 9


def test_a_table_that_a_person_typed(tmp_path) -> None:
    text = "\ufeffwhat,neuron,t,label\r\nis, AVAL ,3.0,7\r\n\r\nabsent,23,4\r\nnot-a-neuron,23"
    (tmp_path / NAME).write_text(text, encoding="utf-8")
    found = read_corrections(tmp_path)
    assert [(row.line, row.what, row.neuron, row.t, row.label) for row in found.rows] == [
        (2, "is", "AVAL", 3, 7),
        (4, "absent", "23", 4, None),
        (5, "not-a-neuron", "23", None, None),
    ]  # the last one has neither an end nor all cells, and yet it is whole
    assert append_correction(tmp_path, Correction("absent", t=5, neuron="1")).line == 6
    assert read_corrections(tmp_path).rows[-1].t == 5
    with pytest.raises(InputError, match="line 1: has no columns when, who, z_um, y_um, x_um, atlas; add them"):
        append_correction(tmp_path, IS)


BAD = {
    "other columns": ("when,what,volume\n", "line 1: expected the columns when, who"),
    "a column twice": ("what,t,t\n", "line 1: expected the columns"),
    "too many cells": ("what,t,neuron\nabsent,1,2,3\n", "line 2: expected 3 columns, got 4"),
    "no number": ("what,t,neuron\nabsent,two,2\n", "line 2: expected a number, got 'two'"),
    "half a volume": ("what,t,neuron\nabsent,1.5,2\n", "line 2: t: expected a whole number, got 1.5"),
    "half a place": ("what,t,z_um,neuron\nis,1,2,3\n", "line 2: expected all of z_um, y_um, x_um, or none"),
    "an open quote": ('what,t,neuron\nabsent,1,"2\nabsent,1,3\n', "line 2: cannot be read"),
    "a comment": ("when,what,neuron\n# ada looked, twice\n,not-a-neuron,1\n", "line 2: what: expected one of"),
    "a short comment": ("when,who,what,neuron\n# ada looked\n", "line 2: expected a row of the columns of line 1, got '# ada looked'"),
    "zeros of a crash": ("when,who,what,neuron\n\0\0\0\n,,not-a-neuron,1\n", "line 2: expected a row"),
    "nonsense at the end": ("what,t,neuron\nmaybe,1,2", "line 2: what: expected one of"),
    "nonsense": ("what,t,neuron\nabsent,1,2\nmaybe,1,2\n", "line 3: what: expected one of"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_a_row_that_cannot_be_read_is_refused_by_line_and_left_as_it_is(tmp_path, text, said) -> None:
    (tmp_path / NAME).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_corrections(tmp_path)
    with pytest.raises(InputError, match=said):
        append_correction(tmp_path, IS)
    assert (tmp_path / NAME).read_text(encoding="utf-8") == text


UNREADABLE = {
    "CR alone": ("\r".join([",".join(COLUMNS), ",,absent,3,,,,,,23,,", ",,absent,4,,,,,,23,,"]).encode(), "got CR alone"),
    "CR alone at its end": (f"{','.join(COLUMNS)}\n,,absent,3,,,,,,23,,\r,,absent,4,,,,,,23,,".encode(), "line 2: cannot be read"),
    "UTF-16": (f"{','.join(COLUMNS)}\n,,absent,3,,,,,,23,,\n".encode("utf-16"), "expected UTF-8"),
    "UTF-16 without a mark": (f"{','.join(COLUMNS)}\n,,absent,3,,,,,,23,,\n".encode("utf-16-le"), "line 1: expected the columns"),
    "no table": (b"Dear Ada,", "line 1: expected the columns"),
}


@pytest.mark.parametrize(("content", "said"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_not_a_byte_of_a_file_that_is_refused_is_cut(tmp_path, content, said) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(InputError, match=said):
        append_correction(tmp_path, IS)
    assert (tmp_path / NAME).read_bytes() == content


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_line_that_a_person_typed_is_kept(tmp_path, end) -> None:
    append_correction(tmp_path, IS)
    with (tmp_path / NAME).open("a") as file:
        file.write(",,absent,4,,,,,,23" + end)
    assert append_correction(tmp_path, replace(IS, t=5)).line == 4
    assert [row.t for row in read_corrections(tmp_path).rows] == [3, 4, 5]
    assert not (tmp_path / "corrections.torn").exists()


def test_what_is_cut_off_is_kept_beside_the_table(tmp_path) -> None:
    append_correction(tmp_path, IS)
    for torn in ("2025-03-01T12:00:00Z,ada,is,3,,7", '2025-03-01T12:00:00Z,"ad'):
        with (tmp_path / NAME).open("a") as file:
            file.write(torn)
        append_correction(tmp_path, IS)
    assert (tmp_path / "corrections.torn").read_text() == '2025-03-01T12:00:00Z,ada,is,3,,7\n2025-03-01T12:00:00Z,"ad\n'


def test_something_else_than_text_is_refused(tmp_path) -> None:
    (tmp_path / NAME).write_bytes(b"what,t\n\xff\xfe\n")
    with pytest.raises(InputError, match="expected UTF-8"):
        read_corrections(tmp_path)


def test_damaged_witnesses_are_refused(tmp_path) -> None:
    append_correction(tmp_path, IS, WITNESSES)
    (tmp_path / "corrections.witnesses.csv").write_text("atlas,neuron\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="expected the witnesses that were written there"):
        read_corrections(tmp_path)


def test_an_undo_of_nothing_is_not_written(tmp_path) -> None:
    append_correction(tmp_path, IS)
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(InputError, match="no such line"):
        append_correction(tmp_path, Correction("undo", other="7"))
    assert (tmp_path / NAME).read_bytes() == before


def test_nobody_writes_between_the_check_of_a_row_and_its_writing(tmp_path) -> None:
    append_correction(tmp_path, IS)

    def check(table):
        assert [row.t for row in table.rows] == [3, 4]
        with (tmp_path / NAME).open("a+b") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise InputError("it cannot stand")

    with pytest.raises(InputError, match="it cannot stand"):
        append_correction(tmp_path, replace(IS, t=4), check=check)
    assert read_corrections(tmp_path).rows == (IS,)


def test_a_written_table_is_the_same_table(tmp_path) -> None:
    table = Corrections((IS, Correction("undo", other="2", line=3)))
    write_corrections(tmp_path / NAME, table)
    assert read_corrections(tmp_path) == table
    with pytest.raises(InputError, match="cannot be written"):
        write_corrections(tmp_path / NAME, table)


def test_the_columns_are_those_of_the_docs() -> None:
    assert tuple(TABLES["corrections"]) == COLUMNS


axis = st.floats(-1e5, 1e5, allow_nan=False).map(lambda value: round(value, 4))
place = st.tuples(axis, axis, axis)
edit = st.builds(
    lambda what, t, label, first, second: Correction(what, t=t, position_um=first)
    if what == "add"
    else Correction(what, t=t, label=label, position_um=first, other=place_text(second)),
    st.sampled_from(["add", "divide"]), st.integers(0, 10**6), st.none() | st.integers(1, 10**6), place, place,
)  # fmt: skip


@given(edit)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_edit_comes_back_from_the_file_as_it_was_said(tmp_path_factory, row) -> None:
    folder = tmp_path_factory.mktemp("edits")
    written = append_correction(folder, row)
    assert read_corrections(folder).rows == (written,)
    assert replace(written, line=row.line) == row
