"""Nuclei and what merely glows, by their means over the recording."""

import numpy as np
import pytest

from barlowtrack.data import UNKNOWN
from barlowtrack.identity.nucleus import measures, nuclei
from tests.cases import detections_at


def recording(quality: np.ndarray, probability: float, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Evidence and names of 10 volumes of nuclei with these qualities, a little noise on each."""
    from dataclasses import replace

    n = len(quality)
    found = detections_at(np.repeat(np.arange(10), n), np.random.default_rng(0).normal(size=(10 * n, 3)), 10)
    noisy = np.tile(quality, 10) * np.exp(0.2 * np.random.default_rng(1).normal(size=10 * n)) * gain
    return measures(replace(found, quality=noisy, probability=np.full(10 * n, probability))), np.tile(np.arange(n), 10)


def test_what_is_far_dimmer_than_the_rest_is_doubted() -> None:
    measured, neuron = recording(np.append(np.linspace(20, 60, 30), 5), 0.8)
    found = nuclei(measured, neuron, 31)
    assert found[:30].min() > 0.9
    assert found[30] < 0.2


def test_gain_does_not_matter() -> None:
    quality = np.append(np.linspace(20, 60, 30), 10)
    one, other = (nuclei(*recording(quality, 0.8, gain), 31) for gain in (1.0, 7.0))
    assert np.allclose(one, other)


def test_the_detector_has_a_say() -> None:
    quality = np.append(np.linspace(30, 50, 30), 12)
    sure, unsure = (nuclei(*recording(quality, probability), 31) for probability in (0.95, 0.5))
    assert sure[30] > unsure[30] + 0.1


def test_where_nothing_is_known_nothing_is_doubted() -> None:
    measured, neuron = recording(np.append(np.full(9, 30.0), 1.0), np.nan)
    assert np.all(nuclei(measured, neuron, 12) == 1)


@pytest.mark.parametrize("n", [0, 3])
def test_detections_without_names_are_no_trouble(n: int) -> None:
    assert np.all(nuclei(np.zeros((n, 2)), np.full(n, UNKNOWN), 2) == 1)
