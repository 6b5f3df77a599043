"""A result of the Cell Tracking Challenge: masks, a TIFF a volume, and res_track.txt.

Reference:
    https://public.celltrackingchallenge.net/documents/Naming%20and%20file%20content%20conventions.pdf
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from barlowtrack.data import UNKNOWN, IntArray
from barlowtrack.errors import InputError
from barlowtrack.exports.content import Content
from barlowtrack.exports.formats import Options
from barlowtrack.exports.readme import readme
from barlowtrack.exports.stretches import Stretches, stretches
from barlowtrack.exports.tables import write_csv

MOST_LABELS = 2**16 - 1
"""Masks have 16 bits by convention."""
RESULT = "01_RES"
PREPARATION = "preparation.json"
_COLUMNS = {
    "label": "Value in the masks, and number of the track in res_track.txt.",
    "first": "Volume in which the track begins.",
    "last": "Volume in which it ends, included.",
    "parent": "Track in which the same neuron was found before; 0: none.",
    "neuron": "Identity, counted from 0; empty where unknown.",
    "name": "What people call it; empty where nobody said.",
    "probability": "0 to 1: mean over the volumes that the identity is right.",
}


def write(content: Content, path: Path, options: Options) -> None:
    """Writes the folder; one volume is in memory at a time.

    Args:
        content: What to export.
        path: Of the folder, which is not there.
        options: Its progress hears of every volume.

    Raises:
        InputError: more tracks than a mask of 16 bits can tell apart, or a nucleus without voxels.
    """
    cut = stretches(content.detections, content.tracks)
    n_labels = int((cut.neuron != UNKNOWN).sum())
    if n_labels > MOST_LABELS:
        raise InputError(f"export --to ctc: expected at most {MOST_LABELS} tracks, as masks have 16 bits, got {n_labels}")
    whole = len(cut.first) <= MOST_LABELS  # else those of nobody, which come last, are left out
    label = np.where(cut.of < (len(cut.first) if whole else n_labels), cut.of + 1, 0).astype(np.int64)
    (path / RESULT).mkdir(parents=True)
    digits = max(3, len(str(content.n_volumes - 1)))
    for t in range(content.n_volumes):
        mask = content.masks(t, label, np.uint16)
        _refuse_lost(content, t, label, mask)
        tifffile.imwrite(path / RESULT / f"mask{t:0{digits}d}.tif", mask, compression="zlib", metadata={"axes": "ZYX"})
        options.progress(t + 1, content.n_volumes)
    table = _tracks_table(content, cut).iloc[: None if whole else n_labels]
    lines = [f"{row.label} {row.first} {row.last} {row.parent}\n" for row in table.itertuples()]
    (path / RESULT / "res_track.txt").write_text("".join(lines), encoding="ascii")
    write_csv(table, path / "tracks.csv")
    files = {
        f"{RESULT}/mask{0:0{digits}d}.tif ...": "a mask a volume (z y x)",
        f"{RESULT}/res_track.txt": "track, first volume, last volume, parent",
        "tracks.csv": "which neuron each track is",
    }
    if content.where:
        files[PREPARATION] = "how planes were moved, cut and mirrored: by it, places in the masks are taken back to where the disk has them"
        (path / PREPARATION).write_text(_preparation(content), encoding="utf-8")
    page = readme(content, "ctc", files)
    if not whole:
        page += f"\n{len(cut.first) - n_labels} nuclei of no known neuron are left out: with them masks would need more than 16 bits.\n"
    page += "\n## Columns of tracks.csv\n\n" + "".join(f"- `{name}`: {said}\n" for name, said in _COLUMNS.items())
    (path / "README.md").write_text(page, encoding="utf-8")


def _preparation(content: Content) -> str:
    """What takes a place in the masks back to the recording on the disk, in voxels; None is left alone."""
    done = content.preparation
    said = {
        "shape_czyx": done.shape,
        "jitter_vox": None if done.jitter is None else done.jitter.tolist(),
        "drift_vox": None if done.drift is None else done.drift.tolist(),
        "planes": done.planes,
        "mirror": done.mirror,
    }
    return json.dumps(said) + "\n"


def _tracks_table(content: Content, cut: Stretches) -> pd.DataFrame:
    n = len(cut.first)
    count = np.maximum(np.bincount(cut.of, minlength=n), 1)
    known = cut.neuron != UNKNOWN
    values = {
        "label": np.arange(1, n + 1),
        "first": cut.first,
        "last": cut.last,
        "parent": cut.parent + 1,
        "neuron": pd.arrays.IntegerArray(np.where(known, cut.neuron, 0).astype(np.int32), ~known),
        "name": pd.array(np.array([*content.names, ""], object)[cut.neuron], dtype="str"),
        "probability": np.bincount(cut.of, content.tracks.probability, minlength=n) / count,
    }
    return pd.DataFrame({name: values[name] for name in _COLUMNS})


def _refuse_lost(content: Content, t: int, label: IntArray, mask: IntArray) -> None:
    """A track of which a volume has no voxel would make the whole result invalid."""
    wanted = label[content.detections.rows_of(t)]
    lost = np.setdiff1d(wanted[wanted > 0], mask)
    if len(lost):
        at = content.detections.rows_of(t).start + int(np.flatnonzero(wanted == lost[0])[0])
        raise InputError(f"labels of volume {t}: expected voxels of label {content.detections.label[at]}, got none; run segment again")
