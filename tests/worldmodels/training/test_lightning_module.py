from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor

from envs.logs import Log
from tests.worldmodels.training.tiny_models import FIT, TINY
from worldmodels.configs import FitConfig
from worldmodels.training.lightning_module import Training, make_training, share_of


class Nested(NamedTuple):
    first: Tensor
    others: dict[str, Tensor]


def test_shares_part_a_batch_along_its_rows() -> None:
    rows = torch.arange(10).view(1, 5, 2)
    shares = [share_of(Nested(rows, {"flags": rows[..., 0]}), rank, 2) for rank in range(2)]
    assert shares[0].first.tolist() == [[[0, 1], [4, 5], [8, 9]]]
    assert shares[1].first.tolist() == [[[2, 3], [6, 7]]]
    assert [share.others["flags"].tolist() for share in shares] == [[[0, 4, 8]], [[2, 6]]]


def test_the_mean_over_processes_is_the_loss_and_gradient_of_the_whole_batch(linear_log: Log) -> None:
    """Also where the rows cannot be shared evenly, and with terms that no row has a part in."""
    fit = FitConfig(batch_size=7, num_updates=1)

    def gradients(num_processes: int) -> dict[str, Tensor]:
        training = make_training(linear_log, TINY, fit)
        batch = next(iter(training.learning.train_batches))
        for rank in range(num_processes):
            training.trainer = SimpleNamespace(world_size=num_processes, global_rank=rank)  # type: ignore[assignment]
            (training.training_step(batch, 0) / num_processes).backward()
        return {name: value.grad for name, value in training.named_parameters() if value.grad is not None}

    whole = gradients(1)
    assert whole
    for num_processes in (2, 3):
        shared = gradients(num_processes)
        assert whole.keys() == shared.keys()
        for name in whole:
            torch.testing.assert_close(shared[name], whole[name], rtol=1e-4, atol=1e-6)


def test_all_that_changes_is_in_the_state(linear_log: Log) -> None:
    one, other = make_training(linear_log, TINY, FIT), make_training(linear_log, TINY, FIT)
    one.looks += 3
    one.best_look += 1
    other.load_state_dict(one.state_dict())
    assert isinstance(other, Training)
    assert (other.num_updates, other.is_over) == (30, False)
    one.looks.fill_(6)
    assert one.is_over
