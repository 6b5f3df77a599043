"""Looks at a recording before hours are spent on it: a few volumes, the metadata, the disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np

from barlowtrack.config import Config
from barlowtrack.data import Recording
from barlowtrack.errors import InputError
from barlowtrack.findings import Finding, Level
from barlowtrack.first_look import Sight, look_at_nuclei
from barlowtrack.io.channels import constant_channel
from barlowtrack.io.metadata import SEEN
from barlowtrack.io.segmenter import open_segmenter
from barlowtrack.io.start import refuse_misfit
from barlowtrack.needs import USUAL_NUCLEI, stage_needs
from barlowtrack.nucleus_size import judge_size
from barlowtrack.preparing.advice import advise
from barlowtrack.volume_look import look_at_volumes

log = logging.getLogger(__name__)

CHANNEL_RUNS = 3
"""Runs of volumes that are read to see which channel is constant."""
MIN_RADIUS_VOX = 1.0
"""A nucleus must be at least two voxels wide in the plane; below, a detector sees single bright voxels."""
FEWEST_NUCLEI = 10
MUCH_MOTION = 0.5
"""Of the distance of neighbours: beyond, the nearest nucleus of the next volume is often another one."""
LEAST_FOLLOWED = 0.5
FAINT_REFERENCE, FAINT_SIGNAL = 3.0, 1.0
"""Times the noise of one voxel; a nucleus has about a hundred."""
RATES_HZ = (0.02, 100.0)
"""Volumes a second of microscopes that record all neurons of a worm, amply."""
HARD_TO_FOLLOW = "more volumes a second make identities surer; without, look at the report's estimate of errors first"


def check(recording: Recording, *, config: Config, free_bytes: int | None = None) -> list[Finding]:
    """Samples a few volumes and says what would go wrong, or make results poor.

    Args:
        recording: To look at; a few volumes are read, one at a time in memory (see volume_look), those of first_look, and CHANNEL_RUNS
            runs of volumes to see which channel is constant.
        config: The settings the run would have.
        free_bytes: Space on the disk of the run folder, if known.

    Returns:
        Findings, the worst first.
    """
    looks = (
        _metadata(recording),
        _sizes(recording, config),
        _models(config),
        _disk(recording, config, free_bytes),
        look_at_volumes(recording),
    )
    findings = [finding for look in looks for finding in look]
    n_nuclei = None
    if all(finding.level != "stop" for finding in findings):  # else nothing that is seen in the volumes means anything
        sight = look_at_nuclei(recording, config.segment)
        n_nuclei = sight.nuclei if sight is not None and sight.nuclei else None
        width_vox = sight.width_vox if sight is not None else (np.nan, np.nan)
        findings += judge_size(width_vox, recording.voxel_size_um, config.segment.radius_um, recording.volume_shape[0])
        findings += [*_nuclei(sight), *_light(recording, sight)]
        findings += _channels(recording)
        findings += [Finding("warn", *needed) for needed in advise(recording, config)]
    findings += _cost(recording, config, n_nuclei)
    order: list[Level] = ["stop", "warn", "ok"]
    return sorted(findings, key=lambda finding: order.index(finding.level))


def describe(recording: Recording) -> str:
    """Returns what is known of a recording, a line each, for the terminal."""
    t, c, z, y, x = recording.shape
    size_gb = np.prod(recording.shape, dtype=np.float64) * recording.dtype.itemsize / 1e9
    roles = {recording.reference: "reference", recording.signal: "signal"}
    names = [name + (f" ({roles[i]})" if i in roles else "") for i, name in enumerate(recording.channel_names)]
    rate = f"{recording.rate_hz:g} volumes a second, {t / recording.rate_hz:.0f} s" if recording.rate_hz else "unknown"
    lines = {
        "recording": recording.name,
        "volumes": f"{t} of {z} x {y} x {x} voxels (z y x), {c} channel{'s' if c > 1 else ''}, {recording.dtype}, {_gb(size_gb)} GB",
        "channels": ", ".join(names),
        "voxel size": " x ".join(f"{size:g}" for size in recording.voxel_size_um) + " um (z y x)",
        "rate": rate,
        "fingerprint": recording.fingerprint,
    }
    return "\n".join([f"{key:12}{value}" for key, value in lines.items()] + [f"{'assumed':12}{said}" for said in recording.assumptions])


def _metadata(recording: Recording) -> Iterator[Finding]:
    for said in recording.assumptions:
        yield Finding("warn", said, "" if said.startswith("volumes a second") else "give it by hand if it is wrong")
    if recording.rate_hz is None and not any("second" in said for said in recording.assumptions):
        yield Finding("warn", "volumes a second: unknown, so traces have no seconds", "give --rate HZ, or [recording] rate_hz")
    elif recording.rate_hz is not None and not RATES_HZ[0] <= recording.rate_hz <= RATES_HZ[1]:
        what = f"{recording.rate_hz:g} volumes a second, where {RATES_HZ[0]:g} to {RATES_HZ[1]:g} are usual"
        yield Finding("warn", what, "seconds, or milliseconds? planes, or volumes? give --rate HZ, in volumes a second")
    if recording.n_volumes == 1:
        yield Finding("warn", "one volume only: there is nothing to track", "give the folder or file that holds all volumes")
    if recording.signal is None:
        yield Finding("warn", "one channel only: traces hold no activity", "record a second channel, or use positions and identities alone")


def _sizes(recording: Recording, config: Config) -> Iterator[Finding]:
    z_um, y_um, x_um = recording.voxel_size_um
    largest_um, coarsest_um = config.segment.radius_um[1], max(y_um, x_um)
    said = f"{z_um:g} x {y_um:g} x {x_um:g} um"
    if largest_um < MIN_RADIUS_VOX * coarsest_um:
        what = f"voxels of {said}: a nucleus of {largest_um:g} um radius is less than two voxels wide"
        yield Finding("stop", what, "check the voxel size (um? z y x?), or [segment] radius_um")
    elif config.segment.radius_um[0] < MIN_RADIUS_VOX * coarsest_um:
        what = f"voxels of {said}: a nucleus of {config.segment.radius_um[0]:g} um radius is less than two voxels wide"
        yield Finding("warn", what, "the smallest nuclei may be missed; check the voxel size, or [segment] radius_um")
    elif largest_um > 30 * min(y_um, x_um):
        what = f"voxels of {said}: a nucleus of {largest_um:g} um radius is over 60 voxels wide"
        yield Finding("warn", what, "check the voxel size (um? z y x?)")
    else:
        yield Finding("ok", f"voxels of {said} resolve nuclei of {config.segment.radius_um[0]:g} to {largest_um:g} um radius")
    extent_um = [count * size for count, size in zip(recording.volume_shape, recording.voxel_size_um, strict=True)]
    if min(extent_um[1:]) < 2 * largest_um:
        yield Finding(
            "stop", f"the picture is {extent_um[1]:g} x {extent_um[2]:g} um: a nucleus fills it", "check the voxel size and the axes"
        )
    if max(y_um, x_um) > 1.5 * min(y_um, x_um):
        yield Finding("warn", f"voxels of {said} are not square in the plane", "check the order of the sizes: z y x")
    elif z_um < 0.8 * min(y_um, x_um):
        yield Finding("warn", f"voxels of {said} are finer along z than in the plane", "check the order of the sizes: z y x")
    if recording.volume_shape[0] > 4 * max(recording.volume_shape[1:]):
        yield Finding("warn", f"{recording.volume_shape[0]} planes of a small picture: is that axis time?", "give [recording] axes")


def _models(config: Config) -> Iterator[Finding]:
    """Says what is wrong with the encoder and the star-convex model of the settings; ours need no look."""
    try:
        refuse_misfit(config.train, config.crop)
        if config.segment.method == "stardist" and config.segment.model:
            open_segmenter(config.segment)
    except InputError as error:
        what, _, fix = str(error).partition("; ")
        yield Finding("stop", what, fix)


def bytes_on_disk(recording: Recording, config: Config) -> float:
    """Returns about what a run takes: labels compress about tenfold, training crops do not compress."""
    labels = 0.1 * 2 * float(np.prod(recording.volume_shape)) * recording.n_volumes
    crop_voxels = float(np.prod(config.crop.grid)) * config.crop.margin**3
    crops = 2 * 150 * crop_voxels * min(config.crop.training_volumes, recording.n_volumes)
    return labels + crops


def _disk(recording: Recording, config: Config, free_bytes: int | None) -> Iterator[Finding]:
    need = bytes_on_disk(recording, config)
    if free_bytes is not None and need > free_bytes:
        yield Finding("stop", f"the run needs about {_gb(need / 1e9)} GB, {_gb(free_bytes / 1e9)} GB are free", "make room, or give --out")
    elif free_bytes is not None and need > 0.5 * free_bytes:
        yield Finding("warn", f"the run needs about {_gb(need / 1e9)} GB of the {_gb(free_bytes / 1e9)} GB that are free", "make room")
    else:
        yield Finding("ok", f"the run needs about {_gb(need / 1e9)} GB on disk")


def _cost(recording: Recording, config: Config, n_nuclei: float | None) -> Iterator[Finding]:
    stages = stage_needs(recording.shape, config, None if n_nuclei is None else n_nuclei * recording.n_volumes)
    seconds = sum(needs.seconds for needs in stages.values())
    longest = max(stages, key=lambda name: stages[name].seconds)
    share = stages[longest].seconds / seconds
    memory = _gb(max(needs.mem_mb for needs in stages.values()) / 1000)
    said = f"the run takes about {_duration(seconds)} of one core ({longest} {share:.0%} of it), and {memory} GB of memory"
    yield Finding("ok", f"{said}, with {n_nuclei or USUAL_NUCLEI:.0f} nuclei in a volume")


def _nuclei(sight: Sight | None) -> Iterator[Finding]:
    """Says what the nuclei of a few volumes tell: how many, and how far they move; see _light for how well they are seen."""
    if sight is None:
        yield Finding("ok", "nuclei were not looked for: the volumes are too large for a quick look")
        return
    where = f"volume{'s' * (len(sight.times) > 1)} {', '.join(str(t) for t in sight.times)}"
    if sight.nuclei < 1:
        yield Finding("warn", f"no nucleus was found in {where}", "check the voxel size, the reference channel, [segment] radius_um")
        return
    if sight.nuclei < FEWEST_NUCLEI:
        few = f"about {sight.nuclei:.0f} nuclei in a volume: too few to know each by its neighbours"
        yield Finding("warn", few, "check the voxel size, the reference channel, [segment] radius_um")
    else:
        yield Finding("ok", f"expect about {sight.nuclei:.0f} neurons in a volume (a quick look at {where} and the next ones)")
    if not np.isfinite(sight.spacing_um):
        return
    apart = f"neighbours lie {sight.spacing_um:.1f} um apart"
    if sight.followed < LEAST_FOLLOWED:
        what = f"nuclei jump too far to be followed from one volume to the next ({sight.followed:.0%} could be); {apart}"
        yield Finding("warn", what, HARD_TO_FOLLOW)
    elif sight.moved_um > MUCH_MOTION * sight.spacing_um:
        yield Finding("warn", f"nuclei move {sight.moved_um:.1f} um or more from one volume to the next, and {apart}", HARD_TO_FOLLOW)
    else:
        yield Finding("ok", f"nuclei move about {sight.moved_um:.1f} um from one volume to the next, and {apart}")


def _light(recording: Recording, sight: Sight | None) -> Iterator[Finding]:
    """Says how far nuclei stand out of the noise."""
    if sight is None or sight.nuclei < 1:
        return
    faint = {
        recording.reference: (FAINT_REFERENCE, "nuclei will be missed; more light, or longer exposure"),
        recording.signal: (FAINT_SIGNAL, "traces will be noisy; more light, or longer exposure"),
    }
    for channel, (least, fix) in faint.items():
        if channel is None or not np.isfinite(contrast := sight.contrast[channel]):
            continue
        name = recording.channel_names[channel]
        said = f"{name}: the median nucleus stands {contrast:.1f} times the noise of a voxel above what is around it"
        yield Finding("warn", said, fix) if contrast < least else Finding("ok", said)


def _duration(seconds: float) -> str:
    """Returns seconds as a person says them beforehand."""
    if seconds < 90 * 60:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36 * 3600 else f"{seconds / 86400:.1f} days"


def _gb(size_gb: float) -> str:
    """Returns a size as a person writes it: never 0.0, never 1.2e+02."""
    return f"{size_gb:.0f}" if size_gb >= 10 else f"{size_gb:.2g}"


def _channels(recording: Recording) -> Iterator[Finding]:
    """Holds what names or settings say of two channels against what is seen in them."""
    if recording.shape[1] != 2 or any(said.startswith(("reference channel: ", SEEN)) for said in recording.assumptions):
        return
    try:
        verdict = constant_channel(recording.source, recording.shape, recording.voxel_size_um, CHANNEL_RUNS)
    except InputError:
        return  # a volume that cannot be read is said elsewhere
    reference = recording.channel_names[recording.reference]
    if verdict.constant is None:
        yield Finding("ok", f"{reference} is taken for the constant channel; a look at the volumes does not tell ({verdict.reason})")
    elif verdict.constant == recording.reference:
        yield Finding("ok", f"{reference} is the constant channel, as it should be ({verdict.reason})")
    else:
        other = recording.channel_names[verdict.constant]
        what = f"channels swapped? {other} is the constant one, and {reference} is taken for it ({verdict.reason})"
        yield Finding("warn", what, f"give --reference-channel {verdict.constant} if {other} is the marker of nuclei")
