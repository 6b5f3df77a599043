"""zarr beyond OME-Zarr: arrays of a group, chunks that are not there, and images on a server."""

import contextlib
import gc
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import zarr

import barlowtrack as bt
from barlowtrack.config import RecordingConfig
from barlowtrack.io import open_recording
from barlowtrack.io.location import as_url, location_from, seen_from

from .opening import SIZED, TOLD, VOXELS, agrees, axes, refused


def with_(**settings: object) -> RecordingConfig:
    return RecordingConfig(**(SIZED.model_dump(exclude_none=True) | settings))


def image(path: Path, version: int, **options: object) -> zarr.Group:
    space = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    said = {"axes": [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}, *space]}
    said["datasets"] = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.25, 1, 1.5, 0.3, 0.4]}]}]
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [said]}} if version == 3 else {"multiscales": [said]})
    group.create_array("0", data=VOXELS, **({"chunks": (1, 1, 5, 14, 18)} | options))
    return group


@pytest.mark.parametrize("version", [2, 3])
def test_arrays_of_a_plain_group(tmp_path: Path, version: int) -> None:
    group = zarr.open_group(tmp_path / "worm.zarr", mode="w", zarr_format=version)
    group.create_array("raw/red", data=VOXELS[:, 0].astype(">u2"))
    assert "multiscales" in refused(tmp_path / "worm.zarr")
    group.create_array("raw/green", data=VOXELS[:, 1].astype(">u2"))
    config = with_(dataset=("raw/red", "raw/green"), axes="TZYX")
    assert agrees(tmp_path / "worm.zarr", config).channel_names == ("red", "green")
    agrees(tmp_path / "worm.zarr", with_(dataset="raw/green", axes="TZYX"), VOXELS[:, 1:])
    assert "inside the folder" in refused(tmp_path / "worm.zarr", with_(dataset="../worm.zarr/raw/red", axes="TZYX"))
    assert "at raw/blue, got nothing" in refused(tmp_path / "worm.zarr", with_(dataset="raw/blue", axes="TZYX"))


def test_the_only_array_of_a_group_and_its_own_axes(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "worm.zarr", mode="w", zarr_format=3)
    group.create_array("data", data=axes("TXYZC"), dimension_names=["time", "x", "y", "z", "channel"])
    agrees(tmp_path / "worm.zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_the_finest_level_wherever_it_stands(tmp_path: Path, version: int) -> None:
    group = image(tmp_path / "worm.zarr", version)
    group.create_array("1", data=VOXELS[..., ::2, ::2], chunks=(1, 1, 5, 7, 9))
    said = dict(group.attrs)
    [multiscale] = said["ome"]["multiscales"] if version == 3 else said["multiscales"]
    coarse = [{"type": "scale", "scale": [0.25, 1, 1.5, 0.6, 0.8]}]
    multiscale["datasets"].insert(0, {"path": "1", "coordinateTransformations": coarse})
    group.attrs.update(said)
    assert agrees(tmp_path / "worm.zarr", TOLD).voxel_size_um == (1.5, 0.3, 0.4)


_NAMED = [{"name": name} for name in "tczyx"]


@pytest.mark.parametrize(
    "said",
    [
        {"a": 1},
        "x",
        ["x"],
        [{"axes": _NAMED}],
        [{"axes": _NAMED, "datasets": []}],
        [{"axes": _NAMED, "datasets": [{}]}],
        [{"axes": _NAMED, "datasets": [{"path": 0}]}],
        [{"axes": [{}] * 5, "datasets": [{"path": "0"}]}],
        [{"axes": _NAMED, "datasets": [{"path": "0", "coordinateTransformations": "x"}]}],
    ],
)
def test_broken_multiscales(tmp_path: Path, said: object) -> None:
    image(tmp_path / "worm.zarr", 2).attrs["multiscales"] = said
    line = refused(tmp_path / "worm.zarr")
    assert "multiscales, omero) are not as OME-Zarr has them" in line
    agrees(tmp_path / "worm.zarr", with_(dataset="0", axes="TCZYX"))


def test_what_lies_beside_an_image_is_nobodys_business(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "worm.zarr", mode="w", zarr_format=3)
    group.create_array("data", data=axes("TXYZC"), dimension_names=["time", "x", "y", "z", "channel"])
    (tmp_path / "worm.zarr" / "notes").mkdir()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        agrees(tmp_path / "worm.zarr")
    assert [str(warning.message) for warning in heard] == []


def test_nwb_in_zarr_says_how_its_arrays_are_read(tmp_path: Path) -> None:
    path = tmp_path / "worm.nwb.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)  # as hdmf-zarr lays it out
    group.attrs.update({"nwb_version": "2.8.0", "neurodata_type": "NWBFile", ".specloc": "specifications"})
    group.create_array("acquisition/calcium/data", data=axes("TXYZC"))
    said = refused(path)
    assert "NWB in zarr, of which arrays are read by their names: give --dataset acquisition/calcium/data --axes TXYZC --voxel" in said
    agrees(path, with_(dataset=("acquisition/calcium/data",), axes="TXYZC"))


@pytest.mark.parametrize(("version", "options"), [(2, {}), (3, {}), (3, {"shards": (1, 2, 5, 14, 18)})])
def test_a_volume_without_chunks_is_refused(tmp_path: Path, version: int, options: dict[str, object]) -> None:
    path = tmp_path / "worm.zarr"
    image(path, version, **options)
    agrees(path, TOLD)
    inside = "c/2" if version == 3 else "2"
    lost = [chunk for chunk in sorted((path / "0").rglob("*")) if chunk.is_file() and f"0/{inside}" in chunk.as_posix().replace(".", "/")]
    assert len(lost) == (1 if options else 2)
    for chunk in lost:
        chunk.unlink()
    assert refused(path, TOLD).startswith("volume 2: ")
    assert any(f"{len(lost)} of {4 * len(lost)} chunks are not stored" in said for said in open_recording(path, TOLD).assumptions)


def test_dark_parts_that_are_not_stored_are_read_and_said(tmp_path: Path) -> None:
    voxels = VOXELS.copy()
    voxels[1, 0, :2] = 0
    array = zarr.create_array(tmp_path / "worm.zarr", shape=VOXELS.shape, dtype="u2", chunks=(1, 1, 1, 14, 18), fill_value=0)
    array[...] = voxels  # zarr leaves dark chunks out
    recording = agrees(tmp_path / "worm.zarr", with_(axes="TCZYX"), voxels)
    assert any("2 of 40 chunks are not stored and are read as 0" in said for said in recording.assumptions)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        with warnings.catch_warnings():  # zarr and fsspec leave their sessions to the collector, which complains of it in any later test
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.mark.parametrize("version", [2, 3])
def test_on_a_server(tmp_path: Path, version: int) -> None:
    pytest.importorskip("aiohttp", reason="the extra barlowtrack[remote] is not installed")
    image(tmp_path / "worm.ome.zarr", version)
    with served(tmp_path) as (address, asked):
        recording = agrees(f"{address}/worm.ome.zarr", TOLD)
        assert (recording.name, recording.voxel_size_um, recording.rate_hz) == ("worm", (1.5, 0.3, 0.4), 4)
        agrees(Path(f"{address}/worm.ome.zarr"), TOLD)  # a path takes a slash away
        del asked[:]
        open_recording(f"{address}/worm.ome.zarr", TOLD, to_look=True).read(1)
        voxels = [path for path in asked if "/0/" in path and "zarr" not in path.rpartition("/")[2] and ".z" not in path.rpartition("/")[2]]
        assert len(set(voxels)) == 2  # the chunks of this volume
        assert "expected an OME-Zarr" in refused(f"{address}/nothing.zarr", TOLD)
    assert "expected an OME-Zarr" in refused(f"{address}/worm.ome.zarr", TOLD)  # nobody answers any more


def test_in_the_memory_of_fsspec(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="the extra barlowtrack[remote] is not installed")
    image(tmp_path / "worm.zarr", 3)
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path / "worm.zarr"), "/lab/worm.zarr", recursive=True)
    try:
        agrees("memory://lab/worm.zarr", TOLD)
        before = open_recording("memory://lab/worm.zarr", TOLD).fingerprint
        store.rm("/lab/worm.zarr/0/c/1", recursive=True)
        assert open_recording("memory://lab/worm.zarr", TOLD).fingerprint != before
        assert refused("memory://lab/worm.zarr", TOLD).startswith("volume 1: ")
    finally:
        store.rm("/lab", recursive=True)


def test_a_run_folder_remembers_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = "https://server.org/lab/worm.ome.zarr"
    job = bt.prepare(address)
    assert job.folder == tmp_path / "worm.barlowtrack"
    assert as_url(job.location) == address
    assert location_from(job.folder, seen_from(job.folder, job.location)) == Path(address)
    assert as_url("/data/https:/x") is None
    assert np.array_equal([as_url("s3://bucket/a.zarr"), as_url("c:/worm")], ["s3://bucket/a.zarr", None])


def test_a_channel_that_was_never_written(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "worm.zarr"))
    group.create_array("0", shape=VOXELS.shape, dtype="u2", chunks=(1, 1, 5, 14, 18))[:, 0] = VOXELS[:, 0]
    config = SIZED.model_copy(update={"axes": "TCZYX"})
    assert any("4 of 8 chunks" in said for said in open_recording(tmp_path / "worm.zarr", config).assumptions)
    assert "not one chunk of channel 1" in refused(tmp_path / "worm.zarr", config)
