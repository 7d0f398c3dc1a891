"""What every functional environment must do, over an explicit list: a new one joins with one line in `ENVS`.

Batches are of 4 rows, episodes of up to 8 steps with random actions.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.compiled_ids import CLASSIC_CONTROL
from envs.functional import FunctionalEnv
from envs.functional_batch import step_rows_same_step
from envs.gymnax_adapter import make_classic_control
from envs.spaces import first_outside
from envs.spec import spec_of


def make_fast() -> FunctionalEnv:
    from envs.brax_adapter import make_brax

    return make_brax("fast")


def make_inverted_pendulum() -> FunctionalEnv:
    from envs.brax_adapter import make_brax

    return make_brax("inverted_pendulum")


def make_bandit(env_id: str) -> FunctionalEnv:
    from synthetic_envs.bandit import Bandit
    from synthetic_envs.configs import BanditConfig

    return Bandit(spec_of(env_id), BanditConfig())


def make_kind(env_id: str, family: str) -> FunctionalEnv:
    from synthetic_envs.configs import MDPConfig, RewardNetworkConfig, SyntheticConfig, TargetBanditConfig
    from synthetic_envs.synthetic_env import make_synthetic

    configs: dict[str, SyntheticConfig] = {
        "target-bandit": TargetBanditConfig(),
        "mdp": MDPConfig(),
        "mdp, learned starts": MDPConfig((8,), "prelu", predicts="change", starts="learned", max_steps=5),
        "reward-network": RewardNetworkConfig(),
        "reward-network, free": RewardNetworkConfig("free", "exclusive"),
    }
    return make_synthetic(spec_of(env_id), configs[family])


KINDS = [
    ("target-bandit", "Pendulum-v1"),
    ("mdp", "CartPole-v1"),
    ("mdp, learned starts", "Pendulum-v1"),
    ("reward-network", "CartPole-v1"),
    ("reward-network, free", "Pendulum-v1"),
]

ENVS: dict[str, Callable[[], FunctionalEnv]] = {
    **{env_id: lambda env_id=env_id: make_classic_control(env_id) for env_id in CLASSIC_CONTROL},
    **{f"bandit/{env_id}": lambda env_id=env_id: make_bandit(env_id) for env_id in ("CartPole-v1", "Pendulum-v1")},
    **{f"{kind}/{env_id}": lambda env_id=env_id, kind=kind: make_kind(env_id, kind) for kind, env_id in KINDS},
    "brax/fast": make_fast,
    "brax/inverted_pendulum": make_inverted_pendulum,
}
SLOW = {"brax/inverted_pendulum"}
"""Those that take more than a few seconds to compile."""
EVERY_ENV = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in ENVS]
NUM_ROWS, NUM_STEPS = 4, 8


class Rollout(NamedTuple):
    """What was seen of ``T`` steps, auto-reset off.

    Attributes:
        observations: ``[T + 1, *O]``.
        states: ``[T + 1]``-tree.
        rewards: float32 ``[T]``.
        terminated: bool ``[T]``.
        truncated: bool ``[T]``.
    """

    observations: jax.Array
    states: Any
    rewards: jax.Array
    terminated: jax.Array
    truncated: jax.Array


class Case:
    """An environment with its compiled functions, made once for all tests, and how often JAX traced its step."""

    def __init__(self, env: FunctionalEnv):
        self.env = env
        self.params = env.default_params
        self.num_traces = 0
        self.reset, self.step = jax.jit(env.reset), jax.jit(self._counted_step)
        self.rollout = jax.jit(self._rollout)
        self.rollouts = jax.jit(jax.vmap(self._rollout, (0, 0, None)))

    def _counted_step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple:
        self.num_traces += 1
        return self.env.step(key, state, action, params)

    def _rollout(self, key: jax.Array, actions: jax.Array, params: Any) -> Rollout:
        reset_key, *step_keys = jax.random.split(key, NUM_STEPS + 1)
        first, start = self.env.reset(reset_key, params)

        def step(state: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, tuple]:
            observation, state, reward, terminated, truncated, _ = self.env.step(inputs[0], state, inputs[1], params)
            return state, (observation, state, reward, terminated, truncated)

        _, (observations, states, *rest) = jax.lax.scan(step, start, (jnp.stack(step_keys), actions))
        joined = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), (first, start), (observations, states))
        return Rollout(*joined, *rest)

    @property
    def action(self) -> np.ndarray:
        """One action ``[*A]``."""
        return self.actions(1)[0]

    def actions(self, *shape: int) -> np.ndarray:
        """Random actions ``[*shape, *A]``, as JAX takes them."""
        space = self.env.spec.action_space
        space.seed(0)
        drawn = np.array([space.sample() for _ in range(int(np.prod(shape)))]).reshape(*shape, *(space.shape or ()))
        return drawn.astype(np.int32 if np.issubdtype(space.dtype, np.integer) else space.dtype)


@cache
def case_of(name: str) -> Case:
    return Case(ENVS[name]())


@pytest.fixture(params=EVERY_ENV)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def types_of(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)


def test_shapes_and_dtypes_are_those_of_the_spec(case):
    space = case.env.spec.observation_space
    observation, state = case.reset(jax.random.key(0), case.params)
    out = case.step(jax.random.key(1), state, case.action, case.params)
    assert np.asarray(observation) in space
    assert np.asarray(out[0]) in space
    assert [(leaf.shape, leaf.dtype) for leaf in out[2:5]] == [((), jnp.float32), ((), jnp.bool_), ((), jnp.bool_)]
    assert isinstance(out[5], dict)


def test_types_stay_the_same_from_step_to_step(case):
    observation, state = case.reset(jax.random.key(0), case.params)
    next_observation, next_state, *_ = case.step(jax.random.key(1), state, case.action, case.params)
    assert types_of(next_observation) == types_of(observation)
    assert types_of(next_state) == types_of(state)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves((observation, state, case.params)))


def test_a_step_is_compiled_once(case):
    _, state = case.reset(jax.random.key(0), case.params)
    for i, action in enumerate(case.actions(4)):
        _, state, *_ = case.step(jax.random.key(i), state, action, case.params)
    assert case.num_traces == 1


def test_the_same_key_gives_the_same_episode(case):
    actions = case.actions(NUM_STEPS)
    once, again = (case.rollout(jax.random.key(3), actions, case.params) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, once, again)


@pytest.mark.parametrize("name", [name for name in ENVS if name not in SLOW])
def test_compiled_equals_eager(name):
    case = case_of(name)
    key, action = jax.random.key(5), case.action
    observation, state = case.reset(key, case.params)
    with jax.disable_jit():
        eager_observation, eager_state = case.env.reset(key, case.params)
        eager = case.env.step(key, state, jnp.asarray(action), case.params)
    assert_close((eager_observation, eager_state), (observation, state))
    assert_close(eager[:5], case.step(key, state, action, case.params)[:5])


def test_a_batch_equals_its_rows(case):
    keys, actions = jax.random.split(jax.random.key(7), NUM_ROWS), case.actions(NUM_ROWS, NUM_STEPS)
    batch = case.rollouts(keys, actions, case.params)
    for row in range(NUM_ROWS):
        alone = case.rollout(keys[row], actions[row], case.params)
        assert_close(jax.tree.map(lambda leaf, row=row: leaf[row], batch), alone)
    space = case.env.spec.observation_space
    assert first_outside(space, np.asarray(batch.observations).reshape(-1, *space.shape)) is None


def test_a_row_that_ends_starts_anew_and_tells_what_it_ended_with(case):
    # Whether this step ends the episode or not, the final observation is the step's; an end begins a new episode.
    _, state = case.reset(jax.random.key(0), case.params)
    rows, action, keys = jax.tree.map(lambda x: x[None], (state, case.action, jax.random.key(11)))
    key, step_key = jax.random.split(keys[0])
    reset_key = jax.random.split(key)[1]
    observation, next_state, reward, terminated, truncated, _ = case.step(step_key, state, case.action, case.params)
    first, _ = case.reset(reset_key, case.params)
    env = WithEnd(case.env)
    for ends in (False, True):
        out = step_rows_same_step(env, keys, rows, action, (case.params, ends))
        assert_close(out.final_observations[0], observation)
        assert_close(out.observations[0], first if ends or terminated or truncated else observation)
        assert_close(out.reward[0], reward)
        assert (out.terminated[0], out.truncated[0]) == (terminated, truncated | ends)
        assert types_of(jax.tree.map(lambda x: x[0], out.state)) == types_of(next_state)


class WithEnd:
    """An environment whose params say, besides, whether its episodes are truncated at every step."""

    def __init__(self, env: FunctionalEnv):
        self.env, self.spec = env, env.spec

    def reset(self, key: jax.Array, params: Any) -> tuple:
        return self.env.reset(key, params[0])

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple:
        *rest, truncated, info = self.env.step(key, state, action, params[0])
        return *rest, truncated | params[1], info


def assert_close(left: Any, right: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), left, right)
