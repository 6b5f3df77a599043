"""Where a stage's parts go while it works: each part is safe before the next one is made, so a killed stage goes on after it.

A sink keeps the number of safe parts in a file `done`, written after the part itself has reached the disk.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from barlowtrack.data import AmendedVolume, CropBatch, Preparation, Shifts, Traced, Tracked
from barlowtrack.errors import InputError, StorageError
from barlowtrack.storage.atomic import sync_tree, write_bytes
from barlowtrack.storage.parts import Parts
from barlowtrack.storage.volume_sinks import MeasuredVolumes, Segmentations, Vectors, VolumeParts

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


def open_piece(stage: str, partial: Path, inputs: Mapping[str, Any], config: Config, volumes: range) -> Sink:
    """Opens the sink of a stage that makes some volumes only, in the folder of that piece.

    Raises:
        InputError: the parts of this stage are no volumes.
    """
    kind = _SINKS[stage]
    if not issubclass(kind, VolumeParts):
        able = ", ".join(name for name, sink in _SINKS.items() if issubclass(sink, VolumeParts))
        raise InputError(f"{stage}: is made of the whole recording; stages that can be made in pieces are {able}")
    return kind(partial, inputs, config, volumes)


class _Preparation(Parts):
    """A part is what was measured in one volume; the last one is the preparation, and none where nothing is asked for."""

    makes = ("preparation",)

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        super().__init__(partial, inputs, config)
        self.volumes = partial / "volumes"
        self.volumes.mkdir(exist_ok=True)
        self.expect([shifts.t for shifts in self._read()] == list(range(self.done)))

    def resume(self) -> dict[str, Any]:
        return {"checkpoint": self._read()}

    def add(self, part: Shifts | Preparation) -> None:
        from barlowtrack.storage.preparation import shifts_to_bytes, to_bytes

        if isinstance(part, Preparation):
            write_bytes(self.path("preparation"), to_bytes(part))
            return
        write_bytes(self.volumes / f"{part.t:08}.safetensors", shifts_to_bytes(part))
        self.count()

    def finish(self) -> dict[str, int]:
        if not self.path("preparation").exists():
            self.add(Preparation())
        return super().finish()

    def _read(self) -> list[Shifts]:
        from safetensors import SafetensorError

        from barlowtrack.storage.preparation import shifts_from_bytes

        try:
            return [shifts_from_bytes((self.volumes / f"{t:08}.safetensors").read_bytes()) for t in range(self.done)]
        except (SafetensorError, OSError) as error:
            raise StorageError(f"{self.volumes}: {error}") from None


class _CropBatches(Parts):
    makes = ("crops",)

    def __init__(self, partial: Path, inputs: Mapping[str, Any], config: Config) -> None:
        import zarr

        from barlowtrack.io.disk_store import DiskStore

        super().__init__(partial, inputs, config)
        path = self.path("crops")
        if not self.done:
            shutil.rmtree(path, ignore_errors=True)
        for half_made in path.rglob("*.partial"):  # what zarr leaves when it is killed in the middle of a file
            half_made.unlink()
        self.group: Any = zarr.open_group(DiskStore(path), mode="a", zarr_format=3)
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


class _TrainStates(Parts):
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


class _Identities(Parts):
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


class _AmendedVolumes(Parts):
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


class _Tracks(Parts):
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


class _Traced(Parts):
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


class _Report(Parts):
    makes = ("report",)

    def resume(self) -> dict[str, Any]:
        return {}

    def add(self, part: str) -> None:
        write_bytes(self.path("report"), part.encode())


_SINKS: dict[str, type[Parts]] = {
    "prepare": _Preparation,
    "segment": Segmentations,
    "crop": _CropBatches,
    "train": _TrainStates,
    "embed": Vectors,
    "identify": _Identities,
    "measure": MeasuredVolumes,
    "amend": _AmendedVolumes,
    "track": _Tracks,
    "trace": _Traced,
    "report": _Report,
}
