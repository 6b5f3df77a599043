"""corrections.csv of a run folder: a row an answer, only ever appended to, readable and writable by hand.

Beside it, corrections.witnesses.csv remembers by which detections the neurons of each atlas are known again, and corrections.torn
keeps what was cut off the table.
"""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from barlowtrack.data import Correction, Corrections, Witnesses
from barlowtrack.data.corrections import FIRST_LINE, cleaned
from barlowtrack.errors import InputError
from barlowtrack.io.regular import refuse_endless
from barlowtrack.storage.atomic import write_bytes
from barlowtrack.storage.locks import taking_turns

log = logging.getLogger(__name__)

NAME = "corrections.csv"
WITNESSES = "corrections.witnesses.csv"
TORN = "corrections.torn"
FILES = (NAME, WITNESSES, TORN)
COLUMNS = ("when", "who", "what", "t", "until", "label", "z_um", "y_um", "x_um", "neuron", "other", "atlas")
_NEEDED = {"what"}
_WITNESS_COLUMNS = ("atlas", "neuron", "t", "z_um", "y_um", "x_um")
_MARK_LENGTH = 13
"""Of Identities.mark, which comes last in a row: a shorter one was cut off."""


def read_corrections(folder: Path) -> Corrections:
    """Reads the corrections of a run folder; none where there is no table.

    A last line without its end that is not whole is what a killed process left of a row: it is left out, and said.

    Raises:
        InputError: a row that says nothing that can be; names the line.
    """
    return read_table(folder / NAME)


def read_table(path: Path) -> Corrections:
    """Reads a table of corrections, with the witnesses that lie beside it; see read_corrections."""
    refuse_endless(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Corrections()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    whole, torn = _without_torn(content, path)
    if torn:
        log.warning("%s: line %d is cut off and left out: %s", path, whole.count(b"\n") + 1, ascii(torn.decode("utf-8", "replace")))
    return Corrections(_rows(whole, path), _read_witnesses(path.with_name(WITNESSES)))


def append_correction(
    folder: Path, row: Correction, witnesses: Witnesses | None = None, check: Callable[[Corrections], None] | None = None
) -> Correction:
    """Adds a row to the table of a run folder; on return it is on the disk. See append_corrections."""
    return append_corrections(folder, lambda _: (row,), {row.atlas: witnesses} if witnesses is not None else {}, check)[0]


def append_corrections(
    folder: Path,
    said: Callable[[int], Sequence[Correction]],
    witnesses: Mapping[str, Witnesses],
    check: Callable[[Corrections], None] | None = None,
) -> tuple[Correction, ...]:
    """Adds rows to the table of a run folder, all of them or none; on return they are on the disk.

    Args:
        folder: The run folder.
        said: Gets the line in which the first row will stand, and returns the rows; their own lines are not looked at.
        witnesses: Of the atlases that the rows name, in case the folder has none of them yet.
        check: Gets the table with the rows, which are last, and raises where it cannot stand; nobody else writes meanwhile.

    Returns:
        The rows, with the lines in which they stand.

    Raises:
        InputError: the table cannot be read, or does not have our columns in our order.
    """
    path = folder / NAME
    with path.open("a+b") as file, taking_turns(file, path):  # freed by the system however this ends
        file.seek(0)
        content = file.read()
        whole, torn = _without_torn(content, path)
        known = Corrections(_rows(whole, path), _read_witnesses(folder / WITNESSES))
        header, text = list(COLUMNS), _line(COLUMNS)
        if whole.strip():
            header, text = _header(whole, path), "" if whole.endswith(b"\n") else "\n"
        first = (whole + text.encode()).count(b"\n") + 1
        rows = tuple(replace(row, line=line) for line, row in enumerate(said(first), first))
        table = Corrections((*known.rows, *rows), known.witnesses)  # an undo of nothing is refused before it is written
        if check is not None:
            check(table)
        lacking = [name for name in COLUMNS if name not in header and any(_cell(row, name) for row in rows)]
        if lacking:
            raise InputError(f"{path}: line 1: has no columns {', '.join(lacking)}; add them")
        for mark in dict.fromkeys(row.atlas for row in rows if row.atlas in witnesses and row.atlas):
            _remember(folder / WITNESSES, mark, witnesses[mark])
        if torn:  # only now, for what could not be read stays as it is
            log.warning("%s: moving a row that was cut off to %s: %s", path, TORN, ascii(torn.decode("utf-8", "replace")))
            _set_aside(folder / TORN, torn)
            file.truncate(len(whole))
        file.write((text + "".join(_line([_cell(row, name) for name in header]) for row in rows)).encode())
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(OSError):  # some file systems do not flush folders
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return rows


def write_corrections(path: Path, corrections: Corrections) -> None:
    """Writes a whole table, to be looked at or handed on; the file must not be there yet."""
    lines = [_line(COLUMNS), *(_line([_cell(row, name) for name in COLUMNS]) for row in corrections.rows)]
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _rows(content: bytes, path: Path) -> tuple[Correction, ...]:
    if not content.strip():
        return ()
    header = _header(content, path)
    rows = []
    for line, cells in enumerate(_cells(content, path)[1:], FIRST_LINE):
        if not any(cells):
            continue
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise InputError(f"{path}: line {line}: expected {len(header)} columns, got {len(cells)}")
        said = dict(zip(header, cells, strict=False))
        rows.append(_correction(said, line, path))
    return tuple(rows)


def _header(content: bytes, path: Path) -> list[str]:
    header = _cells(content[: content.find(b"\n") + 1] or content, path)[0]
    strange = [name for name in header if name not in COLUMNS]
    if strange or not set(header) >= _NEEDED or len(set(header)) < len(header):
        raise InputError(f"{path}: line 1: expected the columns {', '.join(COLUMNS)}, got {', '.join(header)}")
    return header


def _cells(content: bytes, path: Path) -> list[list[str]]:
    """The cells of every line; a line is a row, even where quotes are open."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8, got something else: {error}") from None
    if "\r" in text.rstrip("\r") and "\n" not in text:
        raise InputError(f"{path}: expected lines that end in LF or CR LF, got CR alone; save it as CSV UTF-8")
    cells = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        try:
            found = next(csv.reader([line.removesuffix("\r")], strict=True), [])
        except csv.Error as error:
            raise InputError(f"{path}: line {number}: cannot be read: {error}") from None
        cells.append([cleaned(cell) for cell in found])
    return cells


def _correction(said: Mapping[str, str], line: int, path: Path) -> Correction:
    if "what" not in said:
        raise InputError(f"{path}: line {line}: expected a row of the columns of line 1, got {', '.join(said.values())!a}")
    place = [said.get(name, "") for name in ("z_um", "y_um", "x_um")]
    if any(place) and not all(place):
        raise InputError(f"{path}: line {line}: expected all of z_um, y_um, x_um, or none")
    return Correction(
        what=said["what"],
        t=_whole(said, "t", line, path),
        until=_whole(said, "until", line, path),
        label=_whole(said, "label", line, path),
        position_um=tuple(_number(text, line, path) for text in place) if all(place) else None,  # type: ignore[arg-type]
        line=line,
        **{name: said.get(name, "") for name in ("neuron", "other", "who", "when", "atlas")},
    )


def _whole(said: Mapping[str, str], name: str, line: int, path: Path) -> int | None:
    text = said.get(name, "")
    if not text:
        return None
    value = _number(text, line, path)
    if value != int(value):
        raise InputError(f"{path}: line {line}: {name}: expected a whole number, got {text}")
    return int(value)  # spreadsheets write 12 as 12.0


def _number(text: str, line: int, path: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{path}: line {line}: expected a number, got {text!r}")
    return value


def _cell(row: Correction, name: str) -> str:
    if name in ("z_um", "y_um", "x_um"):
        return "" if row.position_um is None else repr(round(float(row.position_um["zyx".index(name[0])]), 4))
    value = getattr(row, name)
    return "" if value is None else str(value)


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _without_torn(content: bytes, path: Path) -> tuple[bytes, bytes]:
    """The whole rows, and what is left of one whose writer was killed: the last line, without an end and not a whole row.

    A line that a person typed need not have all cells. Ours do, and are signed: with cells missing, even what reads as a row is not whole.
    """
    cut = content.rfind(b"\n") + 1
    last = content[cut:]
    if not last.strip():
        return content[:cut], b""
    if cut == 0:
        first = ",".join(COLUMNS).encode()
        return (b"", last) if first.startswith(last) and last != first else (content, b"")
    if b"\r" in last.rstrip(b"\r"):  # lines of another program, not the beginning of one of ours
        return content, b""
    header = _header(content, path)
    try:
        cells = _cells(last, path)[0]
    except InputError:
        return content[:cut], last
    mark = cells[-1] if len(cells) == len(header) and header[-1] == "atlas" else ""
    if len(cells) >= len(header) and len(mark) in (0, _MARK_LENGTH):
        return content, b""
    said = dict(zip(header, cells, strict=False))
    with contextlib.suppress(InputError):
        if _correction(said, content.count(b"\n") + 1, path) and not said.get("when"):
            return content, b""
    return content[:cut], last


def _set_aside(path: Path, torn: bytes) -> None:
    with path.open("ab") as file:
        file.write(torn + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _remember(path: Path, mark: str, witnesses: Witnesses) -> None:
    known = _read_witnesses(path)
    if mark in known:
        return
    lines = [_line(_WITNESS_COLUMNS)]
    for atlas, told in {**known, mark: witnesses}.items():
        for neuron, t, place in zip(told.neuron, told.t, told.position_um, strict=True):
            lines.append(_line([atlas, str(neuron), str(t), *(repr(round(float(axis), 4)) for axis in place)]))
    write_bytes(path, "".join(lines).encode())


def _read_witnesses(path: Path) -> dict[str, Witnesses]:
    refuse_endless(path)
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    try:
        if lines[0] != list(_WITNESS_COLUMNS):
            raise ValueError(f"columns {', '.join(lines[0])}")
        found: dict[str, list[Any]] = {}
        for atlas, neuron, t, *place in lines[1:]:
            found.setdefault(atlas, []).append([int(neuron), int(t), *map(float, place)])
        table = {atlas: np.array(rows, np.float64).reshape(len(rows), 5) for atlas, rows in found.items()}
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: expected the witnesses that were written there, got something else: {error}") from None
    return {atlas: Witnesses(rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2:]) for atlas, rows in table.items()}
