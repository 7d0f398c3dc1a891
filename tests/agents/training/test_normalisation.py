"""Running normalisation: moments are NumPy's over all valid rows, rewards scale as Gymnasium's, and policies agree."""

from dataclasses import replace

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from agents.agent_policy import AgentPolicy, load_policy, save_policy
from agents.configs import PPOConfig, SACConfig
from agents.table import make_agent
from agents.training.compiled import make_compiled_training
from agents.training.normalisation import Moments, init_normaliser
from agents.training.rollout import Rollout
from envs.evaluate import evaluate
from envs.gymnax_adapter import make_classic_control
from tests.agents import probe_envs as probes

BOTH = {"normalise_observations": True, "normalise_rewards": True}
CONFIG = PPOConfig(
    total_steps=96, num_envs=4, num_steps=8, num_epochs=1, num_minibatches=1, hidden=(8,), gamma=0.9, **BOTH
)
NUM_ENVS, NUM_STEPS, OBSERVATION = 4, 8, (3,)
RNG = np.random.default_rng(0)


def random_rollout(valid_share: float = 1.0) -> Rollout:
    shape = (NUM_STEPS, NUM_ENVS)
    observation = (RNG.normal(size=(2, *shape, *OBSERVATION)) * [1, 20, 0.01] + [0, 500, -3]).astype(np.float32)
    reward, flags = RNG.normal(2, 3, size=shape).astype(np.float32), RNG.random((2, *shape)) < 0.2
    valid = RNG.random(shape) < valid_share
    return Rollout(
        observation[0], np.zeros(shape, int), reward, flags[0], flags[1], observation[1], valid, ~valid,
    )  # fmt: skip


@pytest.mark.parametrize("valid_share", [1.0, 0.6])
def test_moments_are_numpys_over_all_valid_rows(valid_share):
    normaliser, rows = init_normaliser(CONFIG, OBSERVATION), []
    for _ in range(5):
        rollout = random_rollout(valid_share)
        normaliser = normaliser.observe(rollout)
        rows.append(rollout.observation[rollout.valid])
    rows = np.concatenate(rows).astype(np.float64)
    np.testing.assert_allclose(normaliser.observation.mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(normaliser.observation.variance, rows.var(0), rtol=1e-3)
    assert normaliser.observation.num_rows == len(rows)
    seen = normaliser.observations(rows.astype(np.float32))
    np.testing.assert_allclose(seen.mean(0), 0.0, atol=1e-3)
    np.testing.assert_allclose(seen.std(0), 1.0, atol=1e-3)


def test_no_rows_change_nothing_and_outliers_are_clipped():
    empty = Moments.empty(OBSERVATION)
    after = empty.add(np.ones((4, 3), np.float32), np.zeros(4, bool))
    jax.tree.map(np.testing.assert_array_equal, after, empty)
    normaliser = init_normaliser(CONFIG, OBSERVATION)
    np.testing.assert_array_equal(normaliser.observations(np.float32([-1e6, 2.0, 50.0])), [-10.0, 2.0, 10.0])
    constant = normaliser.observe(random_rollout()._replace(observation=np.ones((NUM_STEPS, NUM_ENVS, 3), np.float32)))
    np.testing.assert_array_equal(constant.observations(np.float32([1.0, 1.0, 1.0])), 0.0)


def test_a_float32_mean_far_from_zero_is_kept_over_a_long_training():
    moments, rows = Moments.empty(()), RNG.normal(1000.0, 1.0, size=(2000, 64)).astype(np.float32)
    add = jax.jit(Moments.add)
    for some in rows:
        moments = add(moments, some, np.ones(64, bool))
    assert moments.mean == pytest.approx(rows.mean(dtype=np.float64), rel=1e-5)
    assert moments.variance == pytest.approx(rows.var(dtype=np.float64), rel=0.02)


class ToldRewards(gymnasium.Env):
    """Gives the rewards and terminations that it is told."""

    observation_space, action_space = spaces.Box(-1, 1, (1,)), spaces.Discrete(2)

    def __init__(self, rewards: np.ndarray, ends: np.ndarray):
        self.told = iter(zip(rewards.tolist(), ends.tolist(), strict=True))

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        reward, ended = next(self.told)
        return np.zeros(1, np.float32), reward, ended, False, {}


def test_rewards_are_scaled_as_gymnasiums_wrapper_does():
    """After the same steps of one environment the scale is the same.

    Without ends: at one Gymnasium's forgets what came before already as it adds the last reward, ours afterwards.
    """
    num_steps = 400
    rewards, ends = RNG.normal(2, 3, num_steps).astype(np.float32), np.zeros(num_steps, bool)
    wrapped = gymnasium.wrappers.NormalizeReward(ToldRewards(rewards, ends), gamma=0.9, epsilon=1e-8)
    wrapped.reset()
    theirs = [wrapped.step(0)[1] for _ in range(num_steps)][-1]
    normaliser = init_normaliser(replace(CONFIG, num_envs=1), OBSERVATION)
    for first in range(0, num_steps, 50):
        part = slice(first, first + 50)
        column = {"reward": rewards[part, None], "terminated": ends[part, None]}
        flags = {"truncated": np.zeros((50, 1), bool), "valid": np.ones((50, 1), bool)}
        normaliser = normaliser.observe_rewards(random_rollout()._replace(**column, **flags), jnp.float32(0.9))
    assert normaliser.rewards(rewards[-1]) == pytest.approx(theirs, rel=1e-3)


def test_discounted_returns_start_afresh_after_ends_and_go_on_over_rollouts():
    rollout = random_rollout()
    rollout = rollout._replace(valid=rollout.valid.copy())
    rollout.terminated[2, 0], rollout.valid[3, 0] = True, False  # a reset of a NEXT_STEP environment
    normaliser, returns, seen = init_normaliser(CONFIG, OBSERVATION), np.zeros(NUM_ENVS), []
    for _ in range(2):
        normaliser = normaliser.observe_rewards(rollout, jnp.float32(0.9))
        for t in range(NUM_STEPS):
            returns = 0.9 * returns + rollout.reward[t]
            seen.extend(returns[rollout.valid[t]])
            returns[rollout.terminated[t] | rollout.truncated[t] | ~rollout.valid[t]] = 0.0
    assert normaliser.reward.variance == pytest.approx(np.var(seen), rel=1e-4)
    np.testing.assert_allclose(normaliser.returns, returns, rtol=1e-4)
    assert normaliser.rewards(jnp.float32(3)) == pytest.approx(3 / np.std(seen), rel=1e-4)


@pytest.mark.parametrize("memory", ["none", "gru", "lstm"])
def test_ppos_ratio_is_one_at_the_first_step_of_each_update_though_moments_move(memory):
    training = make_compiled_training(probes.Recall(), replace(CONFIG, total_steps=384, memory=memory, memory_size=4))
    state = training.init(jax.random.key(0), None)
    state, metrics = jax.jit(training.advance, static_argnums=3)(state, None, training.hyper, 12)
    assert np.abs(metrics["approx_kl"]).max() < 1e-6
    assert metrics["clip_fraction"].max() == 0
    assert state.learner.normaliser.observation.num_rows == 12 * 32


SAC = SACConfig(total_steps=96, num_envs=4, warmup_steps=8, batch_size=8, hidden=(8,), **BOTH)


@pytest.mark.parametrize("config", [replace(CONFIG, memory="gru"), SAC], ids=["ppo-gru", "sac"])
def test_a_saved_policy_acts_as_the_learner_does(config, tmp_path):
    env = make_classic_control("CartPole-v1")
    training = make_compiled_training(env, config)
    params = jax.jit(training.train)(jax.random.key(0), env.default_params, training.hyper)
    assert np.abs(params["normaliser"]["mean"]).max() > 0
    ours = AgentPolicy(env.spec, config, params)
    save_policy(tmp_path / "policy", ours, {})
    loaded = load_policy(tmp_path / "policy")
    found = [evaluate(one, "CartPole-v1", episodes=3).returns for one in (ours, loaded)]
    np.testing.assert_array_equal(*found)
    observation = RNG.normal(size=(1, 4)).astype(np.float32)
    agent = make_agent(env.spec, config)
    learner_sees = (observation - params["normaliser"]["mean"]) * params["normaliser"]["scale"]
    memory = agent.networks.initial_memory(1)
    expected = agent.networks.inner.mode(params, np.clip(learner_sees, -10, 10), memory)[0]
    np.testing.assert_array_equal(loaded.act(observation, loaded.initial_state(1, 0))[0], expected)
