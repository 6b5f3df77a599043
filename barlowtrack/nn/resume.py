"""What every training here shares: the split into learning and watching, and an optimiser that goes on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from barlowtrack.data import IntArray


def split(n: int, held_out: float) -> tuple[IntArray, IntArray]:
    """Returns which of n at least two to learn from and which to watch, the latter evenly spread; never all, never none."""
    n_watched = min(max(1, round(held_out * n)), n - 1)
    watched = ((np.arange(n_watched) + 0.5) * n / n_watched).astype(np.intp)
    return np.setdiff1d(np.arange(n), watched), watched


def restore_adam(adam: torch.optim.Adam, parameters: Sequence[Tensor], saved: Mapping[str, Tensor]) -> None:
    """Gives Adam its memory back, each part laid out like its weight: the order of its numbers must not change rounding.

    Args:
        adam: Of these parameters.
        parameters: In its order.
        saved: "0.step", "0.exp_avg", "0.exp_avg_sq", "1.step" ...; empty: Adam has made no step yet.
    """
    if not saved:
        return
    state = adam.state_dict()
    state["state"] = {
        i: {
            "step": saved[f"{i}.step"],
            **{name: torch.empty_like(p).copy_(saved[f"{i}.{name}"]) for name in ("exp_avg", "exp_avg_sq")},
        }
        for i, p in enumerate(parameters)
    }
    adam.load_state_dict(state)


def kept(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns copies on the CPU that further steps do not change."""
    return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in weights.items()}
