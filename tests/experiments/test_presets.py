"""Presets are complete configurations, by name."""

import json
from dataclasses import asdict

import pytest

from envs.errors import InputError
from envs.mlp import ACTIVATIONS
from envs.spec import spec_of
from experiments.configs import TransferConfig
from experiments.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fits_its_environment(name):
    config = preset(name)
    size = spec_of(config.env_id).observation_space.shape[0]
    assert len(config.observation_names) == size
    assert all(0 <= axis < size for axis in config.bandit_axes)
    assert config.ppo.activation in ACTIVATIONS
    json.dumps(asdict(config), allow_nan=False)


def test_the_first_preset_is_the_promised_study():
    config = preset("cartpole")
    assert (config.env_id, config.log_steps, config.num_seeds, config.num_episodes) == ("CartPole-v1", 10_000, 5, 20)
    assert config.ensemble.num_members == 5


def test_an_unknown_preset_is_told_with_the_nearest():
    with pytest.raises(InputError, match="unknown preset 'cartpoel'; did you mean 'cartpole'"):
        preset("cartpoel")


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("log_steps", 0, "log_steps of at least 1, got 0"),
        ("num_seeds", -1, "num_seeds of at least 1, got -1"),
        ("num_episodes", 0, "num_episodes of at least 1, got 0"),
        ("evolution_episodes", 0, "evolution_episodes of at least 1, got 0"),
        ("seed", -1, "the study's seed from 0 to 4294967291, got -1"),
        ("seed", 2**32 - 1, "the study's seed from 0 to 4294967291, got 4294967295"),
    ],
)
def test_a_study_refuses_what_makes_no_sense(setting, value, told):
    with pytest.raises(InputError, match=told):
        TransferConfig(**{setting: value})
