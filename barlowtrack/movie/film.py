"""Which volumes a film shows, and the film itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from barlowtrack.data import Detections, Progress, Recording, Tracks, silent, span_of
from barlowtrack.errors import InputError
from barlowtrack.movie.formats import refuse_file, write_frames
from barlowtrack.movie.frames import Frames

MAX_FRAMES = 200
LEAST_WIDTH, MOST_WIDTH = 64, 4096


def choose_frames(n_volumes: int, volumes: str | None = None, max_frames: int = MAX_FRAMES) -> list[int]:
    """Returns the volumes of a film: all that were asked for, or so many of them, evenly chosen, the first and the last included.

    Args:
        n_volumes: Of the recording.
        volumes: "FROM:TO", either of which may be missing; TO is not included.
        max_frames: At least 1.

    Raises:
        InputError: no such volumes.
    """
    if max_frames < 1:
        raise InputError(f"movie: max_frames: expected 1 or more, got {max_frames}")
    shown = span_of(":" if volumes is None else volumes, n_volumes, "movie")
    return [int(t) for t in np.linspace(shown[0], shown[-1], min(len(shown), max_frames)).round()]


def film(
    recording: Recording,
    detections: Detections,
    tracks: Tracks,
    path: Path,
    *,
    volumes: str | None = None,
    width: int = 640,
    fps: float = 10.0,
    max_frames: int = MAX_FRAMES,
    names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> list[int]:
    """Writes a film of the reference channel with a ring around every neuron.

    Args:
        recording: Read a volume at a time.
        detections: N nuclei of its volumes.
        tracks: Whose they are.
        path: Ends in .webp, .png, .gif or .mp4.
        volumes: See choose_frames.
        width: In pixels.
        fps: Pictures a second.
        max_frames: See choose_frames.
        names: Text beside each of K neurons; None: none.
        progress: Told after every picture.

    Returns:
        The volumes that are shown.

    Raises:
        InputError: a file, volumes, width or rate that cannot be; or a recording that is not that of the detections.
    """
    refuse_file(path)
    if not LEAST_WIDTH <= width <= MOST_WIDTH:
        raise InputError(f"movie: width: expected {LEAST_WIDTH} to {MOST_WIDTH} pixels, got {width}")
    if not 0 < fps <= 60:
        raise InputError(f"movie: fps: expected above 0 and at most 60, got {fps}")
    if recording.n_volumes != detections.n_volumes:
        raise InputError(f"movie: expected a recording of {detections.n_volumes} volumes, got {recording.n_volumes}")
    chosen = choose_frames(recording.n_volumes, volumes, max_frames)
    write_frames(Frames(recording, detections, tracks, chosen, width=width, names=names), path, fps=fps, progress=progress)
    return chosen
