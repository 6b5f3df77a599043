"""What people say against the atlas: a table that only grows, a row an answer.

Neurons are called by the id that tracks give them, or by a name. Ids depend on the atlas alone, never on corrections, so a row keeps
its meaning whatever is added; `atlas` says whose ids they are, and witnesses tell which neurons those were once the atlas is another.

Rows that add or divide detections are edits: they say where nuclei are, not who they are.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

import numpy as np

from barlowtrack.data.arrays import FloatArray, IntArray, expect, expect_rows
from barlowtrack.errors import InputError

FIRST_LINE = 2
"""The first line of the table that holds a row; line 1 names the columns."""

LONGEST = 64
NOTHING_SAID = "none"
"""Digest of no rows."""
_FARTHEST_UM = 1e9

FORMS: Mapping[str, tuple[frozenset[str], ...]] = MappingProxyType(
    {
        "is": (frozenset({"t", "detection", "neuron"}),),
        "not-a-neuron": (frozenset({"t", "detection"}), frozenset({"neuron"})),
        "absent": (frozenset({"t", "neuron"}),),
        "name": (frozenset({"neuron", "other"}),),
        "merge": (frozenset({"neuron", "other"}),),
        "split": (frozenset({"t", "neuron", "other"}), frozenset({"t", "until", "neuron", "other"})),
        "add": (frozenset({"t", "position"}),),
        "divide": (frozenset({"t", "position", "other"}), frozenset({"t", "label", "position", "other"})),
        "undo": (frozenset({"other"}),),
    }
)
"""What a row can say -> what it then gives; a detection is a label, or a position, or both."""

EDITS = frozenset({"add", "divide"})
"""What changes detections themselves."""


def cleaned(text: str) -> str:
    """Returns a text as it is stored: composed Unicode, no blanks around it."""
    return unicodedata.normalize("NFC", text).strip()


def place_text(place_um: Iterable[float]) -> str:
    """Returns a place as `other` of a division holds it: "z y x"."""
    return " ".join(repr(round(float(axis), 4)) for axis in place_um)


def is_id(neuron: str) -> bool:
    """Says whether a neuron is called by its id, not by a name."""
    return neuron.isascii() and neuron.isdigit()


@dataclass(frozen=True)
class Correction:
    """One row: what a person said.

    Attributes:
        what: One of FORMS.
        t: Volume; of a split, the first in which it is another neuron.
        until: Of a split, the last; to the end where not given.
        label: Of the detection in volume t.
        position_um: z, y, x of the detection; says which it is where the label is empty or was given to another one since. Of an added
            nucleus, and of the first of two that a detection is divided into, where it lies.
        neuron: Id or name.
        other: The name it gets, the neuron that is the same, the name of the neuron that is split off, where the second of two nuclei
            lies ("z y x" in um), or the line that is undone.
        who: Said it.
        when: ISO 8601.
        atlas: Whose ids these are, see Identities.mark; empty: those of the row above, or of the atlas at hand.
        line: Where it stands in the table.
    """

    what: str
    t: int | None = None
    until: int | None = None
    label: int | None = None
    position_um: tuple[float, float, float] | None = None
    neuron: str = ""
    other: str = ""
    who: str = ""
    when: str = ""
    atlas: str = ""
    line: int = FIRST_LINE

    def __post_init__(self) -> None:
        if self.what not in FORMS:
            raise self.refused(f"what: expected one of {', '.join(FORMS)}, got {self.what!r}")
        for name in ("neuron", "other", "who", "when", "atlas"):
            self._check_text(name, getattr(self, name))
        given = {name for name in ("t", "until") if getattr(self, name) is not None}
        given |= {name for name in ("neuron", "other") if getattr(self, name)}
        if self.is_edit:
            given |= {name for name, value in (("label", self.label), ("position", self.position_um)) if value is not None}
        else:
            given |= {"detection"} if self.label is not None or self.position_um is not None else set()
        if given not in FORMS[self.what]:
            forms = "; or ".join(", ".join(sorted(form)) for form in FORMS[self.what])
            raise self.refused(
                f"{self.what} takes {forms} (a detection is a label or a position), got {', '.join(sorted(given)) or 'nothing'}"
            )
        self._check_numbers()
        if self.what in ("name", "split") and is_number(self.other):
            raise self.refused(f"{self.what}: expected a neuron and then a name, got the number {self.other} for a name")
        if self.what == "merge" and self.neuron == self.other:
            raise self.refused(f"merge: expected two neurons, got {self.neuron} twice")
        if self.what == "divide" and self.other_um is None:
            raise self.refused(f"divide: expected the place of the second nucleus, z y x in um, got {self.other!r}")
        if self.what == "undo" and not (is_id(self.other) and int(self.other) >= FIRST_LINE):
            raise self.refused(f"undo: expected the number of a line from {FIRST_LINE}, got {self.other}")
        for name in ("neuron", "other"):
            called = getattr(self, name)
            if is_number(called) and not (is_id(called) and called == str(int(called))):
                raise self.refused(f"{name}: expected a whole number from 0 or a name, got {called}")
        if self.when:
            try:
                datetime.fromisoformat(self.when)
            except ValueError:
                raise self.refused(f"when: expected a time such as 2025-03-01T12:00:00Z, got {self.when!r}") from None

    def refused(self, why: str) -> InputError:
        """Returns the error that says which line."""
        return InputError(f"corrections.csv: line {self.line}: {why}")

    @property
    def is_edit(self) -> bool:
        """Whether it changes detections themselves."""
        return self.what in EDITS

    @property
    def about_detection(self) -> bool:
        """Whether it says who one detection is."""
        return not self.is_edit and (self.label is not None or self.position_um is not None)

    @property
    def other_um(self) -> tuple[float, float, float] | None:
        """z, y, x of the second nucleus of a division; None where `other` is no place."""
        try:
            z, y, x = (float(axis) for axis in self.other.split())
        except ValueError:
            return None
        return (z, y, x) if all(abs(axis) < _FARTHEST_UM for axis in (z, y, x)) else None

    def _check_text(self, name: str, text: str) -> None:
        if len(text) > LONGEST:
            raise self.refused(f"{name}: expected at most {LONGEST} characters, got {len(text)}")
        if any(unicodedata.category(sign)[0] == "C" or unicodedata.category(sign) in ("Zl", "Zp") for sign in text):
            raise self.refused(f"{name}: expected letters and signs, got one that cannot be printed: {text!a}")
        if text != cleaned(text):
            raise self.refused(f"{name}: expected composed Unicode without blanks around it, got {text!a}")

    def _check_numbers(self) -> None:
        for name, least in (("t", 0), ("until", self.t or 0), ("label", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value < 2**31:
                raise self.refused(f"{name}: expected {least} or more, got {value}")
        if self.position_um is not None and not all(abs(axis) < _FARTHEST_UM for axis in self.position_um):
            raise self.refused(f"position: expected finite z_um, y_um, x_um, got {self.position_um}")


@dataclass(frozen=True)
class Witnesses:
    """Detections that were surely a neuron of an atlas: by them it is known again in another one.

    Attributes:
        neuron: (M,) id under that atlas.
        t: (M,) volume.
        position_um: (M, 3) z, y, x.
    """

    neuron: IntArray
    t: IntArray
    position_um: FloatArray

    def __post_init__(self) -> None:
        expect_rows("witnesses", len(self.neuron), t=self.t, position_um=self.position_um)
        expect(self.position_um.shape == (len(self.neuron), 3), "witnesses.position_um", "(M, 3)", self.position_um.shape)
        expect(bool(np.isfinite(self.position_um).all()), "witnesses.position_um", "finite positions", "NaN or infinity")
        expect(bool(np.all(self.neuron >= 0) and np.all(self.t >= 0)), "witnesses", "ids and volumes from 0", "negative ones")

    def __len__(self) -> int:
        return len(self.neuron)


@dataclass(frozen=True)
class Corrections:
    """All that people said, in the order in which they said it.

    Attributes:
        rows: By line.
        witnesses: Mark of an atlas -> its witnesses.
    """

    rows: tuple[Correction, ...] = ()
    witnesses: Mapping[str, Witnesses] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[int, Correction] = {}
        for row in self.rows:
            expect(not seen or row.line > max(seen), "corrections", "lines in rising order", f"line {row.line}")
            if row.what == "undo":
                undone = seen.get(int(row.other))
                if undone is None or undone.what == "undo":
                    said = "there is no such line above it" if undone is None else "that is an undo itself; say again what it took back"
                    raise row.refused(f"undo of line {row.other}: {said}")
            seen[row.line] = row

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def marked(self) -> tuple[Correction, ...]:
        """The rows, those that do not say their atlas with that of the row above."""
        marked, atlas = [], ""
        for row in self.rows:
            atlas = row.atlas or atlas
            marked.append(row if row.atlas == atlas else replace(row, atlas=atlas))
        return tuple(marked)

    @property
    def in_force(self) -> tuple[Correction, ...]:
        """The rows that nobody took back, each with the atlas it speaks of; empty where neither it nor one above it says."""
        undone = {int(row.other) for row in self.rows if row.what == "undo"}
        return tuple(row for row in self.marked if row.what != "undo" and row.line not in undone)

    @property
    def digest(self) -> str:
        """How many rows are in force, and a hash of what they say (not of who said it, and when); "none" where there are none."""
        rows = self.in_force
        if not rows:
            return NOTHING_SAID
        whole = hashlib.blake2b(digest_size=16)
        for row in rows:
            whole.update(repr((row.what, row.t, row.until, row.label, row.position_um, row.neuron, row.other, row.atlas)).encode())
        for mark in sorted({row.atlas for row in rows} & set(self.witnesses)):
            told = self.witnesses[mark]
            for column in (told.neuron.astype(np.int64), told.t.astype(np.int64), told.position_um.astype(np.float64)):
                whole.update(np.ascontiguousarray(column).tobytes())
        return f"{len(rows)} {whole.hexdigest()}"

    @property
    def edits(self) -> tuple[Correction, ...]:
        """The rows in force that add or divide detections, by volume, then line."""
        return tuple(sorted((row for row in self.in_force if row.is_edit), key=lambda row: (row.t or 0, row.line)))

    @property
    def next_line(self) -> int:
        """Where the next row will stand."""
        return self.rows[-1].line + 1 if self.rows else FIRST_LINE

    def followed_by(self, others: Corrections) -> Corrections:
        """Returns the union of two tables: these rows, then those of the others that are not among them, with lines anew.

        What a table says twice is two rows, for the first may have been undone before it was said again.
        """
        rows: list[Correction] = []
        known: dict[tuple[Correction, int], int] = {}
        for table in (self, others):
            became: dict[int, int] = {}
            said: Counter[Correction] = Counter()
            for row in table.marked:
                other = str(became[int(row.other)]) if row.what == "undo" else row.other
                anonymous = replace(row, other=other, line=FIRST_LINE)
                which = (anonymous, said[anonymous])
                said[anonymous] += 1
                if which not in known:
                    known[which] = FIRST_LINE + len(rows)
                    rows.append(replace(anonymous, line=known[which]))
                became[row.line] = known[which]
        return Corrections(tuple(rows), {**others.witnesses, **self.witnesses})


def edits_by_volume(edits: Iterable[Correction]) -> dict[int, tuple[Correction, ...]]:
    """Returns the edits of each volume that has some, by line."""
    found: dict[int, tuple[Correction, ...]] = {}
    for row in edits:
        found[row.t or 0] = (*found.get(row.t or 0, ()), row)
    return found


def edits_digest(edits: Iterable[Correction]) -> str:
    """Returns how many edits there are, and a hash of what they say; "none" where there are none."""
    said = [(row.what, row.t, row.label, row.position_um, row.other) for row in edits]
    return f"{len(said)} {hashlib.blake2b(repr(said).encode(), digest_size=16).hexdigest()}" if said else NOTHING_SAID


def is_number(text: str) -> bool:
    """Says whether a text is a number: an id then, and no name."""
    try:
        float(text)
    except ValueError:
        return False
    return True
