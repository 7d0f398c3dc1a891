"""Training on any world: both ways to collect, the learning curve's shape, and seeds."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from agents.agent_policy import load_policy
from agents.configs import PPOConfig
from envs.errors import InputError
from envs.evaluate import evaluate
from experiments.train import Curve, Training, provenance_of, train
from experiments.worlds import World, open_world
from worldmodels.configs import EpisodeConfig

TINY = PPOConfig(total_steps=220, num_envs=2, num_steps=5, num_epochs=1, num_minibatches=1, hidden=(8,))  # 22 updates
LONG_ID = "simulacra-tests/Long-v0"


class Long(gymnasium.Env):
    """Episodes of 1,000 steps, reward 1 a step: longer than the trainings here, so no return is ever known."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, False, {}


@pytest.fixture
def long_id():
    gymnasium.register(LONG_ID, Long, max_episode_steps=1000)
    yield LONG_ID
    del gymnasium.registry[LONG_ID]


def opened(source) -> World:
    return open_world(source, EpisodeConfig(start="any", horizon=20))


@pytest.fixture(scope="module", params=["compiled", "hosted"])
def world(request, shelf) -> World:
    return opened("CartPole-v1" if request.param == "compiled" else shelf / "model")


@pytest.fixture(scope="module")
def training(world) -> Training:
    return train(world, TINY, [3, 4])


def test_policies_and_curve_of_both_collectors(training, tmp_path):
    curve = training.curve
    assert curve.steps == [*range(20, 221, 20)]  # every second update
    assert np.shape(curve.returns) == (2, 11)
    assert np.isfinite(curve.returns).all()
    assert curve.measured_on == "real dynamics"
    assert [policy.spec.env_id for policy in training.policies] == ["CartPole-v1"] * 2
    assert training.policies[0].spec.max_episode_steps == 500  # of the real environment, not of the world
    training.save(tmp_path / "it", [3, 4], {"note": 1})
    for seed, policy in zip([3, 4], training.policies, strict=True):
        loaded = load_policy(tmp_path / f"it-seed{seed}")
        assert (
            evaluate(loaded, "CartPole-v1", 2).returns.tolist() == evaluate(policy, "CartPole-v1", 2).returns.tolist()
        )


def test_the_same_seed_gives_the_same_agent_whatever_trains_beside_it(world, training):
    alone = train(world, TINY, [4])
    first, second, again = (policy.params["actor"]["0"]["w"] for policy in [*training.policies, *alone.policies])
    np.testing.assert_allclose(again, second, atol=1e-5)
    assert not np.allclose(first, second, atol=1e-3)


def test_a_curve_has_about_twenty_points_and_ends_at_the_end(long_id):
    config = PPOConfig(total_steps=8 * 41, num_envs=2, num_steps=4, num_epochs=1, num_minibatches=1, hidden=(2,))
    steps = train(opened(long_id), config, [0]).curve.steps
    assert steps == [*range(24, 313, 24), 328]  # 13 times 3 updates of 8 steps, then 2


def test_without_a_copy_of_the_dynamics_the_world_itself_is_measured(long_id):
    curve = train(opened(long_id), TINY, [0]).curve
    assert curve.measured_on == "the world itself"
    assert np.isnan(curve.returns).all()  # no episode has ended
    assert curve.to_json()["returns"] == [[None] * 11]
    json.dumps(curve.to_json(), allow_nan=False)


def test_returns_inside_the_world_are_means_of_its_ended_episodes(long_id):
    gymnasium.registry[long_id].max_episode_steps = 15
    config = PPOConfig(total_steps=160, num_envs=2, num_steps=4, num_epochs=1, num_minibatches=1, hidden=(2,))
    curve = train(opened(long_id), config, [0, 1]).curve  # 20 updates of 4 steps
    known = np.array(curve.returns)[~np.isnan(curve.returns)]
    assert 0 < known.size < 40
    np.testing.assert_array_equal(known, 15.0)


def test_nan_is_null_in_json_only_where_it_is():
    curve = Curve([1, 2], [[float("nan"), 1.5], [2.5, float("nan")]], "the world itself")
    assert [curve.last_known(0), curve.last_known(1)] == [1.5, 2.5]
    assert np.isnan(Curve([1], [[float("nan")]], "the world itself").last_known(0))
    assert curve.to_json() == {
        "steps": [1, 2],
        "returns": [[None, 1.5], [2.5, None]],
        "measured_on": "the world itself",
    }


def test_provenance_says_how_and_where(training):
    told = provenance_of("worlds/bandit", training)
    assert told["trained_on"] == "worlds/bandit"
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_told(shelf, seed):
    with pytest.raises(InputError, match=rf"expected a seed from 0 to 4294967295, got {seed}"):
        train(opened(shelf / "bandit"), TINY, [0, seed])


def test_an_environment_that_ppo_cannot_serve_is_told():
    with pytest.raises(
        InputError, match="PPO does not fit: expected a Box of vectors as observation space of FrozenLake-v1, got"
    ):
        train(opened("FrozenLake-v1"), TINY, [0])
