"""Carry the names of one recording's neurons over to another's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack.data import Progress, silent
from barlowtrack.errors import InputError
from barlowtrack.identity.across import match_atlases
from barlowtrack.known import Known, open_known

if TYPE_CHECKING:
    import pandas as pd

MIN_PROBABILITY = 0.9


def match(
    source: Known | Path | str,
    target: Known | Path | str,
    *,
    min_probability: float = MIN_PROBABILITY,
    seed: int = 0,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Says which neuron of one recording is which of another's; those that are not sure enough are left out.

    Args:
        source: Where names come from: a run folder, a recording that has one, a folder of tracked points, or an atlas file.
        target: Where they go.
        min_probability: Least probability of a row.
        seed: Of the comparison, see match_atlases.
        progress: Told now and then.

    Returns:
        A table, a row a neuron of the target, in their order: neuron, name ("" where the source has none), probability, from_neuron.

    Raises:
        StorageError, InputError: there is nothing to compare, or min_probability is none.
    """
    import pandas as pd

    if not 0 <= min_probability <= 1:
        raise InputError(f"match: min_probability: expected 0 to 1, got {min_probability}")
    source, target = (known if isinstance(known, Known) else open_known(known) for known in (source, target))
    found = match_atlases(source.learned, target.learned, seed=seed, progress=progress)
    rows = [
        (int(target.ids[entry]), source.name[neuron], float(probability), int(neuron))
        for neuron, entry, probability in zip(source.neuron, found.believed(min_probability), found.probability, strict=True)
        if neuron >= 0 and target.ids[entry] >= 0
    ]
    table = pd.DataFrame(sorted(rows), columns=["neuron", "name", "probability", "from_neuron"])
    # Where people made one neuron of several entries, each of them may be found: the surest stays.
    table = table.sort_values("probability", ascending=False, kind="stable")
    table = table.drop_duplicates("neuron").drop_duplicates("from_neuron").sort_values("neuron", ignore_index=True)
    return table.astype({"neuron": "int32", "name": "str", "probability": "float64", "from_neuron": "int32"})
