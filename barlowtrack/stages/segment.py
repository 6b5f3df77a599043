"""segment: find the nuclei of every volume."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.data import FloatArray, Progress, Recording, Segmentation, VoxelArray, silent
from barlowtrack.detect.blobs import find_blobs
from barlowtrack.detect.found import Found, choose, with_middle_in
from barlowtrack.detect.measure import measure
from barlowtrack.detect.planes import PlanesFinder
from barlowtrack.detect.starconvex import StarConvexFinder, bytes_a_voxel, scale_of
from barlowtrack.detect.volume import mend_planes
from barlowtrack.errors import InputError
from barlowtrack.faults import is_out_of_memory
from barlowtrack.nn.batches import LEAST_TILE, volumes_at_once
from barlowtrack.nn.candidates import TILE_VOXELS
from barlowtrack.nn.device import in_order, n_workers, pick_device
from barlowtrack.nn.resample import resampled_shape
from barlowtrack.nn.segmentation_model import SegmentationModel

log = logging.getLogger(__name__)

BYTES_A_VOXEL = 64  # what a detector holds at its peak beside its network, a voxel of one channel
SURROUNDINGS_UM = 10.0  # of a region of interest, from which background and noise are known too
BRIGHTEST_UNIT = 1e30  # beyond, sums of squares overflow
LEAST_GB = 16.0

Finder = Callable[[Sequence[FloatArray]], list[Found]]
Box = tuple[slice, slice, slice]


class Plan(NamedTuple):
    """How much is in work at once.

    Attributes:
        batch: Volumes that are worked on, and go through the network, together.
        workers: Threads, each at work on a batch.
        in_flight: Batches in work, or done and not yet taken.
    """

    batch: int
    workers: int
    in_flight: int


class _Loaded(NamedTuple):
    t: int
    volume: VoxelArray
    red: FloatArray


def segment(
    recording: Recording,
    segmenter: SegmentationModel | None,
    *,
    config: SegmentConfig,
    compute: ComputeConfig,
    start: int = 0,
    stop: int | None = None,
    progress: Progress = silent,
) -> Iterator[Segmentation]:
    """Finds the nuclei of every volume, in order.

    A few volumes are read and worked on side by side, on a GPU in batches; how many changes the time, and on a GPU the rounding.

    Args:
        recording: Any number of volumes; they stream.
        segmenter: The star-convex model; not used, and may be None, where the method is "log".
        config: Of the detector.
        compute: Device, threads, and the memory that bounds how many volumes are in flight.
        start: First volume: where a run that was cut off goes on.
        stop: The volume before which to end; the recording's end where not given.
        progress: Told after every volume.

    Yields:
        One Segmentation a volume.

    Raises:
        InputError: a volume that cannot be read, holds NaN or infinity, or has too few planes (names it); a region outside the field.
    """
    find, box = finder(recording, segmenter, config, compute), region(recording, config)
    plan, n = plan_of(recording, segmenter, config, compute), recording.n_volumes if stop is None else stop
    # a batch ends where it would had the run begun at the first volume, so that rounding is the same
    ends = [*range(start - start % plan.batch + plan.batch, n, plan.batch), n]
    batches = [range(first, end) for first, end in zip([start, *ends], ends, strict=False) if first < end]

    if isinstance(find, StarConvexFinder):
        find = replace(find, alone=plan.in_flight == 1)

    def alone() -> None:
        nonlocal find
        if isinstance(find, StarConvexFinder):
            find = replace(find, alone=True)

    def work(batch: range) -> tuple[list[Segmentation], InputError | None]:
        loaded, error = _load(batch, recording)
        return _segment_loaded(loaded, recording, find, config, box), error

    with closing(in_order(work, batches, plan.workers, plan.in_flight, alone)) as done:
        for batch, error in done:
            for found in batch:
                log.debug("volume %d: %d nuclei", found.t, len(found.detections))
                yield found
                progress(found.t + 1, recording.n_volumes)
            if error is not None:
                raise error


def plan_of(recording: Recording, segmenter: SegmentationModel | None, config: SegmentConfig, compute: ComputeConfig) -> Plan:
    """Returns how much is in work at once within the memory of the settings.

    Raises:
        InputError: one volume alone is far beyond it.
    """
    volume_bytes = bytes_a_volume(recording, segmenter, config)
    most_bytes = max(4 * compute.memory_gb, LEAST_GB) * 1e9  # one volume is worked on in any case, unless it cannot be meant
    if volume_bytes > most_bytes:
        raise InputError(
            f"segment: expected a volume that fits {most_bytes / 1e9:g} GB, got about {volume_bytes / 1e9:.0f} GB at the voxel size"
            " of the model; check the voxel size and [segment] radius_um, or raise [compute] memory_gb"
        )
    workers, batch = n_workers(compute), 1
    fitting = max(int(compute.memory_gb * 1e9 // volume_bytes), 1)
    if config.method == "stardist" and segmenter is not None and segmenter.spec.n_dim == 3:
        voxels = int(np.prod(_seen_shape(recording, segmenter, config)))
        # a batch for every worker: what comes before and after the network takes longer than a GPU
        most = min(fitting // (workers + 1), recording.n_volumes // workers)
        batch = volumes_at_once(pick_device(compute), voxels, tile_of(segmenter, compute), most)
    return Plan(batch, workers, min(fitting // batch, workers + 1))


def segment_volume(volume: VoxelArray, t: int, recording: Recording, find: Finder, config: SegmentConfig, box: Box) -> Segmentation:
    """Finds the nuclei of one volume.

    Args:
        volume: (C, Z, Y, X), any numeric type.
        t: Its number.
        recording: Says voxel size and channels; is not read.
        find: The detector; see finder.
        config: Which of the found nuclei are kept.
        box: Where the middles of nuclei lie; see region.

    Returns:
        Labels 1 to n and a row for each; none for an empty volume.

    Raises:
        InputError: NaN or infinity in the volume, or a volume that the detector refuses; names it.
    """
    return _segment_loaded([_Loaded(t, volume, _reference(volume, t, recording))], recording, find, config, box)[0]


def _load(batch: range, recording: Recording) -> tuple[list[_Loaded], InputError | None]:
    """Reads volumes up to the first that cannot be used, and returns its error beside them."""
    loaded: list[_Loaded] = []
    try:
        for t in batch:
            volume = recording.read(t)
            loaded.append(_Loaded(t, volume, _reference(volume, t, recording)))
    except InputError as error:
        if is_out_of_memory(error):  # it may fit where others are done
            raise
        return loaded, error
    return loaded, None


def _reference(volume: VoxelArray, t: int, recording: Recording) -> FloatArray:
    """Returns the reference channel, (Z, Y, X), dark planes mended."""
    where = f"{recording.name}: volume {t}"
    if not np.isfinite(volume).all():
        raise InputError(f"{where}: expected finite numbers, got NaN or infinity")
    with np.errstate(over="ignore"):
        red = volume[recording.reference].astype(np.float32)
    if not np.abs(red).max(initial=0) < BRIGHTEST_UNIT:
        raise InputError(f"{where}: expected numbers below {BRIGHTEST_UNIT:g}, got {np.abs(volume).max():g}; scale the recording")
    return mend_planes(red)


def _segment_loaded(loaded: Sequence[_Loaded], recording: Recording, find: Finder, config: SegmentConfig, box: Box) -> list[Segmentation]:
    if not loaded:
        return []
    shape = loaded[0].red.shape
    seen, inner = _surroundings(box, shape, recording)
    try:
        every = find([one.red[seen] for one in loaded])
    except InputError as error:
        raise InputError(f"{recording.name}: volume {loaded[0].t}: {error}") from None
    answers = []
    for (t, volume, red), whole in zip(loaded, every, strict=True):
        found = choose(with_middle_in(whole, inner), config.expected, config.max_nuclei)
        labels = np.zeros(shape, np.int32)
        labels[seen] = found.labels
        answers.append(measure(volume, red, found._replace(labels=labels), t, recording, config.radius_um[1]))
    return answers


def _surroundings(box: Box, shape: tuple[int, ...], recording: Recording) -> tuple[Box, Box]:
    """Returns what a detector shall see to find what lies in a box as it would in the whole volume, and the box seen from there."""
    margin = [round(SURROUNDINGS_UM / size) for size in recording.voxel_size_um]
    ends = [part.indices(n)[:2] for part, n in zip(box, shape, strict=True)]
    seen = [slice(max(a - m, 0), min(b + m, n)) for (a, b), m, n in zip(ends, margin, shape, strict=True)]
    inner = [slice(a - s.start, b - s.start) for (a, b), s in zip(ends, seen, strict=True)]
    return (seen[0], seen[1], seen[2]), (inner[0], inner[1], inner[2])


def finder(recording: Recording, segmenter: SegmentationModel | None, config: SegmentConfig, compute: ComputeConfig) -> Finder:
    """Returns the detector that the settings ask for.

    Raises:
        InputError: a method that needs a model, without one.
        ConfigError: a device that is not there.
    """
    size = recording.voxel_size_um
    if config.method == "log":
        return lambda reds: [find_blobs(red, size, config) for red in reds]
    if segmenter is None:
        raise InputError('segment: expected a model for [segment] method = "stardist", got none')
    net = segmenter.network().to(pick_device(compute))
    scale = scale_of(segmenter, size, config)
    if segmenter.spec.n_dim == 2:
        in_planes = PlanesFinder(segmenter, net, size, scale, config)
        return lambda reds: [in_planes(red) for red in reds]
    return StarConvexFinder(segmenter, net, size, scale, config, tile_of(segmenter, compute))


def tile_of(segmenter: SegmentationModel, compute: ComputeConfig) -> int:
    """Returns the voxels that go through the network at once within half of the memory of the settings."""
    return int(np.clip(compute.memory_gb * 1e9 / 2 / bytes_a_voxel(segmenter), LEAST_TILE, TILE_VOXELS))


def bytes_a_volume(recording: Recording, segmenter: SegmentationModel | None, config: SegmentConfig) -> float:
    """Returns about what one volume in work needs: itself, and what the detector makes of it on its own voxel size."""
    needed = float(np.prod(recording.volume_shape)) * (BYTES_A_VOXEL + recording.shape[1] * recording.dtype.itemsize)
    if config.method == "stardist" and segmenter is not None:
        needed += float(np.prod(_seen_shape(recording, segmenter, config))) * bytes_a_voxel(segmenter)
    return needed


def _seen_shape(recording: Recording, segmenter: SegmentationModel, config: SegmentConfig) -> tuple[int, int, int]:
    """Returns Z, Y, X of a volume as the network sees it."""
    size = recording.voxel_size_um
    return resampled_shape(recording.volume_shape, size, scale_of(segmenter, size, config))


def region(recording: Recording, config: SegmentConfig) -> Box:
    """Returns the voxels whose centres lie in the region of interest.

    Raises:
        InputError: none do.
    """
    if config.region_um is None:
        return (slice(None),) * 3
    low, high, size = config.region_um[:3], config.region_um[3:], recording.voxel_size_um
    first = [max(0, int(np.ceil(a / s - 1e-9))) for a, s in zip(low, size, strict=True)]
    last = [min(n - 1, int(np.floor(b / s + 1e-9))) for b, s, n in zip(high, size, recording.volume_shape, strict=True)]
    if any(a > b for a, b in zip(first, last, strict=True)):
        field = tuple(round((n - 1) * s, 2) for n, s in zip(recording.volume_shape, size, strict=True))
        raise InputError(f"[segment] region_um: expected a box in the field, which ends at {field} um, got {config.region_um}")
    z, y, x = (slice(a, b + 1) for a, b in zip(first, last, strict=True))
    return z, y, x
