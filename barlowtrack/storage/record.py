"""What a stage's artefacts were made from, as keys/STAGE.json says it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from barlowtrack.storage.artefacts import ARTEFACTS


@dataclass(frozen=True)
class StageRecord:
    """What a stage's artefacts were made from: everything its key is the hash of.

    Attributes:
        stage: Its name.
        key: Hash of all that follows but artefacts, and but the place of a model, whose content is an input.
        version: The stage's own version number.
        seed: Of the run, or None where the stage draws nothing.
        settings: Its sections of the settings.
        recording: What it uses of the recording; empty where it does not read it.
        inputs: Key of every artefact it was made from.
        artefacts: File names and sizes in bytes; of a folder, of all its files.
        digests: Hash of each, so that a file that changed since is not taken for the one that was made.
    """

    stage: str
    key: str
    version: int
    seed: int | None
    settings: dict[str, Any]
    recording: dict[str, Any]
    inputs: dict[str, str]
    artefacts: dict[str, int]
    digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.stage, *self.artefacts):
            if name in ("", ".", "..") or Path(name).name != name:
                raise ValueError(f"{name!r} is not a plain file name")
        tables = (self.settings, self.recording, self.inputs, self.artefacts, self.digests)
        if not all(isinstance(table, dict) for table in tables) or not all(isinstance(size, int) for size in self.artefacts.values()):
            raise TypeError("not the record of a stage")
        if not set(self.artefacts) <= set(ARTEFACTS.values()):
            raise ValueError(f"{', '.join(self.artefacts)}: not all of them are artefacts")

    def to_bytes(self) -> bytes:
        said = asdict(self)
        if not self.digests:  # a key is the hash of a record without
            del said["digests"]
        return (json.dumps(said, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> StageRecord:
        """Reads a record.

        Raises:
            ValueError, TypeError, RecursionError: it is none.
        """
        return cls(**json.loads(content))
