"""What the volumes themselves say beforehand: damaged, dark, saturated, repeated, or with time and depth exchanged.

As many volumes are read as LOOK_BYTES hold: all of a small recording, of a long one pairs in a row, spread over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from barlowtrack.data import Recording, VoxelArray
from barlowtrack.errors import InputError
from barlowtrack.findings import Finding

N_PAIRS = 8
"""Volumes that are looked at with the next one, at least."""
LOOK_BYTES = 4e8
"""Of volumes, as they are stored, that are read beyond these: a few seconds."""
MOST_DAMAGED = 8
"""So many volumes that cannot be read are told one by one."""
SATURATED_SHARE = 0.001
"""More voxels than this at the largest value of the type: the camera was overexposed."""
BRIGHTEST = 1e30
"""Beyond, sums of squares overflow."""
DIM, BRIGHT_PERCENTILE = 0.25, 80
"""A volume with less than this share of the structure that bright volumes have is dark."""
STRUCTURED = 0.02
"""Correlation of neighbouring voxels: below, there is noise and nothing else."""
BY_TIME, BY_DEPTH, UNEVEN = 0.5, 0.1, 0.2
"""Time and depth are exchanged where the structure of planes varies by more than the last (of its mean), and of this variance more than
the first goes with volumes and less than the second with planes. Right recordings: at most 0.13 and at least 0.7; swapped ones the
opposite."""
_COPY_AGAIN = "copy the file again, or leave the volume out"

Float = NDArray[np.float64]


class _Seen(NamedTuple):
    """One volume: (C, Z) variance of what is no noise; (C,) that of all voxels; hash of all voxels, none where all are one value."""

    t: int
    structure: Float
    variance: Float
    digest: bytes


def look_at_volumes(recording: Recording) -> Iterator[Finding]:
    """Reads volumes, one at a time, and yields what is wrong with them, or that nothing is."""
    times = _times(recording)
    faults: dict[Finding, list[int]] = {}
    peaks: list[float] = []
    seen: list[_Seen] = []
    damaged: list[str] = []
    equal = recording.shape[1] == 2
    for t in times:
        try:
            volume = recording.read(t)
        except InputError as error:
            damaged.append(str(error))
            continue
        peaks.append(float(volume[recording.reference].max()))
        found = list(_contents(recording, volume))
        for finding in found:
            faults.setdefault(finding, []).append(t)
        equal = equal and np.array_equal(volume[0], volume[-1])
        if not any(finding.level == "stop" for finding in found):
            seen.append(_seen(t, volume))
    yield from (Finding("stop", said, _COPY_AGAIN) for said in damaged[:MOST_DAMAGED])
    if len(damaged) > MOST_DAMAGED:
        yield Finding("stop", f"{len(damaged)} of {len(times)} volumes that were looked at cannot be read", _COPY_AGAIN)
    reference = recording.channel_names[recording.reference]
    for finding, where in faults.items():
        if finding.what == _dark(reference) and len(where) == len(times):
            said = f"the reference channel, {reference}, is empty or of one value ({peaks[0]:g}) in all volumes that were looked at"
            yield Finding("stop", said, "overexposed, dark, or the wrong channel? give --reference-channel")
    for finding, where in faults.items():  # the same fault in many volumes is one finding
        said = f"volume {where[0]}" if len(where) == 1 else f"{len(where)} of {len(times)} sampled volumes ({where[0]}, {where[1]}, ...)"
        yield Finding(finding.level, f"{said}, {finding.what}", finding.fix)
    odd = [*_repeated(seen), *(_exchanged(recording, seen) or _dim(recording, seen, times))]
    if equal and seen:
        said = f"{' and '.join(recording.channel_names)} are the same picture, voxel by voxel"
        odd.append(Finding("warn", said, "was one channel stored twice? traces would hold no activity"))
    yield from odd
    if not faults and not odd and not damaged:
        looked = f"{len(times)} of {recording.n_volumes} volumes looked at"
        yield Finding("ok", f"{looked}: no plane empty, no voxel NaN, none saturated, none dark, no two the same")


def _times(recording: Recording) -> list[int]:
    """Returns which volumes are looked at: all, or pairs in a row."""
    volume_bytes = float(np.prod(recording.shape[1:])) * recording.dtype.itemsize
    n_pairs = max(int(LOOK_BYTES / volume_bytes) // 2, N_PAIRS)
    if 2 * n_pairs >= recording.n_volumes:
        return list(range(recording.n_volumes))
    starts = np.linspace(0, recording.n_volumes - 1, n_pairs).round().astype(int).tolist()
    return sorted({t for start in starts for t in (start, start + 1) if t < recording.n_volumes})


def _contents(recording: Recording, volume: VoxelArray) -> Iterator[Finding]:
    for channel, name in enumerate(recording.channel_names):
        values = volume[channel]  # (Z, Y, X)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = int(np.sum(~np.isfinite(values)))
            yield Finding("stop", f"{name}: {bad} voxels are no number", "replace NaN and infinity before")
            continue
        if values.dtype.kind == "f" and float(np.abs(values).max()) > BRIGHTEST:
            yield Finding("stop", f"{name}: voxels beyond {BRIGHTEST:g}", "give brightness in another unit")
            continue
        lowest, highest = values.min(axis=(1, 2)), values.max(axis=(1, 2))
        constant = np.flatnonzero(lowest == highest)
        if len(constant) == len(values):
            yield Finding("warn", _dark(name), "leave the volume out if it is not real")
        elif len(constant):
            said = ", ".join(str(plane) for plane in constant[:5])
            yield Finding(
                "warn", f"{name}: plane {said} {'is' if len(constant) == 1 else 'are'} empty or of one value", "missed frames, or padding?"
            )
        if values.dtype.kind in "ui":
            yield from _saturation(name, values)


def _dark(name: str) -> str:
    return f"{name}: every plane is empty or of one value"


def _saturation(name: str, values: VoxelArray) -> Iterator[Finding]:
    # cameras of 12 or 14 bits saturate below the largest number of 16: a peak that piles up says so too
    peak = int(values.max())
    share = float(np.mean(values == peak))
    full = peak in {2**bits - 1 for bits in (8, 10, 12, 14, 16)}
    if full and share > SATURATED_SHARE and peak > values.min():
        yield Finding(
            "warn", f"{name}: over {SATURATED_SHARE:.1%} of the voxels are saturated at {peak}", "traces of bright neurons are cut off"
        )


def _seen(t: int, volume: VoxelArray) -> _Seen:
    found = np.array([[_structure(plane) for plane in channel] for channel in volume])  # (C, Z, 2)
    digest = hashlib.blake2b(np.ascontiguousarray(volume).data, digest_size=16).digest() if volume.min() < volume.max() else b""
    return _Seen(t, found[..., 0], found[..., 1].mean(axis=1), digest)


def _structure(plane: VoxelArray) -> tuple[float, float]:
    """Returns the variance that neighbours in the plane share, which noise, also of whole rows or columns, has not; and all of it."""
    values = plane.astype(np.float32)
    values -= values.mean(dtype=np.float64)
    along = [np.mean(a * b, dtype=np.float64) for a, b in ((values[1:], values[:-1]), (values[:, 1:], values[:, :-1])) if a.size]
    return max(0.0, float(min(along, default=0.0))), float(np.mean(values * values, dtype=np.float64))


def _repeated(seen: Sequence[_Seen]) -> Iterator[Finding]:
    """Says which volumes are the same; noise makes no volume twice."""
    first: dict[bytes, int] = {}
    pairs = [(first[one.digest], one.t) for one in seen if one.digest and first.setdefault(one.digest, one.t) != one.t]
    fix = "was a file copied twice, or did the camera stall?"
    if len(pairs) == 1:
        yield Finding("warn", f"volumes {pairs[0][0]} and {pairs[0][1]} are the same, voxel by voxel", fix)
    elif pairs:
        some = ", ".join(f"{before} and {after}" for before, after in pairs[:3]) + (", ..." if len(pairs) > 3 else "")
        yield Finding("warn", f"{len(pairs)} of {len(seen)} volumes that were looked at repeat another, voxel by voxel ({some})", fix)


def _exchanged(recording: Recording, seen: Sequence[_Seen]) -> list[Finding]:
    """Says whether what is called time is depth.

    A worm shows more in the middle planes of a volume than in the outer ones, and about as much in each volume.
    """
    planes = recording.volume_shape[0]
    if planes < max(recording.n_volumes, 3) or len(seen) < 3:
        return []
    table = np.sqrt([one.structure[recording.reference] for one in seen])  # (volumes, Z)
    mean, variance = float(table.mean()), float(table.var())
    if not variance > (UNEVEN * mean) ** 2:
        return []
    if table.mean(axis=1).var() < BY_TIME * variance or table.mean(axis=0).var() > BY_DEPTH * variance:
        return []
    said = f"are time and depth exchanged? The {recording.n_volumes} volumes differ as planes of a worm do, and the {planes} planes of each"
    fix = "if so, give --axes with T and Z the other way round, or re-order the hyperstack in ImageJ"
    return [Finding("warn", f"{said} hardly do", fix)]


def _dim(recording: Recording, seen: Sequence[_Seen], times: Sequence[int]) -> list[Finding]:
    """Says which volumes show next to nothing but the camera's noise, where others show more."""
    found = []
    least = max(STRUCTURED, 8 / np.sqrt(np.prod(recording.volume_shape)))  # of few voxels, chance makes neighbours alike
    for channel, name in enumerate(recording.channel_names):
        varied = [one for one in seen if one.variance[channel] > 0]  # a volume of one value is told already
        if len(varied) < 3:
            continue
        light = np.sqrt([one.structure[channel].mean() for one in varied])
        alike = light**2 / [one.variance[channel] for one in varied]
        bright = light >= np.percentile(light, BRIGHT_PERCENTILE)
        usually_alike = np.median(alike[bright])
        dim = (light < DIM * light[bright].min()) & (alike < usually_alike / 2) & (usually_alike > least)
        which = [one.t for one, is_dim in zip(varied, dim, strict=True) if is_dim]
        if which:
            said = f"{name}: volume{'s' * (len(which) > 1)} {_spans(which, times)} show{'s' * (len(which) == 1)} little but noise"
            fix = "was the light off, or the worm out of sight? no neuron is found there, and traces have gaps"
            found.append(Finding("warn", f"{said} ({len(times)} of {recording.n_volumes} were looked at)", fix))
    return found


def _spans(which: Sequence[int], times: Sequence[int]) -> str:
    """Returns volumes in words, those that follow each other among the ones that were looked at as first to last."""
    place = {t: i for i, t in enumerate(times)}
    spans: list[list[int]] = []
    for t in which:
        if spans and place[t] == place[spans[-1][-1]] + 1:
            spans[-1].append(t)
        else:
            spans.append([t])
    said = [str(span[0]) if len(span) == 1 else f"{span[0]} to {span[-1]}" for span in spans]
    return ", ".join(said[:5]) + (", ..." if len(said) > 5 else "")
