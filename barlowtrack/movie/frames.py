"""The pictures of a film, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from barlowtrack.data import UNKNOWN, Detections, Recording, Tracks
from barlowtrack.showing.colours import colour_of

Colour = tuple[int, int, int]

LOOKED_AT = 16
"""Volumes from which contrast is taken; the same for the whole film, so that fading is seen as fading."""
GAMMA, BRIGHTEST = 0.6, 1.35  # above 1 no nucleus is white, so that every ring stands out
MARGIN_UM = 8.0
RING = 0.009  # radius, of the width
FINE = 4
"""Rings are drawn so many times larger, and made small, for smooth edges."""
UNKNOWN_COLOUR = (150, 160, 170)
MOST_COLOURS = 160
WHITE = (255, 255, 255)
SCALE_BARS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Frames:
    """The pictures of chosen volumes: read and drawn when asked for, none kept.

    Every nucleus has a ring, in the colour of its neuron, the same in every picture; one without identity has a faint grey one. The part
    of the plane that the nuclei of the film lie in is shown.

    Args:
        recording: Read a volume at a time.
        detections: N nuclei.
        tracks: Whose they are.
        volumes: Which volumes, in the order of the film.
        width: Of a picture, in pixels; made even, as films want it.
        names: Text to write beside each of K neurons, where it covers no other; None: none.
    """

    def __init__(
        self,
        recording: Recording,
        detections: Detections,
        tracks: Tracks,
        volumes: Sequence[int],
        *,
        width: int = 640,
        names: Sequence[str] | None = None,
    ) -> None:
        self._recording, self._detections, self._tracks = recording, detections, tracks
        self.volumes, self._names = tuple(volumes), names
        _, size_y, size_x = recording.voxel_size_um
        top, bottom, left, right = self._window = self._shown()
        width = max(2, width - width % 2)
        height = round((bottom - top) * size_y / ((right - left) * size_x) * width)
        self.size = (width, max(2, height - height % 2))
        self._scale = np.array([self.size[1] / ((bottom - top) * size_y), width / ((right - left) * size_x)])  # pixels a um: y, x
        self._radius = max(3.0, RING * width)
        self._ring = _ring(self._radius)
        self._font = ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", max(9, round(0.017 * width)))

    def __len__(self) -> int:
        return len(self.volumes)

    @property
    def colours(self) -> list[Colour]:
        """What rings are drawn in: grey for nobody, then neurons, evenly chosen where they are more than a palette holds."""
        ids = np.unique(self._tracks.neuron[self._tracks.neuron != UNKNOWN])
        ids = ids[np.unique(np.linspace(0, len(ids) - 1, min(len(ids), MOST_COLOURS)).round().astype(int))] if len(ids) else ids
        return [UNKNOWN_COLOUR, *(_eight_bit(int(neuron)) for neuron in ids)]

    def draw(self, place: int) -> Image.Image:
        """Reads a volume and draws it.

        Args:
            place: From 0, in the film.

        Returns:
            RGB, of the film's size.
        """
        t = self.volumes[place]
        dark, bright = self._contrast
        shade = np.clip((self._project(t) - dark) / max(bright - dark, 1e-12), 0, 1) ** GAMMA / BRIGHTEST
        grey = Image.fromarray((255 * np.nan_to_num(shade)).astype(np.uint8), "L")
        picture = grey.resize(self.size, Image.Resampling.BILINEAR).convert("RGB")
        self._draw_rings(picture, t)
        self._draw_margin(ImageDraw.Draw(picture), t)
        return picture

    def place_of(self, position_um: NDArray[np.floating]) -> tuple[int, int]:
        """Returns the pixel (x, y) of a position z, y, x in um."""
        _, size_y, size_x = self._recording.voxel_size_um
        corner = np.array([(self._window[0] - 0.5) * size_y, (self._window[2] - 0.5) * size_x])
        y, x = (np.asarray(position_um, np.float64)[1:] - corner) * self._scale
        return int(x), int(y)

    def _draw_rings(self, picture: Image.Image, t: int) -> None:
        rows = self._detections.rows_of(t)
        half = self._ring.width // 2
        for position, neuron in zip(self._detections.position_um[rows], self._tracks.neuron[rows], strict=True):
            x, y = self.place_of(position)
            colour = UNKNOWN_COLOUR if neuron == UNKNOWN else _eight_bit(int(neuron))
            picture.paste(colour, (x - half, y - half), self._ring)
        if self._names is not None:
            self._draw_names(ImageDraw.Draw(picture), rows, self._names)

    def _draw_names(self, draw: ImageDraw.ImageDraw, rows: slice, names: Sequence[str]) -> None:
        """Writes names, the surest first, where they cover no other name."""
        known = np.arange(rows.start, rows.stop)[self._tracks.neuron[rows] != UNKNOWN]
        taken: list[tuple[float, float, float, float]] = []
        for row in known[np.lexsort((known, -np.round(self._tracks.probability[known], 3)))]:
            neuron = int(self._tracks.neuron[row])
            x, y = self.place_of(self._detections.position_um[row])
            at = (x + self._radius, y - self._radius)
            box = draw.textbbox(at, names[neuron], self._font, anchor="lb", stroke_width=1)
            if not any(box[0] < right and left < box[2] and box[1] < bottom and top < box[3] for left, top, right, bottom in taken):
                taken.append(box)
                light = tuple(round(102 + 0.6 * part) for part in _eight_bit(neuron))  # dark blue on black cannot be read
                draw.text(at, names[neuron], light, self._font, anchor="lb", stroke_width=1, stroke_fill=(0, 0, 0))

    def _draw_margin(self, draw: ImageDraw.ImageDraw, t: int) -> None:
        """Writes which volume this is, and draws a bar of known length."""
        width, height = self.size
        edge = round(0.015 * width)
        rate = self._recording.rate_hz
        said = f"volume {t}" + (f", {t / rate:.1f} s" if rate else "")
        draw.text((edge, height - edge), said, WHITE, self._font, anchor="ls", stroke_width=1, stroke_fill=(0, 0, 0))
        fitting = [length for length in SCALE_BARS_UM if length * self._scale[1] <= 0.3 * width]
        if fitting:
            left = width - edge - round(fitting[-1] * self._scale[1])
            draw.rectangle((left, height - edge - 2, width - edge, height - edge), WHITE)
            middle = ((left + width - edge) / 2, height - edge - 5)
            draw.text(middle, f"{fitting[-1]} µm", WHITE, self._font, anchor="ms", stroke_width=1, stroke_fill=(0, 0, 0))

    @cached_property
    def _contrast(self) -> tuple[float, float]:
        """What is black and what is brightest in the whole film."""
        some = sorted({self.volumes[round(at)] for at in np.linspace(0, len(self) - 1, min(len(self), LOOKED_AT))})
        images = (self._project(t) for t in some)
        ends = np.array([np.nanpercentile(image, [5, 99.7]) for image in images if np.isfinite(image).any()])
        return (float(np.median(ends[:, 0])), float(np.median(ends[:, 1]))) if len(ends) else (0.0, 1.0)

    def _project(self, t: int) -> NDArray[np.float64]:
        top, bottom, left, right = self._window
        volume = self._recording.read(t)[self._recording.reference, :, top:bottom, left:right]
        return np.asarray(volume.max(axis=0), np.float64)

    def _shown(self) -> tuple[int, int, int, int]:
        """Returns the voxels that are shown: y from, to, x from, to."""
        size, whole = np.array(self._recording.voxel_size_um[1:]), np.array(self._recording.volume_shape[1:])
        at = self._detections.position_um[np.isin(self._detections.t, self.volumes)][:, 1:]
        if not len(at):
            return 0, int(whole[0]), 0, int(whole[1])
        low = np.clip(np.floor((at.min(axis=0) - MARGIN_UM) / size), 0, whole - 1).astype(int)
        high = np.clip(np.ceil((at.max(axis=0) + MARGIN_UM) / size) + 1, low + 1, whole).astype(int)
        return int(low[0]), int(high[0]), int(low[1]), int(high[1])


def _eight_bit(neuron: int) -> Colour:
    red, green, blue = (round(255 * part) for part in colour_of(neuron))
    return red, green, blue


def _ring(radius: float) -> Image.Image:
    """Returns how much of a pixel a ring covers: a small grey image of odd width, its centre in the middle."""
    half = int(np.ceil(radius)) + 2
    large = Image.new("L", (FINE * (2 * half + 1),) * 2)
    centre, outer = FINE * (half + 0.5), FINE * (radius + 1)
    ImageDraw.Draw(large).ellipse((centre - outer, centre - outer, centre + outer, centre + outer), outline=255, width=2 * FINE)
    return large.reduce(FINE)
