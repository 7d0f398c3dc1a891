"""What agents with a replay buffer share: priorities follow the errors, and nothing is learned before it is time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.agent import ReplayAlgorithm
from agents.algorithms.off_policy import ReplayHyper, importance_exponent, replay_agent
from agents.configs import DQNConfig
from agents.networks.q_networks import QNetworks
from agents.training.rollout import Rollout

SETTINGS = {
    "num_envs": 2, "num_steps": 3, "total_steps": 60, "batch_size": 4, "warmup_steps": 10, "gradient_steps": 2,
    "gamma": 0.9, "priority_exponent": 0.5, "importance_exponent": 0.4,
}  # fmt: skip


class Hyper(NamedTuple):
    replay: ReplayHyper


class Brain(NamedTuple):
    params: dict
    seen: jax.Array
    weights: jax.Array


def agent(**changes):
    """An algorithm that notes which rewards it was shown, and whose errors are those rewards."""
    config = DQNConfig(**{**SETTINGS, **changes})

    def gradient_step(brain, batch, weight, key, hyper):
        brain = Brain(brain.params, batch.reward, weight)
        return brain, batch.reward, {"reward": batch.reward.mean()}

    algorithm = ReplayAlgorithm(
        config=config,
        networks=QNetworks(1, 2),
        hyper=Hyper(ReplayHyper.of(config)),
        observation=jnp.zeros(1),
        action=jnp.int32(0),
        init_brain=lambda key: Brain({}, jnp.zeros(config.batch_size), jnp.zeros(config.batch_size)),
        explore=lambda brain, observation, key, num_added, hyper: jnp.zeros(len(observation), jnp.int32),
        gradient_step=gradient_step,
        metrics=("reward",),
    )
    return replay_agent(algorithm)


def rollout(first: int) -> Rollout:
    """Six steps, whose rewards are their numbers from ``first`` on."""
    number = first + jnp.arange(6.0).reshape(3, 2)
    no = jnp.zeros((3, 2), bool)
    return Rollout(number[..., None], jnp.int32(number), number, no, no, number[..., None], ~no, no, ())


def updates(agent, num: int) -> tuple:
    learner, update = agent.init(jax.random.key(0)), jax.jit(agent.update)
    for i in range(num):
        learner, metrics = update(learner, rollout(1 + 6 * i), jax.random.key(i), agent.hyper)
    return learner, metrics


@pytest.mark.parametrize("priorities", ["none", "proportional", "rank"])
def test_nothing_is_learned_before_it_is_time(priorities):
    learner, metrics = updates(agent(priorities=priorities), 1)
    assert (learner.brain.seen == 0).all()
    assert np.isnan(metrics["reward"])
    if priorities != "none":
        assert learner.priorities.levels[0][:8].tolist() == [1.0] * 6 + [0.0] * 2
    learner, metrics = updates(agent(priorities=priorities), 2)
    assert (learner.brain.seen > 0).all()
    assert np.isfinite(metrics["reward"])


def test_priorities_are_powers_of_the_errors_and_new_ones_get_the_highest():
    learner, _ = updates(agent(priorities="proportional"), 2)
    leaves, shown = np.asarray(learner.priorities.levels[0]), np.asarray(learner.brain.seen)
    np.testing.assert_allclose(leaves[shown.astype(int) - 1], np.sqrt(shown), rtol=1e-4)
    assert (leaves[:12] >= 1.0 - 1e-6).all()
    assert (leaves[12:] == 0.0).all()
    later, _ = updates(agent(priorities="proportional", gradient_steps=1, batch_size=1), 3)
    assert later.priorities.highest == pytest.approx(float(later.priorities.levels[0].max()))


def test_weights_take_the_bias_of_the_priorities_back():
    learner, _ = updates(agent(priorities="proportional", gradient_steps=1), 2)
    np.testing.assert_allclose(learner.brain.weights, 1.0)  # all were new: equally likely
    learner, _ = updates(agent(priorities="proportional", gradient_steps=20), 2)
    before = np.sqrt(np.asarray(learner.brain.seen))  # of every row, as all have been seen by now
    exponent = 0.4 + 0.6 * 12 / 60
    np.testing.assert_allclose(learner.brain.weights, (before.min() / before) ** exponent, rtol=1e-3)


def test_the_bias_is_taken_back_more_and_more():
    config = DQNConfig(**SETTINGS)
    found = importance_exponent(jnp.array([0, 30, 60, 90]), Hyper(ReplayHyper.of(config)), config)
    np.testing.assert_allclose(found, [0.4, 0.7, 1.0, 1.0], rtol=1e-6)
