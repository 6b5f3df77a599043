"""A recording, its run folder and its settings: what a run would do, and doing it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack import pipeline
from barlowtrack.errors import StorageError

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.data import Recording
    from barlowtrack.storage import RunFolder

SUFFIX = ".barlowtrack"


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
            self._refuse_folder()  # before minutes of looking
        if look is not None and not (self.folder / "keys" / "segment.json").exists():
            look(self, recording)
        folder = RunFolder(self.folder, create=True)
        return pipeline.run(recording, self.location, folder, self.config, only=only, upto=upto, listener=listener)

    def _refuse_folder(self) -> None:
        """Refuses a folder that is not ours, or in use."""
        from barlowtrack.storage import RunFolder

        folder = RunFolder(self.folder, create=True)
        if (self.folder / "lock").exists():
            with folder.lock():
                pass

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

    def run_piece(
        self, stage: str, volumes: range, listener: pipeline.Listener | None = None, look: Callable[[Job, Recording], None] | None = None
    ) -> pipeline.PlannedStage:
        """Makes some volumes of one stage, beside other jobs that make others; see pipeline.run_piece.

        Args:
            stage: One that works volume by volume.
            volumes: Which ones.
            listener: Hears of progress.
            look: Called where no run has begun in the folder yet, before anything is written; may raise.
        """
        from barlowtrack.storage import RunFolder

        recording = self.recording()
        pipeline.refuse_piece(stage, volumes, recording.n_volumes)
        if not self.folder.exists():
            pipeline.refuse_before(recording, self.config, only=stage)
        if look is not None and not (self.folder / "run.json").exists():
            look(self, recording)
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
