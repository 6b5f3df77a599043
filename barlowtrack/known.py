"""The neurons of a recording that is done, as later volumes and other recordings meet them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from barlowtrack.data import UNKNOWN, IntArray
from barlowtrack.errors import InputError, StorageError
from barlowtrack.identity.learned import Learned

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Known:
    """An atlas, and what its entries are called in the tables of its recording.

    Attributes:
        learned: The atlas, K entries.
        neuron: (K,) neuron id of each entry, or UNKNOWN where no detection was ever given it, or people say that it is no neuron. Where
            people made one neuron of several entries, they have the same id; where they split one, that of the last volume.
        name: Names that people gave, one a neuron id; "" where none.
        encoder: Digest of the encoder that looks came from; "" where there are none.
    """

    learned: Learned
    neuron: IntArray
    name: tuple[str, ...]
    encoder: str = ""

    @classmethod
    def plain(cls, learned: Learned) -> Known:
        """Returns an atlas whose entries are the neurons, without names."""
        k = learned.atlas.n_neurons
        return cls(learned, np.arange(k), ("",) * k)

    @property
    def n_neurons(self) -> int:
        """How many neurons the tables of the recording have."""
        return len(self.name)

    @property
    def ids(self) -> IntArray:
        """(K + 1,) neuron id of each entry; the last one stands for UNKNOWN."""
        return np.append(self.neuron, UNKNOWN)


def open_known(path: Path | str) -> Known:
    """Opens the neurons of a run, of a folder of tracked points, or of an atlas file alone (its entries are the ids then).

    Args:
        path: A run folder, a recording that has one, a folder of tracked points, or an atlas (.safetensors).

    Raises:
        StorageError: nothing of the kind is there, or tracks are older than the atlas or the corrections.
        InputError: a damaged file.
    """
    from barlowtrack.api import prepare
    from barlowtrack.io.location import shown
    from barlowtrack.storage import ARTEFACTS, load

    path = Path(path)
    if path.suffix == ".safetensors" and path.is_file():
        return Known.plain(Learned.from_bytes(path.read_bytes()))
    if (path / ARTEFACTS["atlas"]).exists() and not (path / "run.json").exists():
        return _known(path, load("atlas", path), load("neurons", path))
    folder = prepare(path).folder
    if not (folder / "run.json").exists():
        raise StorageError(f"{shown(path)}: expected a run folder, a recording that has one, a folder of tracked points, or an atlas file")
    return _of_run(folder)


def _of_run(path: Path) -> Known:
    from barlowtrack.api import Run
    from barlowtrack.identity.rulings import rule
    from barlowtrack.pipeline import AMENDMENTS, UNAMENDED, edition
    from barlowtrack.storage import ARTEFACTS
    from barlowtrack.storage.atomic import tree_digest

    run = Run(path)
    identified, tracked = run.folder.record("identify"), run.folder.record("track")
    if identified is None or tracked is None or tracked.inputs.get("identities") != identified.key:
        raise StorageError(f"{path}: its tracks were made from an older atlas; run 'barlowtrack track {path}' first")
    learned, neurons, corrections = run.atlas, run.neurons, run.corrections
    if tracked.inputs.get("corrections") != corrections.digest or tracked.inputs.get(AMENDMENTS, UNAMENDED) != edition(run.folder):
        raise StorageError(f"{path}: its tracks were made before corrections.csv changed; run 'barlowtrack track {path}' first")
    encoder = path / ARTEFACTS["encoder"]
    known = _known(path, learned, neurons, tree_digest(encoder) if encoder.exists() else "")
    if not corrections.in_force:
        return known
    # A neuron that is gone keeps its row, and the entry that it was: only the rulings tell what entries mean.
    return replace(known, neuron=rule(corrections, run.detections, run.identities).became[-1, :-1])


def _known(path: Path, learned: Learned, neurons: pd.DataFrame, encoder: str = "") -> Known:
    k = learned.atlas.n_neurons
    entry = neurons["entry"].astype("Float64").to_numpy(np.float64, na_value=UNKNOWN).astype(np.int64)
    if len(neurons) and (entry.max() >= k or entry.min() < UNKNOWN or not np.array_equal(neurons["neuron"], np.arange(len(neurons)))):
        raise InputError(f"{path}: expected neurons from 0, and entries of an atlas of {k}, got others; are these of one recording?")
    neuron = np.full(k, UNKNOWN)
    neuron[entry[entry >= 0]] = np.flatnonzero(entry >= 0)
    names = tuple("" if text is None or text != text else str(text) for text in neurons["name"])
    return Known(learned, neuron, names, encoder)
