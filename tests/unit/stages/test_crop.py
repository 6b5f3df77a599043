import logging
from collections.abc import Callable

import numpy as np
import pytest

from barlowtrack.config import ComputeConfig, CropConfig
from barlowtrack.data import Detections, VolumeLooks
from barlowtrack.errors import InputError
from barlowtrack.nn.crops import larger_grid, read_crops
from barlowtrack.stages.crop import crop, training_volumes
from tests.cases import looks_of

COMPUTE = ComputeConfig(workers=2)
SMALL = CropConfig(size_um=(9.0, 8.0, 8.0), grid=(4, 16, 16), training_volumes=3)


def counted(counts: list[int]) -> Detections:
    t = np.repeat(np.arange(len(counts)), counts)
    label = np.concatenate([np.arange(1, n + 1) for n in counts])
    one = np.ones(len(t))
    return Detections(len(counts), t, label, np.ones((len(t), 3)), one, one, one, one, one, one, one)


@pytest.mark.parametrize(
    ("counts", "wanted", "expected"),
    [
        ([5] * 10, 5, [1, 3, 5, 7, 9]),
        ([5] * 10, 1, [5]),
        ([5] * 3, 100, [0, 1, 2]),
        ([0, 1, 2, 1, 7, 3], 100, [2, 4, 5]),
        ([0, 1], 4, []),
    ],
)
def test_training_volumes_are_spread_over_those_with_two_nuclei(counts: list[int], wanted: int, expected: list[int]) -> None:
    detections = counted(counts)
    assert training_volumes(detections, looks_of(detections), CropConfig(training_volumes=wanted)).tolist() == expected


def test_one_batch_a_training_volume_with_its_rows(film: Callable) -> None:
    recording, detections = film([6, 0, 5, 1, 4])
    steps = []
    batches = list(crop(recording, detections, looks_of(detections), config=SMALL, compute=COMPUTE, progress=lambda *at: steps.append(at)))

    assert [batch.t for batch in batches] == [0, 2, 4]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    for batch in batches:
        rows = detections.rows_of(batch.t)
        assert batch.row.tolist() == list(range(rows.start, rows.stop))
        assert batch.values.dtype == np.float16
        assert batch.values.shape == (len(batch.row), *larger_grid(SMALL.grid, SMALL.margin))


def test_volumes_left_out_are_said(film: Callable, caplog: pytest.LogCaptureFixture) -> None:
    recording, detections = film([6, 0, 1])
    with caplog.at_level(logging.INFO):
        list(crop(recording, detections, looks_of(detections), config=SMALL, compute=COMPUTE))
    assert "2 volumes have fewer than 2 detections" in caplog.text


def test_going_on_makes_the_rest_and_nothing_else(film: Callable) -> None:
    recording, detections = film([4] * 6)
    whole = list(crop(recording, detections, looks_of(detections), config=SMALL, compute=COMPUTE))
    rest = list(crop(recording, detections, looks_of(detections), config=SMALL, compute=ComputeConfig(workers=1), start=1))

    assert [batch.t for batch in rest] == [batch.t for batch in whole[1:]]
    assert all(a.values.tobytes() == b.values.tobytes() for a, b in zip(whole[1:], rest, strict=True))
    assert not list(crop(recording, detections, looks_of(detections), config=SMALL, compute=COMPUTE, start=3))


def test_training_sees_the_centre_and_brightness_that_inference_sees(film: Callable) -> None:
    recording, detections = film([7, 7])
    for batch in crop(recording, detections, looks_of(detections), config=SMALL, compute=COMPUTE):
        inner = tuple(slice((m - n) // 2, (m + n) // 2) for m, n in zip(batch.values.shape[1:], SMALL.grid, strict=True))
        seen = read_crops(recording, detections, batch.t, SMALL.size_um, SMALL.grid)
        assert seen.row.tolist() == batch.row.tolist()
        np.testing.assert_allclose(batch.values[:, *inner], seen.values, atol=4e-3)  # half precision of values up to 4


def test_background_is_subtracted_in_every_volume(film: Callable) -> None:
    plain, detections = film([5] * 4)
    shifted, shifted_detections = film([5] * 4, offset=[0.0, 300.0, 40.0, 900.0])
    config = SMALL.model_copy(update={"training_volumes": 4})
    before = list(crop(plain, detections, looks_of(detections), config=config, compute=COMPUTE))
    after = list(crop(shifted, shifted_detections, looks_of(shifted_detections), config=config, compute=COMPUTE))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(a.values.astype(float), b.values.astype(float), atol=5e-3)


def test_nan_voxels_are_refused_by_name(film: Callable) -> None:
    recording, detections = film([3, 3])
    recording.source.volumes[1] = np.full(recording.shape[1:], np.nan)
    with pytest.raises(InputError, match="film: volume 1: expected finite voxels"):
        list(crop(recording, detections, looks_of(detections), config=SMALL, compute=COMPUTE))


def test_nuclei_outside_the_volume_are_refused_rather_than_cut_empty(film: Callable) -> None:
    recording, detections = film([3, 3])
    columns = {name: getattr(detections, name) for name in Detections.__dataclass_fields__}
    for axis in range(3):
        for beyond in (-0.6, recording.volume_shape[axis] - 0.4):
            position = detections.position_um.copy()
            position[4, axis] = beyond * recording.voxel_size_um[axis]
            with pytest.raises(InputError, match="film: volume 1: expected nuclei inside its 12 x 24 x 28 um"):
                list(
                    crop(recording, Detections(**columns | {"position_um": position}), looks_of(detections), config=SMALL, compute=COMPUTE)
                )


def test_detections_of_another_recording_are_refused(film: Callable) -> None:
    recording, _ = film([3, 3])
    with pytest.raises(InputError, match="expected detections and looks of 2 volumes, got 5 and 5"):
        next(crop(recording, Detections.empty(5), looks_of(Detections.empty(5)), config=SMALL, compute=COMPUTE))


def test_stopping_early_leaves_no_reading_behind(film: Callable) -> None:
    recording, detections = film([4] * 6)
    batches = crop(recording, detections, looks_of(detections), config=SMALL, compute=COMPUTE)
    assert next(batches).t == 1
    batches.close()  # type: ignore[attr-defined]


def test_junk_is_not_used_while_anything_else_is_left(film: Callable) -> None:
    recording, detections = film([4, 4, 4, 4, 4])
    ones = np.ones(5)
    blurred = VolumeLooks(np.full(5, 4), ones, np.array([1, 1, 0.2, 1, 1]))
    config = SMALL.model_copy(update={"training_volumes": 5})
    assert training_volumes(detections, blurred, config).tolist() == [0, 1, 3, 4]
    assert [batch.t for batch in crop(recording, detections, blurred, config=config, compute=COMPUTE)] == [0, 1, 3, 4]
    with pytest.raises(InputError, match="expected detections and looks of 5 volumes, got 5 and 4"):
        next(crop(recording, detections, VolumeLooks(np.full(4, 4), ones[:4], ones[:4]), config=config, compute=COMPUTE))
