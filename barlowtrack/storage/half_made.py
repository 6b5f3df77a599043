"""Half-made work: stages at work, or killed at work, and pieces of them, in the folder partial/ of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from barlowtrack.storage.atomic import remove, write_bytes
from barlowtrack.storage.locks import locked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Some volumes of a stage, made by a job of their own.

    Attributes:
        path: Its folder.
        volumes: What it was to make.
        done: How many of them are safe, from the first on.
    """

    path: Path
    volumes: range
    done: int

    @property
    def safe(self) -> range:
        """The volumes that are safe."""
        return self.volumes[: self.done]


class HalfMade:
    """The half-made work of a run folder.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.run, self.path = folder, folder / "partial"

    def of_stage(self, stage: str, key: str) -> Path:
        """Returns the folder a stage works in; half-made work under another key is put aside and said."""
        path = self.path / stage
        key_file = path / "key"
        if path.exists() and (not key_file.is_file() or key_file.read_bytes() != key.encode()):
            log.info("%s: discarding half-made work of other settings", stage)
            self.discard(path)
        if not path.exists():
            path.mkdir(parents=True)
            write_bytes(key_file, key.encode())
        return path

    def start_over(self, stage: str, key: str) -> Path:
        """Removes the half-made work of a stage, and returns the folder it works in."""
        self.discard(self.path / stage)
        return self.of_stage(stage, key)

    def done(self, stage: str, key: str) -> int | None:
        """Returns how many parts (volumes, epochs) of a killed stage are safe, or None where it has not begun."""
        return _parts_done(self.path / stage, key)

    @contextmanager
    def piece(self, stage: str, key: str, volumes: range) -> Iterator[Path]:
        """Gives the folder in which some volumes of a stage are made, to one process at a time; what is in it under another key goes.

        Raises:
            StorageError: another process makes this piece.
        """
        path = self._piece(stage, volumes)
        path.mkdir(parents=True, exist_ok=True)
        name = f"volumes {volumes.start}:{volumes.stop} of {stage}"
        with locked(path / "lock", f"{self.run}: {name} are made by {{holder}} already; wait for it"):
            key_file = path / "key"
            if not key_file.is_file() or key_file.read_bytes() != key.encode():
                self.empty(path, key)
            yield path

    def empty(self, piece: Path, key: str) -> None:
        """Removes what is in the folder of a piece, and keys it anew; it stays locked by whoever has it."""
        for child in piece.iterdir():
            if not child.name.startswith("lock"):
                remove(child)
        write_bytes(piece / "key", key.encode())

    def pieces(self, stage: str, key: str) -> list[Piece]:
        """Returns the pieces of a stage that were made under a key, and are not empty, by their first volume."""
        found = []
        for path in self.path.glob(f"{stage}.*-*"):
            first, _, stop = path.name.removeprefix(f"{stage}.").partition("-")
            if first.isdecimal() and stop.isdecimal():
                done = _parts_done(path, key)
                if done:
                    found.append(Piece(path, range(int(first), int(stop)), done))
        return sorted(found, key=lambda piece: (piece.volumes.start, -piece.done))

    def is_under(self, path: Path, key: str) -> bool:
        """Whether a folder holds half-made work under this key."""
        return _parts_done(path, key) is not None

    def discard(self, path: Path) -> None:
        """Removes a folder: renamed first, so that a kill in between leaves nothing that looks usable."""
        trash = path.with_name(f".{path.name}.trash")
        remove(trash)
        path.rename(trash)
        remove(trash)

    def _piece(self, stage: str, volumes: range) -> Path:
        return self.path / f"{stage}.{volumes.start}-{volumes.stop}"


def _parts_done(path: Path, key: str) -> int | None:
    """Returns how many parts are safe in a folder of half-made work; None where there is none under this key."""
    try:
        same = (path / "key").read_text(encoding="utf-8") == key
        return int((path / "done").read_text(encoding="utf-8")) if same else None
    except (OSError, ValueError):
        return None
