"""The answers that number keys give: the likeliest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.answers import Answer
from barlowtrack.data import UNKNOWN
from barlowtrack.plugin.review.saying import assign
from barlowtrack.plugin.review.subjects import Subject, called
from barlowtrack.plugin.solution import Solution

MOST = 5
LIKELY = 0.005
"""Candidates below it are not offered, but for who it is now."""


@dataclass(frozen=True)
class Choice:
    """One answer, under one number key.

    Attributes:
        text: What it says.
        neuron: Whose pictures and colour stand beside it; UNKNOWN where nobody's.
        probability: How likely it is; None where nobody knows.
        answers: What is written; nothing where things stay as they are.
        note: What else one should know of it.
        follows: What follows from it at once, where the answer itself does not say so.
    """

    text: str
    neuron: int
    probability: float | None
    answers: tuple[Answer, ...]
    note: str = ""
    follows: str = ""


def choices(solution: Solution, subject: Subject) -> tuple[Choice, ...]:
    """Returns what may be answered with a number key; none about a neuron that the volume does not show."""
    question = subject.question
    if question is not None and question.kind == "same":
        one = f"one neuron: {called(solution, question.other)} is {called(solution, question.neuron)}"
        return (
            Choice(one, question.neuron, None, (Answer("merge", neuron=question.neuron, other=question.other),)),
            Choice("two neurons: leave them as they are", question.other, None, ()),
        )
    if question is not None and question.kind == "nobody":
        volumes = int(np.count_nonzero(solution.tracks.neuron == question.neuron))
        known = sum(share for _, share in question.candidates)
        never = (Answer("not-a-neuron", neuron=question.neuron),)
        who = called(solution, question.neuron)
        written = f"says that nucleus {subject.label} of volume {subject.t}, its surest, is {who}"
        return (
            Choice("it is a neuron", question.neuron, known, assign(subject, question.neuron), written, f"so {who} is a neuron"),
            Choice(f"never a neuron: all {volumes} volumes of it", UNKNOWN, max(1 - known, 0.0), never),
        )
    if subject.label is None:
        return ()
    return tuple(
        Choice(called(solution, neuron), neuron, share, assign(subject, neuron), _note(solution, subject, neuron))
        for neuron, share in candidates(solution, subject)
    )


def _note(solution: Solution, subject: Subject, neuron: int) -> str:
    """Says where in the volume a candidate is now, so that nobody wonders why the likeliest was not taken."""
    if neuron == subject.neuron:
        return "who it is now"
    row = int(solution.row_of[neuron, subject.t]) if neuron < solution.n_neurons else UNKNOWN
    return "not found in this volume" if row == UNKNOWN else f"now nucleus {solution.detections.label[row]} here"


def nobody(solution: Solution, subject: Subject) -> float | None:
    """Returns how likely a nucleus is nobody we know: what its candidates leave; None where nothing is said of it."""
    if subject.label is None or (subject.question is not None and subject.question.kind in ("same", "nobody")):
        return None
    table = solution.candidates
    here = table[(table["t"].to_numpy() == subject.t) & (table["label"].to_numpy() == subject.label) & (table["neuron"].to_numpy() >= 0)]
    return min(max(1 - float(here["probability"].sum()), 0.0), 1.0) if len(here) else None


def candidates(solution: Solution, subject: Subject) -> list[tuple[int, float]]:
    """Returns who a nucleus may be, and how likely: likeliest first, who it is now among them."""
    table = solution.candidates
    here = table[(table["t"].to_numpy() == subject.t) & (table["label"].to_numpy() == subject.label)]
    found = {int(k): float(p) for k, p in zip(here["neuron"], here["probability"], strict=True) if k >= 0}
    if subject.neuron != UNKNOWN:
        found.setdefault(subject.neuron, subject.probability or 0.0)
    likely = [(neuron, share) for neuron, share in found.items() if share >= LIKELY or neuron == subject.neuron]
    return sorted(likely, key=lambda candidate: (-candidate[1], candidate[0]))[:MOST]
