"""A bandit that is quick to compile, the other kinds of synthetic environments, and their artifacts."""

from pathlib import Path

import jax
import pytest

from envs.spec import spec_of
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, MDPConfig, RewardNetworkConfig, SyntheticConfig, TargetBanditConfig
from synthetic_envs.saving import save_synthetic
from synthetic_envs.synthetic_env import SyntheticEnv, make_synthetic

CONFIG = BanditConfig(state_hidden=(8,), reward_hidden=(8, 4))
KINDS: dict[str, tuple[str, SyntheticConfig]] = {
    "target bandit": ("MountainCarContinuous-v0", TargetBanditConfig((8,), (8, 4))),
    "mdp": ("MountainCar-v0", MDPConfig(hidden=(8,))),
    "mdp with learned starts": (
        "MountainCarContinuous-v0",
        MDPConfig((8, 4), "prelu", "change", "learned", (8,), max_steps=5),
    ),
    "potential": ("MountainCarContinuous-v0", RewardNetworkConfig(hidden=(8,))),
    "free": ("MountainCar-v0", RewardNetworkConfig("free", "exclusive", hidden=(8, 4), activation="prelu")),
}


@pytest.fixture(scope="session", params=["MountainCar-v0", "MountainCarContinuous-v0"])
def bandit(request: pytest.FixtureRequest) -> Bandit:
    """For an environment of two finite observation dimensions, with 3 actions or with a continuous one."""
    return Bandit(spec_of(request.param), CONFIG)


@pytest.fixture
def saved(bandit: Bandit, tmp_path: Path) -> Path:
    """The artifact of the bandit with the weights of key 7."""
    save_synthetic(tmp_path / "bandit", bandit, bandit.init_params(jax.random.key(7)), {"seed": 7})
    return tmp_path / "bandit"


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> SyntheticEnv:
    """One of `KINDS`, for an environment of two finite observation dimensions."""
    env_id, config = KINDS[request.param]
    return make_synthetic(spec_of(env_id), config)


@pytest.fixture
def saved_kind(kind: SyntheticEnv, tmp_path: Path) -> Path:
    """The artifact of `kind` with the weights of key 7."""
    save_synthetic(tmp_path / "kind", kind, kind.init_params(jax.random.key(7)), {"seed": 7})
    return tmp_path / "kind"
