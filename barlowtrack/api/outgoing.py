"""What leaves a run folder: tables as CSV, a film, files of other programs. Run says of each what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack import pipeline
from barlowtrack.api.job import Job, prepare
from barlowtrack.errors import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from barlowtrack.data import Detections, Progress, Recording, Tracks
    from barlowtrack.exports.content import Content
    from barlowtrack.storage import RunFolder

_TABLES = ("detections", "volumes", "light", "places", "tracks", "candidates", "neurons", "absences", "traces", "swaps", "bleaching")
_EXPORTED = ("detections", "tracks", "neurons", "candidates", "absences", "volumes", "traces", "swaps", "labels")


def write_movie(
    folder: RunFolder,
    path: Path,
    *,
    volumes: str | None,
    width: int,
    fps: float,
    max_frames: int,
    names: bool,
    progress: Progress,
) -> list[int]:
    """Writes a film of the recording, which must be at hand; see Run.movie."""
    from barlowtrack.movie import film, refuse_file
    from barlowtrack.showing.names import Names
    from barlowtrack.storage.outputs import refuse_output, writing

    refuse_file(path)  # said before anything is read
    refuse_output(path)
    detections: Detections = pipeline.read("detections", folder)
    tracks: Tracks = pipeline.read("tracks", folder)
    recording = pipeline.recording_of(folder)
    plain = Names([name if isinstance(name, str) else "" for name in pipeline.read("neurons", folder)["name"]]) if names else None
    called = [plain.short(k) for k in range(tracks.n_neurons)] if plain else None
    with writing(path):
        return film(
            recording,
            detections,
            tracks,
            path,
            volumes=volumes,
            width=width,
            fps=fps,
            max_frames=max_frames,
            names=called,
            progress=progress,
        )


def write_export(
    folder: RunFolder, to: str, path: Path | None, *, images: bool, metadata: Path | None, overwrite: bool, progress: Progress
) -> Path:
    """Writes the run as files of another program; see Run.export."""
    from barlowtrack.exports import FORMATS, format_named
    from barlowtrack.exports.formats import MARK, Options, is_export
    from barlowtrack.storage.outputs import arriving, put_back, refuse_target, writing

    row = format_named(to)
    for given, able, flag in ((images, [f.name for f in FORMATS if f.images], "images"), (metadata, ["nwb"], "metadata")):
        if given and to not in able:
            raise InputError(f"export --to {to}: has no room for --{flag}; {' and '.join(able)} have")
    writer = row.writer()
    target = row.target(folder.path) if path is None else path
    job = prepare(folder.path)
    put_back(target)
    refuse_target(target, job.location, is_export, overwrite=overwrite)
    _refuse_unfinished(job)
    content = content_of(folder, pipeline.recording_of(folder) if images else None)
    options = Options(to, metadata, progress)
    with arriving(target) as temporary, writing(target):
        writer(content, temporary, options)
        if temporary.is_dir():
            (temporary / MARK).write_text(content.about_json, encoding="utf-8")
    return target


def _refuse_unfinished(job: Job) -> None:
    """Refuses a run of which a result that goes out is missing or older than what it is made of."""
    for item in job.plan():
        idle = item.stage.amends and item.record.inputs["edits"] == pipeline.UNAMENDED
        if item.state != "cached" and item.stage.name != "report" and not idle:
            why = "; ".join(item.reasons)
            raise StorageError(f"{job.folder}: {item.stage.name} is {item.state} ({why}); run 'barlowtrack run {job.folder}' first")


def content_of(folder: RunFolder, recording: Recording | None) -> Content:
    """Puts together all that goes out."""
    from importlib.metadata import version

    from barlowtrack.exports.content import Content
    from barlowtrack.storage import read_corrections

    card = folder.about()["card"]
    if recording is not None and recording.fingerprint != card["content"]:
        raise InputError(f"{folder.path}: the recording changed since this run; run 'barlowtrack run {folder.path}' first")
    preparation = pipeline.preparation_of(folder)
    planes = card["shape"][2] if preparation.shape is None else preparation.kept[1] - preparation.kept[0]
    records = [folder.record(stage.name) for stage in pipeline.STAGES]
    stages = {
        record.stage: {
            "key": record.key,
            "version": record.version,
            "seed": record.seed,
            "settings": record.settings,
            "inputs": record.inputs,
        }
        for record in records
        if record is not None
    }
    return Content(
        name=card["name"],
        shape=(*card["shape"][:2], planes, *card["shape"][3:]),
        voxel_size_um=tuple(card["voxel_size_um"]),
        rate_hz=card["rate_hz"],
        channel_names=tuple(card["channel_names"]),
        reference=card["reference"],
        signal=card["signal"],
        recording=recording,
        preparation=preparation,
        about={"software": "barlowtrack", "version": version("barlowtrack"), "recording": card, "stages": stages},
        settings=(folder.path / "settings.toml").read_text(encoding="utf-8"),
        corrections=read_corrections(folder.path),
        **{name: pipeline.read(name, folder) for name in _EXPORTED},
    )


def write_csv(folder: RunFolder, *, always: bool) -> list[Path]:
    """Writes the tables as CSV beside their parquet files; see Run.write_csv."""
    from barlowtrack.io.activity import light_to_frame, places_to_frame
    from barlowtrack.io.tables import detections_to_frame, read_table, write_table
    from barlowtrack.storage import ARTEFACTS

    amended: dict[str, Callable[[], pd.DataFrame]] = {}
    if pipeline.edition(folder) != pipeline.UNAMENDED:
        amended = {
            "detections": lambda: detections_to_frame(pipeline.read("detections", folder)),
            "light": lambda: light_to_frame(pipeline.read("detections", folder), pipeline.read("light", folder)),
            "places": lambda: places_to_frame(pipeline.read("places", folder)),
        }
    written = []
    for name in _TABLES:
        source = folder.path / ARTEFACTS[name]
        target = source.with_suffix(".csv")
        if source.exists() and (always or target.exists()):
            temporary = target.with_name(f"half-made-{target.name}")
            write_table(amended[name]() if name in amended else read_table(source), temporary)
            temporary.replace(target)
            written.append(target)
    return written
