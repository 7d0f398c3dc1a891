"""One update, two ways to collect: the same learning curve in distribution, and both reach CartPole's limit."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from scipy import stats

from agents.agent_policy import AgentPolicy
from agents.configs import PPOConfig
from agents.training.compiled import make_compiled_training
from agents.training.hosted import train_hosted
from envs.evaluate import evaluate
from envs.gymnax_adapter import make_classic_control

NUM_SEEDS = 10
CONFIG = PPOConfig(
    total_steps=40_960, num_envs=8, num_epochs=4, num_minibatches=1, hidden=(64,), gamma=0.99, gae_lambda=0.95,
    learning_rate=1e-2, entropy_coefficient=0.01,
)  # fmt: skip


@pytest.mark.slow
def test_both_learn_cartpole_alike():
    """Areas under the curve of ten seeds each: no difference that a rank test would find once in a hundred times."""
    env = make_classic_control("CartPole-v1")
    training = make_compiled_training(env, CONFIG)
    keys = jax.vmap(jax.random.key)(jnp.arange(NUM_SEEDS))
    state = jax.jit(jax.vmap(training.init, in_axes=(0, None)))(keys, env.default_params)
    advance = jax.jit(jax.vmap(training.advance, in_axes=(0, None, None, None)), static_argnums=3)
    state, metrics = advance(state, env.default_params, training.hyper, CONFIG.num_updates)
    compiled = [jax.tree.map(lambda x: x[i], state.learner.params) for i in range(NUM_SEEDS)]  # noqa: B023
    curves, hosted = [], []
    for seed in range(NUM_SEEDS):
        kwargs = {"autoreset_mode": AutoresetMode.SAME_STEP}  # spends no steps on resets, as the compiled collector
        vector = gymnasium.make_vec("CartPole-v1", CONFIG.num_envs, vectorization_mode="sync", vector_kwargs=kwargs)
        updates = list(train_hosted(vector, env.spec, CONFIG, seed))
        curves.append([update.metrics["episode_return"] for update in updates])
        hosted.append(updates[-1].learner.params)
    areas = [np.nanmean(np.array(curve), axis=1) for curve in (metrics["episode_return"], curves)]
    assert stats.mannwhitneyu(*areas).pvalue > 0.01, areas
    returns = [
        np.median([evaluate(AgentPolicy(env.spec, CONFIG, one), "CartPole-v1", 10).returns.mean() for one in some])
        for some in (compiled, hosted)
    ]
    assert min(returns) >= 475
