"""What neurons are called on the page: the name that a person gave, beside the id that tables and commands know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MOST_LETTERS = 8
_PLAIN = re.compile(rf"[A-Za-z0-9_.+-]{{1,{MOST_LETTERS}}}")
"""What fits beside a curve, in every font; anything else (blanks, other scripts, a dollar sign) shows in texts only."""


class Names:
    """Names of K neurons; "" where nobody gave one."""

    def __init__(self, given: Sequence[str]) -> None:
        self.given = tuple(given)

    def text(self, neuron: int) -> str:
        """Returns how a text calls it: "7", or "AVAL (7)". Not escaped."""
        name = self.given[neuron]
        return f"{name} ({neuron})" if name else str(neuron)

    def listed(self, neurons: Iterable[int]) -> str:
        """Returns several of them, as a text calls them."""
        return ", ".join(self.text(int(neuron)) for neuron in neurons)

    def short(self, neuron: int) -> str:
        """Returns how a figure calls it: its name if that is plain and short, else its id."""
        name = self.given[neuron]
        return name if _PLAIN.fullmatch(name) else str(neuron)
