import numpy as np
import pytest
import torch

from envs.errors import InputError
from envs.logs import Log
from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.data import Batch, EnsembleData, MemberBatches, read_rows, split_episodes


def test_a_split_is_whole_and_near_its_shares() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 200)
    split = split_episodes(lengths, FitConfig(validation_fraction=0.2, test_fraction=0.1))
    joined = np.concatenate((split.train, split.validation, split.test))
    assert sorted(joined) == list(range(200))
    shares = [lengths[part].sum() / lengths.sum() for part in (split.train, split.validation, split.test)]
    np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], atol=0.02)


@pytest.mark.parametrize("lengths", [[1, 1, 1], [1000, 1, 1], [1, 1, 1000], [5, 5, 5, 5]])
def test_every_part_of_a_split_has_an_episode(lengths: list[int]) -> None:
    for seed in range(10):
        split = split_episodes(np.array(lengths), FitConfig(seed=seed))
        assert min(len(split.train), len(split.validation), len(split.test)) >= 1


def test_two_episodes_are_too_few() -> None:
    with pytest.raises(InputError, match="at least 3 episodes"):
        split_episodes(np.array([10, 10]), FitConfig())


def make_batches(num_rows: int = 10, first: int = 0, **settings: object) -> MemberBatches:
    row = torch.arange(float(num_rows))
    config = FitConfig(batch_size=4, num_updates=4, validate_every=4, **settings)
    batches = MemberBatches(Batch(row[:, None], row[:, None], row[:, None], row), 3, config)
    batches.next_step = first
    return batches


def test_each_member_sees_each_row_once_a_pass_in_its_own_order() -> None:
    first, second, third, fourth = (batch.terminated for batch in make_batches(num_rows=8))
    one_pass, next_pass = torch.cat((first, second), 1), torch.cat((third, fourth), 1)
    for member in range(3):
        assert sorted(one_pass[member].tolist()) == list(range(8))
    assert not torch.equal(one_pass[0], one_pass[1])
    assert not torch.equal(one_pass, next_pass)


def test_a_batch_depends_on_the_seed_and_its_number_alone() -> None:
    run = [batch.terminated for batch in make_batches()]
    taken_up = [batch.terminated for batch in make_batches(first=2)]
    assert all(torch.equal(a, b) for a, b in zip(run[2:], taken_up, strict=False))
    assert not torch.equal(run[0], next(iter(make_batches(seed=1))).terminated)


def test_a_bootstrap_is_one_resampling_for_all_passes() -> None:
    passes = torch.cat([batch.terminated for batch in make_batches(num_rows=8, bootstrap=True)], 1)
    for member in passes:
        assert sorted(member[:8].tolist()) == sorted(member[8:].tolist())
        assert len(set(member.tolist())) < 8


def test_batches_are_normalised_by_the_training_episodes(linear_log: Log) -> None:
    data = EnsembleData(linear_log, EnsembleConfig(), FitConfig())
    rows = read_rows(linear_log, data.split.train)
    torch.testing.assert_close(data.normalisers.observation.mean, rows.observation.mean(0), rtol=1e-4, atol=1e-5)
    batch = next(iter(data.val_dataloader()))
    assert batch.inputs.shape == (1, linear_log.lengths[data.split.validation].sum(), 4)
    assert (batch.inputs[..., 2] == 0).all()  # the constant dimension
    assert (batch.targets[..., 2] == 0).all()


def test_what_tells_an_end(linear_log: Log) -> None:
    for inputs, width in (("next", 3), ("transition", 3 + 3 + 1)):
        data = EnsembleData(linear_log, EnsembleConfig(termination_inputs=inputs), FitConfig())
        assert next(iter(data.val_dataloader())).ending_inputs.shape[-1] == width
