"""The contextual bandit; tests/envs/test_functional_conformance.py has what all functional environments must do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.mlp import apply_mlp
from envs.spec import EnvSpec, spec_of
from synthetic_envs.bandit import Bandit, BanditParams
from synthetic_envs.configs import BanditConfig

CONFIG = BanditConfig(state_hidden=(8,), reward_hidden=(8, 4))
OBSERVATION = spaces.Box(np.float32([-1, -np.inf]), np.float32([1, np.inf]))


def make(action_space: spaces.Space) -> Bandit:
    return Bandit(EnvSpec("Toy-v0", OBSERVATION, action_space, 50, (0, 1)), CONFIG)


DISCRETE, SHIFTED = make(spaces.Discrete(3)), make(spaces.Discrete(3, start=5))
CONTINUOUS = make(spaces.Box(-2, 2, (2,), np.float32))
PARAMS = DISCRETE.init_params(jax.random.key(1))


def zeros_with_reward_weights(bandit: Bandit, weights: list[float]) -> BanditParams:
    """Parameters under which the reward is relu of the inputs' product with ``weights``."""
    params = jax.tree.map(jnp.zeros_like, bandit.default_params)
    reward = params["reward"]
    reward["0"]["w"] = reward["0"]["w"].at[:, 0].set(jnp.array(weights))
    reward["1"]["w"] = reward["1"]["w"].at[0, 0].set(1.0)
    reward["2"]["w"] = jnp.ones((4, 1)) * jnp.array([[1.0], [0], [0], [0]])
    return params


def test_its_spec_is_the_real_ones_but_for_the_limit_and_the_rewards():
    real = spec_of("CartPole-v1")
    spec = Bandit(real, BanditConfig()).spec
    real.require_same(spec, "the real", "the bandit")
    assert spec.max_episode_steps == 1
    assert spec.reward_range == (-np.inf, np.inf)


def test_the_numbers_of_weights_of_the_paper():
    """Liesen et al. 2024: 549 for CartPole's reward and context networks together, 32 units each."""
    params = Bandit(spec_of("CartPole-v1"), BanditConfig()).default_params
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(net)) for name, net in params.items()}
    assert sizes == {"state": 4 * 32 + 32 + 32 * 4 + 4, "reward": 6 * 32 + 32 + 32 + 1}
    assert sum(sizes.values()) == 549


@pytest.mark.parametrize("bandit", [DISCRETE, SHIFTED, CONTINUOUS], ids=["discrete", "shifted", "continuous"])
def test_an_episode_is_one_context_one_reward_and_a_termination(bandit):
    params = bandit.default_params
    observation, state = jax.jit(bandit.reset)(jax.random.key(0), params)
    action = jnp.asarray(bandit.spec.action_space.sample())
    after, _, reward, terminated, truncated, info = jax.jit(bandit.step)(jax.random.key(1), state, action, params)
    assert np.asarray(observation) in bandit.spec.observation_space
    np.testing.assert_array_equal(after, observation)
    assert (reward.shape, reward.dtype) == ((), jnp.float32)
    assert (bool(terminated), bool(truncated), info) == (True, False, {})
    again = bandit.step(jax.random.key(2), state, action, params)[2]
    assert again == pytest.approx(float(reward), rel=1e-5)


def test_the_reward_of_every_action_by_hand():
    context = jnp.array([0.5, -3.0])
    params = zeros_with_reward_weights(DISCRETE, [2.0, 1.0, 10.0, 20.0, 30.0])
    rewards = [float(DISCRETE.reward(params, context, jnp.int32(action))) for action in range(3)]
    assert rewards == [8.0, 18.0, 28.0]  # 2 * 0.5 - 3 + 10, 20, 30
    params = zeros_with_reward_weights(CONTINUOUS, [2.0, 1.0, 10.0, -1.0])
    assert CONTINUOUS.reward(params, context, jnp.array([1.5, 2.0])) == 11.0


def test_actions_are_counted_from_the_spaces_start():
    context, actions = jnp.array([[0.5, -3.0]] * 3), jnp.arange(3)
    expected = DISCRETE.reward(PARAMS, context, actions)
    np.testing.assert_array_equal(SHIFTED.reward(PARAMS, context, actions + 5), expected)
    assert len(np.unique(expected)) == 3


def test_contexts_are_the_networks_clipped_to_the_bounds():
    params = jax.tree.map(lambda leaf: 30 * leaf, PARAMS)
    keys = jax.random.split(jax.random.key(0), 64)
    contexts = np.asarray(jax.vmap(DISCRETE.reset, (0, None))(keys, params)[0])
    raw = apply_mlp(params["state"], jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys), "relu")
    np.testing.assert_allclose(contexts[:, 1], raw[:, 1], rtol=1e-4)
    np.testing.assert_allclose(contexts[:, 0], np.clip(raw[:, 0], -1, 1), rtol=1e-4)
    assert np.abs(contexts[:, 1]).max() > 10
    assert {-1.0, 1.0} <= set(contexts[:, 0].tolist())


@pytest.mark.parametrize("bandit", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_a_population_of_bandits_is_one_call(bandit):
    keys = jax.random.split(jax.random.key(0), 3)
    population = jax.vmap(bandit.init_params)(keys)
    actions = jnp.asarray(np.stack([bandit.spec.action_space.sample() for _ in keys]))

    def episode(key: jax.Array, params: BanditParams, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        observation, state = bandit.reset(key, params)
        return observation, bandit.step(key, state, action, params)[2]

    contexts, rewards = jax.jit(jax.vmap(episode))(keys, population, actions)
    for i, key in enumerate(keys):
        context, reward = episode(key, jax.tree.map(lambda leaf, i=i: leaf[i], population), actions[i])
        np.testing.assert_allclose(contexts[i], context, rtol=1e-4)
        np.testing.assert_allclose(rewards[i], reward, rtol=1e-4, atol=1e-6)


def test_default_weights_are_always_the_same_and_keys_give_others():
    jax.tree.map(np.testing.assert_array_equal, DISCRETE.default_params, make(spaces.Discrete(3)).default_params)
    assert not jnp.array_equal(PARAMS["state"]["0"]["w"], DISCRETE.default_params["state"]["0"]["w"])
    assert not jnp.array_equal(PARAMS["state"]["0"]["w"][:, :2], PARAMS["reward"]["0"]["w"][:2, :2])


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (spaces.Box(0, 1, (2, 2)), spaces.Discrete(2), "expected a vector Box observation space of Toy-v0"),
        (spaces.Discrete(2), spaces.Discrete(2), "expected a vector Box observation space of Toy-v0"),
        (OBSERVATION, spaces.MultiDiscrete([2, 2]), "expected a Discrete or vector Box action space"),
        (OBSERVATION, spaces.Box(0, 1, (2, 2)), "expected a Discrete or vector Box action space"),
    ],
)
def test_other_spaces_are_refused(observation, action, message):
    with pytest.raises(InputError, match=message):
        Bandit(EnvSpec("Toy-v0", observation, action), CONFIG)


def test_layers_need_a_width():
    with pytest.raises(InputError, match="reward_hidden of whole widths of at least 1"):
        BanditConfig(reward_hidden=(32, 0))
