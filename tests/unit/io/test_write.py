"""Writing: what is opened again is what was written, in every layout; same bytes; other libraries agree."""

import hashlib
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import tifffile
import zarr

from barlowtrack.data import Recording
from barlowtrack.errors import InputError
from barlowtrack.io import ngff as ngff_module
from barlowtrack.io import open_recording, write_recording
from barlowtrack.io.write import Layout

LAYOUTS = get_args(Layout)
NAMES = {"ome-tiff": "worm 7", "bigtiff": "worm 7.ome.tif", "ome-zarr-0.4": "worm 7.ome.zarr", "ome-zarr-0.5": "worm 7.zarr"}


@dataclass(frozen=True)
class Made:
    """Volumes that are drawn when they are asked for; volume 1 is dark."""

    shape: tuple[int, int, int, int, int]
    dtype: np.dtype[Any]

    def read(self, t: int) -> np.ndarray:
        noise = np.random.default_rng(t).normal(100, 30, self.shape[1:])
        return (noise * (t != 1)).astype(self.dtype)


def recording(dtype: str = "uint16", shape: tuple[int, int, int, int, int] = (4, 2, 3, 20, 24), **changes: Any) -> Recording:
    made = Made(shape, np.dtype(dtype))
    names = ("green <GCaMP> & more", "réd")[: shape[1]]
    signal = 0 if shape[1] > 1 else None
    base = Recording("worm 7", made, shape, made.dtype, (1.5, 0.35, 0.3), 1 / 0.3, names, shape[1] - 1, signal, "f")
    return replace(base, **changes)


def digest(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("uint16", (4, 2, 3, 20, 24)), ("float32", (3, 1, 1, 16, 9)), ("uint8", (1, 2, 4, 7, 33)), ("int16", (2, 1, 3, 5, 4))],
)
def test_round_trip(tmp_path: Path, layout: Layout, dtype: str, shape: tuple[int, int, int, int, int]) -> None:
    written, steps = recording(dtype, shape), []
    write_recording(written, tmp_path / NAMES[layout], layout=layout, progress=lambda done, total: steps.append((done, total)))
    read = open_recording(tmp_path / NAMES[layout])
    assert steps == [(t + 1, shape[0]) for t in range(shape[0])]
    assert read.name == "worm 7"
    assert (read.shape, read.dtype, read.channel_names) == (written.shape, written.dtype, written.channel_names)
    assert read.voxel_size_um == written.voxel_size_um
    assert read.rate_hz == pytest.approx(written.rate_hz)
    for t in range(shape[0]):
        np.testing.assert_array_equal(read.read(t), written.read(t))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rate_that_nobody_knows_stays_unknown(tmp_path: Path, layout: Layout) -> None:
    write_recording(recording(rate_hz=None), tmp_path / NAMES[layout], layout=layout)
    assert open_recording(tmp_path / NAMES[layout]).rate_hz is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_same_recording_same_bytes(tmp_path: Path, layout: Layout) -> None:
    places = [tmp_path / side / NAMES[layout] for side in "ab"]
    for place in places:
        place.parent.mkdir()
        write_recording(recording(), place, layout=layout)
    assert digest(places[0]) == digest(places[1])
    assert open_recording(places[0]).fingerprint == open_recording(places[1]).fingerprint


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_overwritten_and_nothing_half_made_remains(tmp_path: Path, layout: Layout) -> None:
    place = tmp_path / NAMES[layout]
    place.write_text("mine")
    with pytest.raises(InputError, match="taken"):
        write_recording(recording(), place, layout=layout)
    assert place.read_text() == "mine"
    place.unlink()

    def killed(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_recording(recording(), place, layout=layout, progress=killed)
    assert not place.exists()
    write_recording(recording(), place, layout=layout)
    assert open_recording(place).n_volumes == 4
    assert [p.name for p in tmp_path.iterdir()] == [place.name]


@pytest.mark.parametrize("layout", ["ome-tiff", "bigtiff"])
def test_tifffile_reads_the_same(tmp_path: Path, layout: Layout) -> None:
    place = tmp_path / NAMES[layout]
    write_recording(recording(), place, layout=layout)
    path = place if layout == "bigtiff" else place / "volume_0000.ome.tif"
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert tif.is_bigtiff == (layout == "bigtiff")
        assert tif.series[0].axes == ("TCZYX" if layout == "bigtiff" else "CZYX")
        values = tif.series[0].asarray()
    np.testing.assert_array_equal(values[2] if layout == "bigtiff" else values, recording().read(2 if layout == "bigtiff" else 0))


@pytest.mark.parametrize("layout", ["ome-zarr-0.4", "ome-zarr-0.5"])
def test_ngff_metadata_are_valid(tmp_path: Path, layout: Layout) -> None:
    place = tmp_path / NAMES[layout]
    write_recording(recording(), place, layout=layout)
    group = zarr.open_group(place, mode="r")
    if layout.endswith("0.4"):
        from ome_zarr_models.v04.image import Image

        image, version = Image.from_zarr(group).attributes, 2
    else:
        from ome_zarr_models.v05.image import Image as Image05

        image, version = Image05.from_zarr(group).attributes.ome, 3
    assert group.metadata.zarr_format == version
    assert image.multiscales[0].datasets[0].coordinateTransformations[0].scale == pytest.approx([0.3, 1, 1.5, 0.35, 0.3])
    omero = image.omero if isinstance(image.omero, dict) else image.omero.model_dump()
    assert [channel["label"] for channel in omero["channels"]] == list(recording().channel_names)


@pytest.mark.parametrize("layout", ["ome-zarr-0.4", "ome-zarr-0.5"])
def test_large_volumes_are_cut_into_blocks(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngff_module, "MAX_CHUNK_BYTES", 2 * 20 * 24 * 2)
    write_recording(recording(), tmp_path / NAMES[layout], layout=layout)
    assert zarr.open_array(tmp_path / NAMES[layout] / "0", mode="r").chunks == (1, 1, 2, 20, 24)
    np.testing.assert_array_equal(open_recording(tmp_path / NAMES[layout]).read(3), recording().read(3))


def test_types_that_ome_does_not_know(tmp_path: Path) -> None:
    for dtype in ("float16", "int64"):
        with pytest.raises(InputError, match=f"got {dtype}"):
            write_recording(recording(dtype), tmp_path / "a.ome.tif", layout="bigtiff")
    write_recording(recording("int64"), tmp_path / "a.zarr", layout="ome-zarr-0.5")


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        if not layout.startswith("ome-zarr"):
            with pytest.raises(InputError, match="No such file"):
                write_recording(recording(), tmp_path / "missing" / NAMES[layout], layout=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_does_not_grow_with_volumes(tmp_path: Path, layout: Layout) -> None:
    write_recording(recording(shape=(2, 1, 4, 64, 64)), tmp_path / f"first {NAMES[layout]}", layout=layout)  # imports
    peaks = []
    for n in (10, 60):
        tracemalloc.start()
        write_recording(recording(shape=(n, 1, 8, 128, 128)), tmp_path / f"{n} {NAMES[layout]}", layout=layout)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] + 1e6
