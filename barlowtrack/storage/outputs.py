"""Where a file that somebody asks for may go: never over what a run is made of, nor into the recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barlowtrack.errors import StorageError
from barlowtrack.storage.artefacts import ARTEFACTS
from barlowtrack.storage.corrections import FILES as CORRECTION_FILES

OURS = frozenset({"run.json", "settings.toml", "events.jsonl", "lock", "keys", "partial", *CORRECTION_FILES, *ARTEFACTS.values()})
"""What lies in a run folder, and what a run or a person's answers would lose if it were overwritten."""
FILES = (".html", ".htm", ".csv", ".parquet", ".json", ".toml", ".txt", ".pdf", ".webp", ".png", ".gif", ".mp4")
"""Endings of files: a run folder that is to be called so is a mistake."""
ZARR = ("zarr.json", ".zgroup", ".zarray")


def refuse_output(path: Path) -> None:
    """Refuses a file that would replace a part of a run folder, or change a recording.

    Args:
        path: Of the file; need not be there.

    Raises:
        StorageError: it lies over or inside what a run made, or inside an OME-Zarr, whose content any file changes.
    """
    path = path.absolute().resolve()
    for folder in path.parents:
        if (folder / "run.json").exists() and path.relative_to(folder).parts[0] in OURS:
            raise StorageError(f"{path}: is a part of the run folder {folder.name}; give another --out")
        if is_zarr(folder):
            raise StorageError(f"{path}: lies inside {folder.name}, a zarr that it would change; give another --out")


def is_zarr(folder: Path) -> bool:
    """Says whether a folder is a zarr, which any file in it changes; files beside the TIFFs of a folder are left out."""
    return any((folder / name).is_file() for name in ZARR)


def refuse_file_name(folder: Path) -> None:
    """Refuses a new folder of results that is called like a file.

    Raises:
        StorageError: its name ends like that of a file.
    """
    if folder.suffix.lower() in FILES and not folder.is_dir():
        raise StorageError(f"{folder}: --out is a folder here, and this is the name of a file ({folder.suffix}); give the name of a folder")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names the file that was asked for in what goes wrong, and not the one beside it under a temporary name.

    Raises:
        OSError: what was raised inside; about the path, unless it was about another file.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and path.name not in Path(error.filename).name:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
