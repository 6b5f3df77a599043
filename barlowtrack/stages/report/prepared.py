"""What was done to the pictures: each step in figures, and before and after side by side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from barlowtrack.data import FloatArray, Preparation, Recording, VoxelArray
from barlowtrack.preparing.alignment import NO_CHANGE, correlation, displacement, projection
from barlowtrack.preparing.spots import spots
from barlowtrack.preparing.view import PreparedVolumes, seen_through
from barlowtrack.stages.report import page
from barlowtrack.stages.report.drawing import GREEN, RED, as_jpeg, as_png, canvas
from barlowtrack.stages.report.page import Picture
from barlowtrack.stages.report.pictures import choose_volumes
from barlowtrack.stages.report.shown import Shown
from barlowtrack.stages.report.words import counted

TITLE = "What was done to the pictures"
MOST_PIXELS = 900
BINS = 120


def prepared_part(shown: Shown) -> str:
    """Returns what `prepare` did as HTML; "" where it did nothing. One volume is read."""
    done = seen_through(shown.recording)
    if done is None:
        return ""
    volumes = choose_volumes(shown.detections)
    t = volumes[len(volumes) // 2]
    before, after = done.recording.read(t), done.moved(t)
    intro = (
        "The settings asked for this (section [prepare]). Nothing on the disk was changed: pictures are put right whenever they are read, "
        "and all places, labels and light of this page and of the tables hold in the pictures as they are after it. "
        f"Figures show volume {t}."
    )
    table = page.table(("step", "what was found and done"), [*_rows(done, before, after)])
    return page.section("prepared", TITLE, intro, table, page.grid(_pictures(done, t, before, after)))


def _rows(done: PreparedVolumes, before: VoxelArray, after: VoxelArray) -> Iterator[tuple[str, str]]:
    how, recording = done.preparation, done.recording
    if how.hot is not None:
        counts = [f"{name}: {int(np.sum(how.hot[:, 0] == c))}" for c, name in enumerate(recording.channel_names)]
        yield "stuck pixels", f"{', '.join(counts)}; each replaced, in every plane, by the median of its neighbours"
    if how.offset is not None:
        levels = [f"{name}: {how.offset[c]:.4g}" for c, name in enumerate(recording.channel_names)]
        yield "offset", f"{', '.join(levels)} camera units, taken off in every volume; noise below it stays, as numbers below 0"
    if how.jitter is not None:
        spread = float(np.sqrt(np.mean(how.jitter**2)))
        old, new = (neighbours_alike(volume[recording.reference]) for volume in (before, after))
        most, alike = np.abs(how.jitter).max(), f"{_percent(old)} alike before, {_percent(new)} after (correlation)"
        spread_said = f"{spread:.2f} voxels along y and x (root mean square of all planes; at most {most:.1f})"
        yield "planes that jump", f"{spread_said}; neighbouring planes of this volume {alike}"
    if how.drift is not None:
        z, y, x = np.ptp(how.drift, axis=0)
        yield "drift", f"{z:.0f} planes along z, {y:.1f} voxels along y and {x:.1f} along x over the recording"
    if how.matrix is not None and recording.signal is not None:
        pair = [(projection(before[recording.reference]), projection(before[recording.signal]))]
        old, new = correlation(pair, NO_CHANGE), correlation(pair, how.matrix)
        numbers = " ".join(f"{value:.5g}" for value in how.matrix.ravel())
        away = displacement(how.matrix, (recording.shape[3], recording.shape[4]))
        alike = f"{_percent(old)} alike before, {_percent(new)} after (correlation)"
        yield "two cameras", f"{away:.1f} voxels apart; {alike}. Matrix: {numbers}"
    if how.moves:
        yield "interpolation", f"{how.interpolation}, once, within planes"
    if how.deconvolution is not None:
        sharp = how.deconvolution
        spread_said = f"point spread {sharp.psf_um[0]:g} µm along z, {sharp.psf_um[1]:g} µm in the plane"
        told = f"{sharp.name} ({sharp.made_by}), {counted(sharp.iterations, 'iteration')}, {spread_said}"
        yield "deconvolution", f"{told}; light is no measure of the camera's any more"
    if how.planes is not None:
        yield "planes", f"{how.planes[0]} to {how.planes[1] - 1} of {recording.shape[2]} kept"
    if how.mirror:
        yield "mirror", f"turned over along {how.mirror}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def neighbours_alike(channel: VoxelArray) -> float:
    """Returns the correlation of neighbouring planes of a channel (Z, Y, X) as spots, over all pairs together; 0 where there is none."""
    if len(channel) < 2:
        return 0.0
    light = spots(channel)
    length = float(np.sqrt(np.sum(light[:-1] ** 2) * np.sum(light[1:] ** 2)))
    return float(np.sum(light[:-1] * light[1:])) / length if length > 0 else 0.0


def _pictures(done: PreparedVolumes, t: int, before: VoxelArray, after: VoxelArray) -> Iterator[Picture]:
    how, recording = done.preparation, done.recording
    red = recording.reference
    if how.offset is not None or how.hot is not None:
        yield _histogram(recording, before, done.clean(t))
    if how.jitter is not None:
        said = "A column of light that stands straight is one nucleus: planes lie where they should."
        sizes = (recording.voxel_size_um[0], recording.voxel_size_um[2])
        both = [volume[red].max(axis=1) for volume in (done.clean(t), after)]
        yield _side_by_side(both, sizes, "seen from the side (x across, z down)", "planes put back", said)
    if how.matrix is not None and recording.signal is not None:
        sizes = (recording.voxel_size_um[1], recording.voxel_size_um[2])
        clean = done.clean(t)
        both = [_overlay(volume[red], volume[recording.signal]) for volume in (clean, after)]
        said = "Reference in red, signal in green; yellow where they lie over each other."
        yield _side_by_side(both, sizes, "from above", "cameras laid over each other", said)
    if how.drift is not None:
        yield _drift(how)
    if how.deconvolution is not None or how.mirror or how.planes is not None:
        sizes = (recording.voxel_size_um[1], recording.voxel_size_um[2])
        both = [volume[red].max(axis=0) for volume in (after, done.finished(after))]
        yield _side_by_side(both, sizes, "from above", "deconvolution, planes and mirror", "As it is read by all that follows.")


def _histogram(recording: Recording, before: VoxelArray, after: VoxelArray) -> Picture:
    figure = canvas(5.2, 2.6)
    axes = figure.subplots()
    roles = [(recording.reference, RED)] + ([] if recording.signal is None else [(recording.signal, GREEN)])
    shown = [volume[channel] for volume in (before, after) for channel, _ in roles]
    low, high = min(float(np.percentile(v, 0.1)) for v in shown), max(float(np.percentile(v, 99)) for v in shown)
    edges = np.linspace(low, max(high, low + 1e-6), BINS)
    for volume, style in ((before, ":"), (after, "-")):
        for channel, colour in roles:
            axes.stairs(np.histogram(volume[channel], edges)[0] + 1, edges, color=colour, linestyle=style)
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set(yscale="log", xlabel="camera units", ylabel="voxels")
    alt = "How often voxels have which value, in both channels, before and after."
    return Picture(as_png(figure), alt, "Light of all voxels: dotted before, solid after; reference red, signal green.")


def _drift(how: Preparation) -> Picture:
    figure = canvas(5.2, 2.6)
    axes = figure.subplots()
    assert how.drift is not None, "asked only where there is some"
    for axis, name, style in ((0, "z (planes)", ":"), (1, "y", "--"), (2, "x", "-")):
        axes.plot(how.drift[:, axis], style, color="black", label=name)
    axes.set(xlabel="volume", ylabel="drift (voxels)")
    axes.legend(ncols=3, fontsize=7)
    return Picture(
        as_png(figure), "Drift along z, y and x over the volumes.", "Drift that was taken back: before it was this, after it is none."
    )


def _overlay(red: VoxelArray, green: VoxelArray) -> FloatArray:
    """Returns (Y, X, 3) maximum projections of two channels (Z, Y, X) in one picture."""
    laid = [_shade(channel.max(axis=0)) for channel in (red, green)]
    return np.stack([*laid, np.zeros_like(laid[0])], axis=-1)


def _shade(image: FloatArray) -> FloatArray:
    dark, bright = np.nanpercentile(image, [5, 99.7])
    shade: FloatArray = np.clip((image.astype(np.float64) - dark) / max(float(bright - dark), 1e-12), 0, 1) ** 0.6
    return shade


def _side_by_side(both: list[FloatArray], sizes: tuple[float, float], seen: str, step: str, said: str) -> Picture:
    """Draws two pictures, rows and columns of the given sizes, one below the other."""
    aspect = sizes[0] / sizes[1]
    height = both[0].shape[0] * aspect / both[0].shape[1]
    figure = Figure(figsize=(5.2, 10.4 * min(max(height, 0.1), 1.5) + 0.5), facecolor="black")
    for place, (image, when) in enumerate(zip(both, ("before", "after"), strict=True)):
        axes = figure.add_axes((0, 0.51 - 0.51 * place, 1, 0.45), facecolor="black")
        thin = max(1, -(-max(image.shape[:2]) // MOST_PIXELS))
        picture = image if image.ndim == 3 else _shade(image)
        axes.imshow(picture[:, ::thin], cmap="gray", aspect=aspect * thin, interpolation="nearest")
        axes.set_title(when, color="white", fontsize=8)
        axes.axis("off")
    alt = f"Maximum projection {seen}, before and after: {step}."
    return Picture(as_jpeg(figure, dpi=160), alt, f"{step[0].upper()}{step[1:]}: {seen}, before above, after below. {said}")
