"""People add nuclei that were not found, and divide what is two: what that makes of the labels of a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from barlowtrack.data import BoolArray, Correction, Detections, FloatArray, IntArray
from barlowtrack.errors import InputError

LITTLE = 0.5
"""How far outside of a nucleus a click may lie that means it, in usual radii; half a voxel's diagonal more."""
LEAST_ROOM = 0.2
"""Share of a nucleus of usual size that must be free of others where one is added."""
LEAST_PART = 0.5
"""A part of a divided nucleus that is smaller, as a share of the usual size, is completed with what is free around it."""
SMOOTH = 0.3
"""Standard deviation of the smoothing before a nucleus is cut, in usual radii: less than a nucleus, more than the noise of one voxel."""
MOVES = 5
"""How often an added nucleus is moved to the middle of its light."""


Box = tuple[slice, ...]
"""Along z, y, x."""
Place = tuple[float, float, float]
"""z, y, x in um."""


@dataclass
class EditedVolume:
    """Labels of one volume after some edits.

    Attributes:
        labels: (Z, Y, X) 0 is background.
        made: Label -> line of the edit that made, or last cut, that nucleus.
        label: Line of each edit -> label of the nucleus that it added, or of the one that it divided, which the first part keeps.
        idle: Line of each edit that says what is so already -> in what way.
        refused: Line of each edit that cannot be, although it could if light did not put others where they are -> why.
        meant: Label of each added nucleus -> box, and voxels of it that are a nucleus of usual size where somebody clicked, whatever
            shines: who adds another one there means the same.
        clicks: z, y, x in um where the edits say that nuclei are -> label of what lies there by them; 0 where that could not be made.
    """

    labels: IntArray
    made: dict[int, int] = field(default_factory=dict)
    label: dict[int, int] = field(default_factory=dict)
    idle: dict[int, str] = field(default_factory=dict)
    refused: dict[int, InputError] = field(default_factory=dict)
    meant: dict[int, tuple[Box, BoolArray]] = field(default_factory=dict)
    clicks: dict[Place, int] = field(default_factory=dict)

    @property
    def clicked(self) -> tuple[FloatArray, IntArray]:
        """(C, 3) the clicks, and (C,) the labels there."""
        return np.array(list(self.clicks), np.float64).reshape(-1, 3), np.array(list(self.clicks.values()), np.int64)

    def lies(self, places_um: Sequence[Sequence[float]], labels: Sequence[int]) -> None:
        """Notes what lies where somebody clicked; nothing takes no place from something."""
        for (z, y, x), label in zip(places_um, labels, strict=True):
            click = (round(z, 4), round(y, 4), round(x, 4))
            self.clicks[click] = label or self.clicks.get(click, 0)


@dataclass(frozen=True)
class _Scale:
    """(3,) um a voxel, and the usual radius of a nucleus in um."""

    size: FloatArray
    radius_um: float

    def voxel(self, place_um: Sequence[float]) -> tuple[int, int, int]:
        z, y, x = np.rint(np.asarray(place_um) / self.size).astype(int).tolist()
        return z, y, x

    @property
    def little_um(self) -> float:
        return LITTLE * self.radius_um + float(np.linalg.norm(self.size)) / 2

    def box(self, place_um: FloatArray, reach_um: float, shape: tuple[int, ...]) -> Box:
        """Returns the box that holds all within reach of places (n, 3), as far as the volume goes."""
        low = np.clip(np.floor((place_um.min(0) - reach_um) / self.size), 0, shape).astype(int)
        high = np.clip(np.ceil((place_um.max(0) + reach_um) / self.size) + 1, 0, shape).astype(int)
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))

    def distance(self, box: Box, place_um: FloatArray) -> FloatArray:
        """Returns (z, y, x) distance in um of every voxel of a box from a place."""
        square = [((np.arange(side.start, side.stop) * step) - at) ** 2 for side, step, at in zip(box, self.size, place_um, strict=True)]
        return np.asarray(np.sqrt(square[0][:, None, None] + square[1][:, None] + square[2]))


def usual_radius_um(detections: Detections) -> float:
    """Returns the radius of the ball as large as nuclei usually are here; NaN where none was found."""
    return float(np.cbrt(3 / (4 * np.pi) * np.median(detections.volume_um3))) if len(detections) else float("nan")


def edit(
    labels: IntArray, rows: Sequence[Correction], size_um: Sequence[float], radius_um: float, red: FloatArray | None = None
) -> EditedVolume:
    """Adds and divides nuclei of one volume, one row after the other.

    An added nucleus is a ball of usual size, moved by up to a radius to where the light is, without the voxels of others. A divided one is
    cut by a watershed from both places, over darkness and the distance from them; a part of less than half the usual size is completed with
    free voxels that shine as it does. New nuclei get the largest label of the volume and one; of two parts the first keeps the label.
    What is nearer to where somebody adds another nucleus is free for that one alone.

    Args:
        labels: (Z, Y, X) as they were found; left as they are.
        rows: Edits of this volume, by line.
        size_um: Of a voxel, z, y, x.
        radius_um: Usual radius of a nucleus; NaN where none was found in the whole recording.
        red: (Z, Y, X) reference channel; without it, which voxels go where is told by distance alone: enough to see, nearly always,
            whether an edit can stand, and which labels come of it.

    Raises:
        InputError: an edit that cannot be, with light or without: outside of the volume, no nucleus there to divide, no room for one.
            Names its line.

    Reference:
        Vincent & Soille 1991 for the watershed, as in scikit-image; Fukunaga & Hostetler 1975 for moving to the middle of the light.
    """
    scale = _Scale(np.asarray(size_um, np.float64), radius_um)
    found = _edited(labels, rows, scale, red)
    dark = found if red is None or not found.refused else _edited(labels, rows, scale, None)
    for line, error in found.refused.items():
        if line in dark.refused:
            raise error
    return found


def _edited(labels: IntArray, rows: Sequence[Correction], scale: _Scale, red: FloatArray | None) -> EditedVolume:
    """Edits one row after the other; those that cannot be are left out, and kept with the reason."""
    found = EditedVolume(labels.astype(np.int32))
    for row in rows:
        try:
            if not np.isfinite(scale.radius_um):
                raise row.refused("no nucleus was found in the whole recording, so nobody knows how large one is; see [segment]")
            (_add if row.what == "add" else _divide)(found, row, scale, red, rows)
        except InputError as error:
            found.refused[row.line] = error
            places = [place for place in (row.position_um, row.other_um) if place is not None]
            found.lies(places, [0] * len(places))
    return found


def _add(found: EditedVolume, row: Correction, scale: _Scale, red: FloatArray | None, rows: Sequence[Correction]) -> None:
    place = np.asarray(row.position_um, np.float64)
    voxel = _inside(row, place.tolist(), found.labels.shape, scale)
    taken = int(found.labels[voxel])
    if not taken:
        taken = next((label for label, (where, there) in found.meant.items() if _holds(where, there, voxel)), 0)
    if taken in found.made:
        raise _clash(found.made[taken], row, f"what is to be added to volume {row.t} is there already, as label {taken}")
    if taken:
        found.idle[row.line] = f"label {taken} of volume {row.t} lies there already; if it is two nuclei, divide it"
        found.lies([place.tolist()], [taken])
        return
    meant, around, _ = _body(found.labels, place, scale)
    labels = _without(found.labels, place, _added(rows, row), scale)
    body, box, room = _body(labels, place, scale)
    if room < LEAST_ROOM:
        raise row.refused(f"volume {row.t} has no room for a nucleus there: others fill {1 - room:.0%} of it")
    if red is not None:
        moved, where, left = _body(labels, _lit(labels, red, place, scale), scale)
        if left >= LEAST_ROOM:
            body, box = moved, where
    label = _give(found, row, body, box)
    found.label[row.line], found.meant[label] = label, (around, meant)
    found.lies([place.tolist()], [label])


def _holds(box: Box, body: BoolArray, voxel: tuple[int, int, int]) -> bool:
    at = tuple(i - side.start for i, side in zip(voxel, box, strict=True))
    return all(0 <= i < n for i, n in zip(at, body.shape, strict=True)) and bool(body[at])


def _added(rows: Sequence[Correction], but: Correction) -> list[FloatArray]:
    """Returns where rows add nuclei, but for one row."""
    return [np.asarray(row.position_um, np.float64) for row in rows if row.what == "add" and row is not but]


def _without(labels: IntArray, place_um: FloatArray, others_um: Sequence[FloatArray], scale: _Scale) -> IntArray:
    """Returns labels in which nothing is free that is nearer to where somebody adds another nucleus than to this place.

    Light moves an added nucleus towards what shines most: without this, the first of two that were missed side by side takes the second.
    """
    reach = 3 * scale.radius_um
    near = [other for other in others_um if np.linalg.norm(other - place_um) < 2 * reach]
    if not near:
        return labels
    labels = labels.copy()
    box = scale.box(place_um[None], reach, labels.shape)
    own, inside = scale.distance(box, place_um), labels[box]
    for other in near:
        inside[(inside == 0) & (scale.distance(box, other) < own)] = _ANOTHER
    return labels


_ANOTHER = -1
"""Stands in labels for what is free, but not for everybody."""


def _divide(found: EditedVolume, row: Correction, scale: _Scale, red: FloatArray | None, rows: Sequence[Correction]) -> None:
    places = np.array([row.position_um, row.other_um], np.float64)
    for place in places:
        _inside(row, place.tolist(), found.labels.shape, scale)
    label = _divided(found, row, places, scale)
    if label is None:
        return
    box = ndimage.find_objects((found.labels == label).astype(np.uint8))[0]
    mask = found.labels[box] == label
    seeds = [int(np.argmin(np.where(mask, scale.distance(box, place), np.inf))) for place in places]
    if seeds[0] == seeds[1]:
        raise row.refused(f"both places are one voxel of label {label} of volume {row.t}; expected one in each nucleus")
    second = _cut(mask, seeds, scale, box, None if red is None else red[box])
    found.label[row.line] = label
    new = _give(found, row, second, box)
    found.made[label] = row.line
    found.lies(places.tolist(), (label, new))
    if red is not None:
        for part, place in zip((label, new), places, strict=True):
            _complete(found.labels, part, place, scale, red, _added(rows, row))


def _inside(row: Correction, place_um: Sequence[float], shape: tuple[int, ...], scale: _Scale) -> tuple[int, int, int]:
    voxel = scale.voxel(place_um)
    if not all(0 <= at < n for at, n in zip(voxel, shape, strict=True)):
        ends = ", ".join(f"{(n - 1) * step:g}" for n, step in zip(shape, scale.size, strict=True))
        at = ", ".join(f"{axis:g}" for axis in place_um)
        raise row.refused(f"z, y, x = {at} lies outside of the volume, which ends at {ends} um")
    return voxel


def _divided(found: EditedVolume, row: Correction, places: FloatArray, scale: _Scale) -> int | None:
    """Returns the label that holds both places, or nearly; None where each lies in a nucleus of its own already."""
    first, second = (int(found.labels[scale.voxel(place.tolist())]) for place in places)
    if first and second and first != second:
        why = f"the places in volume {row.t} are two nuclei already, labels {first} and {second}"
        if first in found.made or second in found.made:
            raise _clash(max(found.made.get(first, 0), found.made.get(second, 0)), row, why)
        found.idle[row.line] = why
        found.lies(places.tolist(), (first, second))
        return None
    box = scale.box(places, scale.little_um, found.labels.shape)
    inside = found.labels[box]
    far = np.stack([scale.distance(box, place) for place in places])
    near = {label: far[:, inside == label].min(1) for label in np.unique(inside[inside > 0]).tolist()}
    both = {label: float(reach.sum()) for label, reach in near.items() if (reach <= scale.little_um).all()}
    if not both:
        raise row.refused(f"no nucleus of volume {row.t} holds both places; one that was not found can be added")
    return row.label if row.label in both else min(both, key=lambda label: both[label])


def _body(labels: IntArray, place_um: FloatArray, scale: _Scale) -> tuple[BoolArray, Box, float]:
    """Returns which voxels of a box are a nucleus of usual size there, the box, and which share of such a nucleus is free of others."""
    box = scale.box(place_um[None], scale.radius_um, labels.shape)
    far = scale.distance(box, place_um)
    ball = far <= max(scale.radius_um, float(far.min()))
    free = ball & (labels[box] == 0)
    parts, _ = ndimage.label(free)
    own = parts == parts.ravel()[np.argmin(np.where(free, far, np.inf))] if free.any() else free
    body = own & free
    return body, box, float(body.sum() / ball.sum())


def _lit(labels: IntArray, red: FloatArray, place_um: FloatArray, scale: _Scale) -> FloatArray:
    """Returns the middle of the light around a place that no nucleus has, no further than a radius from it."""
    box = scale.box(place_um[None], 2 * scale.radius_um, labels.shape)
    free = labels[box] == 0
    light = np.where(free, np.clip(red[box] - np.median(red[box]), 0, None), 0).astype(np.float64)
    axes = [np.arange(side.start, side.stop) * step for side, step in zip(box, scale.size, strict=True)]
    middle = place_um
    for _ in range(MOVES):
        weight = np.where(scale.distance(box, middle) <= scale.radius_um, light, 0)
        if weight.sum() <= 0:
            return place_um
        along = [weight.sum(tuple(other for other in range(3) if other != axis)) for axis in range(3)]
        middle = np.array([float(there @ at) for there, at in zip(along, axes, strict=True)]) / weight.sum()
        off = float(np.linalg.norm(middle - place_um))
        middle = place_um + (middle - place_um) * min(1, scale.radius_um / max(off, 1e-9))
    return np.asarray(middle)


def _cut(mask: BoolArray, seeds: Sequence[int], scale: _Scale, box: Box, red: FloatArray | None) -> BoolArray:
    """Returns the second of two parts of a mask (z, y, x); seeds: raveled index of a voxel of each."""
    at = [(np.array(np.unravel_index(seed, mask.shape)) + [side.start for side in box]) * scale.size for seed in seeds]
    first, second = (scale.distance(box, place) for place in at)
    height = np.minimum(first, second) / (np.linalg.norm(at[1] - at[0]) / 2)  # 1 half-way between them
    if red is not None:
        smooth = _smoothed(red, scale)
        dim, bright = np.percentile(smooth[mask], [5, 95])
        height = height + np.clip((bright - smooth) / max(float(bright - dim), 1e-12), 0, 1)
    marks = np.zeros(mask.shape, np.int32)
    marks.ravel()[list(seeds)] = 1, 2
    part: IntArray = watershed(height, marks, mask=mask)  # type: ignore[no-untyped-call]
    unreached = (part == 0) & (second < first)  # a nucleus may be of pieces that do not touch
    return np.asarray(mask & ((part == 2) | unreached))


def _complete(labels: IntArray, part: int, place_um: FloatArray, scale: _Scale, red: FloatArray, others_um: Sequence[FloatArray]) -> None:
    """Gives a part that is but the rim of a nucleus what shines around it and is free: the detector drew the other one, and a bit of it.

    What shines is brighter than half-way from what lies around to the part itself: a nucleus that is small stays so.
    """
    own = labels == part
    if own.sum() * scale.size.prod() >= LEAST_PART * 4 / 3 * np.pi * scale.radius_um**3:
        return
    others = _without(np.where(own, 0, labels), place_um, others_um, scale)
    body, box, _ = _body(others, _lit(others, red, place_um, scale), scale)
    around = scale.box(place_um[None], 3 * scale.radius_um, labels.shape)
    smooth = _smoothed(red, scale)
    half = (np.median(smooth[around][labels[around] == 0]) + np.median(smooth[own])) / 2 if (labels[around] == 0).any() else np.inf
    labels[box][body & (smooth[box] > half)] = part


def _smoothed(red: FloatArray, scale: _Scale) -> FloatArray:
    return np.asarray(ndimage.gaussian_filter(red.astype(np.float32), SMOOTH * scale.radius_um / scale.size, mode="nearest"))


def _give(found: EditedVolume, row: Correction, body: BoolArray, box: Box) -> int:
    """Makes a new nucleus of voxels of a box; returns its label."""
    label = int(found.labels.max()) + 1
    found.labels[box][body] = label
    found.made[label] = row.line
    return label


def _clash(line: int, row: Correction, why: str) -> InputError:
    return InputError(f"corrections.csv: lines {line} and {row.line} clash: {why}; undo one of them")
