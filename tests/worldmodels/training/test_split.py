import numpy as np
import pytest

from envs.errors import InputError
from worldmodels.configs import FitConfig
from worldmodels.training.split import split_episodes


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


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_episodes_are_too_few(count: int) -> None:
    with pytest.raises(InputError, match=f"at least 3 episodes, to train, validate and test on, got {count}"):
        split_episodes(np.full(count, 10), FitConfig())
