"""How the animal moves, told by its neurons: from volume to volume, with and without the motion of the whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barlowtrack.data import UNKNOWN, Detections, FloatArray, IntArray, Tracks
from barlowtrack.identity.volumes import neighbour_distance_um
from barlowtrack.stages.report.drawing import ACCENT, INK, SECOND, TimeAxis, as_svg, canvas, in_blocks
from barlowtrack.stages.report.page import Picture

FEWEST_NEURONS = 6
SURE = 0.5
FAR = 3.0
"""Neurons that lie further from where the whole would carry them, in medians of that, do not tell how the whole moves."""


@dataclass(frozen=True)
class Motion:
    """What the neurons that two volumes share say; NaN where they share too few.

    Attributes:
        moved_um: (T,) median displacement since the volume before.
        bent_um: (T,) the same, once shift and in-plane turn of the whole are taken out.
        turn_deg: (T,) in-plane turn of the whole since the first volume that shows enough neurons, counter-clockwise as seen in the
            pictures; added up from volume to volume.
        neighbour_um: Median distance between neighbouring nuclei.
    """

    moved_um: FloatArray
    bent_um: FloatArray
    turn_deg: FloatArray
    neighbour_um: float


def motion(detections: Detections, tracks: Tracks) -> Motion:
    """Measures how neurons with an identity (of at least SURE) move.

    Args:
        detections: N nuclei.
        tracks: Whose they are.
    """
    moved, bent, turn = (np.full(detections.n_volumes, np.nan) for _ in range(3))
    before: IntArray = np.zeros(0, np.int64)
    t_before = -1
    turned = 0.0
    for t in range(detections.n_volumes):
        now = _sure(detections, tracks, t)
        _, first, second = np.intersect1d(tracks.neuron[before], tracks.neuron[now], return_indices=True)
        start, end = (detections.position_um[rows].astype(np.float64) for rows in (before[first], now[second]))
        if len(first) >= FEWEST_NEURONS:
            angle, left = rigid_in_plane(start, end)
            turned += angle
            turn[t] = np.rad2deg(turned)
            if t_before == t - 1:
                moved[t] = np.median(np.linalg.norm(end - start, axis=1))
                bent[t] = np.median(left)
        if t_before < 0 and len(now) >= FEWEST_NEURONS:
            turn[t] = 0.0
        if len(now) >= FEWEST_NEURONS:
            before, t_before = now, t
    return Motion(moved, bent, turn, neighbour_distance_um(detections))


def _sure(detections: Detections, tracks: Tracks, t: int) -> IntArray:
    rows = detections.rows_of(t)
    found: IntArray = np.arange(rows.start, rows.stop)[(tracks.neuron[rows] != UNKNOWN) & (tracks.probability[rows] >= SURE)]
    return found


def rigid_in_plane(start_um: FloatArray, end_um: FloatArray) -> tuple[float, FloatArray]:
    """Fits shift and in-plane turn, twice: the second time without those far off.

    Args:
        start_um: (n, 3) z, y, x.
        end_um: (n, 3) of the same neurons.

    Returns:
        The turn in radians, counter-clockwise where y points down and x to the right; (n,) how far each ends from where the fit
        carries it.
    """
    use = np.ones(len(start_um), bool)
    angle, left = 0.0, np.zeros(len(start_um))
    for _ in range(2):
        centre, target = start_um[use].mean(axis=0), end_um[use].mean(axis=0)
        a, b = start_um - centre, end_um - target
        cross = float(np.sum(a[use, 1] * b[use, 2] - a[use, 2] * b[use, 1]))
        angle = float(np.arctan2(cross, np.sum(a[use, 1:] * b[use, 1:])))
        cosine, sine = np.cos(angle), np.sin(angle)
        carried = np.stack([a[:, 0], cosine * a[:, 1] - sine * a[:, 2], sine * a[:, 1] + cosine * a[:, 2]], axis=1)
        left = np.linalg.norm(b - carried, axis=1)
        use = left <= FAR * max(float(np.median(left)), 1e-9)
    return angle, left


def motion_chart(found: Motion, time: TimeAxis) -> Picture | None:
    """Draws it; None where no two successive volumes share enough neurons."""
    if not np.isfinite(found.moved_um).any():
        return None
    figure = canvas(9.4, 3.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    x = in_blocks(time.at)
    style = "o-" if len(x) < 60 else "-"
    top.plot(x, in_blocks(found.moved_um), style, color=ACCENT, markersize=3, label="moved")
    top.plot(x, in_blocks(found.bent_um), style, color=SECOND, markersize=3, label="shift and turn of the whole taken out")
    top.set(ylabel="µm a volume")
    top.set_ylim(0, 1.08 * max(float(np.nanmax(found.moved_um)), 1e-3))
    unit = found.neighbour_um
    top.secondary_yaxis("right", functions=(lambda um: um / unit, lambda times: times * unit)).set_ylabel(
        "neighbour distances", fontsize=7.5
    )
    top.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 0.98), borderaxespad=0, fontsize=7.5)
    bottom.plot(x, in_blocks(found.turn_deg), style, color=INK, markersize=3)
    bottom.set_ylabel("turn (degrees)")
    time.finish(bottom)
    usual, most = float(np.nanmedian(found.moved_um)), int(np.nanargmax(found.moved_um))
    bent = float(np.nanmedian(found.bent_um))
    turned = float(np.nanmax(found.turn_deg) - np.nanmin(found.turn_deg))
    alt = (
        f"Median displacement of neurons from volume to volume: {usual:.2f} µm, {usual / unit:.2f} neighbour distances; at most "
        f"{found.moved_um[most]:.2f} µm, into volume {most}. Without shift and turn of the whole: {bent:.2f} µm. The whole turns through "
        f"{turned:.0f} degrees."
    )
    caption = (
        f"How far a neuron moves from one volume to the next: usually {usual:.2f} µm, {usual / unit:.2f} of the distance between "
        f"neighbours ({unit:.1f} µm), at most {found.moved_um[most]:.2f} µm (into volume {most}); {bent:.2f} µm are left once shift and "
        "in-plane turn of the whole are taken out: the animal bends. If the orange line comes near one neighbour distance, identities "
        "are hard to keep there; look at those volumes first."
    )
    return Picture(as_svg(figure), alt, caption, wide=True)
