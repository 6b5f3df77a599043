"""What people said so far, in plain words; what is undone next, and how it is said again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from barlowtrack.answers import Answer
from barlowtrack.data import Correction, Corrections
from barlowtrack.data.corrections import is_id


@dataclass(frozen=True)
class Said:
    """One line of corrections.csv, for people.

    Attributes:
        row: The line.
        text: What it says.
        signed: Who said it, and when.
        undone: Whether somebody took it back.
    """

    row: Correction
    text: str
    signed: str
    undone: bool


def listed(corrections: Corrections) -> tuple[Said, ...]:
    """Returns what people said, the newest first; taking back is told by what is taken back."""
    undone = {row.other for row in corrections.rows if row.what == "undo"}
    return tuple(
        Said(row, in_words(row), _signed(row), str(row.line) in undone) for row in reversed(corrections.rows) if row.what != "undo"
    )


def _signed(row: Correction) -> str:
    return ", ".join(text for text in (row.who, row.when.replace("T", " ").rstrip("Z")) if text)


def in_words(row: Correction) -> str:
    """Returns what a row says."""
    nucleus = f"nucleus {row.label}" if row.label is not None else "the nucleus there"
    match row.what:
        case "is":
            return f"{nucleus} of volume {row.t} is {row.neuron}"
        case "not-a-neuron":
            return f"{row.neuron} is not a neuron, in no volume" if row.neuron else f"{nucleus} of volume {row.t} is not a neuron"
        case "absent":
            return f"{row.neuron} is absent from volume {row.t}"
        case "name":
            return f"{row.neuron} is called {row.other}"
        case "merge":
            return f"{row.other} and {row.neuron} are one neuron"
        case "split":
            return f"{row.neuron} is {row.other} from volume {row.t} {'on' if row.until is None else f'to {row.until}'}"
        case "divide":
            return f"{nucleus} of volume {row.t} is two nuclei"
        case "add":
            return f"a nucleus was missing in volume {row.t}"
        case _:
            return f"line {row.other} is taken back"


def last_said(corrections: Corrections, together: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """Returns the lines that 'undo' takes back: what was said last and is in force, with what was said in one stroke with it.

    Args:
        corrections: The table.
        together: Lines that were said in one stroke.
    """
    standing = {row.line for row in corrections.in_force}
    if not standing:
        return ()
    last = max(standing)
    group = next((lines for lines in together if last in lines), (last,))
    return tuple(sorted((line for line in group if line in standing), reverse=True))


def again(row: Correction) -> Answer:
    """Returns the answer that says a row once more; a name that it began is begun anew."""
    said = {field.name: getattr(row, field.name) for field in fields(Answer) if hasattr(row, field.name)}
    said = {name: value if value != "" else None for name, value in said.items()}
    return Answer(**{**said, "new": row.what == "is" and not is_id(row.neuron)})
