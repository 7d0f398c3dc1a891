"""A synthetic MDP in torch: the same as in JAX, and what planners find in it."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.functional_copies import functional_copy
from envs.spec import EnvSpec
from experiments.policies import open_policy
from experiments.synthetic_model import SyntheticModel
from planners.configs import CEMConfig, MCTSConfig, PlannerConfig, RandomShootingConfig
from synthetic_envs.configs import Activation, MDPConfig
from synthetic_envs.mdp import MDPParams, SyntheticMDP
from synthetic_envs.networks import apply_network
from synthetic_envs.saving import save_synthetic
from synthetic_envs.vectors import action_vector

OBSERVATION = spaces.Box(np.float32([-1, -np.inf]), np.float32([1, np.inf]))
DISCRETE, CONTINUOUS = spaces.Discrete(3, start=5), spaces.Box(-2, 2, (2,), np.float32)
NUM_ROWS = 256
PLANNERS: dict[str, PlannerConfig] = {
    "mcts": MCTSConfig(num_simulations=32),
    "cem": CEMConfig(horizon=3, num_sequences=32),
    "random-shooting": RandomShootingConfig(horizon=3, num_sequences=32),
}


def make(activation: Activation, predicts: str, action: spaces.Space, seed: int = 0) -> tuple[SyntheticMDP, MDPParams]:
    config = MDPConfig((16, 8), activation, predicts, starts="learned", start_hidden=())
    mdp = SyntheticMDP(EnvSpec("Toy-v0", OBSERVATION, action, 50), config)
    params = jax.jit(mdp.init_params)(jax.random.key(seed))
    # So that some steps leave the bounds, and some end the episode.
    params["next"]["2"]["b"] = jnp.full(2, 0.8)
    observations, actions = inputs(action)
    vector = jnp.concatenate([observations, action_vector(action, jnp.asarray(actions))], -1)
    params["end"]["2"]["b"] = 0.5 - jnp.median(apply_network(params["end"], vector, activation))[None]
    return mdp, params


def inputs(action: spaces.Space) -> tuple[np.ndarray, np.ndarray]:
    action.seed(0)
    observations = np.random.default_rng(0).normal(size=(NUM_ROWS, 2)).astype(np.float32)
    return observations, np.stack([action.sample() for _ in range(NUM_ROWS)])


@pytest.mark.parametrize(
    ("activation", "predicts", "action"),
    [
        ("leaky_relu", "state", DISCRETE),
        ("prelu", "change", CONTINUOUS),
        ("relu", "change", DISCRETE),
        ("silu", "state", CONTINUOUS),
        ("tanh", "state", DISCRETE),
    ],
    ids=str,
)
def test_a_step_is_the_mdps(activation, predicts, action):
    mdp, params = make(activation, predicts, action)
    observations, actions = inputs(action)
    model = SyntheticModel(mdp, params)
    imagined = model.step(model.encode(torch.as_tensor(observations)), torch.as_tensor(actions))
    taken = jnp.asarray(actions, jnp.int32 if action is DISCRETE else jnp.float32)
    after, rewards, terminated = jax.jit(mdp.transition)(params, observations, taken)
    np.testing.assert_allclose(imagined.observation, after, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(imagined.reward, rewards, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(imagined.continuation, 1.0 - np.asarray(terminated))
    assert 0 < terminated.sum() < NUM_ROWS
    assert (np.abs(after[:, 0]) == 1).any()  # some are clipped
    torch.testing.assert_close(imagined.state["observation"], imagined.observation, rtol=0, atol=0)
    assert not imagined.uncertainty.any()
    assert not imagined.noise.any()


@pytest.mark.parametrize("broken", ["next", "reward"])
def test_a_step_that_is_not_finite_is_the_mdps_too(broken):
    mdp, params = make("relu", "state", DISCRETE)
    params[broken]["2"]["w"] = jnp.full_like(params[broken]["2"]["w"], 3e38)
    observations, actions = inputs(DISCRETE)
    observations *= 10
    model = SyntheticModel(mdp, params)
    imagined = model.step(model.encode(torch.as_tensor(observations)), torch.as_tensor(actions))
    after, rewards, terminated = mdp.transition(params, observations, jnp.asarray(actions, jnp.int32))
    unsound = np.asarray(rewards == 0) if broken == "reward" else (np.asarray(after) == observations).all(1)
    assert 0 < unsound.sum() < NUM_ROWS
    np.testing.assert_array_equal(imagined.continuation, 1.0 - np.asarray(terminated))
    assert not imagined.continuation.numpy()[unsound].any()
    np.testing.assert_allclose(imagined.observation, after, rtol=1e-5)
    np.testing.assert_allclose(imagined.reward, rewards, rtol=1e-5)


def test_rows_are_independent():
    mdp, params = make("tanh", "state", DISCRETE)
    model, (observations, actions) = SyntheticModel(mdp, params), inputs(DISCRETE)
    together = model.step(model.encode(torch.as_tensor(observations)), torch.as_tensor(actions))
    alone = model.step(model.encode(torch.as_tensor(observations[3:4])), torch.as_tensor(actions[3:4]))
    torch.testing.assert_close(alone.observation[0], together.observation[3])


@pytest.mark.parametrize("name", PLANNERS)
def test_planners_find_what_pays_in_it(tmp_path: Path, name: str) -> None:
    """The second action pays 2 and the first 1; in front of 0.5 the second ends the episode, so it pays less."""
    real = functional_copy("CartPole-v1")
    mdp = SyntheticMDP(real.spec, MDPConfig(hidden=()), real)

    def linear(*rows: list[float]) -> dict[str, dict[str, jax.Array]]:
        return {"0": {"w": jnp.array(rows), "b": jnp.zeros(len(rows[0]))}}

    stays = linear(*np.eye(4).tolist(), [0.0] * 4, [0.0] * 4)
    params = {"next": stays, "reward": linear(*[[0.0]] * 4, [1.0], [2.0]),
              "end": linear([4.0], *[[0.0]] * 3, [-4.0], [0.0])}  # fmt: skip
    save_synthetic(tmp_path / "mdp", mdp, params, {})
    policy = open_policy(name, "CartPole-v1", PLANNERS, tmp_path / "mdp")
    observations = np.array([[0.5, 0, 0, 0], [-0.5, 0, 0, 0]], np.float32)
    actions, _ = policy.act(observations, policy.initial_state(2, 0))
    assert actions.tolist() == [0, 1]
