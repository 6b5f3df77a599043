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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from barlowtrack.data import StageCost
from barlowtrack.errors import StorageError
from barlowtrack.io.location import location_from, seen_from
from barlowtrack.storage.artefacts import ARTEFACTS
from barlowtrack.storage.atomic import remove, sync_tree, tree_digest, tree_size, write_bytes
from barlowtrack.storage.atomic import replace as move
from barlowtrack.storage.corrections import FILES as CORRECTION_FILES
from barlowtrack.storage.journal import Journal
from barlowtrack.storage.locks import holder, locked, taking_turns

log = logging.getLogger(__name__)

FORMAT = 1
_NOT_JSON = (OSError, ValueError, TypeError, AttributeError, RecursionError)  # what reading of a damaged file ends with
SUFFIX = ".barlowtrack"


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

    def partial(self, stage: str, key: str) -> Path:
        """Returns the folder a stage works in; half-made work under another key is put aside and said."""
        path = self.path / "partial" / stage
        key_file = path / "key"
        if path.exists() and (not key_file.is_file() or key_file.read_bytes() != key.encode()):
            log.info("%s: discarding half-made work of other settings", stage)
            self._discard(path)
        if not path.exists():
            path.mkdir(parents=True)
            write_bytes(key_file, key.encode())
        return path

    @contextmanager
    def piece(self, stage: str, key: str, volumes: range) -> Iterator[Path]:
        """Gives the folder in which some volumes of a stage are made, to one process at a time; what is in it under another key goes.

        Raises:
            StorageError: another process makes this piece.
        """
        path = self._piece(stage, volumes)
        path.mkdir(parents=True, exist_ok=True)
        name = f"volumes {volumes.start}:{volumes.stop} of {stage}"
        with locked(path / "lock", f"{self.path}: {name} are made by {{holder}} already; wait for it"):
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

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Lets one process after the other look whether the folder is new, and describe it; they wait for each other, shortly."""
        path = self.path / "partial" / ".begin"  # a file, for locks of folders do not reach other machines
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file, taking_turns(file, path):
            yield

    def pieces(self, stage: str, key: str) -> list[Piece]:
        """Returns the pieces of a stage that were made under a key, and are not empty, by their first volume."""
        found = []
        for path in (self.path / "partial").glob(f"{stage}.*-*"):
            first, _, stop = path.name.removeprefix(f"{stage}.").partition("-")
            if first.isdecimal() and stop.isdecimal():
                done = _half_done(path, key)
                if done:
                    found.append(Piece(path, range(int(first), int(stop)), done))
        return sorted(found, key=lambda piece: (piece.volumes.start, -piece.done))

    def _piece(self, stage: str, volumes: range) -> Path:
        return self.path / "partial" / f"{stage}.{volumes.start}-{volumes.stop}"

    def start_over(self, stage: str, key: str) -> Path:
        """Removes the half-made work of a stage, and returns the folder it works in."""
        self._discard(self.path / "partial" / stage)
        return self.partial(stage, key)

    def half_done(self, stage: str, key: str) -> int | None:
        """Returns how many parts (volumes, epochs) of a killed stage are safe, or None where it has not begun."""
        return _half_done(self.path / "partial" / stage, key)

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
        self._discard(partial)
        used = {piece.path for piece in self.pieces(record.stage, record.key)}
        for piece in (self.path / "partial").glob(f"{record.stage}.*-*"):
            if piece not in used and (piece / "done").exists():
                log.warning("%s: made under other settings; discarded", piece)
            self._discard(piece)

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
                    self._discard(path)
                else:
                    self._arrive(path, record)

    def _is_over(self, path: Path) -> bool:
        """Whether this is a piece of a stage that has been put together since."""
        stage, dot, _ = path.name.partition(".")
        record = self.record(stage) if dot else None
        return record is not None and _half_done(path, record.key) is not None

    def _discard(self, path: Path) -> None:
        """Removes a folder: renamed first, so that a kill in between leaves nothing that looks usable."""
        trash = path.with_name(f".{path.name}.trash")
        remove(trash)
        path.rename(trash)
        remove(trash)


def _half_done(path: Path, key: str) -> int | None:
    """Returns how many parts are safe in a folder of half-made work; None where there is none under this key."""
    try:
        same = (path / "key").read_text(encoding="utf-8") == key
        return int((path / "done").read_text(encoding="utf-8")) if same else None
    except (OSError, ValueError):
        return None
