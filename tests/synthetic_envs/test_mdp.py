"""The synthetic MDP; tests/envs/test_functional_conformance.py has what all functional environments must do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.functional_copies import functional_copy
from envs.spec import EnvSpec, spec_of
from synthetic_envs.configs import MDPConfig
from synthetic_envs.mdp import MDPParams, SyntheticMDP
from synthetic_envs.synthetic_env import make_synthetic

OBSERVATION = spaces.Box(np.float32([-1, -np.inf]), np.float32([1, np.inf]))
LINEAR = MDPConfig(hidden=(), starts="learned", start_hidden=(), max_steps=3)
KEY = jax.random.key(0)


def make(config: MDPConfig = LINEAR, action: spaces.Space | None = None, limit: int | None = 50) -> SyntheticMDP:
    return SyntheticMDP(EnvSpec("Toy-v0", OBSERVATION, action or spaces.Discrete(2, start=5), limit), config)


def linear(weights: dict[str, list[list[float]]]) -> MDPParams:
    """Networks without hidden layers: rows of weights for the observation's two numbers, then for each action's."""
    nets = {"start": [[1.0, 0.0], [0.0, 1.0]], **weights}
    return {name: {"0": {"w": jnp.array(rows), "b": jnp.zeros(len(rows[0]))}} for name, rows in nets.items()}


BY_HAND = linear(
    {
        "next": [[0.5, 0.0], [0.0, 2.0], [0.1, -1.0], [0.0, 7.0]],
        "reward": [[1.0], [10.0], [100.0], [1000.0]],
        "end": [[0.0], [0.125], [0.0], [0.25]],
    }
)


def test_a_transition_by_hand():
    observations = jnp.array([[0.5, 2.0], [0.5, 2.0], [0.5, 3.0]])
    after, rewards, terminated = make().transition(BY_HAND, observations, jnp.array([5, 6, 6]))
    np.testing.assert_allclose(after, [[0.35, 3.0], [0.25, 11.0], [0.25, 13.0]], rtol=1e-6)
    np.testing.assert_allclose(rewards, [120.5, 1020.5, 1030.5])
    # Outputs of 0.25, 0.5 and 0.625: the threshold itself does not end an episode.
    assert terminated.tolist() == [False, False, True]


def test_it_may_tell_changes():
    config = MDPConfig(hidden=(), predicts="change", starts="learned", start_hidden=())
    after, *_ = make(config).transition(BY_HAND, jnp.array([0.5, 2.0]), jnp.int32(5))
    np.testing.assert_allclose(after, [0.85, 5.0], rtol=1e-6)


def test_continuous_actions_enter_as_they_are():
    mdp = make(action=spaces.Box(-2, 2, (2,), np.float32))
    after, reward, _ = mdp.transition(BY_HAND, jnp.array([0.5, 2.0]), jnp.array([2.0, -1.0]))
    np.testing.assert_allclose(after, [0.45, -5.0], rtol=1e-6)
    assert reward == 0.5 + 20 + 200 - 1000


def test_states_are_clipped_to_the_real_space():
    params = linear({"next": [[9.0, 0.0], [0.0, 9.0], [0.0, 0.0], [0.0, 0.0]],
                     "reward": [[0.0]] * 4, "end": [[0.0]] * 4})  # fmt: skip
    after, *_ = make().transition(params, jnp.array([[0.5, 2.0], [-0.5, -2.0]]), jnp.array([5, 5]))
    np.testing.assert_array_equal(after, [[1.0, 18.0], [-1.0, -18.0]])


@pytest.mark.parametrize("broken", ["next", "reward"])
def test_a_step_that_is_not_finite_ends_the_episode_where_it_was(broken):
    params = jax.tree.map(lambda leaf: leaf, BY_HAND)
    params[broken]["0"]["w"] = params[broken]["0"]["w"].at[1].set(1e38)
    params["end"] = jax.tree.map(jnp.zeros_like, params["end"])
    observations = jnp.array([[0.5, 30.0], [0.5, 0.0]])
    after, rewards, terminated = make().transition(params, observations, jnp.array([5, 5]))
    assert terminated.tolist() == [True, False]
    np.testing.assert_array_equal(after[0], observations[0])
    assert (rewards[0], bool(jnp.isfinite(rewards[1]))) == (0.0, True)


def test_the_step_cap_truncates():
    mdp = make()
    assert mdp.spec.max_episode_steps == 3
    params = jax.tree.map(jnp.zeros_like, BY_HAND)
    _, state = mdp.reset(KEY, params)
    ends = []
    for _ in range(3):
        _, state, _, terminated, truncated, _ = mdp.step(KEY, state, jnp.int32(5), params)
        ends.append((bool(terminated), bool(truncated)))
    assert ends == [(False, False), (False, False), (False, True)]


def test_the_cap_is_the_real_limit_unless_told():
    assert make(MDPConfig(starts="learned")).spec.max_episode_steps == 50
    cartpole = make_synthetic(spec_of("CartPole-v1"), MDPConfig())
    assert (cartpole.spec, cartpole.config) == (spec_of("CartPole-v1"), MDPConfig(max_steps=500))
    with pytest.raises(InputError, match="expected max_steps for a synthetic MDP of Toy-v0, which has no limit"):
        make(MDPConfig(starts="learned"), limit=None)


def test_episodes_start_where_the_real_ones_do():
    mdp, real = make_synthetic(spec_of("Acrobot-v1"), MDPConfig()), functional_copy("Acrobot-v1")
    observation, state = mdp.reset(KEY, mdp.default_params)
    np.testing.assert_array_equal(observation, real.reset(KEY, real.default_params)[0])
    np.testing.assert_array_equal(state.observation, observation)
    assert set(mdp.default_params) == {"next", "reward", "end"}


def test_or_where_a_network_sends_noise():
    keys = jax.random.split(KEY, 64)
    starts = np.asarray(jax.vmap(make().reset, (0, None))(keys, BY_HAND)[0])
    noise = np.asarray(jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys))
    np.testing.assert_allclose(starts, np.stack([noise[:, 0].clip(-1, 1), noise[:, 1]], 1), rtol=1e-6)
    assert np.abs(noise[:, 0]).max() > 1


def test_a_start_that_overflows_stays_in_the_space():
    params = jax.tree.map(lambda leaf: leaf, BY_HAND)
    params["start"]["0"]["w"] = jnp.array([[jnp.inf, -jnp.inf], [-jnp.inf, jnp.inf]])
    assert np.asarray(make().reset(KEY, params)[0]) in OBSERVATION


def test_the_numbers_of_weights_of_the_paper():
    """Ferreira et al. 2022: three networks with one hidden layer, for Acrobot with PReLU, whose slope is learned."""
    for env_id, config, size, actions, slopes in (
        ("CartPole-v1", MDPConfig(), 4, 2, 0),
        ("Acrobot-v1", MDPConfig(hidden=(167,), activation="prelu"), 6, 3, 3),
    ):
        width = config.hidden[0]
        params = jax.eval_shape(make_synthetic(spec_of(env_id), config).init_params, KEY)
        hidden = 3 * (size + actions + 1) * width
        total = hidden + (width + 1) * (size + 2) + slopes
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == total


def test_prelu_by_hand():
    config = MDPConfig(hidden=(1,), activation="prelu", starts="learned", start_hidden=(1,))
    shapes = jax.eval_shape(make(config).init_params, KEY)
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    params["reward"]["0"] = {"w": jnp.array([[1.0], [0], [0], [0]]), "b": jnp.zeros(1), "slope": jnp.array(0.3)}
    params["reward"]["1"]["w"] = jnp.ones((1, 1))
    rewards = make(config).transition(params, jnp.array([[0.5, 0.0], [-0.5, 0.0]]), jnp.array([5, 5]))[1]
    np.testing.assert_allclose(rewards, [0.5, -0.15], rtol=1e-6)
    assert make(config).default_params["reward"]["0"]["slope"] == 0.25


def test_one_compiled_function_serves_a_population():
    mdp, traces = make(MDPConfig(hidden=(8,), activation="prelu", starts="learned")), []

    def episode(key: jax.Array, params: MDPParams) -> tuple[jax.Array, ...]:
        traces.append(1)
        _, state = mdp.reset(key, params)
        for action in (5, 6, 5):
            observation, state, reward, *_ = mdp.step(key, state, jnp.int32(action), params)
        return observation, reward

    together = jax.jit(jax.vmap(episode))
    keys = jax.random.split(KEY, 3)
    population = jax.vmap(mdp.init_params)(keys)
    together(keys, jax.tree.map(lambda leaf: 2 * leaf, population))
    found = together(keys, population)
    assert len(traces) == 1
    one = jax.jit(episode)
    for i, key in enumerate(keys):
        alone = one(key, jax.tree.map(lambda leaf, i=i: leaf[i], population))
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-6), found, alone)


def test_what_it_cannot_be_is_told():
    with pytest.raises(InputError, match="expected a vector Box observation space of Toy-v0 for a synthetic MDP"):
        SyntheticMDP(EnvSpec("Toy-v0", spaces.Discrete(2), spaces.Discrete(2), 5), LINEAR)
    with pytest.raises(InputError, match="expected the functional copy of Toy-v0, where the synthetic MDP starts"):
        make(MDPConfig())
    with pytest.raises(InputError, match="disagree on env_id: CartPole-v1 against Acrobot-v1"):
        SyntheticMDP(spec_of("Acrobot-v1"), MDPConfig(), functional_copy("CartPole-v1"))
    with pytest.raises(InputError, match="unknown environment with compiled dynamics 'FrozenLake-v1'"):
        make_synthetic(EnvSpec("FrozenLake-v1", OBSERVATION, spaces.Discrete(2), 5), MDPConfig())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"hidden": (0,)}, "the MDP's hidden of whole widths"),
        ({"start_hidden": (0.5,)}, "the MDP's start_hidden of whole widths"),
        ({"activation": "gelu"}, "the MDP's activation to be one of leaky_relu, prelu, relu, silu, tanh, got 'gelu'"),
        ({"predicts": "both"}, "the MDP's predicts to be one of state, change"),
        ({"starts": "here"}, "the MDP's starts to be one of real, learned"),
        ({"max_steps": 0}, "the MDP's max_steps whole and of at least 1"),
        ({"max_steps": 2.5}, "the MDP's max_steps whole and of at least 1"),
    ],
)
def test_settings_out_of_range_are_named(settings, told):
    with pytest.raises(InputError, match=told):
        MDPConfig(**settings)
