"""What the tests of experiments share: a shelf of small artifacts, made without training, and the parts of a report."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

ENV_ID = "CartPole-v1"


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Path:
    """Folders ``log``, ``model``, ``bandit``, ``mdp``, ``reward-network``, ``policy``. Tests copy what they damage."""
    import jax

    from agents.agent_policy import AgentPolicy, save_policy
    from agents.configs import PPOConfig
    from agents.networks.actor_critic import make_actor_critic
    from envs.policy import RandomPolicy
    from envs.record import record
    from envs.spec import spec_of
    from experiments.fit import fit_world_model
    from synthetic_envs.bandit import Bandit
    from synthetic_envs.configs import BanditConfig, MDPConfig, RewardNetworkConfig
    from synthetic_envs.saving import save_synthetic
    from synthetic_envs.synthetic_env import make_synthetic
    from worldmodels.configs import EnsembleConfig, FitConfig

    path, spec = tmp_path_factory.mktemp("shelf"), spec_of(ENV_ID)
    log = record(RandomPolicy(spec), ENV_ID, 400, 0, path / "log")
    ensemble = EnsembleConfig(num_members=2, hidden=(8,), termination_hidden=(8,))
    fit_world_model(log, path / "model", ensemble, FitConfig(num_updates=2), progress=None)
    bandit = Bandit(spec, BanditConfig(state_hidden=(4,), reward_hidden=(4,)))
    save_synthetic(path / "bandit", bandit, bandit.init_params(jax.random.key(0)), {"seed": 0})
    for synthetic in (MDPConfig(hidden=(4,), max_steps=20), RewardNetworkConfig(hidden=(4,))):
        env = make_synthetic(spec, synthetic)
        save_synthetic(path / env.family, env, env.init_params(jax.random.key(0)), {"seed": 0})
    config = PPOConfig(hidden=(8,))
    params = make_actor_critic(spec, config).init(jax.random.key(0))
    save_policy(path / "policy", AgentPolicy(spec, config, params), {"seed": 0, "trained_on": ENV_ID})
    return path


def made_up_curve(*values: float | None) -> dict[str, Any]:
    ends = [[None if value is None else factor * value for value in values] for factor in (0.9, 1.1)]
    return {"value": list(values), "low": ends[0], "high": ends[1]}


@pytest.fixture(scope="session")
def card() -> dict[str, Any]:
    """A quality card, small and made up: 2 dimensions, horizon 2; the reward never changes, linear diverged."""
    levels = [round(0.05 * i, 2) for i in range(1, 20)]
    surprise = {"model": -2.5, "no_change": 1.42, "linear": 0.5, "nearest": -1.0}
    covered = {name: {"levels": levels, "pooled": made_up_curve(*levels), "numbers": [levels, levels, None]}
               for name in surprise}  # fmt: skip
    none_ended = {
        "num_terminated": 2,
        "num_predicted": 0,
        "accuracy": 0.98,
        "precision": None,
        "recall": 0.0,
        "f1": 0.0,
    }
    kinds = ("epistemic", "aleatoric", "total")
    policies = [
        {"name": f"policy {i}", "imagined": 10.0 * i + 3, "imagined_error": 1.0, "real": 12.0 * i, "real_error": 2.0}
        for i in (9, 5, 1)
    ]
    return {
        "card_version": 1,
        "environment": ENV_ID,
        "family": "ensemble",
        "log": {"sha256": "0" * 64, "num_steps": 2000, "num_episodes": 90},
        "warnings": ["dimension 1 of the observation is constant in the log: predicted to stay so"],
        "num_episodes": 9,
        "num_steps": 200,
        "num_rows": 200,
        "num_starts": [200, 191],
        "unit": "standard deviations",
        "open_loop": {
            "model": made_up_curve(0.01, 0.1),
            "no_change": made_up_curve(0.4, 0.8),
            "linear": made_up_curve(0.2, None),
            "nearest": made_up_curve(0.3, 0.5),
        },
        "surprise": {name: {"value": value, "low": value - 1, "high": value + 1} for name, value in surprise.items()},
        "coverage": covered,
        "reliability": {},
        "reward_error": dict.fromkeys(surprise, 0.25),
        "reward_spread": 1.5,
        "termination": dict.fromkeys(surprise, none_ended),
        "termination_in_log": True,
        "uncertainty": {
            "one_step": {"epistemic": 0.8, "aleatoric": -0.2, "total": None},
            "accumulated": {kind: [0.5, None] for kind in kinds},
            "bins": {"epistemic": {"uncertainty": [0.1, 0.3], "error": [0.2, 0.4]}, "aleatoric": None, "total": None},
        },
        "ranking": {"policies": policies, "num_episodes": 4, "spearman": 1.0, "gap": -15.0, "gap_low": -20.0,
                    "gap_high": -11.0},
    }  # fmt: skip


@pytest.fixture(scope="session")
def discrete_card(card) -> dict[str, Any]:
    """The same of a model of Discrete observations."""
    told = {
        "confidence": [None, 0.55, 0.95],
        "accuracy": [None, 0.5, 1.0],
        "counts": [0, 20, 180],
        "expected_error": 0.05,
        "brier": 0.125,
    }
    names = {"model": "model", "no_change": "no_change", "nearest": "most_frequent"}
    by_name = ("open_loop", "surprise", "reward_error", "termination")
    content = {**card, **{key: {new: card[key][old] for old, new in names.items()} for key in by_name}}
    reliability = dict.fromkeys(names.values(), told)
    return {**content, "unit": "share of wrong states", "coverage": {}, "reliability": reliability}


@pytest.fixture(scope="session")
def views() -> dict[str, Any]:
    """What the pictures of the made-up model are drawn from; its last imagined step diverged."""
    rng = np.random.default_rng(0)
    path = rng.normal(size=(5, 2))
    imagined, low, high = ((path + off).tolist() for off in (0.1, -0.5, 0.5))
    for column in (imagined, low, high):
        column[-1] = [None, None]
    steps = np.column_stack((rng.normal(size=(6, 2)), np.ones(6)))
    return {
        "step": {"real": steps.tolist(), "predicted": [*steps[:5].tolist(), [None, 0.0, 1.0]]},
        "trajectory": {"seen": 0, "real": path.tolist(), "imagined": imagined, "low": low, "high": high},
    }


@pytest.fixture(scope="session")
def made_up_spec():
    from gymnasium import spaces

    from envs.spec import EnvSpec

    return EnvSpec("MadeUp-v0", spaces.Box(-9, 9, (2,), np.float32), spaces.Discrete(2), 50)


@pytest.fixture(scope="session")
def parts(card, views, made_up_spec) -> dict[str, Any]:
    """What a study hands to its report, small and made up: 2 dimensions, 2 seeds."""
    rng = np.random.default_rng(1)
    training = {"steps": [256, 512], "returns": [[20.0, None], [30.0, 40.0]], "measured_on": "real dynamics"}
    return {
        "logs": {"num_steps": 2000, "num_episodes": 90, "mean_return": 22.2},
        "quality": card,
        "views": views,
        "spec": made_up_spec.to_json(),
        "evolution": {
            **{key: [10.0, 20.0, 30.0] for key in ("fitness_mean", "fitness_best", "check_mean", "check_worst")},
            "stages": [2, 1],
            "real_steps": 12_345,
            "seconds": 6.7,
        },
        "bandit_rewards": {
            "axes": [0, 1],
            "x": [-1.0, 0.0, 1.0],
            "y": [-2.0, 2.0],
            "advantage": [[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]],
            "contexts": rng.normal(size=(50, 2)).tolist(),
            "real": rng.normal(size=(50, 2)).tolist(),
        },
        "curves": {"PPO on real": training, "PPO on bandit": training},
        "names": ["angle <rad>", "velocity & such"],
    }
