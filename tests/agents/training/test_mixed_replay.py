"""Minibatches of real and imagined transitions: as many of each as was asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from agents.algorithms.sac import gradient_step, hyperparameters_of, init_brain
from agents.configs import SACConfig
from agents.networks.soft_actor_critic import make_sac_networks
from agents.replay.ring import Transitions, add, empty_replay
from agents.training.mixed_replay import learn_from_both
from envs.spec import EnvSpec

CONFIG = SACConfig(hidden=(4,), batch_size=8, warmup_steps=1)
SPEC = EnvSpec("Box-v0", spaces.Box(-1, 1, (3,), np.float32), spaces.Box(-1, 1, (2,)))
NETWORKS = make_sac_networks(SPEC, CONFIG)
HYPER = hyperparameters_of(CONFIG, NETWORKS)


def constant(reward: float, count: int) -> Transitions:
    """Equal transitions that are told apart by their reward."""
    observation, action = jnp.zeros((count, 3)), jnp.zeros((count, 2))
    return Transitions(observation, action, jnp.full(count, reward), jnp.zeros(count), observation)


def critic_loss(num_real: int, real: float, imagined: float) -> float:
    replay, _ = add(empty_replay(20, jnp.zeros(3), jnp.zeros(2)), constant(imagined, 5), jnp.ones(5, bool))
    brain = init_brain(NETWORKS, CONFIG, jax.random.key(0))
    given = (brain, constant(real, 7), replay, jax.random.key(1), HYPER, NETWORKS, CONFIG)
    return float(learn_from_both(*given, num_steps=1, num_real=num_real)[1]["critic_loss"])


@pytest.mark.parametrize("num_real", [0, 2, 8])
def test_shares_of_both_kinds(num_real):
    """Both critics give 0 at 0, so that the first loss is the mean square of the rewards: 100 real ones, 1 dreamt."""
    expected = (num_real * 10.0**2 + (8 - num_real) * 1.0) / 8
    assert critic_loss(num_real, 10.0, 1.0) == pytest.approx(expected, rel=1e-5)


def test_several_steps_are_single_ones_after_another():
    brain, replay = init_brain(NETWORKS, CONFIG, jax.random.key(0)), empty_replay(4, jnp.zeros(3), jnp.zeros(2))
    given = (constant(1.0, 7), add(replay, constant(1.0, 2), jnp.ones(2, bool))[0], jax.random.key(1), HYPER)
    found, _ = learn_from_both(brain, *given, NETWORKS, CONFIG, num_steps=3, num_real=4)
    step = jax.jit(gradient_step, static_argnames="networks")
    for key in jax.random.split(jax.random.key(1), 3):  # all transitions are equal: which are drawn does not matter
        given = (constant(1.0, 8), jnp.ones(8), jax.random.split(key, 3)[2])
        brain, _, _ = step(brain, *given, networks=NETWORKS, hyper=HYPER)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, brain)
