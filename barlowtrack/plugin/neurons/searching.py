"""What somebody types above the table: words, and bounds on its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt

import numpy as np

from barlowtrack.data import BoolArray
from barlowtrack.plugin.neurons.figures import Figures

BOUNDED = {"id": "neuron", "coverage": "coverage", "probability": "probability", "r": "r", "swaps": "swaps"}
"""Columns that may be bounded, and what they are in Figures."""
_SIGNS = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq}
_BOUND = re.compile(r"([^\W\d]+)\s*(<=|>=|<|>|=)\s*(-?\d*\.?\d+\s*%?)?")


@dataclass(frozen=True)
class Search:
    """What is asked for; all of it must hold.

    Attributes:
        words: Each is a part of the name, or the beginning of the id.
        bounds: Column, sign and number of each.
        wrong: What was not understood, in words; "" if all was.
    """

    words: tuple[str, ...]
    bounds: tuple[tuple[str, str, float], ...]
    wrong: str = ""

    @classmethod
    def read(cls, text: str) -> Search:
        """Reads what was typed, as far as it is typed: a bound without its number holds nobody back."""
        bounds, wrong = [], []
        for column, sign, number in _BOUND.findall(text):
            meant = [name for name in BOUNDED if name.startswith(column.lower())]
            if column.lower() == "name":
                continue
            if len(meant) != 1:
                wrong.append(f"there is no column '{column}' to compare; there are {', '.join(BOUNDED)}")
            elif number:
                share = number.endswith("%")
                bounds.append((meant[0], sign, float(number.rstrip("% ")) / (100 if share else 1)))
        words = _BOUND.sub(" ", text).lower().split()
        return cls(tuple(words), tuple(bounds), "; ".join(wrong))

    def finds(self, figures: Figures) -> BoolArray:
        """Returns (n,) which neurons are meant."""
        found = np.ones(len(figures), bool)
        for column, sign, number in self.bounds:
            found &= _SIGNS[sign](np.asarray(getattr(figures, BOUNDED[column]), np.float64), number)
        if self.words:
            called = zip(figures.neuron, figures.name, strict=True)
            found &= [all(str(neuron).startswith(word) or word in name.lower() for word in self.words) for neuron, name in called]
        return found
