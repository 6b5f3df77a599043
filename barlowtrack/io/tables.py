"""The tables that other programs read: names, units, and the way to the nouns and back.

Parquet or CSV, by the extension. The same table gives the same bytes: no index, no dates, no pandas remarks, fixed settings.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from barlowtrack.data import UNKNOWN, Candidates, Detections, Neurons, Tracks, Truth, VolumeLooks
from barlowtrack.errors import InputError
from barlowtrack.io.columns import TABLES, TableName
from barlowtrack.io.regular import refuse_endless

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell of a CSV table that begins like this for a formula, and computes it."""
_TEXTS = ("name",)  # columns of what people wrote: never numbers, never missing
_OPTIONAL = {"activity"}
_POSITION = ["z_um", "y_um", "x_um"]
RECORDED = tuple(f"recorded_{column}" for column in _POSITION)
"""Where the recording on the disk has a nucleus, in exports of runs that prepare their pictures."""
_CALLED = {
    "t": ("frame", "time", "time_point", "timepoint", "volume"),
    "neuron": ("id", "neuron_id", "track", "track_id", "trackid", "cell", "cell_id", "label"),
}
"""What others call our columns, in small letters, for messages."""
_FARTHEST_UM = 1e9  # squares of what lies beyond overflow


def write_table(frame: pd.DataFrame, path: Path, *, provenance: Mapping[str, str] | None = None) -> None:
    """Writes a table as parquet or CSV, by the extension; the same table gives the same bytes.

    In CSV, names that a spreadsheet would compute are written behind an apostrophe, which read_table takes away again: whoever named
    the neurons may be somebody else.

    Args:
        frame: Any columns; of the known ones, t and label are stored as int32 and neuron as int32 that may be empty.
        path: Ends in .parquet or .csv.
        provenance: Kept beside the table in parquet, as are unit and meaning of the columns of TABLES; CSV has no place for them.

    Raises:
        InputError: another extension, or a place that cannot be written.
    """
    kind = table_kind(path)
    frame = _typed(frame, str(path))
    try:
        if kind == "csv":
            frame = frame.assign(**{name: [harmless(text) for text in frame[name]] for name in _TEXTS if name in frame})
            frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")
            return
        table = _with_units(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(dict(provenance or {}) or None))
        pq.write_table(table, path, compression="zstd", compression_level=3, version="2.6", row_group_size=1 << 20, store_schema=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def read_table(path: Path, table: TableName | None = None) -> pd.DataFrame:
    """Reads a parquet or CSV table, by its extension.

    Args:
        path: Ends in .parquet or .csv.
        table: Which of TABLES it should be; its columns must then be there. Further columns are kept.

    Returns:
        The table; t and label are int32, neuron is a nullable Int32.

    Raises:
        InputError: no such file, another extension, no table, or columns missing (says which, and what comes nearest).
    """
    frame = read_columns(path)
    if table is not None:
        require(frame, [name for name in TABLES[table] if name not in _OPTIONAL], str(path))
    return _typed(frame, str(path))


def read_columns(path: Path, only: Sequence[str] | None = None) -> pd.DataFrame:
    """Reads a table of anybody's as it is: no column means anything yet.

    Args:
        path: Ends in .parquet or .csv.
        only: Columns that are wanted, of those that are there; of a parquet file nothing else is read.

    Raises:
        InputError: no such file, an extension other than .csv and .parquet, or no table.
    """
    kind = table_kind(path)
    try:
        refuse_endless(path)
        with path.open("rb") as file:
            if kind == "csv":
                frame = _read_csv(file, path)
                return frame if only is None else frame[[name for name in only if name in frame]]
            stored = pq.ParquetFile(file)
            columns = None if only is None else [name for name in only if name in stored.schema_arrow.names]
            table: pd.DataFrame = stored.read(columns=columns).to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get)
            return table
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, pa.ArrowException, pd.errors.ParserError) as error:
        raise InputError(f"{path}: expected a {kind} table, got something else: {_first_line(error)}") from None


def _read_csv(file: BinaryIO, path: Path) -> pd.DataFrame:
    """Reads a CSV table whose header names every column once: pandas would shift columns, or rename them, without a word."""
    names = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].tolist()
    for mark, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and mark in names[0]:
            raise InputError(f"{path}: expected commas between cells, got {called}; write it with commas, and points in numbers")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: expected every column once, got {', '.join(twice)} several times")
    file.seek(0)
    frame = pd.read_csv(file, low_memory=False)
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{path}: expected rows of {len(names)} cells, as the header has, got rows of {len(names) + frame.index.nlevels}")
    for name in set(_TEXTS) & set(names):
        file.seek(0)
        texts = pd.read_csv(file, usecols=[name], dtype=str, keep_default_na=False)[name]  # NA may be a neuron's name, and so may 1e5
        frame[name] = pd.array([as_written(text) for text in texts], dtype="str")
    return frame


def _with_units(table: pa.Table) -> pa.Table:
    """Returns a table whose columns say unit and meaning, where it is one of TABLES."""
    names = set(table.column_names)
    known = next((columns for columns in TABLES.values() if names <= set(columns) and set(columns) - names <= _OPTIONAL), None)
    if known is None:
        return table
    said = {name: dict(zip(("unit", "meaning"), known[name], strict=True)) for name in table.column_names}
    fields = [field.with_metadata(said[field.name]) for field in table.schema]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def harmless(text: Any) -> Any:
    """Returns a text that no spreadsheet computes."""
    return f"'{text}" if isinstance(text, str) and text.lstrip("'").startswith(FORMULAS) else text


def as_written(text: str) -> str:
    """Returns the text that was made harmless; any other as it is, also "NA" and "1e5"."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULAS) else text


def read_provenance(path: Path) -> dict[str, str]:
    """Returns what write_table kept beside a parquet table; nothing for CSV.

    Raises:
        InputError: a file that cannot be read.
    """
    if table_kind(path) == "csv":
        return {}
    refuse_endless(path)
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: expected a parquet table, got something else: {_first_line(error)}") from None
    return {key.decode(): value.decode() for key, value in metadata.items() if not key.startswith((b"ARROW:", b"pandas"))}


def detections_to_frame(detections: Detections) -> pd.DataFrame:
    """Returns the table of detections, one row each, in their order."""
    measures = {name: getattr(detections, name) for name in list(TABLES["detections"])[5:]}
    return pd.DataFrame({"t": detections.t, "label": detections.label, **position_columns(detections.position_um), **measures})


def detections_from_frame(frame: pd.DataFrame, n_volumes: int) -> Detections:
    """Makes Detections of their table.

    Raises:
        InputError: columns missing, or rows that Detections does not allow.
    """
    require(frame, TABLES["detections"], "detections")
    measures = {name: numbers(frame, name) for name in list(TABLES["detections"])[5:]}
    return Detections(n_volumes, whole(frame, "t"), whole(frame, "label"), positions(frame), **measures)


def volumes_to_frame(looks: VolumeLooks) -> pd.DataFrame:
    """Returns the table of volumes, one row each."""
    columns = {"nuclei": looks.count, "contrast": looks.contrast, "sharpness": looks.sharpness, "junk": looks.is_junk.astype(np.int8)}
    return pd.DataFrame({"t": np.arange(len(looks)), **columns})


def volumes_from_frame(frame: pd.DataFrame) -> VolumeLooks:
    """Makes VolumeLooks of their table; whether one is junk is worked out anew.

    Raises:
        InputError: columns missing, or volumes that are not 0, 1, 2, ...
    """
    require(frame, TABLES["volumes"], "volumes")
    if not np.array_equal(whole(frame, "t"), np.arange(len(frame))):
        raise InputError("volumes: t: expected 0, 1, 2, ... in order, got others")
    return VolumeLooks(whole(frame, "nuclei"), numbers(frame, "contrast"), numbers(frame, "sharpness"))


def tracks_to_frame(detections: Detections, tracks: Tracks) -> pd.DataFrame:
    """Returns the table of tracks: one row a detection, in their order; neuron is empty where unknown.

    Raises:
        InputError: detections and tracks of different length.
    """
    if len(detections) != len(tracks):
        raise InputError(f"tracks: expected {len(detections)} rows, one a detection, got {len(tracks)}")
    neuron = pd.array(tracks.neuron.astype(np.int32), dtype="Int32")
    neuron[tracks.neuron == UNKNOWN] = pd.NA
    columns = {"t": detections.t, "label": detections.label, "neuron": neuron, "probability": tracks.probability}
    return pd.DataFrame({**columns, **position_columns(detections.position_um)})


def candidates_to_frame(detections: Detections, candidates: Candidates) -> pd.DataFrame:
    """Returns the table of candidates: a row for each of every detection, likeliest first."""
    row, rank = np.nonzero(candidates.neuron != UNKNOWN)
    columns = {"neuron": candidates.neuron[row, rank], "probability": candidates.probability[row, rank]}
    return pd.DataFrame({"t": detections.t[row], "label": detections.label[row], "rank": (rank + 1).astype(np.int8), **columns})


def neurons_to_frame(tracks: Tracks, neurons: Neurons) -> pd.DataFrame:
    """Returns the table of neurons, one row each."""
    known = tracks.neuron != UNKNOWN
    count = np.bincount(tracks.neuron[known], minlength=len(neurons))
    total = np.bincount(tracks.neuron[known], tracks.probability[known], minlength=len(neurons))
    entry = pd.array(neurons.entry.astype(np.int32), dtype="Int32")
    entry[neurons.entry == UNKNOWN] = pd.NA
    columns = {"volumes": count.astype(np.int32), "probability": (total / np.maximum(count, 1)).astype(np.float32), "entry": entry}
    return pd.DataFrame({"neuron": np.arange(len(neurons)), "name": pd.array(neurons.name, dtype="str"), **columns})


def absences_to_frame(neurons: Neurons) -> pd.DataFrame:
    """Returns the table of absences: a row for every neuron that a volume does not show, by volume."""
    t, neuron = np.nonzero(np.isfinite(neurons.absent))
    return pd.DataFrame({"t": t, "neuron": neuron, "probability": neurons.absent[t, neuron].astype(np.float32)})


def tracks_from_frame(frame: pd.DataFrame, n_neurons: int | None = None) -> Tracks:
    """Makes Tracks of their table, row by row; n_neurons as the table shows where not given.

    Raises:
        InputError: columns missing, or values that Tracks does not allow.
    """
    require(frame, ["neuron", "probability"], "tracks")
    neuron = _typed(frame, "tracks")["neuron"].fillna(UNKNOWN).to_numpy(np.int32)
    count = int(neuron.max(initial=UNKNOWN)) + 1
    return Tracks(neuron, numbers(frame, "probability"), max(count, n_neurons or 0))


def truth_to_frame(truth: Truth) -> pd.DataFrame:
    """Returns the table of a truth; no column activity where it has none."""
    columns: dict[str, Any] = {"t": truth.t, "neuron": pd.array(truth.neuron.astype(np.int32), dtype="Int32")}
    activity = {} if truth.activity is None else {"activity": truth.activity}
    return pd.DataFrame({**columns, **position_columns(truth.position_um), **activity})


def read_truth(path: Path, voxel_size_um: tuple[float, float, float] | None = None) -> Truth:
    """Reads a truth table; rows without a neuron are dropped: somebody saw a nucleus but not which.

    Args:
        path: CSV or parquet with t (or volume), neuron, and z_um, y_um, x_um, or z, y, x in voxels.
        voxel_size_um: z, y, x; needed where the table counts in voxels.

    Raises:
        InputError: columns missing, numbers that are none, or a neuron twice in a volume; names the row, counted from 1.
    """
    return truth_from_frame(read_table(path), voxel_size_um, where=str(path))


def truth_from_frame(frame: pd.DataFrame, voxel_size_um: tuple[float, float, float] | None = None, *, where: str = "truth") -> Truth:
    """Makes Truth of its table; see read_truth."""
    if "t" not in frame and "volume" in frame:
        frame = frame.rename(columns={"volume": "t"})
    in_voxels = not set(_POSITION) & set(frame.columns) and set("zyx") <= set(frame.columns)
    require(frame, ["t", "neuron", *([] if in_voxels else _POSITION)], where)
    if set(RECORDED) <= set(frame.columns):  # of our own export, where the pictures were prepared: a truth lies as the disk has it
        frame = frame.assign(**dict(zip(_POSITION, (frame[name] for name in RECORDED), strict=True)))
    if in_voxels:
        if voxel_size_um is None:
            raise InputError(f"{where}: z, y, x are in voxels; expected columns z_um, y_um, x_um, or the voxel size beside the table")
        if not all(np.isfinite(size) and size > 0 for size in voxel_size_um):
            raise InputError(f"{where}: voxel size: expected three positive numbers in um (z y x), got {voxel_size_um}")
        frame = frame.assign(
            **{f"{axis}_um": pd.to_numeric(frame[axis], errors="coerce") * size for axis, size in zip("zyx", voxel_size_um, strict=True)}
        )
    frame = _typed(frame, where).assign(_row=np.arange(1, len(frame) + 1))
    frame = frame[frame["neuron"].notna()]
    for column in [*_POSITION, *(["activity"] if "activity" in frame else [])]:
        values = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
        frame = frame.assign(**{column: values})
        if column != "activity":
            _refuse(frame, ~(np.abs(values) < _FARTHEST_UM), where, f"{column}: expected a finite number, in um")
    _refuse(frame, (frame["t"] < 0).to_numpy(), where, "t: expected 0 or more")
    _refuse(frame, frame.duplicated(["t", "neuron"]).to_numpy(), where, "expected every neuron once a volume, got one a second time")
    activity = frame["activity"].to_numpy() if "activity" in frame else None
    return Truth(whole(frame, "t"), whole(frame, "neuron"), frame[_POSITION].to_numpy(np.float64), activity)


def table_kind(path: Path) -> Literal["csv", "parquet"]:
    """Returns what a table is by its extension, and refuses any other."""
    match path.suffix.lower():
        case ".csv":
            return "csv"
        case ".parquet":
            return "parquet"
        case other:
            raise InputError(f"{path}: expected a table that ends in .csv or .parquet, got {other or 'no extension'}")


def _typed(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Gives the columns that hold whole numbers their type, whatever CSV or pandas made of them."""
    columns: dict[str, Any] = {}
    for name in {"t", "label", "neuron"} & set(frame.columns):
        whole = _whole_already(frame[name])
        empty = np.zeros(len(frame), bool)
        if whole is None:
            values = pd.to_numeric(frame[name], errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan)
            empty = frame[name].isna().to_numpy()
            bad = ~((values == np.round(values)) & (np.abs(values) < 2**31) | (empty if name == "neuron" else False))
            if bad.any():
                _refuse(frame.assign(_row=np.arange(1, len(frame) + 1)), bad, where, f"{name}: expected a whole number", name)
            whole = np.where(empty, 0, values).astype(np.int32)
        columns[name] = pd.arrays.IntegerArray(whole, empty.copy()) if name == "neuron" else whole
    return frame.assign(**columns)


def _whole_already(column: pd.Series) -> NDArray[np.int32] | None:
    """Returns a column that has its type and no gap; there is one such table a volume, and looking at its every number costs the most."""
    if column.dtype not in (np.dtype(np.int32), pd.Int32Dtype()) or column.isna().any():
        return None
    return column.to_numpy(np.int32, copy=True)


def _refuse(frame: pd.DataFrame, bad: NDArray[np.bool_], where: str, what: str, column: str | None = None) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        names = [column] if column else ["t", "neuron", *_POSITION]
        got = ", ".join(f"{name} {frame[name].iloc[first]}" for name in names)
        raise InputError(f"{where}: row {frame['_row'].iloc[first]}: {what}, got {got}")


def require(frame: pd.DataFrame, names: Iterable[str], where: str) -> None:
    """Raises InputError unless the columns are there: says which are not, and what comes nearest."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        have = [str(name) for name in frame.columns]
        near = {name: [other for other in have if other.lower() in _CALLED.get(name, ())] for name in missing}
        near = {name: found or difflib.get_close_matches(name, have, n=1, cutoff=0.5) for name, found in near.items()}
        said = ", ".join(name + (f" (is it {near[name][0]}?)" if near[name] else "") for name in missing)
        raise InputError(f"{where}: columns missing: {said}; the table has {', '.join(have) or 'none'}")


def whole(frame: pd.DataFrame, name: str) -> NDArray[np.int32]:
    """Returns a column of whole numbers."""
    return frame[name].to_numpy(np.int32)


def numbers(frame: pd.DataFrame, name: str) -> NDArray[np.floating[Any]]:
    """Returns a column of numbers; NaN where it is empty.

    Raises:
        InputError: something else stands there.
    """
    if frame[name].dtype.kind == "f":
        return frame[name].to_numpy()
    try:
        return pd.to_numeric(frame[name]).astype("Float64").to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: expected numbers, got {_first_line(error)}") from None


def positions(frame: pd.DataFrame) -> NDArray[Any]:
    """Returns the columns z_um, y_um, x_um as (N, 3)."""
    return np.stack([numbers(frame, name) for name in _POSITION], axis=1)


def position_columns(position_um: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Returns positions (N, 3) as the columns z_um, y_um, x_um."""
    return {name: position_um[:, axis] for axis, name in enumerate(_POSITION)}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
