"""What stages made is read, or said to be another version's: never called damaged where it is only old."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barlowtrack.api import Run
from barlowtrack.errors import InputError, StorageError
from barlowtrack.io.tables import write_table
from barlowtrack.pipeline import STAGES, read
from barlowtrack.storage import RunFolder, StageRecord

NOW = {stage.name: stage.version for stage in STAGES}
OLD_LIGHT = pd.DataFrame({"t": np.zeros(2, np.int32), "label": np.array([1, 2], np.int32), "red_mean": [1.0, 2.0]})


def made(tmp_path: Path, version: int, frame: pd.DataFrame | None = OLD_LIGHT) -> RunFolder:
    """A run folder in which measure of this version left its light; none where no table is given."""
    folder = RunFolder(tmp_path / "worm.barlowtrack", create=True)
    folder.describe(tmp_path / "worm", {"content": "c1"}, "seed = 0\n")
    partial = folder.half_made.of_stage("measure", "k1")
    names = {}
    if frame is not None:
        write_table(frame, partial / "light.parquet")
        names = {"light.parquet": 0}
    folder.publish(StageRecord("measure", "k1", version, None, {}, {}, {}, names))
    return folder


@pytest.mark.parametrize("frame", [OLD_LIGHT, None], ids=["other_columns", "not_made_then"])
def test_what_an_older_version_made_is_old_and_not_damaged(tmp_path: Path, frame: pd.DataFrame | None):
    folder = made(tmp_path, NOW["measure"] - 1, frame)
    for ask in (lambda: read("light", folder), lambda: Run(folder.path).light):
        with pytest.raises(StorageError, match=r"light.parquet: made by an older version of barlowtrack; 'barlowtrack run' brings it up"):
            ask()


def test_what_a_newer_version_made_is_said_to_be_newer(tmp_path: Path):
    with pytest.raises(StorageError, match="made by a newer version of barlowtrack"):
        read("light", made(tmp_path, NOW["measure"] + 1))


def test_what_this_version_made_and_cannot_be_read_is_damaged(tmp_path: Path):
    with pytest.raises(InputError, match="columns missing"):
        read("light", made(tmp_path, NOW["measure"]))


def test_what_was_never_made_is_said_with_the_stage_that_makes_it(tmp_path: Path):
    with pytest.raises(StorageError, match="has no swaps yet; run 'barlowtrack trace'"):
        read("swaps", made(tmp_path, NOW["measure"]))
