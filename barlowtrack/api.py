"""What a script uses: run a recording, open a run folder. The CLI and the plugin go the same way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barlowtrack import pipeline
from barlowtrack.errors import InputError, StorageError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from barlowtrack.config import Config
    from barlowtrack.data import (
        Amendments,
        Bleaching,
        Correction,
        Corrections,
        Detections,
        Embeddings,
        Identities,
        Labels,
        Light,
        Places,
        Preparation,
        Progress,
        Recording,
        Swaps,
        Traces,
        Tracks,
        Truth,
        VolumeLooks,
    )
    from barlowtrack.exports.content import Content
    from barlowtrack.identity.estimate import ErrorEstimate
    from barlowtrack.identity.learned import Learned
    from barlowtrack.identity.review import Question
    from barlowtrack.storage import RunFolder
    from barlowtrack.taking import Taken

SUFFIX = ".barlowtrack"
_TABLES = ("detections", "volumes", "light", "places", "tracks", "candidates", "neurons", "absences", "traces", "swaps", "bleaching")
_EXPORTED = ("detections", "tracks", "neurons", "candidates", "absences", "volumes", "traces", "swaps", "labels", "corrections")


@dataclass(frozen=True)
class Job:
    """A recording, its run folder and the settings that go with them.

    Attributes:
        location: Of the recording.
        folder: Where results go; need not be there yet.
        config: Settings in force: defaults, under those of the run folder or of a file, under overrides.
    """

    location: Path
    folder: Path
    config: Config

    def recording(self) -> Recording:
        """Opens the recording.

        Raises:
            InputError: it cannot be used.
        """
        from barlowtrack.io import open_recording
        from barlowtrack.storage import RunFolder

        known = RunFolder(self.folder).about()["card"] if (self.folder / "run.json").is_file() else None
        return open_recording(self.location, self.config.recording, known=known)

    def plan(self) -> list[pipeline.PlannedStage]:
        """Says what a run would do; touches nothing. A recording that is not at hand is taken as last seen.

        Raises:
            StorageError: a run would be refused the folder.
        """
        from barlowtrack.storage import RunFolder

        folder = RunFolder(self.folder, create=True) if self.folder.exists() else None
        if folder is not None and self._is_away(folder):
            return pipeline.plan(folder, folder.about()["card"], self.config)
        card = pipeline.recording_card(self.recording())
        if folder is not None:
            pipeline.refuse_another(folder, self.location, card)
        return pipeline.plan(folder, card, self.config)

    def run(
        self,
        *,
        only: str | None = None,
        upto: str | None = None,
        listener: pipeline.Listener | None = None,
        look: Callable[[Job, Recording], None] | None = None,
    ) -> list[pipeline.PlannedStage]:
        """Does what the plan says; see pipeline.run. A recording that is not at hand is taken as last seen, where none of it is read.

        Args:
            only: This stage alone.
            upto: End after this stage.
            listener: Hears of progress.
            look: Called with a recording of which no nuclei have been found yet, before anything is written; may raise.
        """
        from barlowtrack.storage import RunFolder

        recording = self._last_seen() or self.recording()
        if not self.folder.exists():
            pipeline.refuse_before(recording, self.config, only=only, upto=upto)
        else:
            RunFolder(self.folder, create=True)  # refuses what is not ours before minutes of looking
        if look is not None and not (self.folder / "keys" / "segment.json").exists():
            look(self, recording)
        folder = RunFolder(self.folder, create=True)
        return pipeline.run(recording, self.location, folder, self.config, only=only, upto=upto, listener=listener)

    def _last_seen(self) -> Recording | None:
        """Returns what the run folder knows of a recording that is not at hand; None where it is, or has to be read in another way."""
        from barlowtrack.config import load
        from barlowtrack.storage import RunFolder

        stored = self.folder / "settings.toml"
        if not stored.exists():
            return None
        folder = RunFolder(self.folder, create=True)
        if not self._is_away(folder) or load(stored, ()).recording != self.config.recording:
            return None
        return pipeline.recording_away(folder.about()["card"], self.location)

    def _is_away(self, folder: RunFolder) -> bool:
        """Says whether this is the recording of the run folder, and not at hand; of any other place the folder knows nothing."""
        from barlowtrack.io.location import is_there

        if folder.is_new or is_there(self.location):
            return False
        return self.location == folder.location or folder.relative(self.location) == folder.about()["recording"]

    def run_piece(self, stage: str, volumes: range, listener: pipeline.Listener | None = None) -> pipeline.PlannedStage:
        """Makes some volumes of one stage, beside other jobs that make others; see pipeline.run_piece."""
        from barlowtrack.storage import RunFolder

        recording = self.recording()
        pipeline.refuse_piece(stage, volumes, recording.n_volumes)
        if not self.folder.exists():
            pipeline.refuse_before(recording, self.config, only=stage)
        folder = RunFolder(self.folder, create=True)
        return pipeline.run_piece(recording, self.location, folder, self.config, stage, volumes, listener)


def prepare(
    target: Path | str, *, out: Path | str | None = None, config: Config | Path | str | None = None, overrides: Sequence[str] = ()
) -> Job:
    """Finds recording, run folder and settings.

    Args:
        target: A recording, or a run folder.
        out: Run folder; beside the recording, named after it, where not given.
        config: Settings, or a TOML file of them; where not given, those of the run folder, or the defaults.
        overrides: Such as "track.min_probability=0.5"; they come last.

    Raises:
        StorageError: no such recording or run folder, or two run folders named.
        ConfigError: a setting that is none.
    """
    from barlowtrack.config import Config, load
    from barlowtrack.io import recording_name
    from barlowtrack.io.location import beside
    from barlowtrack.storage import RunFolder
    from barlowtrack.storage.outputs import is_zarr, refuse_file_name

    target = Path(target)
    if (target / "run.json").exists():
        if out is not None:
            raise StorageError(f"{target} is a run folder already; --out {out} would be a second one")
        folder = target
        location = RunFolder(folder).location
    else:
        location = target
        folder = Path(out) if out is not None else beside(location) / f"{recording_name(location)}{SUFFIX}"
        refuse_file_name(folder)
    real, its_folder = (Path(os.path.realpath(path)) for path in (location, folder))  # unlike resolve, it bears links in a circle
    if real in its_folder.parents and is_zarr(location):
        raise StorageError(f"{folder}: lies inside the recording, which would change with every run; give another --out")
    stored = folder / "settings.toml"
    if isinstance(config, Config):
        settings = load(None, overrides, base=config)
    elif config is not None:
        settings = load(Path(config), overrides)
    else:
        settings = load(stored if stored.exists() else None, overrides)
    return Job(location, folder, _with_whole_path(settings))


def _with_whole_path(settings: Config) -> Config:
    """Returns the settings with the relative path of a model or encoder made whole, so that they mean the same from any folder."""
    for section, name in (("segment", "model"), ("train", "start")):
        old = getattr(settings, section)
        path = getattr(old, name)
        if path and not os.path.isabs(path):
            settings = settings.model_copy(update={section: old.model_copy(update={name: os.path.abspath(path)})})
    return settings


def run(
    recording: Path | str,
    out: Path | str | None = None,
    *,
    config: Config | Path | str | None = None,
    overrides: Sequence[str] = (),
    listener: pipeline.Listener | None = None,
    check: bool = True,
) -> Run:
    """Runs the whole pipeline on a recording; what is done already is left alone.

    Before a first run the recording is looked at, as the CLI does: what may make results poor is logged, as warnings.

    Args:
        recording: Whatever open_recording reads; or a run folder, to bring it up to date.
        out: Run folder; beside the recording where not given.
        config: Settings, or a TOML file.
        overrides: Such as "track.min_probability=0.5".
        listener: Hears of progress.
        check: False: begin without that look.

    Returns:
        The run, with all its results.

    Raises:
        InputError: also where the look says that the run would fail, or that its results would mean nothing; nothing is written then.
        ConfigError, StorageError: see barlowtrack.errors.
    """
    job = prepare(recording, out=out, config=config, overrides=overrides)
    job.run(listener=listener, look=_look if check else None)
    return Run(job.folder)


def _look(job: Job, recording: Recording) -> None:
    from barlowtrack.readiness import look_and_log

    look_and_log(recording, job.location, job.folder, job.config)


class Run:
    """A run folder to read from; results are loaded when asked for, with what people added and divided.

    Args:
        path: Of the run folder.

    Raises:
        StorageError: there is none; or, when a result is asked for, that it has not been made.
    """

    def __init__(self, path: Path | str) -> None:
        from barlowtrack.storage import RunFolder

        self.folder = RunFolder(Path(path))
        self.path = self.folder.path

    @property
    def recording(self) -> Recording:
        """The recording as this run sees it: put right as `prepare` says. All places that the run tells hold in it.

        Raises:
            InputError: it is not at hand, or has changed since its nuclei were found.
        """
        return pipeline.recording_of(self.folder)

    @property
    def preparation(self) -> Preparation:
        """How the pictures are put right before anybody looks at them; takes places from the disk to where the run has them, and back."""
        return pipeline.preparation_of(self.folder)

    def as_prepared(self, truth: Truth) -> Truth:
        """Takes a truth from the recording as it lies on the disk to where this run has it, as `evaluate` does; see Preparation."""
        from barlowtrack.preparing.truth import prepared_truth

        card = self.folder.about()["card"]
        z, y, x = (float(size) for size in card["voxel_size_um"])
        return prepared_truth(truth, self.preparation, int(card["shape"][0]), (z, y, x))

    @property
    def detections(self) -> Detections:
        found: Detections = self._load("detections")
        return found

    @property
    def volumes(self) -> VolumeLooks:
        """How every volume looks, and whether it is junk."""
        found: VolumeLooks = self._load("volumes")
        return found

    @property
    def labels(self) -> Labels:
        found: Labels = self._load("labels")
        return found

    @property
    def embeddings(self) -> Embeddings:
        found: Embeddings = self._load("embeddings")
        return found

    @property
    def light(self) -> Light:
        """How brightly every detection shines, in several readings; nothing is made of it yet."""
        found: Light = self._load("light")
        return found

    @property
    def places(self) -> Places:
        """Where the atlas expects neurons that no detection is, and the light there."""
        found: Places = self._load("places")
        return found

    @property
    def amendments(self) -> Amendments:
        """What people added and divided: the volumes that it concerns, as they are now. All other results have it already."""
        from barlowtrack.data import Amendments

        if pipeline.edition(self.folder) == pipeline.UNAMENDED:
            return Amendments()
        found: Amendments = self._load("amendments")
        return found

    @property
    def tracks(self) -> Tracks:
        found: Tracks = self._load("tracks")
        return found

    @property
    def error(self) -> ErrorEstimate:
        """Which share of the identities is expected to be wrong: in all, of each volume, of each neuron; no truth is needed."""
        from barlowtrack.identity.estimate import estimate_error

        tracks, detections = self.tracks, self.detections
        return estimate_error(detections.t, tracks.neuron, tracks.probability)

    @property
    def atlas(self) -> Learned:
        """What was learned of the neurons: enough to identify volumes that come later."""
        found: Learned = self._load("atlas")
        return found

    @property
    def identities(self) -> Identities:
        """What the atlas says of every detection before people are heard, and where it has every neuron."""
        found: Identities = self._load("identities")
        return found

    @property
    def neurons(self) -> pd.DataFrame:
        """Table of the neurons, one row each."""
        found: pd.DataFrame = self._load("neurons")
        return found

    @property
    def candidates(self) -> pd.DataFrame:
        """Table of who every detection may be."""
        found: pd.DataFrame = self._load("candidates")
        return found

    @property
    def absences(self) -> pd.DataFrame:
        """Table of the neurons that volumes do not show."""
        found: pd.DataFrame = self._load("absences")
        return found

    @property
    def traces(self) -> Traces:
        found: Traces = self._load("traces")
        return found

    @property
    def wide(self) -> Path:
        """Path of the traces as matrices, neurons x volumes: a zarr group."""
        return self._path("wide")

    @property
    def swaps(self) -> Swaps:
        """Stretches in which two neurons seem to be taken for each other."""
        found: Swaps = self._load("swaps")
        return found

    @property
    def bleaching(self) -> Bleaching:
        """How the light fades."""
        found: Bleaching = self._load("bleaching")
        return found

    @property
    def history(self) -> dict[str, np.ndarray]:
        """The training's history: a column a key."""
        found: dict[str, np.ndarray] = self._load("history")
        return found

    @property
    def report(self) -> Path:
        """Path of the report."""
        return self._path("report")

    @property
    def corrections(self) -> Corrections:
        """What people said, in force or not."""
        from barlowtrack.storage import read_corrections

        return read_corrections(self.path)

    def correct(self, what: str, *, who: str | None = None, **said: Any) -> Correction:
        """Writes down what a person says; the next run heeds it.

        Args:
            what: is, not-a-neuron, absent, name, merge or split; or, of the detections themselves, add or divide.
            who: Says it; whoever is logged in, where not given.
            said: t, until, label, position_um, neuron, other, new, other_um: see answers.Answer.

        Returns:
            The row that was added to corrections.csv.

        Raises:
            InputError: it speaks of what is not there, or contradicts an earlier row; nothing was written.
            StorageError: there are no tracks to correct.
        """
        from barlowtrack.answers import Answer, give

        return give(self.folder, Answer(what, **said), who)

    def undo_correction(self, line: int, *, who: str | None = None) -> Correction:
        """Takes a line of corrections.csv back, by another line."""
        from barlowtrack.answers import take_back

        return take_back(self.folder, line, who)

    def take_corrections(self, other: Path | str) -> int:
        """Appends the rows of another run folder's corrections that this one does not have; returns how many."""
        from barlowtrack.answers import take_over

        return take_over(self.folder, Path(other))

    def take_identities(
        self,
        path: Path | str,
        *,
        voxel_size_um: tuple[float, float, float] | None = None,
        within_um: float | None = None,
        who: str | None = None,
    ) -> Taken:
        """Takes identities from a file of another program as corrections: NWB, CTC, ZephIR, wbfm, CSV; see taking.take_identities."""
        from barlowtrack.taking import take_identities

        return take_identities(self.folder, Path(path), voxel_size_um=voxel_size_um, within_um=within_um, who=who)

    def review_queue(self, n: int = 20) -> tuple[Question, ...]:
        """Returns the n questions whose answers promise to put most identities right, best first."""
        from barlowtrack.answers import queue

        return queue(self.folder, n)

    def movie(
        self,
        path: Path | str,
        *,
        volumes: str | None = None,
        width: int = 640,
        fps: float = 10.0,
        max_frames: int = 200,
        names: bool = False,
        progress: Progress | None = None,
    ) -> list[int]:
        """Writes a film of the recording, which must be at hand: maximum projections, a ring around every neuron.

        Args:
            path: Ends in .webp, .png, .gif, or .mp4 where the extra movie is installed.
            volumes: "FROM:TO", TO not included; all where not given.
            width: Of the picture, in pixels.
            fps: Frames a second.
            max_frames: Of more volumes as many are shown, evenly chosen.
            names: Write names beside neurons where they cover no other: numbers where there is no name, or one that is not plain and
                short, as in the report's figures.
            progress: Told after every frame.

        Returns:
            The volumes that are shown.

        Raises:
            InputError: a file, volumes, width or rate that cannot be, or the recording has changed.
            StorageError: there are no tracks to show, or the file is a part of a run folder or lies in the recording.
        """
        from barlowtrack.data import silent
        from barlowtrack.movie import film, refuse_file
        from barlowtrack.showing.names import Names
        from barlowtrack.storage.outputs import refuse_output, writing

        refuse_file(Path(path))  # said before anything is read
        refuse_output(Path(path))
        detections, tracks = self.detections, self.tracks
        recording = self.recording
        plain = Names([name if isinstance(name, str) else "" for name in self.neurons["name"]]) if names else None
        called = [plain.short(k) for k in range(tracks.n_neurons)] if plain else None
        with writing(Path(path)):
            return film(
                recording,
                detections,
                tracks,
                Path(path),
                volumes=volumes,
                width=width,
                fps=fps,
                max_frames=max_frames,
                names=called,
                progress=progress or silent,
            )

    def export(
        self,
        to: str,
        path: Path | str | None = None,
        *,
        images: bool = False,
        metadata: Path | str | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Writes the run as files of other programs.

        Args:
            to: nwb, ctc, geff, csv, parquet, mat or napari; see exports.FORMATS.
            path: File or folder; beside the run folder where not given.
            images: Copy the recording's images too, which must be at hand; of nwb and napari.
            metadata: TOML file of what no recording knows: animal, lab, wavelengths; of nwb.
            overwrite: Replace an older export.
            progress: Told after every volume.

        Returns:
            Where it lies.

        Raises:
            InputError: no such format, or one that lacks what it needs or has no room for what was asked.
            StorageError: the run is not finished or not up to date, or the place is taken.
            ConfigError: metadata that are none.
        """
        from barlowtrack.data import silent
        from barlowtrack.exports import FORMATS, format_named
        from barlowtrack.exports.formats import MARK, Options, is_export
        from barlowtrack.storage.outputs import arriving, put_back, refuse_target, writing

        row = format_named(to)
        for given, able, flag in ((images, [f.name for f in FORMATS if f.images], "images"), (metadata, ["nwb"], "metadata")):
            if given and to not in able:
                raise InputError(f"export --to {to}: has no room for --{flag}; {' and '.join(able)} have")
        writer = row.writer()
        target = row.target(self.path) if path is None else Path(path)
        job = prepare(self.path)
        put_back(target)
        refuse_target(target, job.location, is_export, overwrite=overwrite)
        self._refuse_unfinished(job)
        content = self._content(self.recording if images else None)
        options = Options(to, None if metadata is None else Path(metadata), progress or silent)
        with arriving(target) as temporary, writing(target):
            writer(content, temporary, options)
            if temporary.is_dir():
                (temporary / MARK).write_text(content.about_json, encoding="utf-8")
        return target

    def _refuse_unfinished(self, job: Job) -> None:
        """Refuses a run of which a result that goes out is missing or older than what it is made of."""
        for item in job.plan():
            idle = item.stage.amends and item.record.inputs["edits"] == pipeline.UNAMENDED
            if item.state != "cached" and item.stage.name != "report" and not idle:
                why = "; ".join(item.reasons)
                raise StorageError(f"{self.path}: {item.stage.name} is {item.state} ({why}); run 'barlowtrack run {self.path}' first")

    def _content(self, recording: Recording | None) -> Content:
        """Puts together all that goes out."""
        from importlib.metadata import version

        from barlowtrack.exports.content import Content

        card = self.folder.about()["card"]
        if recording is not None and recording.fingerprint != card["content"]:
            raise InputError(f"{self.path}: the recording changed since this run; run 'barlowtrack run {self.path}' first")
        preparation = self.preparation
        planes = card["shape"][2] if preparation.shape is None else preparation.kept[1] - preparation.kept[0]
        records = [self.folder.record(stage.name) for stage in pipeline.STAGES]
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
            settings=(self.path / "settings.toml").read_text(encoding="utf-8"),
            **{name: getattr(self, name) for name in _EXPORTED},
        )

    def write_csv(self, *, always: bool = True) -> list[Path]:
        """Writes the tables as CSV beside their parquet files; those of detections with what people added and divided.

        Args:
            always: False: only those whose CSV is there already, so that no CSV tells an older story than its parquet.

        Returns:
            The files written.
        """
        from barlowtrack.io.activity import light_to_frame, places_to_frame
        from barlowtrack.io.tables import detections_to_frame, read_table, write_table
        from barlowtrack.storage import ARTEFACTS

        amended: dict[str, Callable[[], pd.DataFrame]] = {}
        if pipeline.edition(self.folder) != pipeline.UNAMENDED:
            amended = {
                "detections": lambda: detections_to_frame(self.detections),
                "light": lambda: light_to_frame(self.detections, self.light),
                "places": lambda: places_to_frame(self.places),
            }
        written = []
        for name in _TABLES:
            source = self.path / ARTEFACTS[name]
            target = source.with_suffix(".csv")
            if source.exists() and (always or target.exists()):
                temporary = target.with_name(f"half-made-{target.name}")
                write_table(amended[name]() if name in amended else read_table(source), temporary)
                temporary.replace(target)
                written.append(target)
        return written

    def _path(self, name: str) -> Path:
        from barlowtrack.storage import ARTEFACTS

        return self.path / ARTEFACTS[name]

    def _load(self, name: str) -> Any:
        return pipeline.read(name, self.folder)
