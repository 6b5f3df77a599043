"""What all readers of identities return: points, each a neuron in a volume, and what the neurons are called."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import FloatArray, IntArray, Truth
from barlowtrack.data.arrays import expect, expect_rows
from barlowtrack.data.corrections import cleaned
from barlowtrack.errors import InputError
from barlowtrack.io.regular import refuse_endless


@dataclass(frozen=True)
class Space:
    """The recording that the points lie in, as far as it is known.

    Attributes:
        voxel_size_um: z, y, x.
        shape: Z, Y, X.
        recording: Where it lies. Of our own export that is run as a recording itself, places count as its own images show them.
    """

    voxel_size_um: tuple[float, float, float] | None = None
    shape: tuple[int, int, int] | None = None
    recording: Path | None = None

    def size_um(self, path: Path) -> NDArray[np.float64]:
        """Returns the voxel size.

        Raises:
            InputError: nobody told it.
        """
        if self.voxel_size_um is None:
            raise InputError(f"{path}: counts in voxels; expected their size in um, --voxel-size Z Y X, got none")
        if not all(np.isfinite(size) and size > 0 for size in self.voxel_size_um):
            raise InputError(f"{path}: voxel size: expected three positive numbers in um (z y x), got {self.voxel_size_um}")
        return np.asarray(self.voxel_size_um, np.float64)

    def is_of(self, path: Path) -> bool:
        """Says whether a file is the recording itself."""
        return self.recording is not None and self.recording.exists() and path.samefile(self.recording)


@dataclass(frozen=True)
class Identified:
    """M points.

    Attributes:
        t: (M,) volume, from 0.
        neuron: (M,) number; the same in every volume, none twice in a volume.
        position_um: (M, 3) z, y, x; finite.
        names: Number -> what people call it; numbers without a name are not in it.
        told: What a reader had to assume or leave out, a sentence each.
        activity: Optional (M,) true activity.
    """

    t: IntArray
    neuron: IntArray
    position_um: FloatArray
    names: Mapping[int, str] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    activity: FloatArray | None = None

    def __post_init__(self) -> None:
        expect_rows("identities", len(self.t), neuron=self.neuron, position_um=self.position_um)
        expect(self.position_um.shape == (len(self.t), 3), "identities.position_um", "(M, 3)", self.position_um.shape)
        expect(bool(np.isfinite(self.position_um).all()), "identities.position_um", "finite positions", "NaN or infinity")
        expect(bool((self.t >= 0).all()), "identities.t", "volumes from 0", "negative ones")

    def __len__(self) -> int:
        return len(self.t)

    def truth(self) -> Truth:
        """Returns the points as what is true."""
        return Truth(self.t, self.neuron, self.position_um, self.activity)


def numbered(called: Sequence[str]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Gives every name a number, in alphabetical order.

    Args:
        called: M names; none is empty.

    Returns:
        (M,) numbers, and the names.
    """
    names, number = np.unique(np.array([cleaned(name) for name in called], object).astype(str), return_inverse=True)
    return number.astype(np.int64), {i: str(name) for i, name in enumerate(names)}


def kept(t: IntArray, neuron: IntArray, position_um: FloatArray, names: Mapping[int, str], told: Sequence[str], path: Path) -> Identified:
    """Makes Identified of what a file says, without points that have no place, and refuses what two points say of one neuron.

    Raises:
        InputError: a neuron twice in a volume.
    """
    fine = np.isfinite(position_um).all(1)
    t, neuron, position_um = t[fine], neuron[fine], position_um[fine]
    order = np.lexsort([neuron, t])
    t, neuron, position_um = t[order], neuron[order], position_um[order]
    twice = np.flatnonzero((np.diff(t) == 0) & (np.diff(neuron) == 0))
    if len(twice):
        at = int(twice[0])
        raise InputError(
            f"{path}: expected every neuron once a volume, got {names.get(int(neuron[at]), neuron[at])} a second time in volume {t[at]}"
        )
    return Identified(t, neuron, position_um, names, tuple(told))


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Says in one line which file is not what it should be; refuses one that never ends before it is opened.

    Raises:
        InputError: whatever was raised while reading.
    """
    refuse_endless(path)
    try:
        yield
    except InputError:
        raise
    except (OSError, struct.error, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: expected {what}, got something else: {said}") from None
