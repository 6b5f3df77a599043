"""A run folder, opened to read from and to add to; and run(), which brings one about. What the verbs do lies in other files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barlowtrack import pipeline
from barlowtrack.api.job import Job, prepare

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
    from barlowtrack.identity.estimate import ErrorEstimate
    from barlowtrack.identity.learned import Learned
    from barlowtrack.identity.review import Question
    from barlowtrack.taking import Taken


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
        """Every nucleus that was found: when, where, how large and how bright. Row i is nucleus i in every table."""
        found: Detections = self._load("detections")
        return found

    @property
    def volumes(self) -> VolumeLooks:
        """How every volume looks, and whether it is junk."""
        found: VolumeLooks = self._load("volumes")
        return found

    @property
    def labels(self) -> Labels:
        """Which voxels each nucleus is; read a volume at a time."""
        found: Labels = self._load("labels")
        return found

    @property
    def embeddings(self) -> Embeddings:
        """A vector for every detection; alike where nuclei look alike."""
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
        """Which neuron every detection is, and how surely; with what people said."""
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
        """Activity of every neuron in every volume."""
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
        from barlowtrack.api.outgoing import write_movie
        from barlowtrack.data import silent

        return write_movie(
            self.folder,
            Path(path),
            volumes=volumes,
            width=width,
            fps=fps,
            max_frames=max_frames,
            names=names,
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
        from barlowtrack.api.outgoing import write_export
        from barlowtrack.data import silent

        place, about = (None if given is None else Path(given) for given in (path, metadata))
        return write_export(self.folder, to, place, images=images, metadata=about, overwrite=overwrite, progress=progress or silent)

    def write_csv(self, *, always: bool = True) -> list[Path]:
        """Writes the tables as CSV beside their parquet files; those of detections with what people added and divided.

        Args:
            always: False: only those whose CSV is there already, so that no CSV tells an older story than its parquet.

        Returns:
            The files written.
        """
        from barlowtrack.api.outgoing import write_csv

        return write_csv(self.folder, always=always)

    def _path(self, name: str) -> Path:
        from barlowtrack.storage import ARTEFACTS

        return self.path / ARTEFACTS[name]

    def _load(self, name: str) -> Any:
        return pipeline.read(name, self.folder)


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
