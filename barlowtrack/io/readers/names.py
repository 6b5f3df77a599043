"""What the names of files say: which time, plane and channel each holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
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
_MICRO_MANAGER = re.compile(r"(?:.*/)?img_(\d{9})_(.*)_(\d{3,})")
"""Time, channel and plane, as Micro-Manager 1.4 names images that it saves one by one."""
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
        names: Paths inside it, without the extension; see read_channel_folders where its folders are the channels.

    Returns:
        Which file holds what; None where the names tell no channels and no planes apart, so that each is a volume.

    Raises:
        InputError: they do, but there are more files than that, or some are missing; says what was understood.
    """
    columns = _by_micro_manager(names) or _columns(names)
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
    step = _refuse_uneven(where, chosen, understood)
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
    return Grid(files, size, channels, times, (f"the names of the files say {understood}", *step, *ignored))


def read_channel_folders(where: Path, names: Sequence[str]) -> Grid:
    """Reads times and planes from names such as worm_Ch0/0003, where the folder is the channel, however its files are called.

    Args:
        where: Folder, for messages.
        names: Paths inside it, folder/file, without the extension.

    Raises:
        InputError: files of two folders do not belong to each other by their numbers.
    """
    folders = list(dict.fromkeys(name.partition("/")[0] for name in names))
    alike = list(names) if _columns(names) is not None else _renamed(where, names, folders)
    grid = read_names(where, alike)
    back = dict(zip(alike, names, strict=True))
    files = {key: back[name] for key, name in grid.files.items()} if grid is not None else {}
    if (
        grid is None
        or grid.size[1] != len(folders)
        or len({(c, name.partition("/")[0]) for (_, c, _), name in files.items()}) > len(folders)
    ):
        raise InputError(
            f"{where}: the folders {', '.join(folders)} are channels by their names, but their files do not say which belong together"
        )
    renamed = [name for name in names if name not in back]
    said = f"the files of the channels are named differently ({names[0]}, {renamed[0]}); taken together by their numbers" if renamed else ""
    return replace(grid, files=files, remarks=(*grid.remarks, *((said,) if said else ())))


def _renamed(where: Path, names: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Returns the names with the words of the first folder's files in every folder, so that numbers alone tell files apart."""
    words: dict[str, list[str]] = {}
    counted: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.partition("/")
        these = re.split(r"\d+", file)
        if words.setdefault(folder, these) != these:
            raise InputError(f"{where}: the files in {folder} are named in several ways, such as {file}; expected one way of naming")
        counted.setdefault(folder, [_counts(key, (0,))[0] for key, _ in _NUMBER.findall(file)])
    first = folders[0]
    other = next((folder for folder in folders if counted[folder] != counted[first] or len(words[folder]) != len(words[first])), None)
    if other is not None:
        shown = [next(name for name in names if name.startswith(f"{folder}/")) for folder in (first, other)]
        raise InputError(f"{where}: expected files in the folders of the channels that are numbered alike, got {' and '.join(shown)}")
    alike = []
    for name in names:
        folder, _, file = name.partition("/")
        numbers = [*re.findall(r"\d+", file), ""]
        alike.append(f"{folder}/" + "".join(word + number for word, number in zip(words[first], numbers, strict=True)))
    return alike


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


def _by_micro_manager(names: Sequence[str]) -> list[_Column] | None:
    """Returns what varies in names such as img_000000000_GCaMP_000, whatever the channels are called; None of other names."""
    found = [match.groups() for name in names if (match := _MICRO_MANAGER.fullmatch(name))]
    if len(found) != len(names):
        return None
    times, channels, planes = zip(*found, strict=True)
    columns = [_Column(tuple(map(int, times)), "T", "t"), _Column(channels, "C", ""), _Column(tuple(map(int, planes)), "Z", "z")]
    return [column for column in columns if len(set(column.values)) > 1]


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
    return _without_lasers_that_count([*words, *columns])


def _without_lasers_that_count(columns: list[_Column]) -> list[_Column]:
    """Returns the columns; numbers that could be wavelengths of lasers are none where they count up by one, or nothing else is the time."""
    found = []
    for column in columns:
        laser = column.counts == "C" and column.key == "" and isinstance(column.values[0], int)
        if laser and (_steps(column) == {1} or not any(other.counts in ("", "T") for other in columns)):
            column = replace(column, counts="")
        found.append(column)
    return found


def _steps(column: _Column) -> set[int]:
    values = sorted({int(value) for value in column.values})
    return {after - before for before, after in pairwise(values)}


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


def _refuse_uneven(where: Path, chosen: dict[str, _Column], understood: str) -> tuple[str, ...]:
    """Refuses planes of which one is missing between two others; says where their numbers count by more than one."""
    steps = sorted(_steps(chosen["Z"])) if "Z" in chosen else []
    if len(steps) > 1:
        values = sorted({int(value) for value in chosen["Z"].values})
        at = next(i for i, (before, after) in enumerate(pairwise(values)) if after - before > steps[0])
        key = chosen["Z"].key
        raise InputError(f"{where}: the names say {understood}: planes are missing between {key}{values[at]} and {key}{values[at + 1]}")
    return (f"the planes in the file names count by {steps[0]}; taken as one after another",) if steps and steps[0] > 1 else ()


def _example(column: _Column) -> str:
    values = sorted(set(column.values), key=_order)
    shown = values if len(values) <= 3 else [values[0], "...", values[-1]]
    return ", ".join(str(value) if value == "..." else f"{column.key}{value}" for value in shown)


def _order(value: int | str) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, value)
