import gymnasium
import numpy as np
from gymnasium import spaces

from envs.spec import EnvSpec, spec_of
from experiments.observation_names import _NAMES, observation_names


def test_names_fit_the_environments() -> None:
    for env_id, names in _NAMES.items():
        if env_id in gymnasium.registry and "Inverted" not in env_id:  # MuJoCo may not be installed
            assert observation_names(spec_of(env_id)) == names


def test_others_are_counted() -> None:
    box = spaces.Box(-1, 1, (2,), np.float32)
    assert observation_names(EnvSpec("Other-v0", box, spaces.Discrete(2))) == ("observation 0", "observation 1")
    assert observation_names(EnvSpec("CartPole-v1", box, spaces.Discrete(2))) == ("observation 0", "observation 1")
    assert observation_names(EnvSpec("Other-v0", spaces.Discrete(9), spaces.Discrete(2))) == ("state",)
