"""Models and logs small enough to reason about."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from worldmodels.configs import EnsembleConfig
from worldmodels.families.ensemble import Ensemble, EnsembleParts
from worldmodels.families.ensemble_network import EnsembleNetwork
from worldmodels.features import num_action_features
from worldmodels.normaliser import Normaliser, Normalisers
from worldmodels.saved_model import LoadOptions, Trained
from worldmodels.starts import StartPoints, Starts


class CountingModel:
    """Counts up in the first dimension and drifts with the action in the second; everything is known exactly.

    The episode ends where the count reaches 5; the outcome is NaN where the drift reaches 3; the reward is the
    action and the uncertainty a tenth of the absolute drift.
    """

    spec = EnvSpec("Counting-v0", spaces.Box(-10, 10, (2,), np.float32), spaces.Discrete(2), max_episode_steps=4)
    device = torch.device("cpu")

    def encode(
        self,
        observation: torch.Tensor,
        previous: ModelState | None = None,
        action: torch.Tensor | None = None,
    ) -> ModelState:
        return {"observation": observation.clone()}

    def step(
        self,
        state: ModelState,
        action: torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> Imagined:
        drift = 2 * action.float() - 1
        after = state["observation"] + torch.stack((torch.ones_like(drift), drift), dim=1)
        after = torch.where((after[:, 1] >= 3)[:, None], torch.nan, after)
        continuation = (after[:, 0] < 5).float()
        return Imagined({"observation": after}, after, action.float(), continuation, after[:, 1].abs() / 10, 0 * drift)


@pytest.fixture
def counting_model() -> CountingModel:
    return CountingModel()


def make_spec(action_space: spaces.Space, num_dims: int = 3, bound: float = 2.0) -> EnvSpec:
    observations = spaces.Box(-bound, bound, (num_dims,), np.float32)
    return EnvSpec("Toy-v0", observations, action_space, max_episode_steps=50)


@pytest.fixture
def make_untrained() -> Callable[..., Ensemble]:
    """Returns a function that makes an ensemble with random weights and random normalisers."""

    def make(
        spec: EnvSpec, config: EnsembleConfig | None = None, num_starts: int = 20, options: LoadOptions | None = None
    ) -> Ensemble:
        config = config or EnsembleConfig(num_members=3, hidden=(16, 16), termination_hidden=(8,))
        generator = torch.Generator().manual_seed(0)
        network = EnsembleNetwork(spec, config, generator)
        num_dims, num_actions = spec.observation_space.shape[0], num_action_features(spec)

        def normaliser(size: int) -> Normaliser:
            return Normaliser(torch.randn(size, generator=generator) * 0.1, torch.rand(size, generator=generator) + 0.5)

        normalisers = Normalisers(normaliser(num_dims), normaliser(num_actions), normaliser(num_dims + 1))
        dtype = torch.from_numpy(np.empty(0, spec.observation_space.dtype)).dtype
        points = StartPoints((0.3 * torch.rand(num_starts, num_dims, generator=generator)).to(dtype))
        levels = torch.linspace(0, 1, 1001).expand(3, -1)
        trained = Trained(spec, Starts(points, points), torch.ones(num_dims + 1), levels)
        return Ensemble(trained, EnsembleParts(config, network, normalisers), options)

    return make


@pytest.fixture
def toy(make_untrained: Callable[..., Ensemble]) -> Ensemble:
    return make_untrained(make_spec(spaces.Discrete(2)))


@pytest.fixture(scope="session")
def linear_log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """60 episodes of at most 50 steps of a damped rotation that the action pushes, with Gaussian noise of 0.1.

    The reward is the sum of the observation. A third dimension never changes. Passing 1.5 in the first terminates.
    """
    path = tmp_path_factory.mktemp("logs") / "linear"
    box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    spec = EnvSpec("Linear-v0", box, spaces.Box(-1, 1, (1,), np.float32), max_episode_steps=50)
    random = np.random.default_rng(0)
    with LogWriter(path, spec, {"kind": "test"}) as writer:
        for _ in range(60):
            writer.add(_linear_episode(random, 50))
    return open_log(path)


def _linear_episode(random: np.random.Generator, max_steps: int) -> Episode:
    matrix, push = np.array([[0.9, 0.2], [-0.2, 0.9]]), np.array([0.0, 0.5])
    pairs, actions, terminated = [random.normal(size=2) * 0.5], [], False
    while len(actions) < max_steps and not terminated:
        actions.append(random.uniform(-1, 1, size=1))
        pairs.append(matrix @ pairs[-1] + actions[-1] * push + 0.1 * random.normal(size=2))
        terminated = bool(pairs[-1][0] > 1.5)
    observations = np.concatenate((np.stack(pairs), np.full((len(pairs), 1), 7.0)), axis=1).astype(np.float32)
    rewards = np.stack(pairs)[:-1].sum(1).astype(np.float32)
    return Episode(observations, np.stack(actions).astype(np.float32), rewards, terminated, not terminated)
