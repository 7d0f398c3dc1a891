"""Returns of episodes, tallied over whole rollouts."""

import jax
import jax.numpy as jnp
import numpy as np

from agents.training.rollout import EpisodeTally


def by_hand(rewards: np.ndarray, ended: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Adds up step by step; returns what is running at the end and the returns of finished episodes."""
    running, finished = running.copy(), []
    for reward, end in zip(rewards, ended, strict=True):
        running += reward
        finished.extend(running[end].tolist())
        running[end] = 0.0
    return running, finished


def test_equals_adding_up_step_by_step():
    random, tally, running, finished = np.random.default_rng(0), EpisodeTally.empty(6), np.zeros(6), list[float]()
    for chance in (0.0, 0.1, 1.0, 0.5):
        rewards = random.normal(size=(9, 6)).astype(np.float32)
        ended = random.uniform(size=(9, 6)) < chance
        tally = jax.jit(EpisodeTally.add)(tally, rewards, ended)
        running, more = by_hand(rewards, ended, running)
        finished += more
        np.testing.assert_allclose(tally.running, running, atol=1e-5)
        np.testing.assert_allclose(tally.total, sum(finished), rtol=1e-5, atol=1e-5)
        assert tally.num_episodes == len(finished)


def test_an_episode_may_span_rollouts():
    ones, no_end = jnp.ones((3, 1)), jnp.zeros((3, 1), bool)
    tally = EpisodeTally.empty(1).add(ones, no_end).add(ones, no_end).add(ones, no_end.at[1].set(True))
    assert (tally.total, tally.num_episodes, tally.running[0]) == (8, 1, 1)


def test_infinite_rewards_of_one_environment_leave_the_others_alone():
    reward = jnp.array([[1.0, jnp.inf], [2.0, 0.0]])
    tally = EpisodeTally.empty(2).add(reward, jnp.array([[False, False], [True, False]]))
    assert (tally.total, tally.num_episodes) == (3, 1)
    assert tally.running.tolist() == [0, jnp.inf]
