"""gymnax's classic control beside Gymnasium's own: the same step from the same state, everywhere."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.classic_control.continuous_mountain_car import ContinuousMountainCar

from envs.compiled_ids import CLASSIC_CONTROL
from envs.errors import InputError
from envs.gymnax_adapter import _GYMNAX, ClassicControl, make_classic_control

NUM_STATES = 3000
LIMITS = {
    "Acrobot-v1": 500,
    "CartPole-v1": 500,
    "MountainCar-v0": 200,
    "MountainCarContinuous-v0": 999,
    "Pendulum-v1": 200,
}
PI = np.pi
# Lowest and highest value of each component of the state that is drawn, beyond the walls and thresholds where there
# are any. For Acrobot's highest velocities see test_acrobot_at_its_velocity_limits.
RANGES = {
    "Acrobot-v1": ([-PI, -PI, -8, -12], [PI, PI, 8, 12]),
    "CartPole-v1": ([-2.4, -4, -0.2094, -4], [2.4, 4, 0.2094, 4]),
    "MountainCar-v0": ([-1.2, -0.07], [0.6, 0.07]),
    "MountainCarContinuous-v0": ([-1.2, -0.07], [0.6, 0.07]),
    "Pendulum-v1": ([-20, -8], [20, 8]),
}
# States at and beside walls, thresholds, goals and wraps. CartPole's must not be terminal already: Gymnasium leaves
# what follows a termination undefined.
BOUNDARIES = {
    "Acrobot-v1": [[PI - 1e-3, 0, 3, 0], [-PI + 1e-3, 0, -3, 0], [0, PI - 1e-3, 0, 5], [PI, PI, 1, 1], [2.2, 0, 1, 0],
                   [2.0, 0.4, 1.5, -0.5], [0, 0, 0, 0]],
    "CartPole-v1": [[2.3999, 0.02, 0, 0], [2.3999, 0.001, 0, 0], [-2.3999, -0.02, 0, 0], [0, 0, 0.2094, 0.01],
                    [0, 0, -0.2094, -0.01], [0, 0, 0.2093, -1], [0, 0, 0, 0]],
    "MountainCar-v0": [[-1.2, -0.07], [-1.2, 0], [-1.19, -0.05], [-1.2, 0.01], [0.49, 0.05], [0.55, -0.05],
                       [0.52, -0.005], [0.6, 0.07], [0.59, 0.02], [0.499, 0.002], [0.6, -0.01]],
    "MountainCarContinuous-v0": [[-1.2, -0.07], [-1.2, 0], [-1.19, -0.05], [-1.2, 0.01], [0.44, 0.05], [0.5, -0.05],
                                 [0.47, -0.005], [0.6, 0.07], [0.59, 0.02], [0.449, 0.002], [0.6, -0.01]],
    "Pendulum-v1": [[PI, 0], [-PI, 0], [3 * PI, 1], [0, 0], [0, 8], [1.5, -8], [1.5, 7.99], [-1.5, -7.99], [80, 3]],
}  # fmt: skip
STATE_FIELDS = {
    "Acrobot-v1": ("joint_angle1", "joint_angle2", "velocity_1", "velocity_2"),
    "CartPole-v1": ("x", "x_dot", "theta", "theta_dot"),
    "MountainCar-v0": ("position", "velocity"),
    "MountainCarContinuous-v0": ("position", "velocity"),
    "Pendulum-v1": ("theta", "theta_dot"),
}


def states_of(env_id: str) -> np.ndarray:
    """States to step from ``[N, S]``, float32, so that both sides start from the very same numbers."""
    drawn = np.random.default_rng(0).uniform(*RANGES[env_id], (NUM_STATES, len(RANGES[env_id][0])))
    edges = np.repeat(BOUNDARIES[env_id], 6, axis=0)
    return np.concatenate([drawn, edges]).astype(np.float32)


def actions_for(env_id: str, num_actions: int) -> np.ndarray:
    """Actions ``[N, *A]``: every discrete one in turn; Box ones up to twice beyond the bounds, and at them."""
    space = make_classic_control(env_id).spec.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return np.arange(num_actions) % space.n
    drawn = np.random.default_rng(1).uniform(2 * space.low, 2 * space.high, (num_actions, 1))
    drawn[::5], drawn[1::5], drawn[2::5] = space.high, space.low, 0.0
    return drawn.astype(np.float32)


def step_gymnasium(env_id: str, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
    """Next states, observations, rewards and terminations of Gymnasium's own environment, one state at a time."""
    env = gymnasium.make(env_id).unwrapped
    env.reset(seed=0)
    rows = []
    for state, action in zip(states, actions, strict=True):
        env.state = state.astype(np.float64)
        if env_id == "CartPole-v1":
            env.steps_beyond_terminated = None
        observation, reward, terminated, _, _ = env.step(action)
        rows.append((np.array(env.state, np.float64), observation, reward, terminated))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def step_ours(env: ClassicControl, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same of ours, all states at once."""
    fields = STATE_FIELDS[env.spec.env_id]
    params = env.default_params
    _, template = env.reset(jax.random.key(0), params)

    def step(vector: jax.Array, action: jax.Array) -> tuple[jax.Array, ...]:
        state = template.replace(**{name: vector[i] for i, name in enumerate(fields)})
        observation, state, reward, terminated, _, _ = env.step(jax.random.key(1), state, action, params)
        return jnp.stack([getattr(state, name) for name in fields]), observation, reward, terminated

    return tuple(np.asarray(column) for column in jax.jit(jax.vmap(step))(states, actions))


def assert_same_steps(ours: tuple[np.ndarray, ...], gymnasiums: tuple[np.ndarray, ...], tolerance: float) -> None:
    for name, mine, theirs in zip(("state", "observation", "reward"), ours, gymnasiums, strict=False):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance, err_msg=name)
    np.testing.assert_array_equal(ours[3], gymnasiums[3])


@pytest.mark.parametrize("env_id", CLASSIC_CONTROL)
def test_each_step_is_gymnasiums(env_id):
    states = states_of(env_id)
    actions = actions_for(env_id, len(states))
    gymnasiums = step_gymnasium(env_id, states, actions)
    assert_same_steps(step_ours(make_classic_control(env_id), states, actions), gymnasiums, tolerance=1e-4)
    # What the draws are meant to cover did occur: ends and no ends, except where nothing ever ends.
    assert set(gymnasiums[3]) == ({False} if env_id == "Pendulum-v1" else {False, True})


def test_acrobot_at_its_velocity_limits():
    # Up to 4 pi and 9 pi rad/s, which only wild swings reach, Gymnasium's single Runge-Kutta step of 0.2 s is so
    # ill-conditioned that float32 alone costs up to some 1e-3 in a few states of a thousand.
    high = np.array([PI, PI, 4 * PI, 9 * PI])
    states = np.random.default_rng(2).uniform(-high, high, (NUM_STATES, 4)).astype(np.float32)
    actions = actions_for("Acrobot-v1", NUM_STATES)
    gymnasiums = step_gymnasium("Acrobot-v1", states, actions)
    ours = step_ours(make_classic_control("Acrobot-v1"), states, actions)
    errors = np.abs(ours[1] - gymnasiums[1]).max(axis=1)
    assert np.quantile(errors, 0.995) < 1e-4
    assert errors.max() < 1e-2
    assert (np.abs(gymnasiums[0][:, 2:]) == high[2:]).any(axis=0).all()  # both limits were met
    np.testing.assert_array_equal(ours[3], gymnasiums[3])


def at_state_of(real: gymnasium.Env, state: Any, env_id: str) -> Any:
    """Our ``state`` with its numbers, all but the time, taken from Gymnasium's environment."""
    vector = jnp.asarray(np.asarray(real.unwrapped.state, np.float32))
    return state.replace(**dict(zip(STATE_FIELDS[env_id], vector, strict=True)))


def lasting_action(env_id: str, observation: np.ndarray) -> np.ndarray | int:
    """An action that never ends the episode: balance the pole, rest in the valley, hang."""
    if env_id == "CartPole-v1":
        return int(observation @ [0.1, 0.5, 10.0, 2.0] > 0)
    return 1 if env_id in ("Acrobot-v1", "MountainCar-v0") else np.zeros(1, np.float32)


@pytest.mark.parametrize("env_id", CLASSIC_CONTROL)
def test_whole_episodes_are_gymnasiums_and_truncate_with_it(env_id):
    env, real = make_classic_control(env_id), gymnasium.make(env_id)
    step = jax.jit(env.step)
    observation, _ = real.reset(seed=3)
    _, state = env.reset(jax.random.key(0), env.default_params)
    for num_steps in range(1, LIMITS[env_id] + 1):
        state = at_state_of(real, state, env_id)  # else float32 and float64 part on an unstable pole
        action = lasting_action(env_id, observation)
        observation, reward, terminated, truncated, _ = real.step(action)
        ours, state, our_reward, our_terminated, our_truncated, _ = step(
            jax.random.key(0), state, jnp.asarray(action), env.default_params
        )
        assert (our_terminated, our_truncated) == (terminated, truncated)
        assert (terminated, truncated) == (False, num_steps == LIMITS[env_id])
        np.testing.assert_allclose(ours, observation, rtol=0, atol=1e-4)
        np.testing.assert_allclose(our_reward, reward, rtol=0, atol=1e-4)
    assert env.spec.max_episode_steps == LIMITS[env_id]


def test_terminates_and_truncates_at_once_as_gymnasium():
    env, real = make_classic_control("CartPole-v1"), gymnasium.make("CartPole-v1")
    real.reset(seed=0)
    real._elapsed_steps = 499
    real.unwrapped.state = np.array([2.399, 3.0, 0.0, 0.0])
    _, state = env.reset(jax.random.key(0), env.default_params)
    state = at_state_of(real, state, "CartPole-v1").replace(time=jnp.int32(499))
    *_, terminated, truncated, _ = real.step(1)
    *_, our_terminated, our_truncated, _ = env.step(jax.random.key(0), state, jnp.int32(1), env.default_params)
    assert (our_terminated, our_truncated) == (terminated, truncated) == (True, True)


@pytest.mark.parametrize("env_id", CLASSIC_CONTROL)
def test_starts_are_distributed_as_gymnasiums(env_id):
    env = make_classic_control(env_id)
    keys = jax.random.split(jax.random.key(0), 4000)
    observations, states = jax.jit(jax.vmap(env.reset, (0, None)))(keys, env.default_params)
    ours = np.stack([getattr(states, name) for name in STATE_FIELDS[env_id]], axis=1)
    real = gymnasium.make(env_id).unwrapped
    theirs = np.array([(real.reset(seed=i), real.state)[1] for i in range(4000)], np.float32)
    low, high = theirs.min(axis=0), theirs.max(axis=0)
    # The 0.01 quantiles of 4000 draws differ by about 0.01 of the width; a wrong range by far more.
    levels = np.linspace(0, 1, 21)
    gap = np.abs(np.quantile(ours, levels, axis=0) - np.quantile(theirs, levels, axis=0))
    assert (gap <= 0.05 * (high - low) + 1e-7).all()
    assert (np.asarray(states.time) == 0).all()
    assert all(observation in env.spec.observation_space for observation in np.asarray(observations[:200]))


@pytest.mark.parametrize(
    ("state", "what"),
    [([0.55, -0.04], "a car that rolls back at the goal is stopped and rewarded"),
     ([-1.19, -0.05], "a car that runs into the left wall keeps its speed")],
)  # fmt: skip
def test_what_gymnax_itself_departs_in(state, what):
    """Fails when a new gymnax no longer departs: then `MendedMountainCarContinuous` can go."""
    env = make_classic_control("MountainCarContinuous-v0")
    states, actions = np.array([state], np.float32), np.zeros((1, 1), np.float32)
    gymnasiums = step_gymnasium("MountainCarContinuous-v0", states, actions)
    assert_same_steps(step_ours(env, states, actions), gymnasiums, tolerance=1e-6)
    theirs = ContinuousMountainCar()
    _, template = theirs.reset_env(jax.random.key(0), theirs.default_params)
    start = template.replace(position=jnp.float32(state[0]), velocity=jnp.float32(state[1]))
    _, after, _, _, _ = theirs.step_env(jax.random.key(0), start, jnp.zeros(1), theirs.default_params)
    assert abs(float(after.velocity) - gymnasiums[0][0, 1]) > 0.01, what


def test_params_are_an_argument():
    env = make_classic_control("Pendulum-v1")
    _, state = env.reset(jax.random.key(0), env.default_params)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), env.default_params)
    many = many.replace(g=jnp.array([0.0, 5.0, 10.0]), max_steps_in_episode=jnp.array([1, 2, 3]))
    step = jax.vmap(env.step, (None, None, None, 0))
    observations, _, _, _, truncated, _ = step(jax.random.key(0), state, jnp.zeros(1), many)
    assert len(np.unique(observations[:, 2])) == 3
    assert truncated.tolist() == [True, False, False]


def test_the_spec_is_gymnasiums_and_the_object_is_shared():
    env = make_classic_control("CartPole-v1")
    assert env is make_classic_control("CartPole-v1")
    assert env.spec.action_space == gymnasium.make("CartPole-v1").action_space


def test_unknown_id_names_the_nearest():
    with pytest.raises(InputError, match="CartPole-v1"):
        make_classic_control("CartPole-v2")


def test_the_ids_are_those_of_the_environments():
    assert sorted(CLASSIC_CONTROL) == sorted(_GYMNAX)
