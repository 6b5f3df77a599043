"""An atlas that was stored is the atlas that was learned."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from safetensors.numpy import load, save
from threadpoolctl import threadpool_limits

from barlowtrack.errors import InputError
from barlowtrack.identity.identify import identify
from barlowtrack.identity.learned import Learned
from barlowtrack.identity.solve import Atlas, sight
from barlowtrack.identity.volumes import Preparation, prepare
from tests.cases import CASES


@cache
def learned(case: str) -> Learned:
    detections, embeddings, _ = CASES[case](0)
    preparation, volumes = prepare(detections, None if embeddings is None else embeddings.vectors)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(1) as pool:
        found = identify(volumes, pool, seed=0)
    return Learned(preparation, found.atlas, found.calibration)


def same(a: object, b: object) -> bool:
    if dataclasses.is_dataclass(a) and not isinstance(a, type):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("case", ["looks", "still", "one_neuron", "one_volume"])
def test_stored_and_read_is_the_same(case: str) -> None:
    atlas = learned(case)
    assert same(Learned.from_bytes(atlas.to_bytes()), atlas)


def test_what_is_not_known_stays_unknown() -> None:
    atlas = Learned(Preparation(2.5), Atlas(None, None, 3))
    assert same(Learned.from_bytes(atlas.to_bytes()), atlas)


def test_the_same_atlas_is_the_same_bytes() -> None:
    """A run that is repeated must give the same bytes: maps of some languages are in any order."""
    atlas = learned("looks")
    assert len({atlas.to_bytes() for _ in range(10)}) == 1


def test_a_stored_atlas_names_a_volume_as_before() -> None:
    detections, embeddings, _ = CASES["looks"](0)
    assert embeddings is not None
    atlas = learned("looks")
    _, volumes = prepare(detections, embeddings.vectors)
    read = Learned.from_bytes(atlas.to_bytes())
    rows = np.sort(volumes[0].rows)
    again = read.preparation.volume(rows, detections.position_um[rows], embeddings.vectors[rows])
    assert np.array_equal(again.rows, volumes[0].rows)
    assert np.array_equal(sight(again, read.atlas).neuron, sight(volumes[0], atlas.atlas).neuron)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
        save({"weight": np.zeros(3)}),
        save({"weight": np.zeros(3)}, {"barlowtrack.atlas": "99"}),
    ],
    ids=["empty", "text", "nothing", "other", "newer"],
)
def test_what_is_no_atlas_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="atlas: expected"):
        Learned.from_bytes(content)


def test_an_atlas_that_lacks_a_part_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"preparation\.unit_um"):
        Learned.from_bytes(save({"atlas.n_neurons": np.array(3)}, {"barlowtrack.atlas": "1"}))


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return load(learned("looks").to_bytes())


def test_all_parts_are_spoiled_below(arrays: dict[str, np.ndarray]) -> None:
    assert {"preparation.axes", "atlas.shape.mean", "atlas.appearance.weight", "calibration.worth"} <= arrays.keys()


@pytest.mark.parametrize("spoil", ["nan", "cut", "deeper"])
def test_no_array_may_be_spoiled(arrays: dict[str, np.ndarray], spoil: str) -> None:
    for name, array in arrays.items():
        if array.dtype.kind != "f" or (spoil == "cut" and array.ndim == 0):
            continue
        bad = {"nan": lambda a: np.full_like(a, np.nan), "cut": lambda a: a[:-1], "deeper": lambda a: np.stack([a, a])}[spoil](array)
        with pytest.raises(InputError, match="atlas: expected"):
            Learned.from_bytes(save({**arrays, name: np.ascontiguousarray(bad)}, {"barlowtrack.atlas": "1"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preparation.unit_um", 0.0),
        ("atlas.n_neurons", -1),
        ("atlas.n_neurons", 3),
        ("atlas.shape.variance", 0.0),
        ("atlas.shape.residual", -1.0),
        ("atlas.shape.occupancy", 0.0),
        ("atlas.shape.occupancy", 1.5),
        ("calibration.worth", 1.5),
        ("calibration.posterior", -0.5),
        ("calibration.assigned.gamma", 0.0),
    ],
)
def test_numbers_out_of_bounds_are_refused(arrays: dict[str, np.ndarray], name: str, value: float) -> None:
    bad = np.full_like(arrays[name], value)
    with pytest.raises(InputError, match=rf"atlas: expected {name}" if name != "atlas.n_neurons" else "atlas: expected"):
        Learned.from_bytes(save({**arrays, name: bad}, {"barlowtrack.atlas": "1"}))
