"""simulate: a recording and its truth, on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from barlowtrack.cli.terminal import Bars
from barlowtrack.errors import InputError
from barlowtrack.io import write_recording
from barlowtrack.io.labels import create_labels, write_labels
from barlowtrack.io.tables import truth_to_frame, write_table
from barlowtrack.synthetic import faults_config, preset, simulate

if TYPE_CHECKING:
    from barlowtrack.synthetic import Faults, SyntheticRecording

Layout = Literal["ome-tiff", "bigtiff", "ome-zarr-0.4", "ome-zarr-0.5"]

NAMES: dict[Layout, str] = {
    "ome-tiff": "recording",
    "bigtiff": "recording.ome.tif",
    "ome-zarr-0.4": "recording.ome.zarr",
    "ome-zarr-0.5": "recording.ome.zarr",
}
_SETTINGS = {"volumes": "n_volumes", "neurons": "n_neurons", "shape": "volume_shape", "voxel_size": "voxel_size_um"}


def write_simulation(
    folder: Path, name: str, seed: int, layout: Layout, labels: bool, wishes: dict[str, Any], faults: dict[str, Any], bars: Bars
) -> list[Path]:
    """Simulates a recording and writes it with its truth.

    Args:
        folder: Must be new or empty.
        name: Of the preset.
        seed: Of everything random.
        layout: File format of the recording.
        labels: Write the true instance labels too.
        wishes: Of volumes, neurons, shape and voxel_size, those that are to differ from the preset.
        faults: Of the microscope; see FaultsConfig. None where there are none.
        bars: Show the progress.

    Returns:
        What was written: recording, truth, labels, and the truth about the faults.

    Raises:
        InputError: the folder holds something, or the worm does not fit.
        ConfigError: a wish out of bounds.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder; give a new one")
    wrong = faults_config(**faults) if faults else None
    made = simulate(preset(name, **{_SETTINGS[wish]: value for wish, value in wishes.items()}), seed=seed, faults=wrong)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror or error}") from None
    written = [folder / NAMES[layout], folder / "truth.csv"]
    write_recording(made.recording, written[0], layout=layout, progress=bars.follow("simulate"))
    write_table(truth_to_frame(made.truth), written[1])
    if labels:
        written.append(_write_labels(made, folder / "truth_labels.zarr"))
    if made.faults is not None:
        written.append(folder / "truth_faults.json")
        written[-1].write_text(json.dumps(_told(made.faults, made.config.n_volumes)) + "\n", encoding="utf-8")
    bars.close()
    return written


def _told(faults: Faults, n_volumes: int) -> dict[str, Any]:
    """Returns what is true of the faults: all lengths in voxels, all axes as in the recording."""
    return {
        "jitter_vox": [faults.jitter(t).round(4).tolist() for t in range(n_volumes)],
        "drift_vox": [faults.drift(t).round(4).tolist() for t in range(n_volumes)],
        "offset": list(faults.config.offset),
        "hot_pixels": np.argwhere(faults.hot).tolist(),
        "alignment_matrix": faults.matrix.ravel().round(8).tolist(),
    }


def _write_labels(made: SyntheticRecording, path: Path) -> Path:
    image = create_labels(path, made.labels.shape, made.recording.voxel_size_um, made.recording.rate_hz)
    for t in range(made.labels.shape[0]):
        write_labels(image, t, made.labels.read(t).astype(np.int32))
    return path
