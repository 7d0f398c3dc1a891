"""A bandit that is quick to compile, and its artifact."""

from pathlib import Path

import jax
import pytest

from envs.spec import spec_of
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig
from synthetic_envs.saving import save_synthetic

CONFIG = BanditConfig(state_hidden=(8,), reward_hidden=(8, 4))


@pytest.fixture(scope="session", params=["MountainCar-v0", "MountainCarContinuous-v0"])
def bandit(request: pytest.FixtureRequest) -> Bandit:
    """For an environment of two finite observation dimensions, with 3 actions or with a continuous one."""
    return Bandit(spec_of(request.param), CONFIG)


@pytest.fixture
def saved(bandit: Bandit, tmp_path: Path) -> Path:
    """The artifact of the bandit with the weights of key 7."""
    save_synthetic(tmp_path / "bandit", bandit, bandit.init_params(jax.random.key(7)), {"seed": 7})
    return tmp_path / "bandit"
