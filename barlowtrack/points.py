"""Neurons from points alone: the way from somebody's table of places to the tables that a run makes.

A folder of results holds what `track` and `identify` make in a run folder, under the same names, without a run around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from barlowtrack.data import Corrections, Embeddings, Progress, VolumeLooks, silent
from barlowtrack.errors import ConfigError, StorageError

if TYPE_CHECKING:
    import pandas as pd

    from barlowtrack.config import Config
    from barlowtrack.data import Tracked
    from barlowtrack.identity.learned import Learned
    from barlowtrack.io.points import Points

TABLES = ("tracks", "candidates", "neurons", "absences")
_HALF_MADE = "half-made-"


@dataclass(frozen=True)
class TrackedPoints:
    """Points, and who they are.

    Attributes:
        points: As they were given.
        tracked: Who each is; rows as in points.detections.
        learned: The atlas, in the unit of the points.
    """

    points: Points
    tracked: Tracked
    learned: Learned

    @property
    def tracks(self) -> pd.DataFrame:
        """Table of the points, row by row as given, with neuron and probability."""
        return self.points.tracks_to_frame(self.tracked.tracks)

    @property
    def candidates(self) -> pd.DataFrame:
        """Table of who every point may be."""
        return self.points.candidates_to_frame(self.tracked.candidates)

    @property
    def neurons(self) -> pd.DataFrame:
        """Table of the neurons, one row each."""
        return self.points.neurons_to_frame(self.tracked.tracks, self.tracked.neurons)

    @property
    def absences(self) -> pd.DataFrame:
        """Table of the neurons that volumes do not show."""
        return self.points.absences_to_frame(self.tracked.neurons)

    def write(self, folder: Path | str, *, csv: bool = False) -> list[Path]:
        """Writes the tables and the atlas; results of the same kind are replaced, each at once.

        Args:
            folder: Made where it is not there.
            csv: Write the tables as CSV too; those that lie there already are always brought up to date.

        Returns:
            The files written.

        Raises:
            StorageError: the folder holds something else.
        """
        from barlowtrack.io.tables import write_table
        from barlowtrack.storage import ARTEFACTS
        from barlowtrack.storage.atomic import sync_tree, write_bytes

        folder = Path(folder)
        refuse_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(f"{_HALF_MADE}*"):
            left_over.unlink()
        half_made: list[tuple[Path, Path]] = []
        for name in TABLES:
            frame, target = getattr(self, name), folder / ARTEFACTS[name]
            provenance = {"n_neurons": str(self.tracked.tracks.n_neurons)} if name == "tracks" else None
            for path in (target, target.with_suffix(".csv")):
                if path is target or csv or path.exists():
                    temporary = path.with_name(f"{_HALF_MADE}{path.name}")
                    write_table(frame, temporary, provenance=provenance if path is target else None)
                    sync_tree(temporary)
                    half_made.append((temporary, path))
        atlas = folder / ARTEFACTS["atlas"]
        write_bytes(atlas, self.learned.to_bytes())
        for temporary, path in half_made:  # late and together, so that a kill hardly ever leaves tables of two tellings
            temporary.replace(path)
        return [atlas, *(path for _, path in half_made)]


def track_points(
    points: Points | Path | str | pd.DataFrame,
    out: Path | str | None = None,
    *,
    config: Config | Path | str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress = silent,
) -> TrackedPoints:
    """Gives every point a neuron id and a probability; nothing but the points is known.

    Args:
        points: A table, or a CSV or parquet file of one: t or volume, and x, y, z in any unit; without z, a plane; or Points.
        out: Folder for the results; nothing is written where not given.
        config: Settings, or a TOML file of them; recording.voxel_size_um, if given, is that of points in voxels.
        overrides: Such as "track.min_probability=0.5"; they come last.
        progress: Told after every volume.

    Raises:
        InputError: a table that cannot be used; says which row and column.
        ConfigError: a setting that is none, or position switched off.
        StorageError: out holds something else.
    """
    settings = settings_of(config, overrides)
    if out is not None:
        refuse_folder(Path(out))
    found = _identified(open_points(points, settings), settings, progress)
    if out is not None:
        found.write(out)
    return found


def settings_of(config: Config | Path | str | None, overrides: Sequence[str]) -> Config:
    """Reads the settings that points are tracked by.

    Raises:
        ConfigError: a setting that is none, or position switched off.
    """
    from barlowtrack.config import Config, load

    base = config if isinstance(config, Config) else None
    settings = load(None if config is base else Path(config), overrides, base=base)  # type: ignore[arg-type]
    if not settings.track.position:
        raise ConfigError("[track] position is false: points have nothing else to tell neurons apart by")
    return settings


def open_points(points: Points | Path | str | pd.DataFrame, settings: Config) -> Points:
    """Reads the table, or takes it as it is given.

    Raises:
        InputError: it cannot be used.
    """
    import pandas as pd

    from barlowtrack.io.points import Points, points_from_frame, read_points

    if isinstance(points, Points):
        return points
    size = settings.recording.voxel_size_um
    return points_from_frame(points, size) if isinstance(points, pd.DataFrame) else read_points(Path(points), size)


def refuse_folder(folder: Path) -> None:
    """Raises StorageError where a folder of results would hide among, or replace, something else."""
    from barlowtrack.storage import ARTEFACTS
    from barlowtrack.storage.outputs import refuse_file_name

    refuse_file_name(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StorageError(f"{folder}: expected a folder for the results, got a file")
    ours = {ARTEFACTS["atlas"], *(ARTEFACTS[name] for name in TABLES)}
    ours |= {Path(name).with_suffix(".csv").name for name in ours}
    other = sorted(
        path.name for path in folder.iterdir() if not path.name.startswith(".") and path.name.removeprefix(_HALF_MADE) not in ours
    )
    if other:
        what = "is a run folder" if "run.json" in other else f"holds {other[0]}"
        raise StorageError(f"{folder}: {what}; expected a new or empty folder for the results, or one with earlier results of points")


def _identified(points: Points, settings: Config, progress: Progress) -> TrackedPoints:
    from barlowtrack.stages.identify import identify
    from barlowtrack.stages.track import track

    found = points.detections
    n_volumes = found.n_volumes
    unseen = Embeddings(np.ones((len(found), 1), np.float32))
    alike = np.ones(n_volumes)
    looks = VolumeLooks(np.bincount(found.t, minlength=n_volumes), alike, alike)
    by_position = settings.track.model_copy(update={"appearance": False})
    said = identify(found, looks, unseen, config=by_position, compute=settings.compute, seed=settings.seed, progress=progress)
    tracked = track(found, unseen, said.learned, said.identities, Corrections(), config=by_position)
    return TrackedPoints(points, tracked, said.learned)
