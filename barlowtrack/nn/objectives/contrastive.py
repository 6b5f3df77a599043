"""Contrastive losses: an object is told from others, of the same volume (SimCLR) or of volumes before (MoCo).

Reference:
    Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), for nt_xent; van den Oord et
    al. 2018, "Representation Learning with Contrastive Predictive Coding", and He et al. 2020, "Momentum Contrast for Unsupervised
    Visual Representation Learning" (MoCo), for info_nce.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from barlowtrack.nn.objectives.pairs import expect_pairs, unit


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Returns the normalised, temperature-scaled cross entropy: the mean over all 2N views of

        -log( exp(cos(z, its other view) / t) / sum over all other views of exp(cos / t) ).

    In one volume all objects are different, so every negative is a true one. A single object has none: the loss is 0.

    Args:
        z1: (N, D) first view.
        z2: (N, D) second view, row by row the same objects.
        temperature: t; published: 0.1.
    """
    expect_pairs(z1, z2)
    n = len(z1)
    z = unit(torch.cat([z1, z2]))  # (2N, D)
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, -torch.inf)  # (2N, 2N)
    return functional.cross_entropy(logits, torch.arange(2 * n, device=z.device).roll(n))


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Returns the mean over N queries of -log( exp(q.k / t) / (exp(q.k / t) + sum over the queue of exp(q.k' / t)) ).

    No gradient reaches keys or queue. With an empty queue there is nothing to tell apart: the loss is 0.

    Args:
        queries: (N, D) of the encoder that learns.
        keys: (N, D) of its teacher, row by row the same objects in the other view.
        queue: (Q, D) keys of steps before.
        temperature: t; published: 0.07.
    """
    expect_pairs(queries, keys)
    q, k = unit(queries), unit(keys.detach())
    positive = (q * k).sum(dim=1, keepdim=True)  # (N, 1)
    logits = torch.cat([positive, q @ unit(queue.detach()).T], dim=1) / temperature  # (N, 1 + Q)
    return functional.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))
