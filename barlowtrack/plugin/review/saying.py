"""From what a person wants to say of a subject to the answers that say it; what makes no sense is refused in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from barlowtrack.answers import Answer
from barlowtrack.data import UNKNOWN
from barlowtrack.data.corrections import is_id
from barlowtrack.errors import InputError
from barlowtrack.plugin.review.subjects import Subject, called
from barlowtrack.plugin.solution import Solution

Answers = tuple[Answer, ...]
Place = tuple[float, float, float]


def accept(subject: Subject) -> Answers:
    """It is who it is."""
    _need_somebody(subject, "choose who it is, or say that it is not a neuron")
    return assign(subject, subject.neuron)


def assign(subject: Subject, neuron: int | str, *, new: bool = False) -> Answers:
    """It is this neuron: an id, a name, or a name that begins a new one."""
    _need_nucleus(subject)
    return (Answer("is", t=subject.t, label=subject.label, position_um=subject.position_um, neuron=neuron, new=new),)


def absent(subject: Subject) -> Answers:
    """The neuron is not among the nuclei of the volume."""
    _need_somebody(subject, "there is no neuron that could be absent")
    return (Answer("absent", t=subject.t, neuron=subject.neuron),)


def not_a_neuron(subject: Subject) -> Answers:
    """This nucleus, here, is none."""
    _need_nucleus(subject)
    return (Answer("not-a-neuron", t=subject.t, label=subject.label, position_um=subject.position_um),)


def never_a_neuron(subject: Subject) -> Answers:
    """Nothing that was followed as this neuron is one."""
    _need_somebody(subject, "say that this one nucleus is not a neuron")
    return (Answer("not-a-neuron", neuron=subject.neuron),)


def swap(solution: Solution, subject: Subject, other: int) -> Answers:
    """Two neurons of the volume are each other."""
    _need_nucleus(subject)
    _need_somebody(subject, "only two neurons can be exchanged; say who it is instead")
    if other == subject.neuron:
        raise InputError(f"{called(solution, other)} cannot be exchanged with itself; choose another one")
    row = int(solution.row_of[other, subject.t])
    if row == UNKNOWN:
        raise InputError(
            f"{called(solution, other)} is not found in volume {subject.t}, so there is nothing to exchange; say who it is instead"
        )
    z, y, x = (float(axis) for axis in solution.detections.position_um[row])
    label = int(solution.detections.label[row])
    return (*assign(subject, other), Answer("is", t=subject.t, label=label, position_um=(z, y, x), neuron=subject.neuron))


def merge(solution: Solution, subject: Subject, other: int | str) -> Answers:
    """Another neuron is this one, in all volumes."""
    _need_somebody(subject, "only two neurons can be joined; say who it is instead")
    if other == subject.neuron:
        raise InputError(f"{called(solution, subject.neuron)} is itself already; choose another one")
    return (Answer("merge", neuron=subject.neuron, other=other),)


def split(subject: Subject, name: str) -> Answers:
    """From this volume on, what was followed as the neuron is another one."""
    _need_somebody(subject, "there is no track to cut")
    if subject.t == 0:
        raise InputError("a track cannot be cut at volume 0, where it begins; give the neuron a name instead")
    return (Answer("split", t=subject.t, neuron=subject.neuron, other=name or None),)


def name_it(subject: Subject, name: str) -> Answers:
    """The neuron is called so, everywhere."""
    _need_somebody(subject, "say who it is, with a name that begins a new neuron")
    if not name:
        raise InputError("a name is missing; type one")
    return (Answer("name", neuron=subject.neuron, other=name),)


def edit_answer(solution: Solution, what: str, t: int, places: Sequence[Place]) -> Answers:
    """A nucleus is two, or one is missing: "divide" with a place in each half, "add" with one place."""
    if what == "add":
        return (Answer(what, t=t, position_um=places[0]),)
    middle = np.mean(places, axis=0)
    row = solution.nearest(t, (float(middle[0]), float(middle[1]), float(middle[2])), np.inf)
    if row is None:
        raise InputError(f"volume {t} has no nucleus that could be two; say that one is missing instead")
    clicked: dict[str, Any] = {"position_um": places[0], "other_um": places[1]}
    return (Answer(what, t=t, label=int(solution.detections.label[row]), **clicked),)


def meant(solution: Solution, text: str) -> int | str | None:
    """Returns whom a typed text means: an id, a name that somebody has, or None where nobody is called so."""
    text = text.strip()
    given = solution.names.given
    if is_id(text):
        return int(text) if int(text) < solution.n_neurons else None
    if text in given:
        return text
    shown = {solution.names.text(k): k for k in range(len(given)) if given[k]}  # what the completion offers
    return shown.get(text)


def _need_nucleus(subject: Subject) -> None:
    if subject.label is None:
        raise InputError(f"volume {subject.t} does not show it; click the nucleus that is meant")


def _need_somebody(subject: Subject, instead: str) -> None:
    if subject.neuron == UNKNOWN:
        raise InputError(f"nucleus {subject.label} of volume {subject.t} is nobody yet; {instead}")
