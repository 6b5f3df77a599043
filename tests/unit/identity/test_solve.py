"""How the first atlas is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from barlowtrack.identity.appearance import first_matches
from barlowtrack.identity.solve import LEADING_LOOKS, choose_seed
from barlowtrack.identity.volumes import Volume

N, T, P = 30, 12, 16


def worm(scatter: float, seed: int = 0) -> list[Volume]:
    """N neurons that hardly move; looks are those of the neighbourhood and a little of the neuron, scattered."""
    rng = np.random.default_rng(seed)
    rest = rng.uniform(-4, 4, (N, 3))
    wave, phase = rng.normal(0, 0.25, (3, P)), rng.uniform(0, 2 * np.pi, P)
    look = np.cos(rest @ wave + phase) + 0.3 * rng.normal(size=(N, P))
    return [
        Volume(
            np.arange(t * N, (t + 1) * N), rest + rng.normal(0, 0.1, (N, 3)), (look + scatter * rng.normal(size=(N, P))).astype(np.float32)
        )
        for t in range(T)
    ]


@pytest.mark.parametrize(("scatter", "leads"), [(0.05, True), (0.5, False)])
def test_looks_choose_the_first_atlas_only_where_they_know_neurons_and_not_neighbourhoods(scatter: float, leads: bool) -> None:
    volumes = worm(scatter)
    closed = first_matches([volume.features for volume in volumes if volume.features is not None])[1]
    assert (closed >= LEADING_LOOKS) == leads
    assert closed > 0.3  # they say something, or there would be nothing to decide
    atlas = choose_seed(volumes, np.random.default_rng(0), lambda function, *parts: map(function, *parts))
    assert (atlas.appearance is not None) == leads
