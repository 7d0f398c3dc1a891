import numpy as np
import torch

from envs.logs import Log
from worldmodels.configs import FitConfig
from worldmodels.training.rows import fit_normalisers, read_rows
from worldmodels.training.split import split_episodes


def test_rows_are_the_logged_steps(linear_log: Log) -> None:
    episodes = np.array([3, 7])
    rows = read_rows(linear_log, episodes)
    first, second = (linear_log.episode(int(index)) for index in episodes)
    for name, expected in {
        "observation": np.concatenate((first.observations[:-1], second.observations[:-1])),
        "change": np.concatenate((np.diff(first.observations, axis=0), np.diff(second.observations, axis=0))),
        "reward": np.concatenate((first.rewards, second.rewards)),
        "action": np.concatenate((first.actions, second.actions)),
    }.items():
        np.testing.assert_allclose(getattr(rows, name).numpy(), expected, atol=1e-6)
    assert rows.terminated.sum() == first.terminated + second.terminated
    assert torch.equal(rows.target, torch.cat((rows.change, rows.reward[:, None]), 1))


def test_normalisers_are_those_of_the_training_episodes_alone(linear_log: Log) -> None:
    split = split_episodes(linear_log.lengths, FitConfig())
    rows, held_out = read_rows(linear_log, split.train), read_rows(linear_log, split.validation)
    normalisers = fit_normalisers(rows, linear_log.spec)
    normalised = normalisers.observation.normalise(rows.observation)
    np.testing.assert_allclose(normalised[:, :2].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normalised[:, :2].std(0), 1, atol=1e-2)
    assert (normalisers.observation.normalise(held_out.observation)[:, 2] == 0).all()  # the constant dimension
    assert (normalisers.target.normalise(held_out.target)[:, 2] == 0).all()
