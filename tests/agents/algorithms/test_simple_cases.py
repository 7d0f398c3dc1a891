"""A2C and REINFORCE as PPO's simple cases: their gradients are the textbook's, and their defaults solve CartPole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.agent_policy import AgentPolicy, load_policy, save_policy
from agents.algorithms.a2c import a2c_as_ppo
from agents.algorithms.ppo import Hyperparameters, loss, make_batch
from agents.algorithms.reinforce import reinforce_as_ppo
from agents.configs import A2CConfig, OnPolicyConfig, PPOConfig, REINFORCEConfig
from agents.networks.actor_critic import make_actor_critic
from agents.table import make_agent
from agents.training.compiled import make_compiled_training
from agents.training.rollout import Rollout
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.gymnax_adapter import make_classic_control
from tests.agents import probe_envs as probes

SETTINGS = {"hidden": (5,), "gamma": 0.9, "entropy_coefficient": 0.03, "value_coefficient": 0.4}
SPEC = probes.ConstantReward().spec


def random_rollout(num_steps: int = 6, num_envs: int = 3) -> Rollout:
    rng = np.random.default_rng(0)
    shape = (num_steps, num_envs)
    observation, next_observation = rng.normal(size=(2, *shape, 1)).astype(np.float32)
    terminated, truncated = rng.random((2, *shape)) < 0.2
    going_on = ~(terminated | truncated)[:-1, :, None]
    next_observation[:-1] = np.where(going_on, observation[1:], next_observation[:-1])
    reward = rng.normal(size=shape).astype(np.float32)
    return Rollout(
        observation, rng.integers(2, size=shape), reward, terminated, truncated & ~terminated, next_observation,
        valid=np.ones(shape, bool), started=np.zeros(shape, bool),
    )  # fmt: skip


def returns_by_hand(rollout: Rollout, value_fn, gamma: float) -> np.ndarray:
    """Discounted rewards to the end of the episode; the critic stands for what a time limit or the rollout cuts off."""
    num_steps, num_envs = rollout.reward.shape
    found = np.zeros((num_steps, num_envs))
    for row in range(num_envs):
        for start in range(num_steps):
            weight = 1.0
            for t in range(start, num_steps):
                found[start, row] += weight * rollout.reward[t, row]
                weight *= gamma
                if rollout.terminated[t, row]:
                    break
                if rollout.truncated[t, row] or t == num_steps - 1:
                    found[start, row] += weight * value_fn(rollout.next_observation[t, row])
                    break
    return found


@pytest.mark.parametrize(
    ("config", "ppo"),
    [
        (A2CConfig(**SETTINGS), a2c_as_ppo),
        (A2CConfig(**SETTINGS, activation="relu", max_grad_norm=None), a2c_as_ppo),
        (REINFORCEConfig(**SETTINGS, normalise_advantages=False), reinforce_as_ppo),
        (REINFORCEConfig(**SETTINGS, normalise_advantages=False, baseline=False), reinforce_as_ppo),
    ],
    ids=["a2c", "a2c-relu", "reinforce", "reinforce-without-baseline"],
)
def test_the_gradient_is_the_textbooks(config, ppo):
    """Of -log pi(a|s) (G - V(s)) + c_v (V(s) - G)^2 / 2 - c_e entropy, the returns G and the advantage held fixed."""
    networks, hyper = make_actor_critic(SPEC, config), Hyperparameters.of(ppo(config))
    params = jax.tree.map(lambda x: x + 0.3, networks.init(jax.random.key(1)))
    rollout = random_rollout()
    returns = returns_by_hand(rollout, lambda o: float(networks.value(params, o)), config.gamma)
    value = networks.value(params, rollout.observation)
    advantage = returns - value if getattr(config, "baseline", True) else returns

    def textbook(params):
        probabilities = jax.nn.softmax(networks.preferences(params, rollout.observation))
        chosen = jnp.where(rollout.action == 1, probabilities[..., 1], probabilities[..., 0])
        entropy = -(probabilities * jnp.log(probabilities)).sum(-1)
        error = networks.value(params, rollout.observation) - returns
        return (-jnp.log(chosen) * advantage + 0.4 * 0.5 * error**2 - 0.03 * entropy).mean()

    batch = make_batch(params, rollout, networks, hyper)
    found, metrics = jax.grad(loss, has_aux=True)(params, batch, networks, ppo(config), hyper)
    assert metrics["clip_fraction"] == 0
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6),
        found, jax.grad(textbook)(params),
    )  # fmt: skip


@pytest.mark.parametrize("config", [A2CConfig(hidden=(8,)), REINFORCEConfig(hidden=(8,), memory="gru")])
def test_their_policies_come_back_as_theirs(config, tmp_path):
    networks = make_agent(SPEC, config).networks
    save_policy(tmp_path / "policy", AgentPolicy(SPEC, config, networks.init(jax.random.key(0))), {})
    assert load_policy(tmp_path / "policy").config == config


@pytest.mark.parametrize(
    ("config_type", "name", "value"),
    [(A2CConfig, "gae_lambda", 1.1), (REINFORCEConfig, "value_coefficient", -1.0), (A2CConfig, "memory", "rnn"),
     (PPOConfig, "memory_size", 0)],
)  # fmt: skip
def test_settings_out_of_range_are_named(config_type, name, value):
    with pytest.raises(InputError, match=f"{config_type.label}'s {name}"):
        config_type(**{name: value})


@pytest.mark.slow
@pytest.mark.parametrize("config", [A2CConfig(gae_lambda=0.95), REINFORCEConfig(), REINFORCEConfig(baseline=False)])
def test_they_solve_cartpole(config: OnPolicyConfig):
    env = make_classic_control("CartPole-v1")
    training = make_compiled_training(env, config)
    params = jax.jit(training.train)(jax.random.key(0), env.default_params, training.hyper)
    assert evaluate(AgentPolicy(env.spec, config, params), "CartPole-v1", episodes=20, seed=9).returns.mean() >= 450
