import math

import pytest
import torch

from barlowtrack.errors import InputError
from barlowtrack.nn.agreement import effective_rank, mutual_neighbours, round_trips


def test_neighbours_must_choose_each_other() -> None:
    one = torch.eye(3)
    other = torch.tensor([[1.0, 0, 0], [0.9, 0.1, 0], [0, 0, 1.0]])
    assert mutual_neighbours(one, one).tolist() == [True, True, True]
    assert mutual_neighbours(one, other).tolist() == [True, False, True]
    assert mutual_neighbours(one[:1], one[:1]).tolist() == [True]


@pytest.mark.parametrize("d", [1, 4, 9])
def test_effective_rank_of_independent_equal_directions_is_their_number(d: int) -> None:
    points = torch.cat([torch.eye(d), -torch.eye(d)])
    assert effective_rank(points) == pytest.approx(d)


def test_effective_rank_of_one_direction_is_one_and_of_one_point_none() -> None:
    assert effective_rank(torch.arange(5.0)[:, None] * torch.tensor([1.0, 2.0, 3.0])) == pytest.approx(1, abs=1e-4)
    assert effective_rank(torch.ones(5, 3)) == 0
    assert effective_rank(torch.ones(1, 3)) == 0


def test_effective_rank_of_nan_is_an_error_of_ours() -> None:
    with pytest.raises(InputError, match="expected finite numbers"):
        effective_rank(torch.tensor([[1.0, float("nan")], [0.0, 1.0]]))


def volumes(n_volumes: int, n: int, scatter: float, seed: int = 0) -> list[torch.Tensor]:
    """Unit vectors of n neurons, seen in every volume with some scatter."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(n, 16, generator=generator)
    seen = [own + scatter * torch.randn(n, 16, generator=generator) for _ in range(n_volumes)]
    return [torch.nn.functional.normalize(z, dim=1) for z in seen]


@pytest.mark.parametrize("n_volumes", [3, 4, 5, 20])
def test_round_trips_of_neurons_that_never_change_all_close(n_volumes: int) -> None:
    assert round_trips(volumes(n_volumes, 12, scatter=0.0)) == 1.0


def test_round_trips_of_noise_close_by_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = [torch.nn.functional.normalize(torch.randn(100, 16, generator=generator), dim=1) for _ in range(20)]
    assert 0.01 < round_trips(noise) < 0.2  # one in a hundred by chance; more as whoever is near is often nearest both ways


def test_round_trips_fall_as_looks_scatter() -> None:
    found = [round_trips(volumes(9, 30, scatter)) for scatter in (0.0, 0.5, 1.0, 4.0)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4


def test_round_trips_equal_a_slow_walk() -> None:
    z = [part[:n] for part, n in zip(volumes(7, 9, 1.0), (9, 5, 9, 7, 2, 9, 1), strict=True)]

    def nearest(vector: torch.Tensor, others: torch.Tensor) -> int:
        return max(range(len(others)), key=lambda k: float(vector @ others[k]))

    closed = []
    for a in range(7):
        b, c = (a + 2) % 7, (a + 4) % 7
        for i in range(len(z[a])):
            j = nearest(z[a][i], z[b])
            k = nearest(z[b][j], z[c])
            closed.append(nearest(z[c][k], z[a]) == i)
    assert 0 < sum(closed) < len(closed)
    assert round_trips(z) == pytest.approx(sum(closed) / len(closed))


def test_round_trips_do_not_know_the_order_of_the_rows() -> None:
    z, generator = volumes(6, 20, 1.0), torch.Generator().manual_seed(1)
    mixed = [part[torch.randperm(20, generator=generator)] for part in z]
    assert round_trips(mixed) == round_trips(z)


def test_round_trips_want_three_volumes_that_show_something() -> None:
    z = volumes(3, 5, 0.0)
    empty = torch.zeros(0, 16)
    assert math.isnan(round_trips([]))
    assert math.isnan(round_trips(z[:2]))
    assert math.isnan(round_trips([*z[:2], empty]))
    assert round_trips([empty, z[0], empty, *z[1:]]) == 1.0
