"""trace: make the activity of every neuron of the light of its nuclei; nothing is read from the recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from barlowtrack.activity.bleaching import fit_bleaching, undo
from barlowtrack.activity.flags import SETTLED, excess, flag_identity, flag_light
from barlowtrack.activity.gaps import bridge, smooth
from barlowtrack.activity.motion import regress_out
from barlowtrack.activity.ratios import baselines, percentiles, ratios, relative_changes
from barlowtrack.activity.reading import brightness
from barlowtrack.activity.robust import medians
from barlowtrack.activity.swaps import find_swaps, unsettled
from barlowtrack.activity.unseen import FEWEST_SEEN, Unseen, aim_of, laid_well, shines_as_usual, stand_ins
from barlowtrack.config import TraceConfig
from barlowtrack.data import (
    UNKNOWN,
    Bleaching,
    BoolArray,
    Detections,
    FloatArray,
    Identities,
    IntArray,
    Light,
    Places,
    Recording,
    Source,
    Swaps,
    Traced,
    Traces,
    Tracks,
)
from barlowtrack.errors import InputError
from barlowtrack.identity.heed import NOTHING_KNOWN

if TYPE_CHECKING:
    import pandas as pd


NO_SWAPS = Swaps(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros(0))


@dataclass(frozen=True)
class _Values:
    """n values of traces, not laid out yet.

    Attributes:
        neuron: (n,) whose.
        t: (n,) when.
        light: What was read.
        brightness: (2, n) red and green, by the reading that counts.
        above: (n,) how much brighter than its background it is in red, by the same reading, whether or not that is taken off.
        probability: (n,) that it is the neuron's.
        source: (n,) a Source.
    """

    neuron: IntArray
    t: IntArray
    light: Light
    brightness: FloatArray
    above: FloatArray
    probability: FloatArray
    source: IntArray

    def and_also(self, other: _Values) -> _Values:
        """Joins both."""
        columns = [(getattr(self, name), getattr(other, name)) for name in ("neuron", "t", "above", "probability", "source")]
        neuron, t, above, probability, source = (np.concatenate(both) for both in columns)
        brightness = np.concatenate([self.brightness, other.brightness], axis=1)
        return _Values(neuron, t, Light.concatenate([self.light, other.light]), brightness, above, probability, source)

    def grid(self, values: NDArray[Any], empty: float, shape: tuple[int, int]) -> NDArray[Any]:
        """Returns (..., n) laid out as (..., K, T), whose last two sizes are given; empty where there is no value."""
        laid_out = np.full((*values.shape[:-1], *shape), empty, values.dtype)
        laid_out[..., self.neuron, self.t] = values
        return laid_out


def trace(
    recording: Recording,
    light: Light,
    places: Places,
    detections: Detections,
    identities: Identities,
    tracks: Tracks,
    neurons: pd.DataFrame,
    absences: pd.DataFrame,
    *,
    config: TraceConfig,
) -> Traced:
    """Makes traces of light: a pure function of tables, so that after a correction they follow in seconds.

    A neuron that no detection is in a volume is read where the atlas expects it, if that can be: not where people say that it is absent,
    nor in a volume that the atlas was laid over wrongly. Bleaching and baselines are found on what was seen, and then undone, or taken
    off, everywhere.

    Args:
        recording: Says the rate of volumes; is not read.
        light: Of the N nuclei.
        places: Where else neurons should be, and the light there.
        detections: N nuclei of T volumes.
        identities: Where the atlas has each of its entries in each volume.
        tracks: Whose detections are; those below config.min_probability are left out.
        neurons: Table of the K neurons: which entry each is.
        absences: Table of who is not among the detections of a volume, and how surely.
        config: Which reading, and what is done with it.

    Returns:
        Traces, how the light fades, and who may have been taken for whom. NaN where a neuron has no value, where there is no signal
        channel (green, ratio, dR/R0, dF/F0), where red is not above its background (ratio, dR/R0), and where R0 or F0 is not positive,
        of fewer than FEWEST_VALUES values, or of light that does not stand out from the noise of what is around it.

    Raises:
        InputError: if the inputs are not of one recording, or a neuron is twice in one volume.
    """
    _check(recording, light, detections, identities, tracks, neurons)
    read, entry = _seen(light, detections, tracks, config), _entries(neurons)
    closed = _closed(detections, identities, tracks, entry, absences)
    if config.unseen == "predicted":
        there = _stand_ins(read, places, detections, identities, tracks, entry, absences, closed)
        wanted, unwanted = there.split_at(config.min_probability)
        closed[places.t[unwanted.row], unwanted.neuron] = True
        read = read.and_also(_predicted(read, places, wanted, config))
    grid = partial(read.grid, shape=(tracks.n_neurons, recording.n_volumes))
    rate = recording.rate_hz
    time_s = np.full(recording.n_volumes, np.nan) if rate is None else np.arange(recording.n_volumes) / rate
    both, source = grid(read.brightness, empty=np.nan), grid(read.source, empty=Source.NONE)  # (2, K, T), (K, T)
    seen = source == Source.SEEN
    bleaching = fit_bleaching(np.where(seen, both[0], np.nan), np.where(seen, both[1], np.nan), time_s, config.bleaching)
    red, green = (undo(channel, curve) for channel, curve in zip(both, bleaching.fit, strict=True))
    above = _undone(grid(read.above, empty=np.nan), seen, time_s, bleaching, config)
    has = seen | ((source == Source.PREDICTED) & shines_as_usual(above, seen))
    red, green, source = np.where(has, red, np.nan), np.where(has, green, np.nan), np.where(has, source, np.uint8(Source.NONE))
    probability = np.where(has, grid(read.probability.astype(np.float32), empty=np.nan), np.float32(np.nan))
    ratio = ratios(green, red)
    still = regress_out(green, red, seen) if config.motion == "linear" else green
    lit = _lit(read, grid, seen, config)
    f0 = baselines(green, config.r0_percentile, seen)  # what is left after the regression may be next to nothing
    values = {
        "red": red.astype(np.float32),
        "green": green.astype(np.float32),
        "ratio": ratio,
        "dr_over_r0": relative_changes(ratio, np.where(lit.all(0), baselines(ratio, config.r0_percentile, seen), np.nan)),
        "df_over_f0": relative_changes(still, percentiles(still, config.r0_percentile, seen), np.where(lit[1], f0, np.nan)),
    }
    swaps = _swaps(seen, red, green, detections, identities, tracks, entry) if config.swaps else NO_SWAPS
    swaps = unsettled(swaps, seen, seen & (probability == SETTLED))
    flags = np.where(has, grid(flag_light(read.light), empty=0), np.uint8(0))
    bridged = bridge(values, probability, source, time_s, config.max_gap, closed.T)
    values = {name: smooth(trace, config.smooth) for name, trace in bridged.values.items()}
    flags |= flag_identity(bridged.probability, swaps)
    return Traced(Traces(time_s=time_s, **values, probability=bridged.probability, source=bridged.source, flags=flags), bleaching, swaps)


def _check(
    recording: Recording, light: Light, detections: Detections, identities: Identities, tracks: Tracks, neurons: pd.DataFrame
) -> None:
    n, k = len(detections), tracks.n_neurons
    for what, got in (("an identity", len(tracks)), ("light", len(light)), ("an entry of the atlas", len(identities))):
        if got != n:
            raise InputError(f"trace: expected {what} for each of {n} detections, got {got}")
    if len(neurons) != k or not np.array_equal(neurons["neuron"], np.arange(k)):
        raise InputError(f"trace: expected a table of {k} neurons, from 0, got {len(neurons)} rows")
    if detections.n_volumes != recording.n_volumes:
        raise InputError(f"trace: expected detections of {recording.n_volumes} volumes, got {detections.n_volumes}")


def _seen(light: Light, detections: Detections, tracks: Tracks, config: TraceConfig) -> _Values:
    """What was read of the detections that are neurons."""
    rows = np.flatnonzero((tracks.neuron != UNKNOWN) & (tracks.probability >= config.min_probability))
    neuron, t = tracks.neuron[rows], detections.t[rows]
    cells, count = np.unique(np.stack([t, neuron]), axis=1, return_counts=True)
    if (count > 1).any():
        raise InputError(f"trace: volume {cells[0, count.argmax()]}: expected every neuron once, got one twice")
    return _values(neuron, t, light.subset(rows), tracks.probability[rows], Source.SEEN, config)


def _closed(detections: Detections, identities: Identities, tracks: Tracks, entry: IntArray, absences: pd.DataFrame) -> BoolArray:
    """Where nothing may stand for a neuron that has no value, (T, K): people, or a least probability, say that there is to be none.

    People say that it is not there, or that its entry is another neuron there; or a detection is it that is too doubtful. Its place is
    then that of a detection, and shows what is left of it. A detection that is another neuron now closes nothing.
    """
    closed = np.zeros((detections.n_volumes, tracks.n_neurons), bool)
    closed[_denied(absences)] = True
    own = np.flatnonzero(entry >= 0)
    neuron_of = np.full(identities.n_neurons + 1, UNKNOWN)
    neuron_of[entry[own]] = own
    was = neuron_of[identities.neuron]
    for whose in (tracks.neuron, np.where(tracks.neuron == UNKNOWN, was, UNKNOWN)):
        rows = np.flatnonzero(whose != UNKNOWN)
        closed[detections.t[rows], whose[rows]] = True
    return closed


def _stand_ins(
    seen: _Values,
    places: Places,
    detections: Detections,
    identities: Identities,
    tracks: Tracks,
    entry: IntArray,
    absences: pd.DataFrame,
    closed: BoolArray,
) -> Unseen:
    """Which places stand for neurons that were not seen."""
    aim = aim_of(detections, tracks, identities.place_um, entry)
    open_to = ~closed & laid_well(detections, tracks, aim)[:, None]  # (T, K)
    open_to[:, np.bincount(seen.neuron, minlength=tracks.n_neurons) < FEWEST_SEEN] = False
    absent = np.zeros(open_to.shape)
    absent[_cells(absences)] = absences["probability"].to_numpy()
    return stand_ins(places, entry, open_to, aim, absent)


def _predicted(seen: _Values, places: Places, there: Unseen, config: TraceConfig) -> _Values:
    """What was read where neurons should be that were not seen."""
    # A sum over what is left of a place that is partly covered would tell how much is covered.
    usual = np.full(int(there.neuron.max(initial=-1)) + 1, np.nan)
    for neuron in np.unique(there.neuron):
        usual[neuron] = np.median(seen.light.voxels[seen.neuron == neuron])
    light = places.light.subset(there.row)
    return _values(there.neuron, places.t[there.row], light, there.probability, Source.PREDICTED, config, usual[there.neuron])


def _undone(above: FloatArray, seen: BoolArray, time_s: FloatArray, bleaching: Bleaching, config: TraceConfig) -> FloatArray:
    """Red above its background, (K, T), without bleaching. Where the background stays, light falls to that of the camera, and not to none:
    what fits it does not fit what is above.
    """
    if config.background:
        return undo(above, bleaching.fit[0])
    return undo(above, fit_bleaching(np.where(seen, above, np.nan), np.full(above.shape, np.nan), time_s, config.bleaching).fit[0])


def _lit(read: _Values, grid: Callable[..., FloatArray], seen: BoolArray, config: TraceConfig) -> BoolArray:
    """Of which neurons red and green are more than noise where they are least, (2, K): nothing is relative to what is none.

    Red hardly changes: it is asked for half of the volumes; green for all but those below the baseline. Where the background stays in the
    traces, what changes is relative to that, too.
    """
    if not config.background:
        return np.ones((2, len(seen)), bool)
    beyond = grid(excess(read.light), empty=np.nan)  # (2, K, T)
    return np.stack([percentiles(beyond[0], 50, seen) > 0, percentiles(beyond[1], config.r0_percentile, seen) > 0])


def _entries(neurons: pd.DataFrame) -> IntArray:
    """(K,) entry of the atlas that each neuron is; UNKNOWN of none."""
    found: IntArray = neurons["entry"].astype("Float64").to_numpy(np.float64, na_value=UNKNOWN).astype(np.int64)
    return found


def _swaps(
    seen: BoolArray, red: FloatArray, green: FloatArray, detections: Detections, identities: Identities, tracks: Tracks, entry: IntArray
) -> Swaps:
    """Who may have been taken for whom, by the light that was seen, (K, T) each."""
    size = np.full(seen.shape, np.nan)
    place = np.full((*seen.shape, 3), np.nan)
    rows = np.flatnonzero(tracks.neuron != UNKNOWN)
    cells = tracks.neuron[rows], detections.t[rows]
    size[cells], place[cells] = detections.volume_um3[rows], detections.position_um[rows]
    size[~seen] = np.nan
    # Neighbours are told in one frame: that of the volume that shows most neurons, as the atlas has it.
    fullest = int(seen.sum(0).argmax())
    expected = np.append(identities.place_um[fullest], np.full((1, 3), np.nan), axis=0)[entry]
    known = np.isfinite(expected).all(1)
    where = expected if known.any() else medians(place - medians(place, axis=0), axis=1)
    return find_swaps(np.where(seen, red, np.nan), np.where(seen, green, np.nan), size, where)


def _denied(absences: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Volumes and neurons of which people say that it is not there, or that the entry is another neuron there."""
    probability = absences["probability"].to_numpy()
    return _cells(absences[(probability >= 1) | (probability == NOTHING_KNOWN)])


def _cells(absences: pd.DataFrame) -> tuple[IntArray, IntArray]:
    return absences["t"].to_numpy(np.int64), absences["neuron"].astype("int64").to_numpy()


def _values(
    neuron: IntArray,
    t: IntArray,
    light: Light,
    probability: FloatArray,
    source: Source,
    config: TraceConfig,
    voxels: FloatArray | None = None,
) -> _Values:
    """Puts values together, without those of which red cannot be told."""
    bright = brightness(light, config.reading, background=config.background, voxels=voxels)
    has = np.flatnonzero(np.isfinite(bright[0]))
    above = brightness(light, config.reading, voxels=voxels)[0]
    columns = neuron[has], t[has], light.subset(has), bright[:, has], above[has], probability[has]
    return _Values(*columns, np.full(len(has), source, np.uint8))
