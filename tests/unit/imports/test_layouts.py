"""Identities of other programs: each layout as its program writes it, and what is none."""

import json
import os
import warnings
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

from barlowtrack.errors import InputError
from barlowtrack.imports import LAYOUTS, Space, read_identities

SIZE, SHAPE = (2.0, 0.5, 0.25), (10, 40, 80)
SPACE = Space(SIZE, SHAPE)
VOXELS = np.array([[1.0, 4.0, 8.0], [3.0, 10.0, 70.0], [1.5, 5.0, 9.0]])  # z, y, x
T, WHO = np.array([0, 0, 2]), np.array([7, 9, 7])


def expect_worm(found, numbers=(7, 9, 7)):
    """The three points above, in um."""
    np.testing.assert_allclose(found.position_um, VOXELS * SIZE, rtol=1e-5)
    assert found.t.tolist() == T.tolist()
    assert found.neuron.tolist() == list(numbers)
    assert len(found.truth()) == 3


def write_zephir(folder, *, matlab=False):
    """annotations.h5 and worldlines.h5, one-dimensional as Python writes them, or in rows as MATLAB does."""
    share = (VOXELS + 0.5) / SHAPE
    columns = {"id": np.arange(1, 4, dtype=np.uint32), "t_idx": T.astype(np.uint32), "worldline_id": WHO.astype(np.uint32)}
    columns |= {axis: share[:, i].astype(np.float32) for i, axis in enumerate("zyx")}
    with h5py.File(folder / "annotations.h5", "w") as file:
        for name, values in columns.items():
            file[name] = values[None] if matlab else values
        texts = np.array([b"VIVE", b"ZEIR", b"VIVE"], "S4")
        file["provenance"] = np.array([list(text) for text in texts], np.uint8) if matlab else texts
    with h5py.File(folder / "worldlines.h5", "w") as file:
        file["id"] = np.array([7, 9, 11], np.uint32)
        file["name"] = np.array([b"AVAL", b"null", b"RIML"])
    return folder / "annotations.h5"


@pytest.mark.parametrize("matlab", [False, True])
def test_zephir(tmp_path, matlab):
    path = write_zephir(tmp_path, matlab=matlab)
    for place in (path, tmp_path):
        found = read_identities(place, SPACE)
        expect_worm(found)
        assert found.names == {7: "AVAL"}  # a worldline that nobody named has none; nor is there one that no point has
        assert found.told == ("1 of 3 points were tracked by ZephIR, not set by a person",)


def test_zephir_says_itself_how_large_the_volume_is(tmp_path):
    path = write_zephir(tmp_path)
    with pytest.raises(InputError, match=r"metadata\.json"):
        read_identities(path, Space(SIZE))
    (tmp_path / "metadata.json").write_text(json.dumps(dict(zip(("shape_z", "shape_y", "shape_x"), SHAPE, strict=True))))
    expect_worm(read_identities(path, Space(SIZE)))


def wbfm_table(scorer=False):
    frame = pd.DataFrame(index=[0, 1, 2])
    for name, rows in (("AVAL", (0, 2)), ("neuron_002", (1,))):
        for axis, ours in (("z", 0), ("x", 1), ("y", 2)):
            column = np.full(3, np.nan)
            column[T[list(rows)]] = VOXELS[list(rows), ours]
            frame[(name, axis)] = column
        frame[(name, "raw_segmentation_id")] = 1.0
    frame.columns = pd.MultiIndex.from_tuples([("someone", *column) if scorer else column for column in frame.columns])
    return frame


@pytest.mark.parametrize("scorer", [False, True])
def test_wbfm_as_csv(tmp_path, scorer):
    wbfm_table(scorer).to_csv(tmp_path / "tracks.csv")
    found = read_identities(tmp_path / "tracks.csv", SPACE)
    expect_worm(found, (0, 1, 0))
    assert found.names == {0: "AVAL"}
    assert "x is read as rows" in found.told[0]


@pytest.mark.parametrize("scorer", [False, True])
def test_wbfm_as_pandas_writes_it(tmp_path, scorer):
    pytest.importorskip("tables", reason="PyTables, with which wbfm writes, is not installed: pip install barlowtrack[test]")
    frame = wbfm_table(scorer)
    frame[(*frame.columns[0][:-1], "note")] = "text"  # pickled by pandas; never read
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a text is pickled
        frame.to_hdf(tmp_path / "tracks.h5", key="df_with_missing")
    expect_worm(read_identities(tmp_path / "tracks.h5", SPACE), (0, 1, 0))


def test_a_table_whose_axes_are_turned_is_turned_back_and_said(tmp_path):
    frame = wbfm_table().rename(columns={"x": "y", "y": "x"}, level=1)
    frame.to_csv(tmp_path / "tracks.csv")
    found = read_identities(tmp_path / "tracks.csv", SPACE)  # 70 is beyond 40 rows
    expect_worm(found, (0, 1, 0))
    assert "outside the volume" in found.told[0]


def write_ctc(folder, tracks, name="res_track.txt", mask="mask"):
    folder.mkdir(parents=True)
    label = {(0, 7): 1, (0, 9): 2, (2, 7): 3}
    for t in range(3):
        volume = np.zeros(SHAPE, np.uint16)
        for when, who, at in zip(T, WHO, VOXELS, strict=True):
            if when == t:
                z, y, x = at
                for plane in {int(np.floor(z)), int(np.ceil(z))}:
                    volume[plane, int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2] = label[int(when), int(who)]
        tifffile.imwrite(folder / f"{mask}{t:03d}.tif", volume)
    (folder / name).write_text(tracks)


@pytest.mark.parametrize(("inside", "name", "mask"), [("01_RES", "res_track.txt", "mask"), ("01_GT/TRA", "man_track.txt", "man_track")])
def test_cell_tracking_challenge(tmp_path, inside, name, mask):
    write_ctc(tmp_path / inside, "1 0 0 0\n2 0 0 0\n3 2 2 1\n", name, mask)
    for place in (tmp_path, tmp_path / inside, tmp_path / inside / name):
        expect_worm(read_identities(place, SPACE), (1, 2, 1))  # the only child of a track is the same neuron


def test_a_track_that_divides_ends(tmp_path):
    write_ctc(tmp_path / "01_RES", "1 0 0 0\n2 0 0 0\n3 2 2 1\n4 1 1 1\n")
    assert read_identities(tmp_path, SPACE).neuron.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("tracks", "said"), [("1 0 0 0\n", "labels that res_track.txt names, got 2"), ("a b\n", "four whole numbers"), ("1 0 0\n", "four")]
)
def test_wrong_track_texts(tmp_path, tracks, said):
    write_ctc(tmp_path / "01_RES", tracks)
    with pytest.raises(InputError, match=said):
        read_identities(tmp_path, SPACE)


def write_nwb(path, groups):
    """A file with groups of processed data: (path, type) -> datasets, with units."""
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.8.0"
        file.attrs["neurodata_type"] = "NWBFile"
        volume = file.create_group("general/optophysiology/CalciumImVol")
        volume.attrs["neurodata_type"] = "ImagingVolume"
        volume["grid_spacing"] = np.array(SIZE[::-1])
        for (place, kind), columns in groups.items():
            group = file.require_group(f"processing/CalciumActivity/{place}")
            group.attrs["neurodata_type"] = kind
            for name, values in columns.items():
                group[name] = values
                group[name].attrs["unit"] = "pixels"
    return path


def test_nwb_with_a_segmentation_a_time_point(tmp_path):
    """As the FOCO lab writes it: letters of a name one by one, belonging to a row by an index."""
    groups = {("Seg", "ImageSegmentation"): {}}
    voxel = np.dtype([("x", "u4"), ("y", "u4"), ("z", "u4"), ("weight", "f4")])
    for t, rows in ((0, [0, 1]), (2, [2])):
        mask = np.array([(VOXELS[r, 2], VOXELS[r, 1], VOXELS[r, 0], 1) for r in rows], voxel)
        if t == 2:
            mask = np.array([(9, 5, 1, 1), (9, 5, 2, 1)], voxel)  # its middle lies between planes
        names = ["AVAL" if WHO[r] == 7 else "RIML" for r in rows]
        groups[f"Seg/Seg_tpoint_{t}", "PlaneSegmentation"] = {
            "id": np.arange(len(rows)),
            "voxel_mask": mask,
            "voxel_mask_index": np.array([1, 2] if t == 0 else [2]),
            "ID_labels": np.array(list("".join(names)), "S1"),
            "ID_labels_index": np.cumsum([len(name) for name in names]),
        }
    found = read_identities(write_nwb(tmp_path / "worm.nwb", groups), Space())
    expect_worm(found, (0, 1, 0))
    assert found.names == {0: "AVAL", 1: "RIML"}


def test_nwb_with_centroids(tmp_path):
    """As wbfm writes it: a series a neuron, x y z in pixels."""
    groups = {("NeuronCentroids", "Position"): {}}
    for k in (7, 9):
        data = np.full((3, 3), np.nan)
        data[T[k == WHO]] = VOXELS[k == WHO][:, ::-1]
        groups[f"NeuronCentroids/neuron_{k:03d}", "SpatialSeries"] = {"data": data}
    expect_worm(read_identities(write_nwb(tmp_path / "worm.nwb", groups), Space()))


def test_nwb_with_a_still_image_alone_is_refused_with_a_reason(tmp_path):
    groups = {("NeuroPAL/NeuroPALNeurons", "PlaneSegmentation"): {"id": np.arange(2)}}
    with pytest.raises(InputError, match="a single still image names neurons of no volume"):
        read_identities(write_nwb(tmp_path / "worm.nwb", groups), Space())


def test_tables(tmp_path):
    frame = pd.DataFrame({"t": T, "neuron": WHO, **dict(zip(("z_um", "y_um", "x_um"), (VOXELS * SIZE).T, strict=True))})
    frame.assign(name=["AVAL", None, "AVAL"]).to_csv(tmp_path / "by_number.csv", index=False)
    found = read_identities(tmp_path / "by_number.csv", Space())
    expect_worm(found)
    assert found.names == {7: "AVAL"}
    frame.assign(neuron=["RMEL", "AVAL", "RMEL"]).to_parquet(tmp_path / "by_name.parquet")
    found = read_identities(tmp_path / "by_name.parquet", Space())
    expect_worm(found, (1, 0, 1))
    assert found.names == {0: "AVAL", 1: "RMEL"}
    voxels = frame[["t"]].assign(neuron=["RMEL", "", "RMEL"], **dict(zip("zyx", VOXELS.T, strict=True)))
    voxels.to_csv(tmp_path / "voxels.csv", index=False)
    with pytest.raises(InputError, match="voxel size"):
        read_identities(tmp_path / "voxels.csv", Space())
    assert read_identities(tmp_path / "voxels.csv", SPACE).t.tolist() == [0, 2]  # a nucleus that nobody named is nobody


def test_a_neuron_twice_in_a_volume_is_refused(tmp_path):
    path = write_zephir(tmp_path)
    with h5py.File(path, "r+") as file:
        file["t_idx"][2] = 0
    with pytest.raises(InputError, match="every neuron once a volume, got AVAL a second time in volume 0"):
        read_identities(path, SPACE)


def test_what_is_none_of_them(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    for name in ("empty", "text.h5", "other.h5"):
        with pytest.raises(InputError, match="layout that is known") as refused:
            read_identities(tmp_path / name, SPACE)
        assert all(layout.name in str(refused.value) for layout in LAYOUTS)
    with pytest.raises(InputError, match="No such file"):
        read_identities(tmp_path / "gone.csv", SPACE)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_files_that_are_cut_off_or_spoilt_are_refused_or_read(tmp_path, share):
    """Never a traceback: whatever a copy that stopped half-way, or a disk, makes of them."""
    (tmp_path / "whole").mkdir()
    wbfm_table().to_csv(tmp_path / "whole" / "wbfm.csv")
    paths = [write_zephir(tmp_path / "whole"), tmp_path / "whole" / "wbfm.csv"]
    paths.append(
        write_nwb(tmp_path / "whole" / "w.nwb", {("N", "Position"): {}, ("N/neuron_001", "SpatialSeries"): {"data": np.zeros((3, 3))}})
    )
    rng = np.random.default_rng(int(share * 100))
    for path in paths:
        content = bytearray(path.read_bytes())
        for spoilt in (content[: int(len(content) * share)], _flipped(content, rng)):
            target = Path(tmp_path / f"spoilt{path.suffix}")
            target.write_bytes(bytes(spoilt))
            with suppress(InputError):  # or nothing that matters was hit
                read_identities(target, SPACE)


def _flipped(content, rng):
    spoilt = bytearray(content)
    for at in rng.integers(0, len(content), 40):
        spoilt[at] ^= int(rng.integers(1, 256))
    return spoilt


def write_masks(folder, tracks="7 0 2 0\n9 0 0 0\n"):
    (folder / "01_RES").mkdir(parents=True)
    for t in range(3):
        mask = np.zeros(SHAPE, np.uint16)
        for when, who, place in zip(T, WHO, VOXELS, strict=True):
            if when == t:
                mask[tuple(np.round(place).astype(int))] = who
        tifffile.imwrite(folder / "01_RES" / f"mask{t:03d}.tif", mask)
    (folder / "01_RES" / "res_track.txt").write_text(tracks)
    return folder


def test_names_of_our_own_masks_are_as_they_were_written(tmp_path):
    folder = write_masks(tmp_path / "worm")
    head = "label,first,last,parent,neuron,name,probability\n"
    (folder / "tracks.csv").write_text(head + "7,0,2,0,0,'=AVA,1\n9,0,0,0,1,'AVB,1\n")
    assert read_identities(folder, SPACE).names == {0: "=AVA", 1: "'AVB"}


def test_a_table_of_somebody_else_beside_masks_is_left_alone(tmp_path):
    folder = write_masks(tmp_path / "worm")
    (folder / "tracks.csv").write_text("TRACK_ID,x\n1,2\n")
    found = read_identities(folder, SPACE)
    assert found.neuron.tolist() == [7, 9, 7]
    assert found.told == ("tracks.csv beside 01_RES is not of our export, and is not read",)


def test_a_mask_that_is_cut_off_is_refused(tmp_path):
    folder = write_masks(tmp_path / "worm")
    (folder / "01_RES" / "mask001.tif").write_bytes(b"II*\0")
    with pytest.raises(InputError, match=r"mask001\.tif: expected a mask"):
        read_identities(folder, SPACE)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("t_idx", np.array([0, 0.7, 2]), r"t_idx: expected whole numbers, got 0\.7"),
        ("worldline_id", np.array([7, np.nan, 7]), "worldline_id: expected whole numbers, got nan"),
        ("x", np.array([b"a", b"b", b"c"]), "expected annotations of ZephIR, got something else"),
    ],
)
def test_columns_of_zephir_that_are_no_numbers_are_refused(tmp_path, name, values, said):
    path = write_zephir(tmp_path)
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = values
    with pytest.raises(InputError, match=said):
        read_identities(path, SPACE)


@pytest.mark.parametrize(
    ("spacing", "unit", "told"),
    [
        ((0.25, 0.5, 2.0), "micrometers", ()),
        ((0.25e-6, 0.5e-6, 2e-6), "meters", ()),
        (
            (0.25, 0.5, 2.0),
            "meters",
            ("grid_spacing is said to be in meters, which 2 cannot be; taken as um",),
        ),
        (
            (0.25e-6, 0.5e-6, 2e-6),
            "micrometers",
            ("grid_spacing is said to be in micrometers, which 2e-06 cannot be; taken as metres",),
        ),
    ],
)
def test_a_voxel_of_nwb_has_the_unit_that_it_can_have(tmp_path, spacing, unit, told):
    with h5py.File(tmp_path / "it.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.6.0"
        plane = file.create_group("general/optophysiology/CalcImVol")
        plane.attrs["neurodata_type"] = "ImagingVolume"
        plane["grid_spacing"] = spacing
        plane["grid_spacing"].attrs["unit"] = unit
        position = file.create_group("processing/a/NeuronCentroids")
        position.attrs["neurodata_type"] = "Position"
        position["neuron_7/data"] = VOXELS[:1, ::-1]
    found = read_identities(tmp_path / "it.nwb", Space())
    np.testing.assert_allclose(found.position_um, VOXELS[:1] * SIZE)
    assert found.told == told


def test_which_places_of_a_table_count_is_said(tmp_path):
    (tmp_path / "both.csv").write_text("t,neuron,z,y,x,z_um,y_um,x_um\n0,7,1,4,8,2,2,2\n")
    found = read_identities(tmp_path / "both.csv", SPACE)
    assert found.position_um.tolist() == [[2, 2, 2]]
    assert found.told == ("places are taken from z_um, y_um, x_um; z, y, x are not read",)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "truth.csv")
    with pytest.raises(InputError, match="expected a file or folder, got neither"):
        read_identities(tmp_path / "truth.csv", SPACE)


def test_what_other_files_have_to_become_is_said(tmp_path):
    (tmp_path / "truth.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(200))
    with pytest.raises(InputError, match=r"truth\.mat: .* got a file of MATLAB; write them from there as a table: writetable"):
        read_identities(tmp_path / "truth.mat", SPACE)
    (tmp_path / "worm.nwb.zarr").mkdir()
    (tmp_path / "worm.nwb.zarr" / ".zgroup").write_text("{}")
    with pytest.raises(InputError, match=r"worm\.nwb\.zarr: .* got a zarr; NWB in zarr is read once it is one HDF5 file"):
        read_identities(tmp_path / "worm.nwb.zarr", SPACE)


def test_of_our_own_export_the_table_is_named(tmp_path):
    (tmp_path / "detections.csv").write_text("t,neuron,z_um,y_um,x_um\n0,1,1,2,3\n")
    (tmp_path / "neurons.csv").write_text("neuron\n1\n")
    with pytest.raises(InputError, match=r"who is where stands in .*detections\.csv: give that"):
        read_identities(tmp_path, Space(None))


def test_columns_that_are_called_otherwise_are_told_as_they_are(tmp_path):
    path = tmp_path / "it.csv"
    path.write_text("frame,id,x,y,z\n0,1,1,2,3\n")
    with pytest.raises(InputError, match=r"missing: t \(is it frame\?\), neuron \(is it id\?\); the table has frame, id, x, y, z$"):
        read_identities(path, Space((1.0, 1.0, 1.0)))
