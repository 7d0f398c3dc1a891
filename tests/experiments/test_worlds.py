"""What an agent can be trained on, by a folder or an id."""

import numpy as np
import pytest

from agents.configs import PPOConfig
from envs.errors import InputError
from envs.spec import spec_of
from experiments.train import train
from experiments.worlds import FUNCTIONAL_COPIES, open_world
from worldmodels.configs import EpisodeConfig

AS_IS = EpisodeConfig()


@pytest.mark.parametrize("env_id", FUNCTIONAL_COPIES)
def test_real_environments_with_a_compiled_copy(env_id):
    world = open_world(env_id, AS_IS)
    assert world.make_vector_env is None
    world.spec.require_same(spec_of(env_id), "the compiled copy", "Gymnasium's own")
    assert world.spec.max_episode_steps == spec_of(env_id).max_episode_steps


def test_a_real_environment_without_a_copy_is_stepped_on_the_host():
    world = open_world("FrozenLake-v1", AS_IS)
    assert (world.functional, world.spec.env_id) == (None, "FrozenLake-v1")
    env = world.make_vector_env(3)
    assert env.num_envs == 3
    env.close()


def test_brax_environments_are_functional():
    world = open_world("brax/fast", AS_IS)
    assert (world.spec.env_id, world.functional[0].spec, world.make_vector_env) == ("brax/fast", world.spec, None)


def test_a_world_model_takes_the_imagination_settings(shelf):
    world = open_world(shelf / "model", EpisodeConfig(horizon=2))
    assert (world.functional, world.spec.env_id) == (None, "CartPole-v1")
    env = world.make_vector_env(5)
    observations, _ = env.reset(seed=0)
    assert observations.shape == (5, 4)
    assert np.abs(observations).max() <= 0.05  # where CartPole's episodes start
    _, _, terminated_1, truncated_1, _ = env.step(np.zeros(5, np.int64))
    _, _, terminated_2, truncated_2, _ = env.step(np.zeros(5, np.int64))
    assert not truncated_1.any()
    assert truncated_2.any()  # by the horizon of 2
    assert (terminated_1 | terminated_2 | truncated_2).all()
    env.close()


def test_a_synthetic_environment_is_functional(shelf):
    world = open_world(str(shelf / "bandit"), AS_IS)
    _, params = world.functional
    assert (world.spec.env_id, world.make_vector_env) == ("CartPole-v1", None)
    assert params


@pytest.mark.parametrize(("folder", "limit"), [("bandit", 1), ("mdp", 20), ("reward-network", 500)])
def test_agents_train_on_every_kind_of_synthetic_environment(shelf, folder, limit):
    """Episodes end by the stand-in's own limit, and the policy is one for the real environment."""
    world = open_world(shelf / folder, AS_IS)
    assert world.functional[0].spec.max_episode_steps == limit
    config = PPOConfig(num_envs=4, num_steps=32, total_steps=256, hidden=(4,), num_epochs=1, num_minibatches=1)
    training = train(world, config, [0])
    assert training.policies[0].spec == spec_of("CartPole-v1")
    assert training.curve.steps[-1] == 256


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("policy", "expected a world model or a synthetic environment to train on at .*policy, found a policy"),
        ("log", "expected an artifact folder with an artifact.json at .*log, found none"),
        ("nothing", "expected the folder of a world model or of a synthetic environment at .*nothing, found none"),
    ],
)
def test_other_folders_are_refused(shelf, source, told):
    with pytest.raises(InputError, match=told):
        open_world(shelf / source, AS_IS)


def test_unknown_ids_are_told_with_the_nearest():
    with pytest.raises(InputError, match="unknown environment id 'CartPole-v7'; did you mean 'CartPole-v1'"):
        open_world("CartPole-v7", AS_IS)
