"""A recording as the run of a folder sees it: with its pictures put right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barlowtrack.errors import InputError, StorageError
from barlowtrack.pipeline.reading import read_as_made
from barlowtrack.pipeline.table import PREPARATION, PREPARE

if TYPE_CHECKING:
    from barlowtrack.data import Preparation, Recording
    from barlowtrack.storage import RunFolder


def as_seen(recording: Recording, folder: RunFolder) -> Recording:
    """Returns a recording as the run of a folder sees it: prepared as it was when its nuclei were found, or will be.

    Detections, labels and all else that a run says of places hold in what is read here.

    Raises:
        StorageError: the pictures have been prepared in another way since nuclei were found in them.
    """
    from barlowtrack.preparing.view import prepared

    return prepared(recording, preparation_of(folder))


def preparation_of(folder: RunFolder) -> Preparation:
    """Returns how the run of a folder puts its pictures right; see as_seen.

    Raises:
        StorageError: the pictures have been prepared in another way since nuclei were found in them.
    """
    found, made = folder.record("segment"), folder.record(PREPARE.name)
    if found is not None:
        return preparation_of_key(folder, found.inputs.get(PREPARATION))
    return preparation_of_key(folder, None if made is None else made.key)


def preparation_of_key(folder: RunFolder, key: str | None) -> Preparation:
    """Reads the preparation of that key; None: nothing is prepared."""
    from barlowtrack.data import Preparation

    if key is None:
        return Preparation()
    made = folder.record(PREPARE.name)
    if made is None or made.key != key:
        raise StorageError(f"{folder.path}: its pictures are prepared in another way now; run 'barlowtrack run {folder.path}' first")
    found: Preparation = read_as_made(PREPARATION, folder, whole=True)
    return found


def recording_of(folder: RunFolder) -> Recording:
    """Opens the recording of a run folder, as the run sees it; see as_seen.

    Raises:
        InputError: it is not at hand, or has changed since nuclei were found in it.
        StorageError: as as_seen does.
    """
    from barlowtrack.config import load
    from barlowtrack.io import open_recording

    settings = folder.path / "settings.toml"
    known = folder.about()["card"]
    recording = open_recording(folder.location, load(settings if settings.exists() else None).recording, known=known)
    found = folder.record("segment")
    if found is not None and found.recording.get("content") != recording.fingerprint:
        raise InputError(f"{folder.path}: the recording changed since its nuclei were found; run 'barlowtrack run {folder.path}' first")
    return as_seen(recording, folder)
