"""A small trained model of every family, saved, and rules for models with known answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from envs.world_model import WorldModel
from worldmodels.configs import (
    CategoricalConfig,
    EnsembleConfig,
    FactoredConfig,
    FitConfig,
    MLPConfig,
    RecurrentConfig,
)
from worldmodels.gym.rules import EpisodeRules
from worldmodels.gym.start_sources import PointStarts
from worldmodels.saving import save_model
from worldmodels.training.fit import fit_model

BOX = spaces.Box(-2, 2, (3,), np.float32)
TWO, FORCE = spaces.Discrete(2), spaces.Box(-1, 1, (2,), np.float32)
SMALL = {"hidden": (8,), "termination_hidden": (8,)}

FAMILY_CASES: dict[str, tuple[Any, spaces.Space, spaces.Space]] = {
    "ensemble": (EnsembleConfig(num_members=2, propagation="ts1", **SMALL), BOX, TWO),
    "ensemble tsinf": (EnsembleConfig(num_members=2, propagation="tsinf", **SMALL), BOX, FORCE),
    "ensemble shifted": (EnsembleConfig(num_members=2, **SMALL), BOX, spaces.Discrete(2, start=3)),
    "mlp": (MLPConfig(**SMALL), BOX, FORCE),
    "factored": (FactoredConfig(reward_hidden=(8,), **SMALL), BOX, TWO),
    "categorical": (CategoricalConfig(num_members=2, reward_hidden=(8,), **SMALL), spaces.Discrete(6), TWO),
    "categorical shifted": (
        CategoricalConfig(num_members=2, reward_hidden=(8,), **SMALL),
        spaces.Discrete(6, start=2),
        spaces.Discrete(2, start=3),
    ),
    "recurrent": (RecurrentConfig("gru", memory_size=8, window=6, burn_in=2, **SMALL), BOX, TWO),
    "recurrent lstm": (
        RecurrentConfig("lstm", memory_size=8, num_components=2, window=6, burn_in=2, **SMALL),
        BOX,
        FORCE,
    ),
}


@pytest.fixture(scope="session")
def covered_families() -> set[str]:
    return {name.split()[0] for name in FAMILY_CASES}


@pytest.fixture(scope="session", params=FAMILY_CASES)
def family_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where a model of each family is saved, one after the other."""
    config, observations, actions = FAMILY_CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param.replace(" ", "-"))
    log = random_log(EnvSpec("Toy-v0", observations, actions, max_episode_steps=12), folder / "log")
    fit = FitConfig(num_updates=10, validate_every=5, batch_size=32)
    save_model(fit_model(log, config, fit, progress=None), folder / "model")
    return str(folder / "model")


def random_log(spec: EnvSpec, path: Any) -> Log:
    """20 episodes of at most 12 steps whose observations and actions are random; a third of them is terminated."""
    random = np.random.default_rng(0)
    spec.observation_space.seed(0)
    spec.action_space.seed(0)
    with LogWriter(path, spec, {"kind": "test"}) as writer:
        for episode in range(20):
            length = int(random.integers(5, 13))
            observations = np.stack([np.asarray(spec.observation_space.sample()) for _ in range(length + 1)])
            actions = np.stack([np.asarray(spec.action_space.sample()) for _ in range(length)])
            terminated = episode % 3 == 0
            rewards = random.normal(size=length).astype(np.float32)
            writer.add(Episode(observations, actions, rewards, terminated, not terminated))
    return open_log(path)


@pytest.fixture
def rules_from() -> Callable[..., EpisodeRules]:
    """Returns a function that makes rules with one start point."""

    def make(model: WorldModel, start: tuple[float, ...] = (0.0, 0.0), horizon: int = 4, **others: Any) -> EpisodeRules:
        points = np.array([start], np.float32)
        return EpisodeRules(PointStarts(points, model.encode(torch.from_numpy(points))), horizon, **others)

    return make
