"""Films as files: animated WebP, PNG and GIF, and MP4 where the extra `movie` is installed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from barlowtrack.data import Progress, silent
from barlowtrack.errors import InputError
from barlowtrack.movie.frames import Frames

WEBP_QUALITY = 85
GREYS = 256 - 1 - 160
"""Of a GIF's palette; the rest are the colours of the rings, so that a neuron keeps its own in every picture."""


def refuse_file(path: Path) -> None:
    """Refuses a file that no film can be written to.

    Raises:
        InputError: an ending of no known format, a folder that is not there, or MP4 without what writes it.
    """
    if path.suffix.lower() not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise InputError(f"{path}: expected a name that ends in one of {known}, got {path.suffix or 'no ending'}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: expected an existing folder to write it into, got {path.parent}")
    if path.is_dir():
        raise InputError(f"{path}: expected the name of a file, got a folder")
    if path.suffix.lower() == ".mp4":
        _ffmpeg(path)


def write_frames(frames: Frames, path: Path, *, fps: float = 10.0, progress: Progress = silent) -> None:
    """Writes a film under a temporary name, then renames it; the same frames give the same bytes.

    Pictures are read and drawn one at a time. WebP keeps what it has made of them until the end, a few kilobytes each; PNG and GIF keep
    what changes from picture to picture uncompressed, up to three bytes a pixel: for long films take WebP or MP4.

    Args:
        frames: The pictures.
        path: Ends in .webp, .png, .gif or .mp4.
        fps: Pictures a second.
        progress: Told after every picture.

    Raises:
        InputError: see refuse_file.
    """
    refuse_file(path)
    temporary = path.with_name(f"half-made-{path.name}")
    try:
        _WRITERS[path.suffix.lower()](frames, temporary, fps, progress)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class _Reel(Image.Image):
    """Frames as Pillow knows films: an image that shows another picture after seek, so that no list of them is held.

    A picture is drawn when it is loaded, as some formats end with a seek back to the first.
    """

    def __init__(self, frames: Frames, progress: Progress, change: Callable[[Image.Image], Image.Image]) -> None:
        super().__init__()
        self._frames, self._progress, self._change = frames, progress, change
        self.n_frames, self.is_animated = len(frames), len(frames) > 1
        self._place, self._drawn = 0, -1
        self.load()

    def seek(self, frame: int) -> None:
        """Goes to a picture; raises EOFError behind the last, as Pillow expects it."""
        if frame >= self.n_frames:
            raise EOFError
        self._place = frame

    def tell(self) -> int:
        return self._place

    def load(self) -> Any:
        """Draws the picture, if it is not there."""
        if self._drawn != self._place:
            picture = self._change(self._frames.draw(self._place))
            self.im, self._mode, self._size, self.palette = picture.im, picture.mode, picture.size, picture.palette
            self._drawn = self._place
            self._progress(self._place + 1, self.n_frames)
        return super().load()


def _write_webp(frames: Frames, path: Path, fps: float, progress: Progress) -> None:
    reel = _Reel(frames, progress, lambda picture: picture)
    reel.save(path, format="WEBP", save_all=True, duration=round(1000 / fps), loop=0, quality=WEBP_QUALITY, method=4)


def _write_png(frames: Frames, path: Path, fps: float, progress: Progress) -> None:
    reel = _Reel(frames, progress, lambda picture: picture)
    reel.save(path, format="PNG", save_all=True, duration=round(1000 / fps), loop=0)


def _write_gif(frames: Frames, path: Path, fps: float, progress: Progress) -> None:
    palette = _palette(frames)
    reel = _Reel(frames, progress, lambda picture: picture.quantize(palette=palette, dither=Image.Dither.NONE))
    reel.save(path, format="GIF", save_all=True, duration=round(1000 / fps), loop=0, optimize=False)


def _write_mp4(frames: Frames, path: Path, fps: float, progress: Progress) -> None:
    writer = _ffmpeg(path)(str(path), frames.size, fps=fps, macro_block_size=2, output_params=["-fflags", "+bitexact"])
    writer.send(None)
    try:
        for place in range(len(frames)):
            writer.send(np.ascontiguousarray(frames.draw(place)))
            progress(place + 1, len(frames))
    finally:
        writer.close()


def _ffmpeg(path: Path) -> Callable[..., Generator[None, Any, None]]:
    try:
        import imageio_ffmpeg
    except ImportError:
        hint = "pip install 'barlowtrack[movie]', or give a name that ends in .webp"
        raise InputError(f"{path}: MP4 is written by the extra 'movie', which is not installed; {hint}") from None
    writer: Callable[..., Generator[None, Any, None]] = imageio_ffmpeg.write_frames
    return writer


def _palette(frames: Frames) -> Image.Image:
    """Returns an image with the colours of a GIF: greys for the picture, then those of the rings."""
    greys = [(level, level, level) for level in np.linspace(0, 255, GREYS).round().astype(int).tolist()]
    flat = [part for colour in (*greys, *frames.colours) for part in colour]
    image = Image.new("P", (1, 1))
    image.putpalette(flat + flat[:3] * (256 - len(flat) // 3))
    return image


_WRITERS: dict[str, Callable[[Frames, Path, float, Progress], None]] = {
    ".webp": _write_webp,
    ".png": _write_png,
    ".gif": _write_gif,
    ".mp4": _write_mp4,
}
