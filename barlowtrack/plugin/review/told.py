"""What the Review panel says of where one is, and what was written."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QMouseEvent

from barlowtrack.plugin.parts import Text
from barlowtrack.plugin.review.desk import Desk
from barlowtrack.plugin.review.subjects import asked, described

CLICK_ANY = "Click any nucleus, or choose a neuron in the table of neurons, to speak of it."


class Told(Text):
    """A text that names people gave cannot dress up.

    Args:
        clicked: Called where somebody clicks it.
        style: What else its style sheet says.
    """

    def __init__(self, clicked: Callable[[], None] = lambda: None, style: str = "") -> None:
        super().__init__(style=style)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._clicked = clicked

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Says that it was clicked."""
        super().mousePressEvent(event)
        self._clicked()


def headline(desk: Desk, none_left: str) -> str:
    """Returns what keys act on, or why there is nothing; of a run that is open.

    Args:
        desk: Of the panel.
        none_left: What is said where there is no question.
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
    return none_left


def where(desk: Desk) -> str:
    """Returns which question is asked, or how one gets to it."""
    subject, question, n = desk.subject, desk.question, len(desk.questions)
    if subject is None:
        return "" if desk.asking or n else CLICK_ANY
    if not n:
        return f"No more can be asked: {desk.why_none}" if desk.why_none else ""
    if question is None:
        return f"{_waiting(n)}: N goes to the first."
    if subject.question is None:
        return f"Question {desk.at + 1} of {n} waits: N goes back to it."
    answered = ", answered" if desk.is_answered else ""
    gain = f"may put about {question.gain:.0f} right" if question.gain >= 1.5 else "may put this one right"
    return f"Question {desk.at + 1} of {n}{answered}; an answer {gain}."


def _waiting(n: int) -> str:
    return f"{n} question{' waits' if n == 1 else 's wait'}"
