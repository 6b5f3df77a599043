"""What goes wrong in a training, said while it can still be stopped."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from barlowtrack.data import FloatArray
from barlowtrack.embedding.best import gauge
from barlowtrack.embedding.health import MANY_DEAD, SOME_DEAD, SOME_SHARED, Health, health
from barlowtrack.nn.state import Epoch

log = logging.getLogger(__name__)

FIRST_EPOCH = 2
"""Before it nothing is said: the first steps move an embedding anywhere."""
PATIENCE = 1 / 3  # of the epochs, without any gain over the start
GREW = 0.1  # of the variance, since the start
PERFECT = 0.99  # a share that leaves nothing to gain


def diagnose(gained: Sequence[float], now: Health, at_start: Health, n_epochs: int, what: str = "agreement") -> dict[str, str]:
    """Says what is wrong with a training after some epochs.

    Args:
        gained: On held-out volumes after every epoch so far, the start first: what should rise.
        now: The embedding of the watched volumes.
        at_start: Likewise, at the start.
        n_epochs: Epochs that are asked for.
        what: Name of what should rise; see gauge.

    Returns:
        Kind of trouble and a sentence each, worst first; empty where all is well, or too early to tell.
    """
    epoch = len(gained) - 1
    if epoch < min(FIRST_EPOCH, n_epochs) or epoch < 1:
        return {}
    said = {}
    if now.collapsed:
        said["collapse"] = f"the embedding has collapsed: it uses {now.rank:.3g} of {now.dims} directions; lower train.learning_rate"
    elif now.dead > SOME_DEAD * now.dims:
        much = "most of the embedding" if now.dead > MANY_DEAD * now.dims else "a part of the embedding"
        said["dead"] = f"{now.dead} of {now.dims} dimensions are the same for every nucleus: {much} says nothing"
    if now.shared > SOME_SHARED and now.shared > _or_zero(at_start.shared) + GREW:
        said["shared"] = (
            f"{100 * now.shared:.0f} % of the embedding's variance is shared by all nuclei of a volume, and was "
            f"{100 * _or_zero(at_start.shared):.0f} % at the start: it learns to tell volumes, not neurons"
        )
    start, best = gained[0], max(gained[1:])
    if epoch >= max(FIRST_EPOCH, math.ceil(PATIENCE * n_epochs)) and start < PERFECT and best <= start:
        said["no gain"] = (
            f"training has not helped so far: after {epoch} of {n_epochs} epochs held-out {what} reached {best:.3f} at best, "
            f"and {start:.3f} at the start"
        )
    if epoch == n_epochs and gained[-1] < start:
        said["no help"] = f"training did not help: held-out {what} fell from {start:.3f} at the start to {gained[-1]:.3f}"
    return said


def _or_zero(share: float) -> float:
    return 0.0 if math.isnan(share) else share


class Watch:
    """Looks at a training after every epoch, and says each trouble once."""

    def __init__(self, n_epochs: int) -> None:
        self.n_epochs = n_epochs
        self.said: set[str] = set()
        self.at_start: Health | None = None

    def look(self, watched: Sequence[FloatArray], history: Sequence[Epoch]) -> None:
        """Warns of what is newly wrong.

        Args:
            watched: Embeddings (n, D) of each watched volume.
            history: Every epoch so far, the start first.

        Raises:
            InputError: embeddings that are not finite.
        """
        what, gained = gauge([row.round_trips for row in history], [row.held_out_agreement for row in history])
        volume = np.repeat(np.arange(len(watched)), [len(part) for part in watched])
        now = health(np.concatenate(watched), volume)
        self.at_start = self.at_start or now  # of a training that goes on: where it goes on
        for kind, sentence in diagnose(gained, now, self.at_start, self.n_epochs, what).items():
            if kind not in self.said:
                self.said.add(kind)
                log.warning("epoch %d: %s", len(history) - 1, sentence)
