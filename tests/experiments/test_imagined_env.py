"""A world model as a functional environment: it imagines what the model does, and logs alone become a bandit."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from envs.artifact import load_artifact
from envs.errors import InputError
from envs.functional_evaluate import episode_returns
from experiments.evolve import evolve_for
from experiments.evolve_configs import EvolveConfig, FitnessConfig, InnerAgent, StageConfig
from experiments.imagined_env import ImaginedEnv, imagined_env
from experiments.presets import CARTPOLE
from synthetic_envs.configs import EvolutionConfig
from worldmodels.saving import load_model

TINY = StageConfig(
    (InnerAgent(replace(CARTPOLE.ppo, total_steps=256, hidden=(4,), num_epochs=1)),),
    EvolutionConfig(num_generations=2, population_size=4, num_checks=2),
    FitnessConfig(num_episodes=2),
)


@pytest.fixture(scope="module")
def model(shelf):
    return load_model(shelf / "model")


def test_a_step_is_the_models_own_for_any_batch(model):
    env = ImaginedEnv(model)
    keys = jax.random.split(jax.random.key(0), 6)
    observation, state = jax.vmap(env.reset, (0, None))(keys, ())
    assert {tuple(row) for row in np.asarray(observation)} <= {
        tuple(row) for row in model.trained.starts.initial.observation.numpy()
    }
    actions = jnp.array([0, 1, 1, 0, 1, 0])

    def step(state, action):
        return env.step(keys[0], state, action, ())

    after, _, reward, ended, cut, _ = jax.jit(jax.vmap(step))(state, actions)
    start = {name: torch.from_numpy(np.array(rows)) for name, rows in state.model.items()}
    told = model.step(start, torch.from_numpy(np.array(actions)).long())
    np.testing.assert_allclose(after, told.observation, rtol=1e-6)
    np.testing.assert_allclose(reward, told.reward, rtol=1e-6)
    np.testing.assert_array_equal(ended, (told.continuation < 0.5).numpy())
    assert not cut.any()
    # Two batch axes, and none.
    in_two = jax.tree.map(lambda rows: rows.reshape(2, 3, *rows.shape[1:]), state)
    both, *_ = jax.vmap(jax.vmap(step))(in_two, actions.reshape(2, 3))
    np.testing.assert_allclose(both.reshape(6, -1), after, rtol=1e-6)
    one, *_ = step(jax.tree.map(lambda rows: rows[4], state), actions[4])
    np.testing.assert_allclose(one, after[4], rtol=1e-6)


def test_all_episodes_are_one_call_a_step_and_end_at_the_limit(model, monkeypatch):
    env, calls = ImaginedEnv(model), []
    imagine = env._imagine
    monkeypatch.setattr(env, "_imagine", lambda *rows: calls.append(rows[1].shape) or imagine(*rows))

    def act(observation, memory):
        return jnp.zeros(len(observation), jnp.int32), memory

    def member(key):
        return episode_returns(env, (), act, key, 3, limit=7)

    _, lengths = jax.jit(jax.vmap(member))(jax.random.split(jax.random.key(1), 5))
    assert lengths.shape == (5, 3)
    assert lengths.max() <= 7
    assert len(calls) <= 7
    assert all(np.prod(shape) == 15 for shape in calls)


def test_logs_alone_become_a_bandit_without_a_real_step(shelf, tmp_path, monkeypatch):
    def refuse(env_id: str):
        raise AssertionError(f"the real dynamics of {env_id} were asked for")

    monkeypatch.setattr("experiments.evolve.functional_copy", refuse)
    config = EvolveConfig(stages=(TINY,), model=str(shelf / "model"))
    told = evolve_for(config, tmp_path / "bandit", progress=None)
    assert told.real_steps == 0
    assert told.imagined_steps > 0
    assert 8 <= told.verified <= 500
    provenance = load_artifact(tmp_path / "bandit").provenance
    assert len(provenance["evolution"]["model"]) == 64
    evolve_for(config, tmp_path / "again", progress=None)
    for name, tensor in load_artifact(tmp_path / "bandit").tensors.items():
        np.testing.assert_array_equal(tensor, load_artifact(tmp_path / "again").tensors[name])


def test_a_model_of_another_environment_is_refused(shelf):
    with pytest.raises(InputError, match=r"expected a world model of Acrobot-v1, the one at .* is of CartPole-v1"):
        imagined_env(shelf / "model", "Acrobot-v1")
