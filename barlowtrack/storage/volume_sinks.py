"""Sinks of the stages whose parts are volumes: some of the volumes can be made apart from the others, and put together afterwards."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barlowtrack.data import Detections, FloatArray, Light, MeasuredVolume, Places, Segmentation, VolumeLooks
from barlowtrack.errors import StorageError
from barlowtrack.storage.atomic import link_tree, sync_tree, write_bytes
from barlowtrack.storage.parts import Parts

if TYPE_CHECKING:
    from barlowtrack.config import Config


class VolumeParts(Parts):
    """Parts are volumes, safe from the first on.

    Args:
        partial: Folder of the half-made work.
        inputs: Of the stage.
        config: Settings in force.
        volumes: Which ones are made here, where it is not the whole recording.
    """

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config, volumes: range | None = None) -> None:
        super().__init__(partial, inputs, config)
        of_it = inputs.get("recording", inputs.get("detections"))
        self.n_volumes = int(of_it.n_volumes)
        self.volumes = volumes or range(self.n_volumes)
        self.expect(self.done <= len(self.volumes))

    @property
    def safe(self) -> range:
        """The volumes that are safe."""
        return self.volumes[: self.done]

    @property
    def next(self) -> int:
        """The first volume that is not."""
        return self.volumes.start + self.done

    def resume(self) -> dict[str, Any]:
        return {"start": self.next, "stop": self.volumes.stop}

    def adopt(self, piece: Path, volumes: range) -> None:
        """Takes over what a piece has of the volumes that come next here; the piece is left as it is.

        Args:
            piece: Folder of half-made work under the same key.
            volumes: Which ones the piece was to make.
        """
        other = type(self)(piece, self.inputs, self.config, volumes)
        while self.next in other.safe:
            self.take(other, self.next)
            self.count()

    @abstractmethod
    def take(self, other: Any, t: int) -> None:
        """Makes volume t of another sink of the same kind safe here."""


class Segmentations(VolumeParts):
    """Of segment: labels, a table and a look for every volume."""

    makes = ("detections", "volumes", "labels")

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config, volumes: range | None = None) -> None:
        from barlowtrack.io.labels import create_labels

        super().__init__(partial, inputs, config, volumes)
        self.tables = partial / "tables"
        self.tables.mkdir(exist_ok=True)
        recording = inputs["recording"]
        shape = (recording.n_volumes, *recording.volume_shape)
        # without the rate: a rate given later must not make labels stale
        self.labels = create_labels(self.path("labels"), shape, recording.voxel_size_um, None)
        self.expect(all(self._is_safe(t) for t in self.safe))

    def add(self, part: Segmentation) -> None:
        from barlowtrack.io.labels import write_labels
        from barlowtrack.io.tables import detections_to_frame, write_table

        write_labels(self.labels, part.t, part.labels)
        sync_tree(self.labels.folder(part.t))
        write_table(detections_to_frame(part.detections), self._table(part.t))
        sync_tree(self._table(part.t))
        write_bytes(self._look(part.t), json.dumps([len(part.detections), part.contrast, part.sharpness]).encode())
        self.count()

    def take(self, other: Segmentations, t: int) -> None:
        link_tree(other.labels.folder(t), self.labels.folder(t))
        link_tree(other._table(t), self._table(t))
        link_tree(other._look(t), self._look(t))

    def finish(self) -> dict[str, int]:
        from barlowtrack.io.tables import detections_from_frame, detections_to_frame, read_table, volumes_to_frame, write_table

        parts = [detections_from_frame(read_table(self._table(t)), self.n_volumes) for t in range(self.n_volumes)]
        whole = Detections.concatenate(parts, self.n_volumes)
        write_table(detections_to_frame(whole), self.path("detections"), provenance={"n_volumes": str(self.n_volumes)})
        count, contrast, sharpness = np.array([json.loads(self._look(t).read_bytes()) for t in range(self.n_volumes)]).T
        write_table(volumes_to_frame(VolumeLooks(count.astype(np.int64), contrast, sharpness)), self.path("volumes"))
        return super().finish()

    def _look(self, t: int) -> Path:
        return self.tables / f"{t:08}.json"

    def _table(self, t: int) -> Path:
        return self.tables / f"{t:08}.parquet"

    def _is_safe(self, t: int) -> bool:
        from barlowtrack.io.tables import read_table

        table = self._table(t)
        if t >= self.n_volumes or not table.is_file() or not self._look(t).is_file() or not self.labels.is_written(t):
            return False
        if len(json.loads(self._look(t).read_bytes())) != 3:
            return False
        return bool((read_table(table, "detections")["t"] == t).all())


class Vectors(VolumeParts):
    """Of embed: rows of one matrix."""

    makes = ("embeddings",)

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config, volumes: range | None = None) -> None:
        super().__init__(partial, inputs, config, volumes)
        self.detections: Detections = inputs["detections"]
        rows = [self.detections.rows_of(t) for t in (self.volumes[0], self.volumes[-1])]
        self.first_row = rows[0].start
        shape = (rows[1].stop - rows[0].start, inputs["encoder"].spec.embedding_dim)
        path = self.path("embeddings")
        if self.done:
            self.expect(path.is_file())
            self.rows = np.lib.format.open_memmap(path, mode="r+")
            self.expect(self.rows.shape == shape and self.rows.dtype == np.float32)
        else:
            self.rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            with path.open("r+b") as file:  # a full disk must fail here: later, it would kill the process
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)

    def add(self, part: FloatArray) -> None:
        self._write(self.next, part)
        self.count()

    def take(self, other: Vectors, t: int) -> None:
        self._write(t, other.rows[other._slice(t)])

    def _write(self, t: int, vectors: FloatArray) -> None:
        self.rows[self._slice(t)] = vectors
        self.rows.flush()

    def _slice(self, t: int) -> slice:
        rows = self.detections.rows_of(t)
        return slice(rows.start - self.first_row, rows.stop - self.first_row)


class MeasuredVolumes(VolumeParts):
    """Of measure: a file for every volume."""

    makes = ("light", "places")

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config, volumes: range | None = None) -> None:
        super().__init__(partial, inputs, config, volumes)
        self.detections: Detections = inputs["detections"]
        self.files = partial / "volumes"
        self.files.mkdir(exist_ok=True)
        self.expect(all(self._is_safe(t) for t in self.safe))

    def add(self, part: MeasuredVolume) -> None:
        from safetensors.numpy import save

        from barlowtrack.storage.amendments import light_arrays

        arrays = light_arrays(part.light, part.places)
        write_bytes(self._path(part.t), save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
        self.count()

    def take(self, other: MeasuredVolumes, t: int) -> None:
        link_tree(other._path(t), self._path(t))

    def finish(self) -> dict[str, int]:
        from barlowtrack.io.activity import light_to_frame, places_to_frame
        from barlowtrack.io.tables import write_table

        parts = [self._read(t) for t in range(self.detections.n_volumes)]
        light = Light.concatenate([part.light for part in parts])
        write_table(light_to_frame(self.detections, light), self.path("light"))
        write_table(places_to_frame(Places.concatenate([part.places for part in parts])), self.path("places"))
        return super().finish()

    def _path(self, t: int) -> Path:
        return self.files / f"{t:08}.safetensors"

    def _read(self, t: int) -> MeasuredVolume:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        from barlowtrack.storage.amendments import light_from

        try:
            arrays = load(self._path(t).read_bytes())
        except SafetensorError as error:
            raise StorageError(f"{self._path(t)}: {error}") from None
        return MeasuredVolume(t, *light_from(arrays))

    def _is_safe(self, t: int) -> bool:
        rows = self.detections.rows_of(t)
        return self._path(t).is_file() and len(self._read(t).light) == rows.stop - rows.start
