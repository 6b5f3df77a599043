"""What the next answer is about: a nucleus of a volume, or a neuron that a volume does not show."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.review import Question
from barlowtrack.plugin.solution import Solution
from barlowtrack.plugin.stops import Stop

THERE_UM = 0.5
"""A nucleus within this of a place is the one that is meant by it."""


@dataclass(frozen=True)
class Subject:
    """What keys and buttons act on.

    Attributes:
        t: Volume.
        label: Of the nucleus; None where the volume does not show the neuron.
        position_um: z, y, x of the nucleus; None where there is none.
        neuron: Who it is now; UNKNOWN where nobody.
        probability: That this is right; None where nothing is said of it.
        question: That is asked about it; None where the person chose it.
    """

    t: int
    label: int | None
    position_um: tuple[float, float, float] | None
    neuron: int
    probability: float | None = None
    question: Question | None = None

    @property
    def stop(self) -> Stop:
        """Where to look."""
        concerned = [self.neuron]
        if self.question is not None and self.question.kind == "same":
            concerned = [self.question.neuron, self.question.other]
        return Stop(self.t, self.position_um, tuple(neuron for neuron in concerned if neuron != UNKNOWN), ())


def of_question(solution: Solution, question: Question) -> Subject:
    """Returns what a question asks about; who it is is what the viewer shows, not what answers given since have made of it.

    Whether a neuron is one at all is asked where it is surest that the nucleus is this neuron: who says yes says so of that nucleus.
    """
    row = solution.row_at(question.t, question.label)
    if question.kind == "nobody" and 0 <= question.neuron < solution.n_neurons:
        rows = solution.row_of[question.neuron]
        rows = rows[rows >= 0]
        row = int(rows[np.argmax(solution.tracks.probability[rows])]) if len(rows) else row
    if row is None:
        return Subject(question.t, question.label, question.position_um, question.neuron, question=question)
    return replace(of_row(solution, row), question=question)


def of_row(solution: Solution, row: int) -> Subject:
    """Returns a nucleus that a person chose."""
    z, y, x = (float(axis) for axis in solution.detections.position_um[row])
    return Subject(
        int(solution.detections.t[row]),
        int(solution.detections.label[row]),
        (z, y, x),
        int(solution.tracks.neuron[row]),
        float(solution.tracks.probability[row]),
    )


def of_neuron(solution: Solution, neuron: int, t: int) -> Subject:
    """Returns a neuron that a person chose, in the volume that is shown."""
    row = int(solution.row_of[neuron, t])
    return of_row(solution, row) if row != UNKNOWN else Subject(t, None, None, neuron)


def of_now(solution: Solution, subject: Subject) -> Subject | None:
    """Returns a subject as a newer solution of its run has it; None where its nucleus is gone, or its question is of somebody else now."""
    if subject.label is None or subject.position_um is None:
        found = of_neuron(solution, subject.neuron, subject.t) if subject.neuron < solution.n_neurons else None
    else:
        row = solution.nearest(subject.t, subject.position_um, THERE_UM)
        found = None if row is None else of_row(solution, row)
    whole = subject.question is not None and subject.question.kind in ("same", "nobody")
    if found is None or (whole and found.neuron != subject.neuron):
        return None
    return replace(found, question=subject.question)


def called(solution: Solution, neuron: int) -> str:
    """Returns what a neuron is called; one that an answer began and that is not in the tracks yet is a new one."""
    if neuron == UNKNOWN:
        return "nobody"
    return solution.names.text(neuron) if neuron < len(solution.names.given) else "a new neuron"


def asked(solution: Solution, question: Question) -> str:
    """Returns a question in plain words."""
    who = called(solution, question.neuron)
    if question.kind == "same":
        return f"Are {who} and {called(solution, question.other)} one neuron?"
    if question.kind == "nobody":
        return f"Is {who} a neuron at all, or something else that shines?"
    now = of_question(solution, question).neuron
    said = "It is nobody now." if now == UNKNOWN else f"It is {called(solution, now)} now."
    around = " Its neighbours are in doubt too, and follow your answer." if question.kind == "anchor" else ""
    return f"Who is nucleus {question.label} of volume {question.t}? {said}{around}"


def described(solution: Solution, subject: Subject) -> str:
    """Returns a subject in plain words: which nucleus, of which volume, who it is now."""
    who = called(solution, subject.neuron)
    if subject.label is None:
        return f"neuron {who}, which volume {subject.t} does not show"
    if subject.question is not None and subject.question.kind == "nobody":  # how likely it is that one is another matter
        return f"neuron {who}, in volume {subject.t} nucleus {subject.label}"
    sure = f" ({100 * subject.probability:.0f} %)" if subject.probability is not None and subject.neuron != UNKNOWN else ""
    return f"nucleus {subject.label} of volume {subject.t}, now {who}{sure}"
