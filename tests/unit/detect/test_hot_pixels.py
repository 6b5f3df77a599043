"""A hot pixel is the camera's fault; it shall cost neither nuclei nor hours."""

import numpy as np
import pytest

from barlowtrack.config import ComputeConfig, SegmentConfig
from barlowtrack.data import Recording
from barlowtrack.io.segmenter import open_segmenter
from barlowtrack.nn.brightness import BRIGHTEST, Brightness
from barlowtrack.stages.segment import finder, region, segment_volume
from barlowtrack.synthetic import preset, simulate
from tests.conftest import ROOT


def nuclei(volume: np.ndarray, recording: Recording, config: SegmentConfig) -> int:
    find = finder(recording, open_segmenter(config), config, ComputeConfig(device="cpu"))
    return len(segment_volume(volume, 0, recording, find, config, region(recording, config)).detections)


@pytest.mark.parametrize("model", ["", str(ROOT / "tests" / "data" / "stardist" / "unet")], ids=["shipped", "linear"])
def test_a_hot_pixel_costs_few_nuclei(model):
    recording = simulate(preset("easy", n_volumes=1, volume_shape=(14, 96, 128), n_neurons=30), seed=3).recording
    config, volume = SegmentConfig(model=model), recording.read(0).copy()
    before = nuclei(volume, recording, config)
    volume[0, 3, 5, 5] = 65535
    assert nuclei(volume, recording, config) >= 0.8 * before > 15


def test_nothing_is_brighter_than_the_brightest():
    volume = np.zeros((4, 40, 40))
    volume[0, 0, :40] = np.linspace(0, 1, 40)
    volume[1, 1, 1] = 1e6
    assert Brightness()(volume).max() == BRIGHTEST
    assert Brightness().scale(volume).max() > BRIGHTEST
