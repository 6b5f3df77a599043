"""What a form has to know of every setting, read from the classes in config.py: a setting that is added there is in the form."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from barlowtrack.config import Config, sections

_UNITS = {"um": "um", "um3": "um³", "hz": "Hz", "gb": "GB", "deg": "degrees", "vox": "voxels"}
_PATHS = {"segment.model": "folder", "train.start": "file"}
"""Texts that name something on the disk, which one may want to look for."""


class Kind(StrEnum):
    """How a setting is put in."""

    SWITCH = "switch"
    CHOICE = "choice"
    TEXT = "text"
    """Any text."""
    NUMBER = "number"
    """One number, whole or not."""
    NUMBERS = "numbers"
    """So many numbers, each in a place of its own."""
    LISTED = "listed"
    """As many as one likes, with commas between them."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        section: Of the settings; "" for what stands above all sections.
        key: Its name there.
        help: What it does, in a sentence or two.
        kind: How it is put in.
        optional: Whether it may be left empty, which means something.
        default: What it is where nobody says otherwise; None: empty.
        choices: Texts to choose from; of a CHOICE.
        count: Numbers; of NUMBERS.
        range: Which numbers are allowed, in words; "" where all are.
        path: "folder" or "file" where the text names one; else "".
        texts_only: Whether what is listed is text, not numbers.
        indexed: Whether a whole number is taken for an index, and any other text for a name.
    """

    section: str
    key: str
    help: str
    kind: Kind
    optional: bool
    default: Any
    choices: tuple[str, ...] = ()
    count: int = 1
    range: str = ""
    path: str = ""
    texts_only: bool = False
    indexed: bool = False

    @property
    def name(self) -> str:
        """As files, errors and the command line call it."""
        return f"{self.section}.{self.key}" if self.section else self.key

    @property
    def title(self) -> str:
        """As a person reads it: "radius (um)"."""
        *words, last = self.key.split("_")
        if last in _UNITS and words:
            return f"{' '.join(words)} ({_UNITS[last]})"
        return " ".join([*words, last])

    def matches(self, search: str) -> bool:
        """Says whether name, title or help hold every word that somebody looks for."""
        told = f"{self.name} {self.title} {self.help} {' '.join(self.choices)}".lower()
        return all(word in told for word in search.lower().split())


def read_settings() -> tuple[Setting, ...]:
    """Returns every setting of Config, in its order."""
    return tuple(_settings())


def about_sections() -> dict[str, str]:
    """Returns a line of explanation for every section, in their order."""
    said = {"": "General: what holds for all stages."}
    return said | {name: (section.__doc__ or "").splitlines()[0] for name, section in sections()}


def _settings() -> Iterator[Setting]:
    for key, info in Config.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from (_setting(key, name, field) for name, field in section.model_fields.items())
        else:
            yield _setting("", key, info)


def _setting(section: str, key: str, info: FieldInfo) -> Setting:
    kinds = [kind for kind in _either(info.annotation) if kind is not types.NoneType]
    plain, bounds = _bare(kinds[-1])
    told: dict[str, Any] = {"range": _range([*info.metadata, *bounds], whole=plain is int)}
    if len(kinds) > 1:
        kind, told = Kind.TEXT, {"indexed": int in [_bare(kind)[0] for kind in kinds]}
    elif plain is bool:
        kind, told = Kind.SWITCH, {}
    elif get_origin(plain) is Literal:
        kind, told = Kind.CHOICE, {"choices": get_args(plain)}
    elif get_origin(plain) is tuple:
        items = get_args(plain)
        item, within = _bare(items[0])
        kind = Kind.LISTED if Ellipsis in items else Kind.NUMBERS
        told = {"count": len(items), "range": _range(within, whole=item is int), "texts_only": item is str}
    elif plain in (int, float):
        kind = Kind.NUMBER
    elif plain is str:
        kind, told = Kind.TEXT, {"path": _PATHS.get(f"{section}.{key}", "")}
    else:
        raise TypeError(f"{section}.{key}: the form knows no way to put in {info.annotation}")
    return Setting(section, key, info.description or "", kind, types.NoneType in _either(info.annotation), info.default, **told)


def _either(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Takes the bounds off a type; Annotated[...] of a union's member, or of an item, still has them."""
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    plain, *said = get_args(annotation)
    bounds = [bound for one in said for bound in (one.metadata if isinstance(one, FieldInfo) else (one,))]
    return plain, tuple(bounds)


def _range(metadata: Iterable[Any], *, whole: bool) -> str:
    """Returns bounds in words; where a field narrows those of its type, the narrower ones."""
    low, high = (float("-inf"), False), (float("inf"), False)  # a bound, and whether it is itself forbidden
    for bound in metadata:
        match bound:
            case Ge(ge=int() | float() as value):
                low = max(low, (value, False))
            case Gt(gt=int() | float() as value):
                low = max(low, (value, True))
            case Le(le=int() | float() as value):
                high = min(high, (value, False))
            case Lt(lt=int() | float() as value):
                high = min(high, (value - 1, False) if whole else (value, True))
    (least, above), (most, below) = low, high
    first = f"more than {_number(least)}" if above else _number(least)
    last = f"less than {_number(most)}" if below else _number(most)
    if np.isinf(least) and np.isinf(most):
        return ""
    if np.isinf(most):
        return first if above else f"{first} or more"
    if np.isinf(least):
        return last if below else f"{last} or less"
    return f"{first}, {last if below else f'up to {last}'}" if above else f"{first} to {last}"


def _number(value: float) -> str:
    return str(int(value)) if abs(value) < 1e12 and value == int(value) else f"{value:g}"
