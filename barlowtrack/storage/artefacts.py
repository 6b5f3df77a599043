"""What lies in a run folder under which name, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barlowtrack.data import (
    Amendments,
    Bleaching,
    Candidates,
    CropBatch,
    Crops,
    Detections,
    Embeddings,
    Identities,
    Labels,
    Light,
    Places,
    Preparation,
    Swaps,
    Traces,
    Tracks,
    VolumeLooks,
)
from barlowtrack.errors import BarlowtrackError, InputError, StorageError

if TYPE_CHECKING:
    import pandas as pd

    from barlowtrack.identity.learned import Learned
    from barlowtrack.nn.encoder import Encoder

ARTEFACTS = {
    "preparation": "preparation.safetensors",
    "detections": "detections.parquet",
    "volumes": "volumes.parquet",
    "labels": "labels.zarr",
    "crops": "crops.zarr",
    "encoder": "encoder.safetensors",
    "history": "history.parquet",
    "embeddings": "embeddings.npy",
    "atlas": "atlas.safetensors",
    "identities": "identities.safetensors",
    "light": "light.parquet",
    "places": "places.parquet",
    "amendments": "amendments.safetensors",
    "tracks": "tracks.parquet",
    "candidates": "candidates.parquet",
    "neurons": "neurons.parquet",
    "absences": "absences.parquet",
    "traces": "traces.parquet",
    "wide": "traces.zarr",
    "swaps": "swaps.parquet",
    "bleaching": "bleaching.parquet",
    "report": "report.html",
}
"""Artefact -> file or folder in the run folder."""


def load(name: str, folder: Path) -> Any:
    """Reads an artefact of a run folder; volumes and crops lazily.

    Args:
        name: One of ARTEFACTS.
        folder: The run folder.

    Raises:
        StorageError: it is not there.
        InputError: it is damaged.
    """
    path = folder / ARTEFACTS[name]
    if not path.exists():
        raise StorageError(f"{path}: not there")
    try:
        return _READERS[name](path)
    except BarlowtrackError:
        raise
    except Exception as error:  # each format has its own
        raise InputError(f"{path}: cannot be read ({error}); delete it, and 'barlowtrack run' makes it again") from None


@dataclass(frozen=True)
class _CropFiles:
    """The crops of every training volume, one array each."""

    group: Any
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> CropBatch:
        array = self.group[self.names[index]]
        return CropBatch(int(array.attrs["t"]), np.asarray(array.attrs["row"], np.int64), np.asarray(array[:]))


def _read_preparation(path: Path) -> Preparation:
    from barlowtrack.storage.preparation import from_bytes

    return from_bytes(path.read_bytes())


def _read_detections(path: Path) -> Detections:
    from barlowtrack.io.tables import detections_from_frame, read_provenance, read_table

    return detections_from_frame(read_table(path, "detections"), int(read_provenance(path)["n_volumes"]))


def _read_volumes(path: Path) -> VolumeLooks:
    from barlowtrack.io.tables import read_table, volumes_from_frame

    return volumes_from_frame(read_table(path, "volumes"))


def _read_atlas(path: Path) -> Learned:
    from barlowtrack.identity.learned import Learned

    return Learned.from_bytes(path.read_bytes())


def _read_identities(path: Path) -> Identities:
    from safetensors.numpy import load

    arrays = load(path.read_bytes())
    candidates = Candidates(arrays["candidates"], arrays["candidate_probability"])
    return Identities(arrays["neuron"], arrays["probability"], candidates, arrays["absent"], arrays["place_um"])


def _read_frame(path: Path) -> pd.DataFrame:
    from barlowtrack.io.tables import read_table

    return read_table(path, path.stem)  # type: ignore[arg-type]


def _read_tracks(path: Path) -> Tracks:
    from barlowtrack.io.tables import read_provenance, read_table, tracks_from_frame

    return tracks_from_frame(read_table(path, "tracks"), int(read_provenance(path)["n_neurons"]))


def _read_traces(path: Path) -> Traces:
    from barlowtrack.io.activity import traces_from_frame
    from barlowtrack.io.tables import read_provenance, read_table

    frame = read_table(path, "traces")
    if len(frame):
        return traces_from_frame(frame)
    n_volumes = int(read_provenance(path)["n_volumes"])
    none = np.zeros((0, n_volumes), np.float32)
    return Traces.of_seen(np.full(n_volumes, np.nan), none, none, none, none, none)


def _read_light(path: Path) -> Light:
    from barlowtrack.io.activity import light_from_frame
    from barlowtrack.io.tables import read_table

    return light_from_frame(read_table(path, "light"))


def _read_places(path: Path) -> Places:
    from barlowtrack.io.activity import places_from_frame
    from barlowtrack.io.tables import read_table

    return places_from_frame(read_table(path, "places"))


def _read_amendments(path: Path) -> Amendments:
    from barlowtrack.storage.amendments import from_bytes

    return from_bytes(path.read_bytes())


def _read_swaps(path: Path) -> Swaps:
    from barlowtrack.io.activity import swaps_from_frame
    from barlowtrack.io.tables import read_table

    return swaps_from_frame(read_table(path, "swaps"))


def _read_bleaching(path: Path) -> Bleaching:
    from barlowtrack.io.activity import bleaching_from_frame
    from barlowtrack.io.tables import read_table

    return bleaching_from_frame(read_table(path, "bleaching"))


def _read_wide(path: Path) -> Any:
    import zarr

    return zarr.open_group(path, mode="r")


def _read_labels(path: Path) -> Labels:
    from barlowtrack.io.labels import open_labels

    return open_labels(path)


def _read_crops(path: Path) -> Crops:
    import zarr

    group = zarr.open_group(path, mode="r")
    names = tuple(sorted(group.array_keys()))
    attributes = dict(group.attrs)
    window, size_um = attributes["window"], attributes["size_um"]
    return Crops(_CropFiles(group, names), tuple(window), tuple(size_um))  # type: ignore[arg-type]


def _read_encoder(path: Path) -> Encoder:
    from barlowtrack.nn.encoder import Encoder

    return Encoder.from_bytes(path.read_bytes())


def _read_history(path: Path) -> dict[str, np.ndarray]:
    from barlowtrack.io.tables import read_table

    frame = read_table(path)
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def _read_embeddings(path: Path) -> Embeddings:
    return Embeddings(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_report(path: Path) -> str:
    return path.read_text(encoding="utf-8")


_READERS: dict[str, Callable[[Path], Any]] = {
    "preparation": _read_preparation,
    "detections": _read_detections,
    "volumes": _read_volumes,
    "labels": _read_labels,
    "crops": _read_crops,
    "encoder": _read_encoder,
    "history": _read_history,
    "embeddings": _read_embeddings,
    "atlas": _read_atlas,
    "identities": _read_identities,
    "light": _read_light,
    "places": _read_places,
    "amendments": _read_amendments,
    "tracks": _read_tracks,
    "candidates": _read_frame,
    "neurons": _read_frame,
    "absences": _read_frame,
    "traces": _read_traces,
    "wide": _read_wide,
    "swaps": _read_swaps,
    "bleaching": _read_bleaching,
    "report": _read_report,
}
