"""Who is who: what the atlas says, and what is made of it once people have been heard."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from barlowtrack.data.arrays import UNKNOWN, BoolArray, FloatArray, IntArray, expect, expect_rows

SAME_UM = 1e-3
"""Places that are closer, along every axis, are one: tables hold a tenth of it."""


def _expect_shares(what: str, values: FloatArray, *, gaps: bool = False) -> None:
    fine = (values >= 0) & (values <= 1)
    if gaps:
        fine |= np.isnan(values)
    expect(bool(np.all(fine)), what, "numbers in [0, 1]", "others" if gaps else "others, or NaN")


def _expect_ids(what: str, ids: IntArray, n_neurons: int) -> None:
    expect(bool(np.all((ids >= UNKNOWN) & (ids < n_neurons))), what, f"-1 to {n_neurons - 1}", "others")


@dataclass(frozen=True)
class Candidates:
    """Who each of N detections may be, likeliest first.

    Attributes:
        neuron: (N, C) neuron ids; UNKNOWN fills up.
        probability: (N, C) in [0, 1]; a row sums to at most 1, the rest is that it is nobody we know.
    """

    neuron: IntArray
    probability: FloatArray

    def __post_init__(self) -> None:
        expect(self.neuron.ndim == 2, "candidates.neuron", "(N, C)", self.neuron.shape)
        expect(self.probability.shape == self.neuron.shape, "candidates.probability", f"shape {self.neuron.shape}", self.probability.shape)
        _expect_shares("candidates.probability", self.probability)

    def __len__(self) -> int:
        return len(self.neuron)


@dataclass(frozen=True)
class Clicks:
    """Where people said that nuclei are, and what was made of that: by its click, not by its middle, a nucleus that people made is known.

    Whatever light and settings make of a nucleus, the click that it was made from stays where it was.

    Attributes:
        t: (C,) volume.
        place_um: (C, 3) z, y, x; none twice in a volume.
        row: (C,) detection that lies there by them, UNKNOWN where none could be made.
    """

    t: IntArray
    place_um: FloatArray
    row: IntArray

    def __post_init__(self) -> None:
        expect_rows("clicks", len(self.t), place_um=self.place_um, row=self.row)

    @classmethod
    def none(cls) -> Clicks:
        """Returns those of nobody."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0, np.int64))

    def at(self, t: int | None, place_um: tuple[float, float, float] | None) -> int | None:
        """Returns which click a place is, to the last digit that is written down; None where it is none."""
        if t is None or place_um is None or not len(self.t):
            return None
        same = np.flatnonzero((self.t == t) & (np.abs(self.place_um - place_um) <= SAME_UM).all(1))
        return int(same[0]) if len(same) else None

    def of(self, row: int) -> tuple[float, float, float] | None:
        """Returns the last click that says that a detection is there; None where none does."""
        mine = np.flatnonzero(self.row == row)
        if not len(mine):
            return None
        z, y, x = self.place_um[mine[-1]].tolist()
        return z, y, x


@dataclass(frozen=True)
class Amended:
    """What identities have to remember once people have added or divided detections.

    Attributes:
        mark: Identities.mark as it was before: whose ids tracks show stays.
        entry: (I,) entries of the atlas that were ever assigned, in the order of their ids, as it was before.
        fresh: (N,) detections that people made: of these the atlas has said nothing yet.
        clicks: Where people said that they are.
    """

    mark: str
    entry: IntArray
    fresh: BoolArray
    clicks: Clicks


@dataclass(frozen=True)
class Identities:
    """What the atlas says of every detection, before anybody has been heard.

    Attributes:
        neuron: (N,) entry of the atlas from 0, or UNKNOWN; none twice in a volume.
        probability: (N,) as in Tracks.
        candidates: Who else it may be, the one that was chosen among them.
        absent: (T, K) probability that an entry is not among the detections of a volume; NaN where it was assigned.
        place_um: (T, K, 3) z, y, x where the atlas, laid over a volume, has each entry, detected or not; NaN where a volume shows
            nothing, and where places are not known: looks alone tell none.
        amended: What was before people added or divided detections; None where nobody did.
    """

    neuron: IntArray
    probability: FloatArray
    candidates: Candidates
    absent: FloatArray
    place_um: FloatArray
    amended: Amended | None = None

    def __post_init__(self) -> None:
        expect_rows("identities", len(self.neuron), probability=self.probability, candidates=self.candidates.neuron)
        if self.amended is not None:
            expect_rows("identities", len(self.neuron), fresh=self.amended.fresh)
        expect(self.absent.ndim == 2, "identities.absent", "(T, K)", self.absent.shape)
        expect(self.place_um.shape == (*self.absent.shape, 3), "identities.place_um", f"{(*self.absent.shape, 3)}", self.place_um.shape)
        _expect_ids("identities.neuron", self.neuron, self.n_neurons)
        _expect_ids("identities.candidates", self.candidates.neuron, self.n_neurons)
        _expect_shares("identities.probability", self.probability)
        _expect_shares("identities.absent", self.absent, gaps=True)

    def __len__(self) -> int:
        return len(self.neuron)

    @property
    def n_neurons(self) -> int:
        """K."""
        return int(self.absent.shape[1])

    @property
    def mark(self) -> str:
        """Whose ids tracks will show: the same as long as the same detections are the same entries; begins with a letter."""
        if self.amended is not None:
            return self.amended.mark
        whole = hashlib.blake2b(np.ascontiguousarray(self.neuron, dtype=np.int32).tobytes(), digest_size=6)
        return f"a{whole.hexdigest()}"


@dataclass(frozen=True)
class Tracks:
    """Who every detection is.

    Attributes:
        neuron: (N,) neuron id from 0, or UNKNOWN. A neuron keeps its id whatever is corrected and however sure one wants to be.
        probability: (N,) in [0, 1]. Of an id: that it is right, which a thing that is no nucleus never is. Of UNKNOWN: that it is none of
            the neurons. Calibrated on the recording itself, without truth.
        n_neurons: K; ids are below it.
    """

    neuron: IntArray
    probability: FloatArray
    n_neurons: int

    def __post_init__(self) -> None:
        expect_rows("tracks", len(self.neuron), probability=self.probability)
        _expect_ids("tracks.neuron", self.neuron, self.n_neurons)
        _expect_shares("tracks.probability", self.probability)

    def __len__(self) -> int:
        return len(self.neuron)


@dataclass(frozen=True)
class Neurons:
    """The K neurons of a recording.

    Attributes:
        entry: (K,) entry of the atlas that each has its id from; UNKNOWN: of none, a person added it.
        name: K names that people gave; "" where none.
        absent: (T, K) probability that a neuron is not among the detections of a volume; NaN where it was assigned.
    """

    entry: IntArray
    name: tuple[str, ...]
    absent: FloatArray

    def __post_init__(self) -> None:
        expect(len(self.name) == len(self.entry), "neurons.name", f"{len(self.entry)} names", len(self.name))
        good = self.absent.ndim == 2 and self.absent.shape[1] == len(self.entry)
        expect(good, "neurons.absent", f"(T, {len(self.entry)})", self.absent.shape)
        _expect_shares("neurons.absent", self.absent, gaps=True)

    def __len__(self) -> int:
        return len(self.entry)


@dataclass(frozen=True)
class Tracked:
    """All that track says.

    Attributes:
        tracks: Who every detection is.
        candidates: Who else each may be, in the same ids.
        neurons: Who there is.
    """

    tracks: Tracks
    candidates: Candidates
    neurons: Neurons

    def __post_init__(self) -> None:
        expect(len(self.candidates) == len(self.tracks), "tracked.candidates", f"{len(self.tracks)} rows", len(self.candidates))
        expect(len(self.neurons) == self.tracks.n_neurons, "tracked.neurons", f"{self.tracks.n_neurons} of them", len(self.neurons))
