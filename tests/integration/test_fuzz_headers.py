"""Headers in which bytes were changed: whatever they say then, one line or right voxels; no traceback, no hang, no memory without end."""

import json
import signal
import tempfile
import tracemalloc
import warnings
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import barlowtrack as bt
from barlowtrack.config import RecordingConfig, load_recording
from barlowtrack.errors import BarlowtrackError
from barlowtrack.storage import RunFolder
from tests.cases.bad.case import SAID, VOXELS
from tests.cases.bad.zarrs import image

SMALL = VOXELS[:2, :, :2, :16, :16].copy()
TOLD = RecordingConfig(axes="TCZYX", voxel_size_um=(1.5, 0.4, 0.4), reference_channel=0)
MOST_BYTES = 300e6
SECONDS = 10
FEW = settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])

BYTES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@contextmanager
def bounded():
    """Fails where what is done takes more memory than a small file can need, or goes on for ever."""

    def late(*_):
        raise AssertionError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about what they read
            yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def look(path, config):
    """Opens a recording and reads the first two volumes, or is told in one line why not."""
    with bounded():
        try:
            recording = bt.open_recording(path, config)
            for t in range(min(2, recording.n_volumes)):
                assert recording.read(t).shape == recording.shape[1:]
        except BarlowtrackError as error:
            assert str(error)  # noqa: PT017
            assert "Traceback" not in str(error)  # noqa: PT017


def spoilt(content, changes, within):
    """Returns bytes of which some, among the first so many, were changed."""
    out = bytearray(content)
    for place, value in changes:
        out[place % min(within, len(out))] = value
    return bytes(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Small files of every kind, as bytes."""
    folder = tmp_path_factory.mktemp("whole")
    said = {**SAID, "axes": "TCZYX"}
    tifffile.imwrite(folder / "worm.ome.tif", SMALL, ome=True, metadata=said, photometric="minisblack", compression="zlib")
    tifffile.imwrite(folder / "bare.tif", SMALL[:, 0], photometric="minisblack", metadata=None)
    with h5py.File(folder / "worm.h5", "w") as file:
        file.create_dataset("images", data=SMALL, chunks=(1, 2, 2, 16, 16), compression="gzip")
    return folder


@FEW
@given(changes=BYTES, name=st.sampled_from(["worm.ome.tif", "bare.tif"]), within=st.sampled_from([16, 250, 2500, 10**6]))
def test_tiff(whole, changes, name, within):
    config = TOLD if name.startswith("worm") else TOLD.model_copy(update={"axes": "ZYX"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(spoilt((whole / name).read_bytes(), changes, within))
        look(path, config)


@FEW
@given(changes=BYTES, within=st.sampled_from([100, 1000, 4000]))
def test_superblock_of_hdf5(whole, changes, within):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "worm.h5"
        path.write_bytes(spoilt((whole / "worm.h5").read_bytes(), changes, within))
        look(path, TOLD)


@FEW
@given(
    zarr_format=st.sampled_from([2, 3]),
    key=st.sampled_from(
        ["shape", "chunks", "chunk_grid", "dtype", "data_type", "fill_value", "filters", "compressor", "codecs", "order", "node_type"]
    ),
    value=JSON,
)
def test_metadata_of_a_zarr_array(zarr_format, key, value):
    with tempfile.TemporaryDirectory() as folder:
        path = image(Path(folder) / "worm.zarr", zarr_format, SMALL)
        head = path / "0" / (".zarray" if zarr_format == 2 else "zarr.json")
        head.write_text(json.dumps(json.loads(head.read_text()) | {key: value}))
        look(path, TOLD.model_copy(update={"axes": None}))


@FEW
@given(zarr_format=st.sampled_from([2, 3]), key=st.sampled_from(["multiscales", "omero", "axes", "datasets", "scale"]), value=JSON)
def test_metadata_of_an_ome_zarr(zarr_format, key, value):
    with tempfile.TemporaryDirectory() as folder:
        path = image(Path(folder) / "worm.zarr", zarr_format, SMALL)
        head = path / (".zattrs" if zarr_format == 2 else "zarr.json")
        said = json.loads(head.read_text())
        inner = said if zarr_format == 2 else said["attributes"]["ome"]
        if key in ("axes", "datasets"):
            inner["multiscales"][0][key] = value
        elif key == "scale":
            inner["multiscales"][0]["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": value}]
        else:
            inner[key] = value
        head.write_text(json.dumps(said))
        look(path, TOLD.model_copy(update={"axes": None, "voxel_size_um": None}))


@FEW
@given(changes=BYTES)
def test_bytes_of_zarr_json(changes):
    with tempfile.TemporaryDirectory() as folder:
        path = image(Path(folder) / "worm.zarr", 3, SMALL)
        head = path / "0" / "zarr.json"
        head.write_bytes(spoilt(head.read_bytes(), changes, 10**6))
        look(path, TOLD.model_copy(update={"axes": None}))


@FEW
@given(text=st.text(max_size=60) | BYTES, value=JSON, name=st.sampled_from(["voxel_size_um", "rate_hz", "axes", "dataset", "planes"]))
def test_recording_toml(text, value, name):
    whole = b"[recording]\nvoxel_size_um = [1.5, 0.4, 0.4]\nrate_hz = 4.0\n"
    with tempfile.TemporaryDirectory() as folder, bounded():
        path = Path(folder) / "recording.toml"
        contents = [spoilt(whole, text, 100) if isinstance(text, list) else text.encode(errors="replace")]
        contents.append(f"[recording]\n{name} = {json.dumps(value)}\n".encode())
        for content in contents:
            path.write_bytes(content)
            try:
                load_recording(path)
            except BarlowtrackError as error:
                assert str(error)  # noqa: PT017


@FEW
@given(changes=BYTES, value=JSON, key=st.sampled_from(["format", "recording", "card", "shape", "voxel_size_um", "name", "dtype"]))
def test_run_json(changes, value, key):
    card = {"name": "worm", "shape": [2, 2, 2, 16, 16], "voxel_size_um": [1.5, 0.4, 0.4], "dtype": "uint16"}
    whole = {"format": 1, "recording": "../worm", "card": card}
    told = whole | {key: value} if key in whole else whole | {"card": card | {key: value}}
    with tempfile.TemporaryDirectory() as folder, bounded():
        path = Path(folder) / "worm.barlowtrack"
        path.mkdir()
        for content in (spoilt(json.dumps(whole).encode(), changes, 10**6), json.dumps(told).encode()):
            (path / "run.json").write_bytes(content)
            for ask in (lambda: bt.prepare(path).plan(), lambda: RunFolder(path).about()["card"]):
                try:
                    ask()
                except BarlowtrackError as error:
                    assert str(error)  # noqa: PT017


def test_what_was_not_spoilt_is_read(whole):
    for name in ("worm.ome.tif", "worm.h5"):
        np.testing.assert_array_equal(bt.open_recording(whole / name, TOLD).read(1), SMALL[1])


def test_the_bounds_hold():
    with pytest.raises(AssertionError), bounded():
        np.empty(int(2 * MOST_BYTES), np.uint8)
    with bounded():
        np.empty(1000)
