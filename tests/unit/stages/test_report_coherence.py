import numpy as np
import pytest

from barlowtrack.data import UNKNOWN, Detections, Tracks
from barlowtrack.stages.report.coherence import FEWEST_NEURONS, steps


def moving(n_volumes: int = 8, n_neurons: int = 40, seed: int = 0) -> tuple[Detections, Tracks]:
    """A sheet of nuclei that turns, bends and drifts by several neighbour distances a volume."""
    rng = np.random.default_rng(seed)
    rest = np.stack([np.zeros(n_neurons), *np.divmod(np.arange(n_neurons), 10)], axis=1) * 4.0 + rng.uniform(-1, 1, (n_neurons, 3))
    places = []
    for t in range(n_volumes):
        angle = 0.15 * t
        y = np.cos(angle) * rest[:, 1] - np.sin(angle) * rest[:, 2] + 9.0 * t
        x = np.sin(angle) * rest[:, 1] + np.cos(angle) * rest[:, 2] + 3 * np.sin(0.1 * rest[:, 1] + t)
        places.append(np.stack([rest[:, 0], y, x], axis=1))
    t, neuron = (a.ravel() for a in np.meshgrid(np.arange(n_volumes), np.arange(n_neurons), indexing="ij"))
    ones = np.ones(len(t))
    detections = Detections(n_volumes, t, neuron + 1, np.concatenate(places), ones, ones, ones, ones, ones, ones, ones)
    return detections, Tracks(neuron, ones, n_neurons)


def jumps(detections: Detections, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and jumps among them, by volume."""
    found = steps(detections, tracks)
    n = detections.n_volumes
    return np.bincount(found.t, minlength=n), np.bincount(found.t[found.jumps], minlength=n)


def exchanged(tracks: Tracks, rows: np.ndarray) -> Tracks:
    neuron = tracks.neuron.copy()
    neuron[rows] = neuron[rows][::-1]
    return Tracks(neuron, tracks.probability, tracks.n_neurons)


def test_a_worm_that_bends_makes_no_jumps():
    detections, tracks = moving()
    looked, jumped = jumps(detections, tracks)
    assert looked.tolist() == [0] + [40] * 7
    assert jumped.sum() == 0


def test_a_wrong_volume_makes_two_jumps_and_a_lasting_error_one():
    detections, tracks = moving()
    far = np.array([0, 37])
    once = jumps(detections, exchanged(tracks, far + 3 * 40))[1]
    assert once.tolist() == [0, 0, 0, 2, 2, 0, 0, 0]
    lasting = np.concatenate([far + t * 40 for t in range(3, 8)])
    neuron = tracks.neuron.copy()
    neuron[lasting] = np.tile(far[::-1], 5)
    assert jumps(detections, Tracks(neuron, tracks.probability, 40))[1].tolist() == [0, 0, 0, 2, 0, 0, 0, 0]


def test_moving_the_whole_worm_and_naming_it_anew_change_nothing():
    detections, tracks = moving()
    wrong = exchanged(tracks, np.array([5, 33]) + 4 * 40)
    before = jumps(detections, wrong)
    columns = {name: getattr(detections, name) for name in Detections.__dataclass_fields__}
    moved = Detections(**columns | {"position_um": detections.position_um + np.array([1.0, 50.0, -20.0]) * detections.t[:, None]})
    names = np.random.default_rng(1).permutation(40)
    after = jumps(moved, Tracks(names[wrong.neuron], wrong.probability, 40))
    np.testing.assert_array_equal(before, after)


def test_a_fast_bend_is_no_jump_and_an_exchange_in_it_is():
    """The tail whips: neighbours part by more than the distance between nuclei."""
    rng = np.random.default_rng(4)
    rest = rng.uniform([0, 0, 0], [8, 30, 100], (120, 3))
    bent = rest + np.array([0, 1.0, 0]) * 0.02 * np.maximum(rest[:, 2:] - 20, 0) ** 2
    t, neuron = np.repeat([0, 1], 120), np.tile(np.arange(120), 2)
    ones = np.ones(240)
    detections = Detections(2, t, neuron + 1, np.concatenate([rest, bent]), ones, ones, ones, ones, ones, ones, ones)
    assert jumps(detections, Tracks(neuron, ones, 120))[1].tolist() == [0, 0]
    far = np.argsort(rest[:, 2])[[30, 90]] + 120
    assert jumps(detections, exchanged(Tracks(neuron, ones, 120), far))[1].tolist() == [0, 2]


def test_too_few_neurons_say_nothing():
    detections, tracks = moving(n_neurons=FEWEST_NEURONS - 1)
    assert jumps(detections, tracks)[0].sum() == 0
    unknown = Tracks(np.full(len(tracks), UNKNOWN), tracks.probability, 0)
    assert jumps(detections, unknown)[0].sum() == 0
    assert jumps(Detections.empty(1), Tracks(np.zeros(0, int), np.zeros(0), 0))[0].tolist() == [0]


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_random_errors_make_about_two_jumps_each(share: float):
    detections, tracks = moving(n_volumes=40)
    rng = np.random.default_rng(2)
    neuron = tracks.neuron.copy()
    for t in range(40):
        rows = np.flatnonzero(rng.random(40) < share) + 40 * t
        neuron[rows] = neuron[np.roll(rows, 1)]
    wrong = float(np.mean(neuron != tracks.neuron))
    looked, jumped = jumps(detections, Tracks(neuron, tracks.probability, 40))
    assert 1.2 * wrong < jumped.sum() / looked.sum() < 2.1 * wrong
