"""One run folder per recording: who may write, what is done, under which key, and how a stage's results arrive at once.

RECORDING.barlowtrack/
    run.json             which recording, seen from here
    settings.toml        the settings of the last run
    detections.parquet, labels.zarr, ..., report.html
    keys/STAGE.json      what a stage's artefacts were made from
    partial/STAGE/       a stage at work, or killed at work
    partial/STAGE.0-400/ a piece of it: volumes 0 to 399, made by a job of their own
    corrections.csv      what people said against it; only ever appended to
    events.jsonl         what happened to the stages, a line each, with seconds and memory
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from barlowtrack.data import StageCost
from barlowtrack.errors import StorageError
from barlowtrack.io.location import location_from, seen_from
from barlowtrack.storage.artefacts import ARTEFACTS
from barlowtrack.storage.atomic import remove, sync_tree, tree_digest, tree_size, write_bytes
from barlowtrack.storage.atomic import replace as move
from barlowtrack.storage.corrections import FILES as CORRECTION_FILES
from barlowtrack.storage.half_made import HalfMade
from barlowtrack.storage.journal import Journal
from barlowtrack.storage.locks import holder, locked, taking_turns
from barlowtrack.storage.record import StageRecord

log = logging.getLogger(__name__)

FORMAT = 1
_NOT_JSON = (OSError, ValueError, TypeError, AttributeError, RecursionError)  # what reading of a damaged file ends with
SUFFIX = ".barlowtrack"


class RunFolder:
    """A run folder on disk.

    Args:
        path: Of the folder.
        create: Make it if it is not there.

    Raises:
        StorageError: it is not there, or is no run folder.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if create and not path.is_file():
            path.mkdir(parents=True, exist_ok=True)  # another job may make it at the same time
        if path.exists() and not path.is_dir():
            raise StorageError(f"{path}: expected a run folder, got a file")
        if not path.is_dir():
            raise StorageError(f"{path}: no such run folder; run the recording first, or name the folder that --out gave it")
        if not create and not (path / "run.json").exists():
            raise StorageError(f"{path}: not a run folder (it has no run.json)")
        if create and not (path / "run.json").exists() and not self._began_here():
            raise StorageError(f"{path}: exists, is not empty and is not a run folder; give another --out")

    def _began_here(self) -> bool:
        """Says whether there is nothing, or what a run leaves that was killed before its run.json, or whose run.json was removed."""
        ours = {"lock", "keys", "partial", "events.jsonl", "settings.toml", *CORRECTION_FILES, *ARTEFACTS.values()}
        found = {child.name for child in self.path.iterdir()}
        left = {name for name in found if name.removeprefix(".").removesuffix(".tmp") in ours | {"run.json"} or name.startswith("lock.")}
        return not found or ("lock" in found and found == left)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes out; freed by the system however this process ends.

        Raises:
            StorageError: another process is at work here.
        """
        with locked(self.path / "lock", f"{self.path}: in use by {{holder}}; wait for it, or give another --out"):
            self._recover()
            yield

    @contextmanager
    def share(self) -> Iterator[None]:
        """Keeps out whoever wants the folder alone, and lets in others who work on pieces.

        Raises:
            StorageError: somebody has it alone.
        """
        with locked(self.path / "lock", f"{self.path}: in use by {{holder}}; wait for it", alone=False):
            yield

    def about(self) -> dict[str, Any]:
        """Returns what run.json says: format, recording (path seen from this folder), card (what the stages use of it).

        Raises:
            StorageError: it is damaged, or of a newer barlowtrack.
        """
        path = self.path / "run.json"
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
        except _NOT_JSON as error:
            raise StorageError(f"{path}: cannot be read ({error}); delete it, and run the recording again to go on") from None
        whole = isinstance(about, dict) and isinstance(about.get("recording"), str) and isinstance(about.get("card"), dict)
        if isinstance(about, dict) and "format" in about and about["format"] != FORMAT:
            raise StorageError(f"{self.path}: run folder of format {about['format']}, this barlowtrack reads format {FORMAT}")
        if not whole:
            raise StorageError(f"{path}: does not say which recording; delete it, and run the recording again to go on")
        return dict(about)

    @property
    def is_new(self) -> bool:
        """Whether no run has begun here yet."""
        return not (self.path / "run.json").exists()

    def relative(self, recording: Path) -> str:
        """Returns the path of a recording as seen from here."""
        return seen_from(self.path, recording)

    @property
    def location(self) -> Path:
        """Where the recording lies that this folder belongs to, or did when it was last seen."""
        return location_from(self.path, self.about()["recording"])

    def describe(self, recording: Path | None, card: Mapping[str, Any], settings: str) -> None:
        """Writes down which recording this folder belongs to, and the settings in force; None: one that is not at hand, and stays."""
        place = self.about()["recording"] if recording is None else self.relative(recording)
        about = {"format": FORMAT, "recording": place, "card": dict(card)}
        write_bytes(self.path / "settings.toml", settings.encode())  # first: a run folder without its settings would go on with others
        write_bytes(self.path / "run.json", (json.dumps(about, indent=1, sort_keys=True) + "\n").encode())

    def record(self, stage: str) -> StageRecord | None:
        """Returns what the stage's artefacts were made from; None where there are none, or a part of them is gone."""
        try:
            record = StageRecord.from_bytes((self.path / "keys" / f"{stage}.json").read_bytes())
        except FileNotFoundError:
            return None
        except _NOT_JSON as error:
            log.warning("%s: cannot be read (%s); %s will run again", self.path / "keys" / f"{stage}.json", error, stage)
            return None
        return record

    def damage(self, record: StageRecord) -> list[str]:
        """Says which artefacts of a record are gone or changed in size."""
        said = []
        for name, size in record.artefacts.items():
            path = self.path / name
            if not path.exists():
                said.append(f"{name} is gone")
            elif (found := tree_size(path)) != size:
                said.append(f"{name} has {found} bytes instead of {size}")
        return said

    def verify(self, record: StageRecord, name: str) -> None:
        """Reads an artefact through and compares it with what was made.

        Raises:
            StorageError: it was changed since.
        """
        path = self.path / name
        if name in record.digests and path.exists() and tree_digest(path) != record.digests[name]:
            raise StorageError(f"{path}: changed since '{record.stage}' made it; delete it, and 'barlowtrack run' makes it again")

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Lets one process after the other look whether the folder is new, and describe it; they wait for each other, shortly."""
        path = self.path / "partial" / ".begin"  # a file, for locks of folders do not reach other machines
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file, taking_turns(file, path):
            yield

    def publish(self, record: StageRecord) -> None:
        """Puts a finished stage's artefacts in their places, then its key: from here on they count."""
        partial = self.path / "partial" / record.stage
        sync_tree(partial)
        names = list(record.artefacts)
        record = replace(
            record,
            artefacts={name: tree_size(partial / name) for name in names},
            digests={name: tree_digest(partial / name) for name in names},
        )
        write_bytes(partial / "complete.json", record.to_bytes())
        self._arrive(partial, record)

    @property
    def half_made(self) -> HalfMade:
        """What stages are at work on, or left when they were killed."""
        return HalfMade(self.path)

    @property
    def journal(self) -> Journal:
        """What happened to its stages."""
        return Journal(self.path)

    def costs(self) -> dict[str, StageCost]:
        """Returns what each stage cost the last time it came to its end; see Journal.costs."""
        keys = {path.stem: found.key for path in (self.path / "keys").glob("*.json") if (found := self.record(path.stem)) is not None}
        return self.journal.costs(keys)

    @property
    def worker(self) -> str | None:
        """Who is at work here; None where nobody is."""
        return holder(self.path / "lock")

    def _arrive(self, partial: Path, record: StageRecord) -> None:
        keys = self.path / "keys"
        keys.mkdir(exist_ok=True)
        (keys / f"{record.stage}.json").unlink(missing_ok=True)
        for name in record.artefacts:
            move(partial / name, self.path / name, partial)
        sync_tree(keys)
        write_bytes(keys / f"{record.stage}.json", record.to_bytes())
        self.half_made.discard(partial)
        used = {piece.path for piece in self.half_made.pieces(record.stage, record.key)}
        for piece in (self.path / "partial").glob(f"{record.stage}.*-*"):
            if piece not in used and (piece / "done").exists():
                log.warning("%s: made under other settings; discarded", piece)
            self.half_made.discard(piece)

    def _recover(self) -> None:
        """Finishes what a killed process had decided: results that were complete arrive, what was put aside goes."""
        for path in sorted((self.path / "partial").glob("*")):
            if path.name.startswith(".") or self._is_over(path):
                remove(path)
            elif (path / "complete.json").exists():
                try:
                    record = StageRecord.from_bytes((path / "complete.json").read_bytes())
                except (ValueError, TypeError, RecursionError):
                    record = None
                if record is None or record.stage != path.name:
                    log.warning("%s: damaged; %s will run again", path / "complete.json", path.name)
                    self.half_made.discard(path)
                else:
                    self._arrive(path, record)

    def _is_over(self, path: Path) -> bool:
        """Whether this is a piece of a stage that has been put together since."""
        stage, dot, _ = path.name.partition(".")
        record = self.record(stage) if dot else None
        return record is not None and self.half_made.is_under(path, record.key)
