"""What can be said, and with which key: none of napari's own but for the digits, which say who it is while this panel is open."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from barlowtrack.data import UNKNOWN
from barlowtrack.plugin.review.subjects import Subject


class Act(StrEnum):
    """What a key or a button does."""

    ACCEPT = "accept"
    OTHER = "other"
    ABSENT = "absent"
    NOT_A_NEURON = "not a neuron"
    NEVER_A_NEURON = "never a neuron"
    SWAP = "swap"
    MERGE = "merge"
    SPLIT = "split"
    NAME = "name"
    DIVIDE = "divide"
    ADD = "add"
    SKIP = "skip"
    NEXT = "next"
    PREVIOUS = "previous"
    UNDO = "undo"
    REDO = "redo"
    RESOLVE = "resolve"


@dataclass(frozen=True)
class Key:
    """One of them.

    Attributes:
        act: What it does.
        key: As Qt spells it.
        title: On the button.
        tip: What it says, and when one wants it.
    """

    act: Act
    key: str
    title: str
    tip: str


ANSWERS = (
    Key(Act.ACCEPT, "K", "OK as it is", "It is who it is now; from now on this is certain."),
    Key(Act.OTHER, "W", "Someone else", "It is another neuron: type its id or name, or click it in the viewer, in any volume."),
    Key(Act.ABSENT, "U", "Absent here", "The neuron is not among the nuclei of this volume."),
    Key(Act.NOT_A_NEURON, "J", "No neuron here", "This nucleus, in this volume, is none."),
    Key(Act.NEVER_A_NEURON, "Shift+J", "Never a neuron", "Nothing that was followed as this neuron is one, in no volume."),
    Key(Act.NAME, "G", "Name it", "What the neuron is called, in all volumes."),
)
"""What is said most."""

REPAIRS = (
    Key(Act.SWAP, "Shift+X", "Exchange", "In this volume two neurons were taken for each other."),
    Key(Act.MERGE, "Shift+M", "Join", "Two neurons are one, in all volumes."),
    Key(Act.SPLIT, "Shift+T", "Cut track", "From this volume on it is another neuron."),
    Key(Act.DIVIDE, "Shift+D", "Two nuclei", "What was found as one nucleus is two: click the middle of each."),
    Key(Act.ADD, "Shift+I", "One is missing", "A nucleus was not found: click its middle."),
)
"""What is said now and then."""

STEPS = (
    Key(Act.PREVIOUS, "Shift+N", "Previous", "The question before."),
    Key(Act.SKIP, "Q", "Cannot tell", "Writes nothing, and does not ask this again until napari is closed."),
    Key(Act.NEXT, "N", "Next", "The next question; this one stays in the list."),
)
TAKING_BACK = (
    Key(Act.UNDO, "Shift+Z", "Undo", "Takes back what was said last."),
    Key(Act.REDO, "Shift+Y", "Redo", "Says again what was taken back last."),
)
RESOLVE = Key(Act.RESOLVE, "Shift+R", "Re-solve", "Follows your answers: tracks and traces are made anew, in the background.")
CHOICES = ("1", "2", "3", "4", "5")
CANCEL = "Esc"
EVERY = (*ANSWERS, *REPAIRS, *STEPS, *TAKING_BACK, RESOLVE)


NEEDS_NEURON = {Act.ACCEPT, Act.ABSENT, Act.NEVER_A_NEURON, Act.NAME, Act.SWAP, Act.MERGE, Act.SPLIT}
NEEDS_NUCLEUS = {Act.ACCEPT, Act.OTHER, Act.NOT_A_NEURON, Act.SWAP}


def sensible(act: Act, subject: Subject | None) -> bool:
    """Says whether something can be said of a subject."""
    if act in (Act.ADD, Act.NEXT, Act.PREVIOUS, Act.SKIP):
        return True
    if subject is None:
        return False
    return (act not in NEEDS_NEURON or subject.neuron != UNKNOWN) and (act not in NEEDS_NUCLEUS or subject.label is not None)


def legend(key: str) -> str:
    """Returns a key as people read it."""
    return key.replace("Shift+", "\u21e7")
