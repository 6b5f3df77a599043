"""Whether an embedding is sound: how many directions it uses, and whether it tells the volume rather than the neuron."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from barlowtrack.data import FloatArray, IntArray
from barlowtrack.embedding.sample import spread
from barlowtrack.nn.agreement import effective_rank

COLLAPSED_RANK = 2.0
LOW_RANK = 5.0  # fewer directions than tell a hundred neurons apart
DEAD = 0.01  # of the spread that D equal dimensions of unit vectors have
SOME_DEAD, MANY_DEAD = 0.1, 0.5  # of the dimensions
SOME_SHARED, MUCH_SHARED = 0.1, 0.3  # of the variance
_MOST_ROWS = 20_000
_TRAIN_BETTER = "Train longer, or lower train.learning_rate."
_TRAIN_IT = "Check the voxel size, on which depends what the encoder sees; then train it on this recording: --set train.mode=fine-tune."


@dataclass(frozen=True)
class Health:
    """An embedding in three numbers.

    Attributes:
        n: Nuclei looked at.
        dims: D.
        rank: Effective rank, at most D and at most n - 1.
        dead: Dimensions that are the same for all nuclei.
        shared: Share of the variance that all nuclei of a volume have in common, beyond chance; NaN where it cannot be told.
    """

    n: int
    dims: int
    rank: float
    dead: int
    shared: float

    @property
    def collapsed(self) -> bool:
        """Whether there are hardly any differences between nuclei; never for want of nuclei or dimensions alone."""
        return self.n >= 2 and self.rank < min(COLLAPSED_RANK, min(self.n - 1, self.dims) / 2)


@dataclass(frozen=True)
class Finding:
    """A number of the embedding in words.

    Attributes:
        kind: rank, dead or shared.
        grade: good, care or poor.
        said: What was found, and the threshold it is held against.
        remedy: What to try; empty where it is good.
    """

    kind: str
    grade: str
    said: str
    remedy: str = ""


def health(vectors: FloatArray, t: IntArray) -> Health:
    """Looks an embedding over.

    Args:
        vectors: (N, D), unit length; of more than 20 000 rows evenly spread volumes are used.
        t: (N,) volume, sorted.

    Raises:
        InputError: vectors that are not finite.

    Reference:
        Roy & Vetterli 2007 for the effective rank; Jing et al. 2022, "Understanding dimensional collapse", for why it is watched. The
        shared component is the share of variance between volumes, adjusted for the number of volumes as an adjusted R2 is.
    """
    volume = np.unique(t)
    most = max(2, _MOST_ROWS * len(volume) // max(len(t), 1))  # whole volumes: of parts their common component would be noise
    row = np.flatnonzero(np.isin(t, volume[spread(len(volume), most)]))
    values = np.asarray(vectors[row], np.float64)
    n, d = values.shape
    if not n:
        return Health(0, d, 0.0, 0, math.nan)
    dead = int(np.count_nonzero(values.std(axis=0) < DEAD / math.sqrt(d))) if n > 1 else 0
    return Health(n, d, effective_rank(torch.from_numpy(values)), dead, _shared(values, t[row]))


def _shared(values: FloatArray, t: IntArray) -> float:
    volume, place, count = np.unique(t, return_inverse=True, return_counts=True)
    n, v = len(values), len(volume)
    centred = values - values.mean(axis=0)
    total = float(np.square(centred).sum())
    if v < 2 or n <= v or total <= 1e-12 * n:
        return math.nan
    sums = np.zeros((v, values.shape[1]))
    np.add.at(sums, place, centred)
    within = 1 - float(np.sum(np.square(sums) / count[:, None])) / total
    return max(0.0, 1 - within * (n - 1) / (n - v))


def findings(found: Health, *, trained: bool = True) -> list[Finding]:
    """Says in plain words what the numbers mean, each with the threshold it is held against; nothing of fewer than two nuclei.

    Args:
        found: The embedding in numbers.
        trained: Whether its encoder was trained on this recording: what to try depends on it.
    """
    if found.n < 2:
        return []
    more = _TRAIN_BETTER if trained else _TRAIN_IT
    return [_of_rank(found, more), _of_dead(found, more), *([] if math.isnan(found.shared) else [_of_shared(found, trained)])]


def _of_rank(found: Health, more: str) -> Finding:
    uses = f"The embedding uses {found.rank:.3g} of {found.dims} directions (effective rank)"
    if found.collapsed:
        said = f"{uses}: it has collapsed, nearly all nuclei look alike to it (below {COLLAPSED_RANK:g})."
        return Finding("rank", "poor", said, more)
    if found.rank < LOW_RANK and min(found.n - 1, found.dims) >= 2 * LOW_RANK:
        said = f"{uses}: few, so that many neurons look alike to it (below {LOW_RANK:g})."
        return Finding("rank", "care", said, more)
    return Finding("rank", "good", f"{uses}: it has not collapsed (below {COLLAPSED_RANK:g} it would have).")


def _of_dead(found: Health, more: str) -> Finding:
    said = f"{found.dead} of {found.dims} dimensions of the embedding are dead: the same for every nucleus"
    for grade, limit, meaning in (("poor", MANY_DEAD, "most of it says nothing"), ("care", SOME_DEAD, "a part of it says nothing")):
        if found.dead > limit * found.dims:
            return Finding("dead", grade, f"{said}; {meaning} (above {_percent(limit)}).", more)
    return Finding("dead", "good", f"{said} (up to {_percent(SOME_DEAD)} do no harm).")


def _of_shared(found: Health, trained: bool) -> Finding:
    said = f"{_percent(found.shared)} of the embedding's variance is shared by all nuclei of a volume"
    for grade, limit, meaning in (
        ("poor", MUCH_SHARED, "volumes as much as neurons, or more"),
        ("care", SOME_SHARED, "something of the volume"),
    ):
        if found.shared > limit:
            remedy = "Look for volumes that are blurred, dark or turned; raise train.brightness or train.rotation_deg accordingly"
            remedy += "." if trained else " and train the encoder on this recording: --set train.mode=fine-tune."
            return Finding("shared", grade, f"{said}: it describes {meaning} (above {_percent(limit)}).", remedy)
    return Finding("shared", "good", f"{said}: it describes nuclei, not volumes (below {_percent(SOME_SHARED)}).")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"
