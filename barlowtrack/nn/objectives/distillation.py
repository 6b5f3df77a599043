"""Losses without negatives: one view predicts what a target, which gets no gradient, makes of the other.

Reference:
    Grill et al. 2020, "Bootstrap Your Own Latent" (BYOL); Chen & He 2021, "Exploring Simple Siamese Representation Learning"
    (SimSiam); Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers" (DINO).
"""

from __future__ import annotations

import torch
from torch import Tensor

from barlowtrack.nn.objectives.pairs import expect_pairs, unit


def negative_cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """Returns the mean over N rows of -cos(predicted, target), both (N, D); the target gets no gradient."""
    expect_pairs(predicted, target)
    return -(unit(predicted) * unit(target.detach())).sum(dim=1).mean()


def centred(t: Tensor) -> Tensor:
    """Returns (N, D) less the mean over the N objects.

    Published projectors end in, or contain, a normalisation over the batch, which takes away what all rows share. Ours have none: at
    first all rows are nearly parallel, every cosine is nearly 1 and nothing is left to learn. Centring the target alone puts it right.
    """
    return t - t.mean(dim=0)


def byol(p1: Tensor, p2: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
    """Returns the mean squared distance of unit vectors, |p1 - t2|^2 + |p2 - t1|^2: predictions p, teacher's projections t, all (N, D)."""
    return 4 + 2 * (negative_cosine(p1, t2) + negative_cosine(p2, t1))


def simsiam(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """Returns -cos(p1, z2) / 2 - cos(p2, z1) / 2: predictions p and projections z of the same network, all (N, D)."""
    return (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2


def dino(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], centre: Tensor, *, temperature: float, teacher_temperature: float = 0.04
) -> Tensor:
    """Returns the cross entropy between the teacher's softmax of one view and the student's of the other, the mean of both ways round.

    Centring keeps one output from winning always, the sharper teacher keeps all from being alike.

    Args:
        student: (N, K) scores of each view.
        teacher: (N, K) scores of each view; no gradient.
        centre: (1, K) mean of the teacher's scores; published: running, with momentum 0.9.
        temperature: Of the student; published: 0.1.
        teacher_temperature: Published: 0.04.
    """
    for scores in (*student, *teacher):
        expect_pairs(student[0], scores)
    t1, t2 = (torch.softmax((t.detach() - centre) / teacher_temperature, dim=1) for t in teacher)  # (N, K)
    s1, s2 = (torch.log_softmax(s / temperature, dim=1) for s in student)
    return -(t1 * s2 + t2 * s1).sum(dim=1).mean() / 2
