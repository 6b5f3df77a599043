"""What the list says of every disagreement, and in which order; and how the points of the layer look. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from barlowtrack.data import UNKNOWN, FloatArray
from barlowtrack.plugin.comparing.disagreements import Disagreement, Kind, Nuclei
from barlowtrack.plugin.stops import Stop
from barlowtrack.showing.names import Names

COLUMNS = ("volumes", "nuclei", "kind", "what")

AGAINST_TRUTH = {
    Kind.WRONG: "wrong identity",
    Kind.SWAPPED: "swapped pair",
    Kind.UNKNOWN: "not identified",
    Kind.MISSED: "missed nucleus",
    Kind.FALSE: "false nucleus",
}
AGAINST_RUN = {
    Kind.WRONG: "another neuron",
    Kind.SWAPPED: "swapped pair",
    Kind.UNKNOWN: "known only there",
    Kind.ONLY_OURS: "known only here",
    Kind.MISSED: "nucleus only there",
    Kind.FALSE: "nucleus only here",
}
COLOURS = {
    Kind.AGREES: (0.30, 0.78, 0.45),
    Kind.WRONG: (0.94, 0.27, 0.27),
    Kind.SWAPPED: (0.94, 0.27, 0.27),
    Kind.UNKNOWN: (0.95, 0.70, 0.20),
    Kind.ONLY_OURS: (0.95, 0.70, 0.20),
    Kind.MISSED: (0.80, 0.40, 0.95),
}
"""Of their points: right, wrong, unknown to one of the two, missed."""


@dataclass(frozen=True)
class Words:
    """How ours and theirs are called.

    Attributes:
        names: Of our neurons.
        truth: Whether theirs is the truth.
    """

    names: Names
    truth: bool

    @property
    def kinds(self) -> dict[Kind, str]:
        """The kinds that there are, with what they are called."""
        return AGAINST_TRUTH if self.truth else AGAINST_RUN

    def what(self, one: Disagreement) -> str:
        """Says in a few words who is concerned; the kind stands beside it."""
        ours = "nobody" if one.ours == UNKNOWN else self.names.text(one.ours)
        theirs = self._theirs(one)
        if one.kind is Kind.SWAPPED:
            return f"{ours} and {theirs}"
        if one.kind in (Kind.MISSED, Kind.UNKNOWN):
            return theirs
        if one.kind in (Kind.FALSE, Kind.ONLY_OURS):
            return f"called {ours}" if self.truth else ours
        return f"called {ours}, is {theirs}" if self.truth else f"{ours} here, {theirs} there"

    def _theirs(self, one: Disagreement) -> str:
        """Returns their neuron in our numbers, since those stand in the viewer; in their own where we do not have it."""
        if one.theirs is None:
            return "nobody"
        if one.really != UNKNOWN:
            return self.names.text(one.really)
        return f"true neuron {one.theirs}" if self.truth else f"their neuron {one.theirs}"


def stop_of(one: Disagreement, words: Words) -> Stop:
    """Returns where to look."""
    volumes = str(one.first) if one.first == one.last else f"{one.first}-{one.last}"
    return Stop(one.first, one.position_um, one.neurons, (volumes, str(one.count), words.kinds[one.kind], words.what(one)))


def chosen(found: Iterable[Disagreement], kinds: Collection[Kind]) -> list[Disagreement]:
    """Returns those of some kinds."""
    return [one for one in found if one.kind in kinds]


def in_order(found: Iterable[Disagreement], column: int, *, falling: bool) -> list[Disagreement]:
    """Returns them by a column; among equals the longest stretch comes first, then the earliest.

    Args:
        found: To be listed.
        column: Of COLUMNS.
        falling: Largest first.
    """
    keys: dict[int, Any] = {
        0: lambda one: one.first,
        1: lambda one: one.count,
        2: lambda one: one.kind,
        3: lambda one: (one.ours, one.really, -1 if one.theirs is None else one.theirs),
    }
    fixed = sorted(found, key=lambda one: (-one.count, one.first))
    return sorted(fixed, key=keys[column], reverse=falling)


@dataclass(frozen=True)
class TheirPoints:
    """Their points, for a layer.

    Attributes:
        data: (M, 4) t, and z, y, x in voxels.
        colour: (M, 3).
        features: Columns of M: neuron (in their numbers, -1 nobody), what.
    """

    data: FloatArray
    colour: FloatArray
    features: dict[str, Any]


def their_points(nuclei: Nuclei, words: Words, voxel_size_um: tuple[float, float, float]) -> TheirPoints:
    """Returns the points that they have, coloured by how ours go together with them."""
    there = np.flatnonzero(np.isfinite(nuclei.theirs_um).all(axis=1))
    kinds = nuclei.kind[there]
    called = {Kind.AGREES: "agrees", **words.kinds}
    palette = np.array([COLOURS.get(kind, (1.0, 1.0, 1.0)) for kind in Kind])
    return TheirPoints(
        data=np.column_stack([nuclei.t[there], nuclei.theirs_um[there] / np.array(voxel_size_um)]),
        colour=palette[kinds],
        features={
            "neuron": np.where(nuclei.named[there], nuclei.theirs[there], UNKNOWN),
            "what": [called[Kind(int(kind))] for kind in kinds],
        },
    )
