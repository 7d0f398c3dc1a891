"""Ready-made synthetic environments: ``gymnasium.make("simulacra/CartPole-bandit-v1")`` after a bare install.

Each is a folder beside this file: an artifact, and ``card.json``, which says how it came about and what agents trained
in it reach on the real environment. `experiments.zoo_recipes` makes them anew from their seeds.
"""

from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode

from envs.errors import unknown_name
from envs.files import read_json
from envs.functional_gym import FunctionalGymEnv, FunctionalVectorEnv
from envs.spec import STAND_INS
from synthetic_envs import gym

NAMES = (
    "Acrobot-bandit-v1",
    "Acrobot-mdp-v1",
    "CartPole-bandit-v1",
    "CartPole-mdp-v1",
    "InvertedPendulum-bandit-v1",
    "MountainCar-bandit-v1",
    "MountainCar-reward-v1",
    "MountainCarContinuous-bandit-v1",
    "Pendulum-bandit-v1",
)
"""Their ids in Gymnasium are ``simulacra/<name>``."""
CARD = "card.json"


def zoo_folder(name: str) -> Path:
    """Returns the artifact's folder; raises `InputError` with the nearest names."""
    if name not in NAMES:
        raise unknown_name("environment of the zoo", name, NAMES)
    return Path(__file__).parent / name


def folder_named(name: str | Path) -> Path:
    """Returns the folder of a synthetic environment: the zoo's by its id ``simulacra/<name>``, else ``name`` itself."""
    return zoo_folder(str(name).removeprefix(STAND_INS)) if str(name).startswith(STAND_INS) else Path(name)


def read_card(name: str) -> dict[str, Any]:
    """Returns the card of an environment."""
    card: dict[str, Any] = read_json(zoo_folder(name) / CARD)
    return card


def make_env(name: str) -> FunctionalGymEnv:
    """Returns an environment of the zoo as a `gymnasium.Env`."""
    return gym.make_env(zoo_folder(name))


def make_vector_env(
    name: str, num_envs: int = 1, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP
) -> FunctionalVectorEnv:
    """Returns ``num_envs`` copies of it as one `VectorEnv`."""
    return gym.make_vector_env(zoo_folder(name), num_envs, autoreset_mode)
