"""Opening: every layout, what metadata say, what settings say, and one clear line for everything that cannot be used."""

import contextlib
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from barlowtrack.config import RecordingConfig
from barlowtrack.errors import InputError
from barlowtrack.io import metadata
from barlowtrack.io.recording import open_recording, recording_name
from barlowtrack.io.tables import write_table

SHARED = Path(__file__).parents[3] / "../shared/data"
TOLD = RecordingConfig(reference_channel=0)  # noise, in which no channel is the constant one
SIZED = RecordingConfig(voxel_size_um=(1.5, 0.3, 0.4), reference_channel=0)
VOXELS = np.random.default_rng(0).integers(0, 60000, (3, 2, 5, 20, 24), dtype=np.uint16)  # T C Z Y X


def folder_of(tmp_path: Path, numbers: tuple[int, ...] = (0, 1, 2), **kwargs: object) -> Path:
    folder = tmp_path / "worm"
    folder.mkdir()
    for t, number in enumerate(numbers):
        tifffile.imwrite(folder / f"v{number}.tif", VOXELS[t % 3], metadata={"axes": "CZYX"}, **kwargs)
    return folder


def refused(path: Path, config: RecordingConfig = SIZED) -> str:
    with pytest.raises(InputError) as error:
        _read_all(path, config)
    assert "\n" not in str(error.value)
    return str(error.value)


def _read_all(path: Path, config: RecordingConfig) -> None:
    recording = open_recording(path, config)
    for t in range(recording.n_volumes):
        recording.read(t)


def assert_same_voxels(path: Path, config: RecordingConfig = SIZED) -> None:
    recording = open_recording(path, config)
    assert recording.shape == VOXELS.shape
    for t in (2, 0, 1):
        volume = recording.read(t)
        assert volume.dtype == recording.dtype == np.uint16
        assert volume.dtype.isnative
        np.testing.assert_array_equal(volume, VOXELS[t])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_folder_of_volumes(tmp_path: Path, compression: str | None, byteorder: str) -> None:
    folder = folder_of(tmp_path, (2, 9, 10), compression=compression, byteorder=byteorder)
    (folder / "notes.txt").write_text("not a volume")
    (folder / "._v2.tif").write_bytes(b"left by a Mac")
    assert_same_voxels(folder)  # 10 comes after 9


def test_a_name_that_is_no_text_is_told_in_text(tmp_path: Path) -> None:
    folder = folder_of(tmp_path).rename(tmp_path / os.fsdecode(b"w\xfcrm"))
    name = open_recording(folder, SIZED).name
    assert name == "w%FCrm"
    assert recording_name(tmp_path / "würm.ome.zarr") == "würm"
    write_table(pd.DataFrame({"name": [name]}), tmp_path / "t.parquet", provenance={"recording": name})  # which holds text only
    assert_same_voxels(folder)


def test_odd_numbering_is_said(tmp_path: Path) -> None:
    recording = open_recording(folder_of(tmp_path, (2, 9, 10)), SIZED)
    assert any("1 gap (v2.tif is followed by v9.tif)" in said for said in recording.assumptions)
    (tmp_path / "whole").mkdir()
    assert not any("gap" in said for said in open_recording(folder_of(tmp_path / "whole"), SIZED).assumptions)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "zlib", "tile": (16, 16)}, {"rowsperstrip": 7}])
@pytest.mark.parametrize("order", ["TCZYX", "TZCYX", "CZTYX"])
def test_single_ome_tiff_in_any_order(tmp_path: Path, options: dict[str, object], order: str) -> None:
    path = tmp_path / "worm.ome.tif"
    stored = VOXELS.transpose(["TCZYX".index(axis) for axis in order])
    said = {"PhysicalSizeX": 400, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.3, "PhysicalSizeZ": 0.0015, "PhysicalSizeZUnit": "mm"}
    said |= {"TimeIncrement": 200, "TimeIncrementUnit": "ms", "Channel": {"Name": ["GCaMP6s", "mNeptune"]}}
    tifffile.imwrite(path, stored, ome=True, metadata={"axes": order, **said}, **options)
    assert_same_voxels(path, RecordingConfig())
    recording = open_recording(path)
    assert recording.name == "worm"
    assert recording.voxel_size_um == pytest.approx((1.5, 0.3, 0.4))
    assert recording.rate_hz == pytest.approx(5)
    assert recording.channel_names == ("GCaMP6s", "mNeptune")
    assert (recording.reference, recording.signal) == (1, 0)
    assert recording.assumptions == ()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_imagej(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "worm.tif"
    said = {"axes": "TZCYX", "spacing": 1.5, "unit": "um", "finterval": 0.2}
    stored = VOXELS.transpose(0, 2, 1, 3, 4)
    tifffile.imwrite(path, stored, imagej=True, resolution=(1 / 0.4, 1 / 0.3), metadata=said, compression=compression)
    assert_same_voxels(path, TOLD)
    recording = open_recording(path, TOLD)
    assert recording.voxel_size_um == pytest.approx((1.5, 0.3, 0.4))
    assert recording.rate_hz == pytest.approx(5)
    assert "--reference-channel" in refused(path, RecordingConfig())
    assert any("reference channel" in said for said in open_recording(path, to_look=True).assumptions)


@pytest.mark.parametrize("missing", ["z", "xy"])
def test_one_missing_size_is_missing(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "worm.tif"
    said = {"axes": "ZYX"} | ({"spacing": 1.5} if missing == "xy" else {"unit": "um"})
    tifffile.imwrite(path, VOXELS[0, 0], imagej=True, resolution=(2, 2), metadata=said)
    line = refused(path, RecordingConfig())
    assert "--voxel-size Z Y X" in line
    assert "[recording] voxel_size_um" in line
    assert "along z in" in line or "along z, y, x in" in line


def test_pages_without_axes(tmp_path: Path) -> None:
    path = tmp_path / "worm.tif"
    tifffile.imwrite(path, VOXELS)
    line = refused(path)
    assert "(3, 2, 5, 20, 24)" in line
    assert "[recording] axes" in line
    assert_same_voxels(path, SIZED.model_copy(update={"axes": "TCZYX"}))
    assert "expected 5 axes" in refused(path, SIZED.model_copy(update={"axes": "ZYX"}))
    assert "each once" in refused(path, SIZED.model_copy(update={"axes": "TTZYX"}))
    assert "end in YX" in refused(path, SIZED.model_copy(update={"axes": "TCYXZ"}))


def test_settings_count_more_than_metadata(tmp_path: Path) -> None:
    path = tmp_path / "worm.ome.tif"
    tifffile.imwrite(
        path, VOXELS, ome=True, metadata={"axes": "TCZYX", "PhysicalSizeX": 9, "TimeIncrement": 9.0, "Channel": {"Name": ["red", "green"]}}
    )
    config = RecordingConfig(voxel_size_um=(3, 2, 1), rate_hz=4, channel_names=("a", "b"), reference_channel="B")
    recording = open_recording(path, config)
    assert (recording.voxel_size_um, recording.rate_hz, recording.channel_names) == ((3, 2, 1), 4, ("a", "b"))
    assert (recording.reference, recording.signal) == (1, 0)
    assert recording.assumptions == ()
    other = RecordingConfig(voxel_size_um=(3, 2, 1), axes="TZCYX", reference_channel=0, signal_channel=4, channel_names=tuple("abcde"))
    assert open_recording(path, other).shape == (3, 5, 2, 20, 24)


def _channels(names: tuple[str, ...], **config: object) -> metadata.Channels:
    said = metadata.FileMetadata("worm", "CZYX", (len(names), 4, 20, 24), np.dtype("u2"), channel_names=names)
    return metadata.name_channels(said, RecordingConfig(**config), len(names))


@pytest.mark.parametrize(
    ("names", "config", "expected", "assumed"),
    [
        (("green", "red"), {}, (1, 0), False),
        (("GFP-488", "RFP-561"), {}, (1, 0), False),
        (("mCherry", "GCaMP6f"), {}, (0, 1), False),
        (("infrared", "sacred"), {}, (0, 1), True),
        (("A", "B"), {}, (0, 1), True),
        (("A", "B"), {"reference_channel": 1}, (1, 0), False),
        (("A", "B"), {"reference_channel": "1"}, (1, 0), False),
        (("1", "0"), {"reference_channel": "1"}, (0, 1), False),
        (("only",), {}, (0, None), False),
        (("BFP", "tagRFP", "GCaMP"), {}, (1, 2), False),
        (("a", "red", "c"), {"signal_channel": "c"}, (1, 2), False),
    ],
)
def test_channels_by_name(names: tuple[str, ...], config: dict[str, object], expected: tuple[int, int | None], assumed: bool) -> None:
    channels = _channels(names, **config)
    assert (channels.reference, channels.signal) == expected
    assert bool(channels.remarks) == assumed


def test_unclear_channels_are_asked_for() -> None:
    with pytest.raises(InputError, match="signal_channel"):
        _channels(("red", "b", "c"))
    with pytest.raises(InputError, match="expected one of red, green, or 0 to 1, got blue"):
        _channels(("red", "green"), reference_channel="blue")
    with pytest.raises(InputError, match="expected 2 channel names, got 1"):
        _channels(("red", "green"), channel_names=("red",))


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (250, "nm", 0.25),
        ("0.3", "µm", 0.3),
        ("0.3", "\u03bcm", 0.3),
        (1, "micron", 1),
        (0.5, "pixel", None),
        (0, "um", None),
        (float("nan"), "um", None),
        ("x", "um", None),
        (2, None, None),
        (-1, "um", None),
        (1, "mm", 1000),
    ],
)
def test_units_of_length(value: object, unit: str | None, expected: float | None) -> None:
    assert metadata.length_um(value, unit) == (None if expected is None else pytest.approx(expected))


def test_what_is_no_recording(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "an empty folder" in refused(tmp_path / "empty")
    (tmp_path / "empty/a.doc").write_bytes(b"")
    assert "got a.doc" in refused(tmp_path / "empty")
    assert "got .doc" in refused(tmp_path / "empty/a.doc")
    (tmp_path / "text.tif").write_text("not a picture")
    assert "expected a TIFF" in refused(tmp_path / "text.tif")
    (tmp_path / "nil.tif").write_bytes(b"")
    assert "expected a TIFF" in refused(tmp_path / "nil.tif")
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((4, 20, 24, 3), np.uint8))
    assert "colour" in refused(tmp_path / "colour.tif")
    tifffile.imwrite(tmp_path / "complex.tif", VOXELS[0].astype(np.complex64))
    assert "complex64" in refused(tmp_path / "complex.tif")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "symbolic links" in refused(tmp_path / "loop")


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything, so it steps down for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_permission_denied() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = folder_of(Path(place))
        open_recording(folder, SIZED)
        (folder / "v1.tif").chmod(0)
        with nobody():
            assert "v1.tif: cannot be read: Permission denied" in refused(folder)
            assert "v1.tif: cannot be read: Permission denied" in refused(folder / "v1.tif")
        folder.chmod(0)
        try:
            with nobody():
                assert f"{folder}: cannot be opened: Permission denied" in refused(folder)
                assert "v0.tif: cannot be opened: Permission denied" in refused(folder / "v0.tif")
        finally:
            folder.chmod(0o700)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_cut_off_in_the_middle_of_a_series(tmp_path: Path, share: float, compression: str | None) -> None:
    folder = folder_of(tmp_path, compression=compression)
    whole = (folder / "v1.tif").read_bytes()
    (folder / "v1.tif").write_bytes(whole[: int(len(whole) * share)])
    line = refused(folder)
    assert line.startswith("volume 1: ")
    assert "v1.tif" in line


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1000)])
def test_dropped_volumes_by_the_times_of_ome_planes(tmp_path: Path, unit: str, factor: int) -> None:
    path, voxels = tmp_path / "worm.ome.tif", np.concatenate([VOXELS] * 4)
    times_s = [0.25 * t for t in range(14) if t not in (5, 6)]
    delta = [factor * (time + 0.02 * z + 0.001 * c) for time in times_s for c in range(2) for z in range(5)]
    said = {"axes": "TCZYX", "TimeIncrement": 0.25, "Plane": {"DeltaT": delta, "DeltaTUnit": [unit] * len(delta)}}
    tifffile.imwrite(path, voxels, ome=True, metadata=said)
    recording = open_recording(path, SIZED)
    assert recording.rate_hz == pytest.approx(4)
    assert [said for said in recording.assumptions if "dropped" in said] == [
        "dropped volumes: after 1 of 12 volumes the clock jumps, by 2 volumes in all (most after volume 4: 0.75 s, usually 0.25 s);"
        " taken as if evenly spaced"
    ]


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"ome": True}, {"ome": True, "compression": "zlib"}, {"imagej": True}])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_cut_off_single_file(tmp_path: Path, options: dict[str, object], share: float) -> None:
    path = tmp_path / "worm.tif"
    axes = "TZCYX" if "imagej" in options else "TCZYX"
    tifffile.imwrite(path, VOXELS.transpose(["TCZYX".index(a) for a in axes]), metadata={"axes": axes}, **options)
    assert open_recording(path, SIZED).shape == VOXELS.shape
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "worm.tif" in refused(path)


def test_damaged_plane(tmp_path: Path) -> None:
    path = tmp_path / "worm.ome.tif"
    tifffile.imwrite(path, VOXELS, ome=True, metadata={"axes": "TCZYX"}, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[10].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    line = refused(path)
    assert line.startswith("volume 1: ")
    assert "plane 10" in line


@pytest.mark.parametrize("options", [{"ome": True}, {"ome": True, "compression": "zlib"}, {"imagej": True}, {}])
def test_spoilt_bytes_are_refused_or_harmless(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "worm.tif"
    tifffile.imwrite(path, VOXELS.transpose(0, 2, 1, 3, 4), metadata={"axes": "TZCYX"}, **options)
    whole, rng, lines = path.read_bytes(), np.random.default_rng(0), []
    for _ in range(60):
        spoilt = bytearray(whole)
        for at in rng.integers(0, 300, rng.integers(1, 5)):
            spoilt[at] = rng.integers(256)
        path.write_bytes(spoilt)
        try:
            _read_all(path, SIZED)
        except InputError as error:
            lines.append(str(error))
    assert lines
    assert not any("\n" in line for line in lines)


def test_a_volume_unlike_the_first(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for odd in (VOXELS[0, :, :2], VOXELS[0].astype(np.uint8)):
        tifffile.imwrite(folder / "v1.tif", odd, metadata={"axes": "CZYX"})
        line = refused(folder)
        assert "v1.tif" in line
        assert "like volume 0" in line


def test_files_that_hold_several_volumes(tmp_path: Path) -> None:
    folder = tmp_path / "worm"
    folder.mkdir()
    for i in range(2):
        tifffile.imwrite(folder / f"{i}.ome.tif", VOXELS, ome=True, metadata={"axes": "TCZYX"})
    assert "expected one volume in each of 2 files, got 3" in refused(folder)
    (folder / "1.ome.tif").unlink()
    assert_same_voxels(folder)


def test_other_files_that_the_metadata_name_stay_closed(tmp_path: Path) -> None:
    path = tmp_path / "worm" / "a.ome.tif"
    path.parent.mkdir()
    outside = '<TiffData IFD="0" FirstC="1" PlaneCount="5"><UUID FileName="../secret.ome.tif">urn:uuid:2</UUID></TiffData>'
    xml = f"""<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><Image ID="Image:0">
    <Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="24" SizeY="20" SizeZ="5" SizeC="2" SizeT="1">
    <TiffData IFD="0" FirstC="0" PlaneCount="5"><UUID FileName="a.ome.tif">urn:uuid:1</UUID></TiffData>{outside}</Pixels></Image></OME>"""
    tifffile.imwrite(path, VOXELS[0, 0], description=xml, metadata=None)
    tifffile.imwrite(
        tmp_path / "secret.ome.tif", VOXELS[0, 1], description=xml.replace('UUID="urn:uuid:1">', 'UUID="urn:uuid:2">'), metadata=None
    )
    assert "a.ome.tif" in refused(path)


def test_two_recordings_are_the_same_wherever_they_lie(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        folder_of(tmp_path / name)
    a, b = tmp_path / "a/worm", (tmp_path / "b/worm").rename(tmp_path / "elsewhere")
    os.utime(b / "v1.tif", (0, 0))
    assert open_recording(a, SIZED).fingerprint == open_recording(b, SIZED).fingerprint
    # what a person says of it is no content: a rate given later must not make the segmentation stale
    assert open_recording(a, SIZED).fingerprint == open_recording(a, SIZED.model_copy(update={"rate_hz": 2.0})).fingerprint
    data = bytearray((b / "v1.tif").read_bytes())
    data[-1] ^= 1
    (b / "v1.tif").write_bytes(data)
    assert open_recording(a, SIZED).fingerprint != open_recording(b, SIZED).fingerprint


def test_reading_from_many_threads(tmp_path: Path) -> None:
    path = tmp_path / "worm.ome.tif"
    tifffile.imwrite(path, VOXELS, ome=True, metadata={"axes": "TCZYX"}, compression="zlib")
    recording = open_recording(path, SIZED)
    with ThreadPoolExecutor(8) as pool:
        for t, volume in zip(list(range(3)) * 20, pool.map(recording.read, list(range(3)) * 20), strict=True):
            np.testing.assert_array_equal(volume, VOXELS[t])


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_nothing_but_the_volume_is_loaded(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "worm.ome.tif"
    shape = (200, 1, 10, 96, 96)  # 2000 pages, 37 MB
    voxels = np.broadcast_to(np.arange(200, dtype=np.uint16)[:, None, None, None, None], shape)
    tifffile.imwrite(path, np.ascontiguousarray(voxels), ome=True, metadata={"axes": "TCZYX"}, **options)
    open_recording(path, SIZED).read(3)  # imports
    tracemalloc.start()
    try:
        recording = open_recording(path, SIZED)
        tracemalloc.reset_peak()
        assert (recording.read(150) == 150).all()
        while_reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert while_reading < 3e6, f"{while_reading / 1e6:.1f} MB for a volume of 0.2 MB"


def zarr_image(path: Path, version: int, unit: str | None = "micrometer", inside: str = "0") -> zarr.Group:
    space = [{"name": a, "type": "space"} | ({"unit": unit} if unit else {}) for a in "zyx"]
    axes = [{"name": "t", "type": "time", "unit": "millisecond"}, {"name": "c", "type": "channel"}, *space]
    steps = [{"type": "scale", "scale": [1, 1, 0.5, 0.1, 0.2]}]
    image = {"axes": axes, "datasets": [{"path": inside, "coordinateTransformations": steps}]}
    image["coordinateTransformations"] = [{"type": "scale", "scale": [250, 1, 2, 2, 2]}]
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [image]}} if version == 3 else {"multiscales": [image]})
    group.create_array("0", data=VOXELS, chunks=(1, 1, 2, 20, 24))
    return group


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_of_others(tmp_path: Path, version: int) -> None:
    zarr_image(tmp_path / "worm.ome.zarr", version)
    assert_same_voxels(tmp_path / "worm.ome.zarr", TOLD)
    recording = open_recording(tmp_path / "worm.ome.zarr", TOLD)
    assert recording.name == "worm"
    assert recording.voxel_size_um == pytest.approx((1, 0.2, 0.4))  # both scales count
    assert recording.rate_hz == pytest.approx(4)


def test_zarr_that_cannot_be_used(tmp_path: Path) -> None:
    zarr_image(tmp_path / "a.zarr", 3, unit=None)
    assert "--voxel-size" in refused(tmp_path / "a.zarr", RecordingConfig())
    zarr_image(tmp_path / "b.zarr", 3, inside="../a.zarr/0")
    assert "inside the folder" in refused(tmp_path / "b.zarr")
    zarr_image(tmp_path / "c.zarr", 3, inside="1")
    assert "c.zarr" in refused(tmp_path / "c.zarr")
    zarr.open_group(tmp_path / "d.zarr", mode="w")
    assert "multiscales" in refused(tmp_path / "d.zarr")
    (tmp_path / "d.zarr/zarr.json").write_text("{")
    assert "expected an OME-Zarr" in refused(tmp_path / "d.zarr")
    zarr_image(tmp_path / "e.zarr", 3)
    chunk = tmp_path / "e.zarr/0/c/2/0/1/0/0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    assert refused(tmp_path / "e.zarr").startswith("volume 2: ")


@pytest.mark.parametrize("version", [2, 3])
def test_bare_zarr_array_with_axes_given(tmp_path: Path, version: int) -> None:
    stored = VOXELS.transpose(3, 0, 4, 1, 2)
    zarr.create_array(tmp_path / "worm.zarr", data=stored, zarr_format=version)
    assert "[recording] axes" in refused(tmp_path / "worm.zarr")
    assert_same_voxels(tmp_path / "worm.zarr", SIZED.model_copy(update={"axes": "YTXCZ"}))


def test_zarr_fingerprint_sees_a_chunk_change(tmp_path: Path) -> None:
    first = zarr_image(tmp_path / "a.zarr", 3)
    zarr_image(tmp_path / "b.zarr", 3)
    before = open_recording(tmp_path / "a.zarr", TOLD).fingerprint
    assert before == open_recording(tmp_path / "b.zarr", TOLD).fingerprint
    first["0"][1, 0, 0, 0, 0] = 7
    assert before != open_recording(tmp_path / "a.zarr", TOLD).fingerprint


@pytest.mark.real_data
def test_real_worm() -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data is not here: the real recordings are not part of the project")
    path = SHARED / "targettrack_worm/recording"
    assert "--voxel-size" in refused(path, RecordingConfig())
    recording = open_recording(path, SIZED)
    assert recording.shape == (5, 2, 16, 160, 256)
    assert (recording.channel_names, recording.reference, recording.signal) == (("red", "green"), 0, 1)
    assert recording.read(4).max() > 0


def test_inches_of_a_printer_are_no_calibration(tmp_path: Path) -> None:
    path = tmp_path / "worm.tif"
    options = {"axes": "TZCYX", "spacing": 2, "unit": "inch", "finterval": 0.25}
    tifffile.imwrite(path, VOXELS.transpose(0, 2, 1, 3, 4), imagej=True, resolution=(72, 72), metadata=options)
    assert "no voxel size along z, y, x" in refused(path, TOLD)
