import pytest
import torch

from barlowtrack.errors import InputError
from barlowtrack.nn.agreement import effective_rank, mutual_neighbours


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
