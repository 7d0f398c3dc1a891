import json
import math

import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.spec import EnvSpec, make_real, spec_of

OBSERVATION, ACTION = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)
SPEC = EnvSpec("Toy-v0", OBSERVATION, ACTION, 50, (-1.5, math.inf))


@pytest.mark.parametrize("spec", [SPEC, EnvSpec("Toy-v1", ACTION, OBSERVATION), spec_of("CartPole-v1")])
def test_a_spec_comes_back_equal_through_a_json_text(spec):
    assert EnvSpec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False))) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"reward_range": [0.0]},
        {"reward_range": [0.0, 1.0, 2.0]},
        {"reward_range": ["low", 1.0]},
        {"reward_range": [1.0, 0.0]},
        {"reward_range": None},
        {"max_episode_steps": 0},
        {"max_episode_steps": "many"},
        {"action_space": {}},
    ],
    ids=str,
)
def test_damaged_json_is_an_input_error(change):
    with pytest.raises(InputError):
        EnvSpec.from_json(SPEC.to_json() | change)


@pytest.mark.parametrize("content", [None, [], "spec", {"env_id": "Toy-v0"}])
def test_json_of_something_else_is_an_input_error(content):
    with pytest.raises(InputError, match="expected the JSON of an environment spec"):
        EnvSpec.from_json(content)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward_range": (1.0, 0.0)}, "low <= high"),
        ({"reward_range": (0.0, math.nan)}, "low <= high"),
        ({"max_episode_steps": 0}, "max_episode_steps of at least 1 or None, got 0"),
    ],
)
def test_a_spec_checks_itself(settings, message):
    with pytest.raises(InputError, match=message):
        EnvSpec("Toy-v0", OBSERVATION, ACTION, **settings)


def test_the_limit_and_the_reward_range_may_differ():
    SPEC.require_same(EnvSpec("Toy-v0", OBSERVATION, ACTION), "the model", "the log")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (EnvSpec("Toy-v1", OBSERVATION, ACTION), "the model and the log disagree on env_id: Toy-v0 against Toy-v1"),
        (
            EnvSpec("Toy-v0", OBSERVATION, spaces.Discrete(3)),
            "the model and the log disagree on action_space: Discrete(2) against Discrete(3)",
        ),
        (
            EnvSpec("Toy-v0", spaces.Box(-2, 1, (2,), np.float32), ACTION),
            "the model and the log disagree on observation_space: "
            "Box(-1.0, 1.0, (2,), float32) against Box(-2.0, 1.0, (2,), float32)",
        ),
    ],
)
def test_a_disagreement_shows_both_sides(other, message):
    with pytest.raises(InputError) as raised:
        SPEC.require_same(other, "the model", "the log")
    assert str(raised.value) == message


def test_the_spec_of_a_real_environment():
    spec = spec_of("CartPole-v1")
    assert (spec.env_id, spec.action_space, spec.max_episode_steps) == ("CartPole-v1", spaces.Discrete(2), 500)
    assert spec.observation_space.shape == (4,)


@pytest.mark.parametrize(("env_id", "near"), [("CartPole-v7", "'CartPole-v1'"), ("Pendulum", "'Pendulum-v1'")])
def test_an_unknown_id_comes_with_near_ones(env_id, near):
    for make in (make_real, spec_of):
        with pytest.raises(InputError, match=f"unknown environment id '{env_id}'; did you mean .*{near}"):
            make(env_id)


def test_an_id_whose_module_is_missing_is_told():
    with pytest.raises(InputError, match="'no_such_module:Toy-v0' cannot be made here"):
        make_real("no_such_module:Toy-v0")


@pytest.mark.parametrize(
    "env_id", ["simulacra/WorldModel-v0", "simulacra/Synthetic-v0", "simulacra_gymnasium:simulacra/X"]
)
def test_a_stand_in_is_no_real_environment(env_id):
    for make in (make_real, spec_of):
        with pytest.raises(InputError, match=f"^expected a real environment, got '{env_id}', which makes stand-ins$"):
            make(env_id)


def test_settings_that_an_environment_does_not_take_are_told():
    with pytest.raises(InputError, match=r"'CartPole-v1' cannot be made here: .*unexpected keyword argument 'gravity'"):
        make_real("CartPole-v1", gravity=1)


def test_settings_reach_the_environment():
    env = make_real("CartPole-v1", max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(t % 2)[3] for t in range(3)] == [False, False, True]
    env.close()
