"""What the tests of experiments share: a shelf of small artifacts, made without training, and the parts of a report."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

ENV_ID = "CartPole-v1"


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Path:
    """A folder with ``log``, ``model``, ``bandit`` and ``policy``. Tests copy what they damage."""
    import jax

    from agents.actor_critic import make_actor_critic
    from agents.agent_policy import AgentPolicy, save_policy
    from agents.configs import PPOConfig
    from envs.policy import RandomPolicy
    from envs.record import record
    from envs.spec import spec_of
    from experiments.fit import fit_world_model
    from synthetic_envs.bandit import Bandit
    from synthetic_envs.configs import BanditConfig
    from synthetic_envs.saving import save_synthetic
    from worldmodels.configs import EnsembleConfig, FitConfig

    path, spec = tmp_path_factory.mktemp("shelf"), spec_of(ENV_ID)
    log = record(RandomPolicy(spec), ENV_ID, 400, 0, path / "log")
    ensemble = EnsembleConfig(num_members=2, hidden=(8,), termination_hidden=(8,))
    fit_world_model(log, path / "model", ensemble, FitConfig(num_updates=2), progress=None)
    bandit = Bandit(spec, BanditConfig(state_hidden=(4,), reward_hidden=(4,)))
    save_synthetic(path / "bandit", bandit, bandit.init_params(jax.random.key(0)), {"seed": 0})
    config = PPOConfig(hidden=(8,))
    params = make_actor_critic(spec, config).init(jax.random.key(0))
    save_policy(path / "policy", AgentPolicy(spec, config, params), {"seed": 0, "trained_on": ENV_ID})
    return path


@pytest.fixture(scope="session")
def parts() -> dict[str, Any]:
    """What a study hands to its report, small and made up: 2 dimensions, 3 members, 2 seeds."""
    rng = np.random.default_rng(0)
    curve = {"error": [0.01, 0.1], "low": [0.009, 0.08], "high": [0.011, 0.12]}
    still = {"error": [0.4, 0.8], "low": [0.3, 0.7], "high": [0.5, 0.9]}
    ends = {"num_terminated": 2, "num_predicted": 0, "accuracy": 0.98, "precision": None, "recall": 0.0}
    training = {"steps": [256, 512], "returns": [[20.0, None], [30.0, 40.0]], "measured_on": "real dynamics"}
    return {
        "logs": {"num_steps": 2000, "num_episodes": 90, "mean_return": 22.2},
        "quality": {"num_episodes": 9, "num_steps": 200, "model": curve, "no_change": still, "termination": ends},
        "trajectory": {
            "real": rng.normal(size=(5, 2)).tolist(),
            "imagined": rng.normal(size=(5, 2)).tolist(),
            "members": rng.normal(size=(3, 5, 2)).tolist(),
        },
        "evolution": {
            **{key: [10.0, 20.0, 30.0] for key in ("fitness_mean", "fitness_best", "check_mean", "check_worst")},
            "real_steps": 12_345,
            "seconds": 6.7,
        },
        "bandit_rewards": {
            "axes": [0, 1],
            "x": [-1.0, 0.0, 1.0],
            "y": [-2.0, 2.0],
            "advantage": [[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]],
            "contexts": rng.normal(size=(10, 2)).tolist(),
            "real": rng.normal(size=(10, 2)).tolist(),
        },
        "curves": {"PPO on real": training, "PPO on bandit": training},
        "names": ["angle <rad>", "velocity & such"],
    }
