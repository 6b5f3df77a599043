"""Where a stage's parts go while it works: each part is safe before the next one is made, so a killed stage goes on after it.

A sink keeps the number of safe parts in a file `done`, written after the part itself has reached the disk.
"""

from __future__ import annotations

import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from barlowtrack.data import (
    AmendedVolume,
    CropBatch,
    Detections,
    FloatArray,
    Light,
    MeasuredVolume,
    Places,
    Segmentation,
    Traced,
    Tracked,
    VolumeLooks,
)
from barlowtrack.errors import StorageError
from barlowtrack.storage.artefacts import ARTEFACTS
from barlowtrack.storage.atomic import sync_tree, tree_size, write_bytes

if TYPE_CHECKING:
    from barlowtrack.config import Config
    from barlowtrack.data import Identities
    from barlowtrack.identity.learned import Learned
    from barlowtrack.nn.state import TrainState


class Identification(Protocol):
    """What identify yields; storage knows no stage."""

    @property
    def learned(self) -> Learned: ...

    @property
    def identities(self) -> Identities: ...


class Sink(Protocol):
    """Takes the parts of one stage, one by one."""

    def resume(self) -> dict[str, Any]:
        """Returns the keyword arguments with which the stage goes on after the parts that are safe."""
        ...

    def add(self, part: Any) -> None:
        """Makes a part safe."""
        ...

    def finish(self) -> dict[str, int]:
        """Finishes the artefacts; returns their names and sizes in bytes."""
        ...


def open_sink(stage: str, partial: Path, inputs: Mapping[str, Any], config: Config) -> Sink:
    """Opens the sink of a stage in the folder that holds its half-made work."""
    return _SINKS[stage](partial, inputs, config)


class _Parts(ABC):
    """What the sinks share: the count of safe parts, and the sizes at the end."""

    makes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        self.partial, self.inputs, self.config = partial, inputs, config
        done = partial / "done"
        self.done = int(done.read_text(encoding="utf-8")) if done.exists() else 0
        self.expect(self.done >= 0)

    def expect(self, whole: bool) -> None:
        """Refuses half-made work that is not what `done` promises; the caller then starts the stage over."""
        if not whole:
            raise StorageError(f"{self.partial}: half-made work is damaged")

    def resume(self) -> dict[str, Any]:
        return {"start": self.done}

    @abstractmethod
    def add(self, part: Any) -> None: ...

    def path(self, artefact: str) -> Path:
        return self.partial / ARTEFACTS[artefact]

    def count(self) -> None:
        self.done += 1
        write_bytes(self.partial / "done", str(self.done).encode())

    def finish(self) -> dict[str, int]:
        paths = [self.path(name) for name in self.makes]
        return {path.name: tree_size(path) for path in paths}


class _Segmentations(_Parts):
    makes = ("detections", "volumes", "labels")

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        from barlowtrack.io.labels import create_labels

        super().__init__(partial, inputs, config)
        self.tables = partial / "tables"
        self.tables.mkdir(exist_ok=True)
        recording = inputs["recording"]
        self.n_volumes = recording.n_volumes
        shape = (recording.n_volumes, *recording.volume_shape)
        # without the rate: a rate given later must not make labels stale
        self.labels = create_labels(self.path("labels"), shape, recording.voxel_size_um, None)
        self.expect(all(self._is_safe(t) for t in range(self.done)))

    def add(self, part: Segmentation) -> None:
        from barlowtrack.io.labels import write_labels
        from barlowtrack.io.tables import detections_to_frame, write_table

        write_labels(self.labels, part.t, part.labels)
        sync_tree(self.labels.folder(part.t))
        write_table(detections_to_frame(part.detections), self._table(part.t))
        sync_tree(self._table(part.t))
        write_bytes(self._look(part.t), json.dumps([len(part.detections), part.contrast, part.sharpness]).encode())
        self.count()

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


class _CropBatches(_Parts):
    makes = ("crops",)

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        import zarr

        super().__init__(partial, inputs, config)
        path = self.path("crops")
        if not self.done:
            shutil.rmtree(path, ignore_errors=True)
        for half_made in path.rglob("*.partial"):  # what zarr leaves when it is killed in the middle of a file
            half_made.unlink()
        self.group: Any = zarr.open_group(path, mode="a", zarr_format=3)
        if not self.done:
            self.group.update_attributes({"window": list(config.crop.grid), "size_um": list(config.crop.size_um)})

        self.expect(len(list(self.group.array_keys())) >= self.done)

    def add(self, part: CropBatch) -> None:
        name = f"{part.t:08}"
        array = self.group.create_array(
            name, shape=part.values.shape, dtype=part.values.dtype, chunks=part.values.shape, overwrite=True,
            attributes={"t": part.t, "row": part.row.tolist()},
        )  # fmt: skip
        array[:] = part.values
        sync_tree(self.path("crops") / name)
        self.count()


class _TrainStates(_Parts):
    makes = ("encoder", "history")

    def resume(self) -> dict[str, Any]:
        return {"checkpoint": self._state()}

    def add(self, part: TrainState) -> None:
        write_bytes(self.partial / "state.safetensors", part.to_bytes())
        self.count()

    def finish(self) -> dict[str, int]:
        import pandas as pd

        from barlowtrack.io.tables import write_table

        state = self._state()
        assert state is not None, "training yields its start, at least"
        write_bytes(self.path("encoder"), state.encoder().to_bytes())
        write_table(pd.DataFrame(state.history), self.path("history"))
        return super().finish()

    def _state(self) -> TrainState | None:
        from barlowtrack.nn.state import TrainState

        path = self.partial / "state.safetensors"
        return TrainState.from_bytes(path.read_bytes()) if path.exists() else None


class _Vectors(_Parts):
    makes = ("embeddings",)

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        super().__init__(partial, inputs, config)
        self.detections: Detections = inputs["detections"]
        shape = (len(self.detections), inputs["encoder"].spec.embedding_dim)
        path = self.path("embeddings")
        if self.done and path.exists():
            self.rows = np.lib.format.open_memmap(path, mode="r+")
            self.expect(self.rows.shape == shape and self.rows.dtype == np.float32 and self.done <= self.detections.n_volumes)
        else:
            self.done = 0
            self.rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            with path.open("r+b") as file:  # a full disk must fail here: later, it would kill the process
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)

    def add(self, part: FloatArray) -> None:
        self.rows[self.detections.rows_of(self.done)] = part
        self.rows.flush()
        self.count()


class _Identities(_Parts):
    makes = ("atlas", "identities")

    def resume(self) -> dict[str, Any]:
        return {}

    def add(self, part: Identification) -> None:
        from safetensors.numpy import save

        who = part.identities
        arrays = {"neuron": who.neuron, "probability": who.probability, "absent": who.absent, "place_um": who.place_um}
        arrays |= {"candidates": who.candidates.neuron, "candidate_probability": who.candidates.probability}
        write_bytes(self.path("atlas"), part.learned.to_bytes())
        write_bytes(self.path("identities"), save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


class _MeasuredVolumes(_Parts):
    makes = ("light", "places")

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        super().__init__(partial, inputs, config)
        self.detections: Detections = inputs["detections"]
        self.volumes = partial / "volumes"
        self.volumes.mkdir(exist_ok=True)
        self.expect(self.done <= self.detections.n_volumes and all(self._is_safe(t) for t in range(self.done)))

    def add(self, part: MeasuredVolume) -> None:
        from safetensors.numpy import save

        from barlowtrack.storage.amendments import light_arrays

        arrays = light_arrays(part.light, part.places)
        write_bytes(self._path(part.t), save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
        self.count()

    def finish(self) -> dict[str, int]:
        from barlowtrack.io.activity import light_to_frame, places_to_frame
        from barlowtrack.io.tables import write_table

        parts = [self._read(t) for t in range(self.detections.n_volumes)]
        light = Light.concatenate([part.light for part in parts])
        write_table(light_to_frame(self.detections, light), self.path("light"))
        write_table(places_to_frame(Places.concatenate([part.places for part in parts])), self.path("places"))
        return super().finish()

    def _path(self, t: int) -> Path:
        return self.volumes / f"{t:08}.safetensors"

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


class _AmendedVolumes(_Parts):
    """No part at all where nobody changed a detection: then the file says so."""

    makes = ("amendments",)

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        super().__init__(partial, inputs, config)
        self.volumes = partial / "volumes"
        self.volumes.mkdir(exist_ok=True)
        self.expect(len(self._read()) == self.done)

    def add(self, part: AmendedVolume) -> None:
        from barlowtrack.storage.amendments import to_bytes

        write_bytes(self.volumes / f"{self.done:08}.safetensors", to_bytes([part]))
        self.count()

    def finish(self) -> dict[str, int]:
        from barlowtrack.storage.amendments import to_bytes

        write_bytes(self.path("amendments"), to_bytes(self._read()))
        return super().finish()

    def _read(self) -> list[AmendedVolume]:
        from safetensors import SafetensorError

        from barlowtrack.storage.amendments import from_bytes

        try:
            return [from_bytes((self.volumes / f"{part:08}.safetensors").read_bytes()).volumes[0] for part in range(self.done)]
        except (SafetensorError, OSError) as error:
            raise StorageError(f"{self.volumes}: {error}") from None


class _Tracks(_Parts):
    makes = ("tracks", "candidates", "neurons", "absences")

    def resume(self) -> dict[str, Any]:
        return {}

    def add(self, part: Tracked) -> None:
        from barlowtrack.io.tables import absences_to_frame, candidates_to_frame, neurons_to_frame, tracks_to_frame, write_table

        detections = self.inputs["detections"]
        frame = tracks_to_frame(detections, part.tracks)
        write_table(frame, self.path("tracks"), provenance={"n_neurons": str(part.tracks.n_neurons)})
        write_table(candidates_to_frame(detections, part.candidates), self.path("candidates"))
        write_table(neurons_to_frame(part.tracks, part.neurons), self.path("neurons"))
        write_table(absences_to_frame(part.neurons), self.path("absences"))


class _Traced(_Parts):
    makes = ("traces", "wide", "swaps", "bleaching")

    def resume(self) -> dict[str, Any]:
        return {}

    def add(self, part: Traced) -> None:
        from barlowtrack.io.activity import bleaching_to_frame, swaps_to_frame, traces_to_frame
        from barlowtrack.io.columns import TABLES
        from barlowtrack.io.tables import write_table
        from barlowtrack.io.wide import write_wide

        names = ["" if name is None or name != name else str(name) for name in self.inputs["neurons"]["name"]]
        about = self._about(part)
        provenance = {"n_volumes": str(len(part.traces.time_s)), "red": "reference channel", "green": "signal channel"}
        provenance |= {name: said if isinstance(said, str) else json.dumps(said, sort_keys=True) for name, said in about.items()}
        provenance["units"] = json.dumps({name: unit for name, (unit, _) in TABLES["traces"].items()})
        write_table(traces_to_frame(part.traces, names), self.path("traces"), provenance=provenance)
        write_wide(self.path("wide"), part.traces, names, about=about)
        write_table(swaps_to_frame(part.swaps), self.path("swaps"))
        write_table(bleaching_to_frame(part.bleaching), self.path("bleaching"))
        sync_tree(self.partial)

    def _about(self, part: Traced) -> dict[str, Any]:
        """What the traces were made of, and how. Not the recording's name: renaming it does not make them others."""
        recording, config = self.inputs["recording"], self.config
        return {
            "recording_fingerprint": recording.fingerprint,
            "rate_hz": recording.rate_hz,
            "voxel_size_um": list(recording.voxel_size_um),
            "settings": {"measure": config.measure.model_dump(mode="json"), "trace": config.trace.model_dump(mode="json")},
            "bleaching": dict(zip(("red", "green"), part.bleaching.kind, strict=True)),
        }


class _Report(_Parts):
    makes = ("report",)

    def resume(self) -> dict[str, Any]:
        return {}

    def add(self, part: str) -> None:
        write_bytes(self.path("report"), part.encode())


_SINKS: dict[str, type[_Parts]] = {
    "segment": _Segmentations,
    "crop": _CropBatches,
    "train": _TrainStates,
    "embed": _Vectors,
    "identify": _Identities,
    "measure": _MeasuredVolumes,
    "amend": _AmendedVolumes,
    "track": _Tracks,
    "trace": _Traced,
    "report": _Report,
}
