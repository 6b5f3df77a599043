"""What the names of files say: which time, plane and channel each holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from barlowtrack.errors import InputError
from barlowtrack.io.metadata import names_channel

KEYS = {
    "T": {"t", "time", "tp", "timepoint", "vol", "volume", "v", "frame", "stack"},
    "C": {"c", "ch", "chan", "chn", "channel", "w", "wavelength", "cam", "camera"},
    "Z": {"z", "slice", "plane", "section"},
}
_LASERS_NM = {*range(403, 408), *range(440, 446), *range(456, 460), *range(470, 478), *range(485, 494), 505, *range(512, 517)}
_LASERS_NM |= {532, *range(550, 564), 568, *range(587, 596), *range(631, 643), *range(645, 649), *range(658, 662), 685}
_NUMBER = re.compile(r"([A-Za-z]*)[ _.\-]*(\d+)")
_LAST_WORD = re.compile(r"[A-Z]?[a-z]*$|[A-Z]+$")
_SEPARATORS = re.compile(r"[ _.\-/]+")
WORDS = {"T": "times", "C": "channels", "Z": "planes"}


@dataclass(frozen=True)
class Grid:
    """Which file holds what.

    Attributes:
        files: Its name, by time, channel and plane, each counted from 0.
        size: Times, channels, planes; 1 where the names say nothing of it.
        channels: What the channels are called in the names; None where these say nothing of them.
        times: Numbers in the names, in order.
        remarks: What was left out of account.
    """

    files: dict[tuple[int, int, int], str]
    size: tuple[int, int, int]
    channels: tuple[str, ...] | None
    times: tuple[int, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Column:
    """A part of the names that varies: values, one a file; what it counts, "" where it does not say; how it is written."""

    values: tuple[int | str, ...]
    counts: str
    key: str


def read_names(where: Path, names: Sequence[str]) -> Grid | None:
    """Reads times, channels and planes from names such as worm_t0003_z12_c1.tif, worm_Ch0/0003.tif or worm_red_0003.tif.

    Args:
        where: Folder, for messages.
        names: Paths inside it, without the extension.

    Returns:
        Which file holds what; None where the names tell no channels and no planes apart, so that each is a volume.

    Raises:
        InputError: they do, but there are more files than that, or some are missing; says what was understood.
    """
    columns = _columns(names)
    if columns is None:
        _refuse_mixture(where, names)
        return None
    if not any(column.counts in ("C", "Z") for column in columns):
        return None
    chosen, unknown = _roles(columns)
    understood = "; ".join(f"{len(set(c.values))} {WORDS[axis]} ({_example(c)})" for axis, c in chosen.items())
    seen = Counter(zip(*(column.values for column in chosen.values()), strict=True))
    double = [key for key, n in seen.items() if n > 1]
    if double:
        left = f", and {unknown[0].key or 'a number'} varies too" if unknown else ""
        at = next(i for i in range(len(names)) if tuple(c.values[i] for c in chosen.values()) == double[0])
        raise InputError(
            f"{where}: the names say {understood}{left}: {seen[double[0]]} files are the same by that, such as {names[at]}; "
            "expected one a time, channel and plane; put other recordings into folders of their own"
        )
    levels = {axis: sorted(set(column.values), key=_order) for axis, column in chosen.items()}
    _refuse_holes(where, names, chosen, levels, understood)
    place = {axis: {value: i for i, value in enumerate(values)} for axis, values in levels.items()}
    files = {}
    for i, name in enumerate(names):
        t, c, z = (place[axis][chosen[axis].values[i]] if axis in chosen else 0 for axis in "TCZ")
        files[t, c, z] = name
    size = (len(levels.get("T", [0])), len(levels.get("C", [0])), len(levels.get("Z", [0])))
    channels = tuple(f"{chosen['C'].key}{value}" for value in levels["C"]) if "C" in chosen else None
    times = tuple(int(value) for value in levels.get("T", []))
    ignored = tuple(
        f"{column.key or 'a number'} varies in the file names beside times, channels and planes, and is left out" for column in unknown
    )
    return Grid(files, size, channels, times, (f"the names of the files say {understood}", *ignored))


def _refuse_mixture(where: Path, names: Sequence[str]) -> None:
    """Refuses names of several kinds of which one tells planes or channels: they would pass for volumes."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    for alike in kinds.values():
        if any(column.counts in ("C", "Z") for column in _columns(alike) or ()):
            other = next(name for name in names if name not in alike)
            raise InputError(
                f"{where}: {alike[0]} says which channel or plane it is, and {other} is named otherwise; expected one way of naming: "
                "put other recordings into folders of their own"
            )


def _columns(names: Sequence[str]) -> list[_Column] | None:
    """Returns what varies in the names; None where they are not alike."""
    skeletons = [_SEPARATORS.split(re.sub(r"\d+", "#", name)) for name in names]
    if len({len(skeleton) for skeleton in skeletons}) != 1 or len({name.count("/") for name in names}) != 1:
        return None
    words: list[_Column] = []
    for place in range(len(skeletons[0])):
        here = tuple(skeleton[place] for skeleton in skeletons)
        if len(set(here)) > 1:
            if not all(names_channel(word.replace("#", "")) for word in set(here)):
                return None
            texts = tuple(_SEPARATORS.split(name)[place] for name in names)
            words.append(_Column(texts, "C", ""))
    numbers = [_NUMBER.findall(name) for name in names]
    if len({len(row) for row in numbers}) != 1:
        return words or None
    columns = []
    for column in zip(*numbers, strict=True):
        values = tuple(int(number) for _, number in column)
        if len(set(values)) > 1:
            keys = {key for key, _ in column}
            columns.append(_Column(values, *_counts(keys.pop() if len(keys) == 1 else "", values)))
    return [*words, *columns]


def _counts(letters: str, values: tuple[int, ...]) -> tuple[str, str]:
    """Returns what a number counts, by the letters before it, and these letters."""
    found = _LAST_WORD.search(letters)
    for key in (letters, found[0] if found else ""):
        for axis, keys in KEYS.items():
            if key.lower() in keys:
                return axis, key
    return ("C", "") if set(values) <= _LASERS_NM else ("", letters)


def _roles(columns: list[_Column]) -> tuple[dict[str, _Column], list[_Column]]:
    """Returns the part that counts times, channels, planes, and the parts that are left."""
    chosen: dict[str, _Column] = {}
    unknown: list[_Column] = []
    for column in columns:
        if column.counts and column.counts not in chosen:
            chosen[column.counts] = column
        elif not any(_alike(column, other) for other in chosen.values()):
            unknown.append(column)
    if "T" not in chosen and unknown:
        chosen["T"] = next((column for column in unknown if _unique([*chosen.values(), column])), unknown[0])
        unknown.remove(chosen["T"])
    chosen = {axis: chosen[axis] for axis in "TCZ" if axis in chosen}
    return chosen, [column for column in unknown if not any(_alike(column, other) for other in chosen.values())]


def _alike(a: _Column, b: _Column) -> bool:
    """Says whether two parts of the names always vary together, such as Ch0/..._Ch0."""
    return len(set(zip(a.values, b.values, strict=True))) == len(set(a.values)) == len(set(b.values))


def _unique(columns: Sequence[_Column]) -> bool:
    rows = list(zip(*(column.values for column in columns), strict=True))
    return len(set(rows)) == len(rows)


def _refuse_holes(
    where: Path, names: Sequence[str], chosen: dict[str, _Column], levels: dict[str, list[int | str]], understood: str
) -> None:
    there = set(zip(*(column.values for column in chosen.values()), strict=True))
    expected = 1
    for values in levels.values():
        expected *= len(values)
    if len(there) == expected:
        return
    lacking = next(key for key in product(*levels.values()) if key not in there)
    which = ", ".join(f"{chosen[axis].key or axis.lower()}{value}" for axis, value in zip(chosen, lacking, strict=True))
    raise InputError(f"{where}: the names say {understood}: expected {expected} files, got {len(names)}; the first missing: {which}")


def _example(column: _Column) -> str:
    values = sorted(set(column.values), key=_order)
    shown = values if len(values) <= 3 else [values[0], "...", values[-1]]
    return ", ".join(str(value) if value == "..." else f"{column.key}{value}" for value in shown)


def _order(value: int | str) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, value)
