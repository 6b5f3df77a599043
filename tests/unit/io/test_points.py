"""Points of other programs: what is taken, and what is refused in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barlowtrack.errors import InputError
from barlowtrack.io.points import points_from_frame, read_points


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"t": [4, 0, 4], "x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0], "z": [7.0, 8.0, 9.0]}).assign(**columns)


def test_rows_are_sorted_by_volume_and_find_back():
    points = points_from_frame(table())
    assert points.number.tolist() == [0, 4]
    assert points.row.tolist() == [1, 0, 2]
    assert points.detections.t.tolist() == [0, 1, 1]
    assert points.detections.label.tolist() == [1, 1, 2]
    assert points.detections.position_um.tolist() == [[8, 5, 2], [7, 4, 1], [9, 6, 3]]


def test_columns_keep_their_names_and_order_and_others_are_left_out():
    frame = table(neuron=["AVAL", None, "RIML"], comment="x").rename(columns={"t": "volume"})[
        ["z", "neuron", "volume", "comment", "y", "x"]
    ]
    points = points_from_frame(frame)
    assert points.time == "volume"
    assert points.frame.columns.tolist() == ["z", "volume", "y", "x"]


def test_voxels_scale_what_is_computed_and_not_what_is_kept():
    points = points_from_frame(table(), (2.0, 1.0, 0.5))
    assert points.detections.position_um[0].tolist() == [16, 5, 1]
    assert points.frame["z"].tolist() == [7, 8, 9]


def test_a_table_without_depth_is_a_plane():
    points = points_from_frame(table().drop(columns="z"))
    assert points.planar
    assert not points.detections.position_um[:, 0].any()
    assert not points_from_frame(table()).planar


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_of_both_kinds_are_read(tmp_path, kind):
    path = tmp_path / f"points.{kind}"
    (table().to_csv if kind == "csv" else table().to_parquet)(path, index=False)
    assert len(read_points(path).row) == 3


WRONG = {
    "no time": (table().drop(columns="t"), "columns missing: t or volume;"),
    "time in capitals": (table().rename(columns={"t": "Volume"}), "t or volume (is it Volume?)"),
    "x in capitals": (table().rename(columns={"x": "X"}), "columns missing: x (is it X?)"),
    "trackmate": (table().rename(columns={"x": "POSITION_X"}), "columns missing: x (is it POSITION_X?)"),
    "no place": (table()[["t"]], "columns missing: y, x; the table has t"),
    "twice the same column": (pd.concat([table(), table()[["x"]]], axis=1), "expected one column x, got 2"),
    "depth under another name": (table().rename(columns={"z": "z_um"}), "got a mix: y, x, z_um"),
    "no rows": (table()[:0], "at least one point"),
    "NaN": (table(y=[1.0, np.nan, 1.0]), "row 2: y: expected a finite number, got nothing"),
    "infinity": (table(z=[1.0, 2.0, np.inf]), "row 3: z: expected a finite number, got inf"),
    "text": (table(x=["1", "2", "left"]), "row 3: x: expected a finite number, got left"),
    "too far to compute with": (table(x=[1.0, 2.0, 1e200]), "row 3: x"),
    "negative volume": (table(t=[0, -1, 2]), "row 2: t: expected a whole number from 0, got -1"),
    "half a volume": (table(t=[0.0, 1.5, 2.0]), "row 2: t: expected a whole number from 0, got 1.5"),
    "no volume": (table(t=[None, 1, 2]), "row 1: t"),
}


@pytest.mark.parametrize(("frame", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_tables_are_refused_in_one_line(frame, said):
    with pytest.raises(InputError) as error:
        points_from_frame(frame, where="worm.csv")
    assert said in str(error.value)
    assert str(error.value).startswith("worm.csv: ")
    assert "\n" not in str(error.value)


@given(st.permutations(range(8)))
def test_the_order_of_rows_changes_only_the_order_of_rows(order):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"t": [0, 0, 0, 1, 1, 5, 5, 5], **{axis: rng.normal(size=8) for axis in "zyx"}})
    whole, mixed = points_from_frame(frame), points_from_frame(frame.iloc[list(order)])
    assert np.array_equal(mixed.detections.t, whole.detections.t)
    place = frame[["z", "y", "x"]].to_numpy()
    assert np.array_equal(place[np.array(order)[mixed.row]], mixed.detections.position_um)
