"""What the Review panel says of where one is, and what was written."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QMouseEvent

from barlowtrack.plugin.parts import Text
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.subjects import asked, described

CLICK_ANY = "Click any nucleus, or choose a neuron in the table of neurons, to speak of it."


class Told(Text):
<<<<<<< HEAD
    """A text that hears clicks.
=======
    """A text that names people gave cannot dress up.
>>>>>>> fix-desk

    Args:
        clicked: Called where somebody clicks it.
        style: What else its style sheet says.
    """

<<<<<<< HEAD
    def __init__(self, clicked: Callable[[], None]) -> None:
        super().__init__()
=======
    def __init__(self, clicked: Callable[[], None] = lambda: None, style: str = "") -> None:
        super().__init__(style=style)
        self.setTextFormat(Qt.TextFormat.PlainText)
>>>>>>> fix-desk
        self._clicked = clicked

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Says that it was clicked."""
        super().mousePressEvent(event)
        self._clicked()


<<<<<<< HEAD
def headline(desk: Desk, *, something_said: bool = False, waiting: bool = False) -> str:
    """Returns what keys act on, or why there is nothing; of a run that is open.

    Args:
        desk: What is asked.
        something_said: Whether anything stands in the table.
        waiting: Whether the tracks do not heed all of it yet.
=======
def headline(desk: Desk, none_left: str) -> str:
    """Returns what keys act on, or why there is nothing; of a run that is open.

    Args:
        desk: Of the panel.
        none_left: What is said where there is no question.
>>>>>>> fix-desk
    """
    solution, subject = desk.session.solution, desk.subject
    assert solution is not None, "a run is open"
    if subject is not None:
        return asked(solution, subject.question) if subject.question is not None else f"You chose {described(solution, subject)}."
    if desk.asking:
        return "Looking for what is in doubt..."
    if desk.why_none:
        return f"What is in doubt cannot be said: {desk.why_none}"
    if desk.questions:
        return f"{_waiting(len(desk.questions))}. N goes to the first."
<<<<<<< HEAD
    if not something_said:
        return "Nothing is in doubt that an answer could put right."
    return "No question is left: see with Re-solve what follows from your answers." if waiting else "No question is left."
=======
    return none_left
>>>>>>> fix-desk


def where(desk: Desk) -> str:
    """Returns which question is asked, or how one gets to it."""
    subject, question, n = desk.subject, desk.question, len(desk.questions)
<<<<<<< HEAD
    if subject is None and not n and not desk.asking and not desk.why_none:
        return CLICK_ANY
    if subject is None or not n:
        return f"No more can be asked: {desk.why_none}" if subject is not None and desk.why_none else ""
=======
    if subject is None:
        return "" if desk.asking or n else CLICK_ANY
    if not n:
        return f"No more can be asked: {desk.why_none}" if desk.why_none else ""
>>>>>>> fix-desk
    if question is None:
        return f"{_waiting(n)}: N goes to the first."
    if subject.question is None:
        return f"Question {desk.at + 1} of {n} waits: N goes back to it."
    answered = ", answered" if desk.is_answered else ""
    gain = f"may put about {question.gain:.0f} right" if question.gain >= 1.5 else "may put this one right"
    return f"Question {desk.at + 1} of {n}{answered}; an answer {gain}."


def _waiting(n: int) -> str:
    return f"{n} question{' waits' if n == 1 else 's wait'}"
