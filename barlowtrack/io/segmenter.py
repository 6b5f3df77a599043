"""The star-convex model that the settings ask for: the one that comes with the package, or a lab's own folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from barlowtrack.errors import InputError

if TYPE_CHECKING:
    from barlowtrack.config import SegmentConfig
    from barlowtrack.nn.segmentation_model import SegmentationModel

SHIPPED = Path(__file__).parents[1] / "weights" / "nuclei"
_FILES = ("config.json", "thresholds.json", "barlowtrack.json", "weights_best.h5", "weights_last.h5")


def model_folder(config: SegmentConfig) -> Path | None:
    """Returns where the model of the settings lies; None where they ask for none."""
    if config.method != "stardist":
        return None
    return Path(config.model) if config.model else SHIPPED


def model_digest(path: Path) -> str:
    """Returns a hash of all files of a model.

    Raises:
        InputError: no such folder.
    """
    if not path.is_dir():
        raise InputError(
            f"[segment] model: expected the folder of a StarDist model, got {path}, which is {'a file' if path.exists() else 'not there'}"
        )
    whole = hashlib.blake2b(digest_size=16)
    for name in _FILES:
        if (path / name).is_file():
            data = (path / name).read_bytes()
            whole.update(f"{name} {len(data)} ".encode() + data)
    return whole.hexdigest()


def open_segmenter(config: SegmentConfig) -> SegmentationModel | None:
    """Reads the model of the settings; None where they ask for none.

    Raises:
        InputError: see read_model_folder.
    """
    from barlowtrack.io.stardist_model import read_model_folder

    path = model_folder(config)
    return None if path is None else read_model_folder(path)
