"""What the sinks share: the count of safe parts, and the sizes at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from barlowtrack.errors import StorageError
from barlowtrack.storage.artefacts import ARTEFACTS
from barlowtrack.storage.atomic import tree_size, write_bytes

if TYPE_CHECKING:
    from barlowtrack.config import Config


class Parts(ABC):
    """Counts the parts that are safe, and knows the sizes at the end."""

    makes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        self.partial, self.inputs, self.config = partial, inputs, config
        done = partial / "done"
        self.done = int(done.read_text(encoding="utf-8")) if done.exists() else 0
        self.expect(self.done >= 0)

    def expect(self, whole: bool) -> None:
        """Refuses half-made work that is not what `done` promises; the caller then starts the stage over."""
        if not whole:
            raise StorageError(f"{self.partial}: half-made work is damaged")

    def resume(self) -> dict[str, Any]:
        return {"start": self.done}

    @abstractmethod
    def add(self, part: Any) -> None: ...

    def path(self, artefact: str) -> Path:
        return self.partial / ARTEFACTS[artefact]

    def count(self) -> None:
        self.done += 1
        write_bytes(self.partial / "done", str(self.done).encode())

    def finish(self) -> dict[str, int]:
        paths = [self.path(name) for name in self.makes]
        return {path.name: tree_size(path) for path in paths}
