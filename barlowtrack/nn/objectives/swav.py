"""SwAV: the cluster that one view is given is predicted from the other.

Reference:
    Caron et al. 2020, "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments"; Cuturi 2013, "Sinkhorn
    Distances", for the codes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from barlowtrack.nn.objectives.pairs import expect_pairs


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, rounds: int = 3) -> Tensor:
    """Returns soft codes (N, K): rows sum to 1, and every prototype gets about N / K, the closer the more rounds.

    Taken in logarithms, so that no score overflows. With fewer objects than prototypes an object is shared by several.

    Args:
        scores: (N, K) of every object with every prototype.
        epsilon: How soft codes are; published: 0.05.
        rounds: Of normalising columns, then rows; published: 3.
    """
    n, k = scores.shape
    q = scores / epsilon  # (N, K), logarithms
    for _ in range(rounds):
        q = q - q.logsumexp(dim=0, keepdim=True) - math.log(k)
        q = q - q.logsumexp(dim=1, keepdim=True) - math.log(n)
    return (q + math.log(n)).exp()


def swav(scores1: Tensor, scores2: Tensor, temperature: float, epsilon: float = 0.05) -> Tensor:
    """Returns the cross entropy between the codes of one view and the softmax of the other's scores, the mean of both ways round.

    No gradient passes through the codes.

    Args:
        scores1: (N, K) cosines of the first view with the prototypes.
        scores2: (N, K) of the second view, row by row the same objects.
        temperature: Of the softmax; published: 0.1.
        epsilon: Of the codes.
    """
    expect_pairs(scores1, scores2)
    first = sinkhorn(scores1, epsilon) * torch.log_softmax(scores2 / temperature, dim=1)
    second = sinkhorn(scores2, epsilon) * torch.log_softmax(scores1 / temperature, dim=1)
    return -(first + second).sum(dim=1).mean() / 2
