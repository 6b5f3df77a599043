"""What stages made, read for whoever asks: in which edition, and whether it goes with the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from barlowtrack.errors import InputError, StorageError
from barlowtrack.pipeline.table import AMEND, AMENDMENTS, MAKER, STAGES, UNAMENDED

if TYPE_CHECKING:
    from barlowtrack.data import Amendments
    from barlowtrack.storage import RunFolder

_ROWS = ("detections", "identities", "tracks")
"""Whose rows those of other artefacts are: what was made of earlier ones does not go with them."""
_ALONE = frozenset({"crops", "encoder", "history", "atlas", "report"})
"""What can be read for itself, whatever the detections are by now."""


def edition(folder: RunFolder) -> str:
    """Returns the key of the amendments that are part of what the folder says; UNAMENDED where nobody edited detections.

    Amendments of what was made anew since count for nothing, until `amend` runs again.
    """
    record = folder.record(AMEND.name)
    if record is None or record.inputs.get("edits", UNAMENDED) == UNAMENDED:
        return UNAMENDED
    for name in AMEND.needs:
        made = folder.record(MAKER[name]) if name in MAKER else None
        if name in MAKER and (made is None or made.key != record.inputs.get(name)):
            return UNAMENDED
    return record.key


def older_than(name: str, folder: RunFolder) -> str | None:
    """Returns what an artefact is older than: of detections, identities and tracks the first of which there are others by now.

    None where it goes with all of them, was not made, or can be read for itself.
    """
    stage = next(stage for stage in STAGES if name in stage.makes)
    record = folder.record(stage.name)
    if record is None or name in _ALONE or stage.amends:
        return None
    made = {of: folder.record(MAKER[of]) for of in _ROWS if of in record.inputs}
    for of, now in made.items():
        if now is None or now.key != record.inputs[of]:
            return of
    later = STAGES.index(stage) > STAGES.index(AMEND)
    return "detections" if later and record.inputs.get(AMENDMENTS, UNAMENDED) != edition(folder) else None


def read(name: str, folder: RunFolder, *, whole: bool = False, amended: bool | None = None) -> Any:
    """Reads an artefact that a stage made, with what people changed of it.

    Where it is not told which edition, all that is read goes together, row by row.

    Args:
        name: Of the artefact.
        folder: The run folder.
        whole: Read volumes and crops through, too, and compare them with what was made; else they are read when asked for.
        amended: False: as it was made first; True: as it was amended; where not given, what the folder says now.

    Raises:
        StorageError: it has not been made, was changed since, is older than the detections (see older_than), or was made by another
            version of barlowtrack and this one cannot read it.
        InputError: it is damaged.
    """
    older = older_than(name, folder) if amended is None else None
    if older is not None:
        raise StorageError(f"{folder.path}: {name} are older than the {older}; run 'barlowtrack run {folder.path}' first")
    found = read_as_made(name, folder, whole=whole)
    if name not in AMEND.amends or amended is False or (amended is None and edition(folder) == UNAMENDED):
        return found
    from barlowtrack.identity.rulings import number

    amendments: Amendments = read_as_made(AMENDMENTS, folder, whole=True)
    match name:
        case "labels" | "places" | "detections":
            return getattr(amendments, name)(found)
        case "identities":
            detections = read_as_made("detections", folder, whole=whole)
            return amendments.identities(detections, found, number(detections, found.neuron))
        case _:
            return getattr(amendments, name)(read_as_made("detections", folder, whole=whole), found)


def read_as_made(name: str, folder: RunFolder, *, whole: bool) -> Any:
    """Reads an artefact as it was made."""
    from barlowtrack.storage import ARTEFACTS, load

    stage = next(stage for stage in STAGES if name in stage.makes)
    record, path = folder.record(stage.name), folder.path / ARTEFACTS[name]
    if record is None:
        raise StorageError(f"{folder.path}: has no {name} yet; run 'barlowtrack {stage.name}'")
    if record.version == stage.version and not path.exists():
        raise StorageError(f"{path}: not there any more; 'barlowtrack {stage.name} {folder.path}' makes it again")
    if whole or not path.is_dir():
        folder.verify(record, ARTEFACTS[name])
    try:
        return load(name, folder.path)
    except (InputError, StorageError):
        if record.version == stage.version:
            raise
    age = "an older" if record.version < stage.version else "a newer"
    raise StorageError(f"{path}: made by {age} version of barlowtrack; 'barlowtrack run' brings it up to date")
