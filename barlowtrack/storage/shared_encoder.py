"""The file of an encoder for many recordings, what lies beside it, and the folder in which a killed training goes on.

The file says its key, and nothing of names: recordings know their encoder by the content of its file, and to call one of those it was made
of by another name must make none of them stale. Names, and a digest of the whole file, stand beside it, in FILE.json.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from barlowtrack.errors import InputError, StorageError
from barlowtrack.nn.facts import ENCODER_VERSION, header_bytes, said_of
from barlowtrack.storage.atomic import write_bytes
from barlowtrack.storage.outputs import refuse_output

STATE, MARK = "state.safetensors", "barlowtrack-training"


@dataclass(frozen=True)
class MadeFrom:
    """What an encoder for many says of itself.

    Attributes:
        key: Hash of settings, seed, start, and the crops of all recordings: same key, same encoder.
        crops: Key of the crops of each recording, by its name then; empty where the file came without what lies beside it.
        epoch: Of the training; 0: none was better than what it began with.
        whole: Whether the file is all there, as it was written.
    """

    key: str
    crops: Mapping[str, str]
    epoch: int
    whole: bool = True

    @property
    def recordings(self) -> tuple[str, ...]:
        """Names of the recordings, in order."""
        return tuple(sorted(self.crops))


def made_from(path: Path) -> MadeFrom | None:
    """Returns what an encoder was made from; None where there is no file, or one of another origin."""
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
        facts = said_of("encoder", ENCODER_VERSION, data).facts
        key, epoch = str(facts["together"]["key"]), int(facts["epoch"])
    except (OSError, InputError, KeyError, TypeError, ValueError):
        return None
    try:
        said = json.loads(beside(path).read_bytes())
        if said["key"] == key:
            crops = {str(name): str(of) for name, of in said["crops"].items()}
            return MadeFrom(key, crops, epoch, said["digest"] == _digest(data))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return MadeFrom(key, {}, epoch, _is_long_enough(data))


def write_encoder(path: Path, data: bytes, made: MadeFrom) -> None:
    """Writes an encoder, its key within, and what it was made from beside it."""
    write_bytes(path, data)
    note_names(path, made)


def note_names(path: Path, made: MadeFrom) -> None:
    """Writes what an encoder was made from beside it."""
    said = {"key": made.key, "crops": dict(sorted(made.crops.items())), "digest": _digest(path.read_bytes())}
    write_bytes(beside(path), (json.dumps(said, indent=1) + "\n").encode())


def beside(path: Path) -> Path:
    """Returns where names stand."""
    return path.with_name(f"{path.name}.json")


def refuse_place(out: Path, recordings: Mapping[Path, Path]) -> None:
    """Refuses a place for an encoder that is taken, or part of a recording or of its results.

    Args:
        out: Of the file.
        recordings: Where recordings lie, by their run folders.

    Raises:
        InputError: something else is there.
        StorageError: it lies where it would change a recording or a run folder.
    """
    refuse_output(out)
    place = out.absolute().resolve()
    for folder in place.parents:
        if (folder / "run.json").exists() or folder in {known.resolve() for known in recordings}:
            raise StorageError(f"{out}: lies in the run folder {folder.name}; give another --out")
    for location in recordings.values():
        source = location.absolute().resolve()
        if place == source or source in place.parents:
            raise StorageError(f"{out}: lies in the recording {source.name}; give another --out")
    if (out.exists() or out.is_symlink()) and made_from(out) is None:
        raise InputError(f"{out}: expected a free place, or an encoder for many to replace, got something else")
    if beside(out).exists() and not out.exists() and not _is_ours(beside(out)):
        raise InputError(f"{beside(out)}: expected a free place for what goes beside the encoder, got something else")


@contextmanager
def half_made(out: Path) -> Iterator[Path]:
    """Gives the folder in which a training goes on that was killed, and takes it away when all went well. None that is not ours is touched.

    Raises:
        StorageError: there is one that no training made.
    """
    folder = out.with_name(f"{out.name}.training")
    taken = folder.is_symlink() or (folder.exists() and not folder.is_dir())
    if taken or (folder.is_dir() and not (folder / MARK).is_file() and any(folder.iterdir())):
        raise StorageError(f"{folder}: is wanted for half-made work, and no training made it (it has no {MARK}); give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    yield folder
    for path in (folder / STATE, folder / f".{STATE}.tmp", *folder.glob("lock*"), folder / MARK):  # the mark last
        path.unlink(missing_ok=True)
    with suppress(OSError):  # somebody put something there
        folder.rmdir()


_LARGEST = 2**30
"""Bytes of an encoder's file; ours has a million."""


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _is_long_enough(data: bytes) -> bool:
    """Says whether a file is as long as its header says."""
    begins = header_bytes(data)
    offsets = [about["data_offsets"][1] for name, about in json.loads(data[8:begins]).items() if name != "__metadata__"]
    return len(data) == begins + max(offsets, default=0)


def _is_ours(path: Path) -> bool:
    try:
        return {"key", "crops", "digest"} <= set(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return False
