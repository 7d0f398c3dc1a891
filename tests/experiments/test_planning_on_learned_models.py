"""Planning on models of 10,000 logged steps, judged on the real environments, with the settings of docs/algorithms.md.

Interquartile means over episodes: a model may be wrong about a few starts, and which these are differs by rounding.
"""

from pathlib import Path

import pytest

from envs.evaluate import evaluate
from envs.record import record
from envs.spec import spec_of
from envs.threads import torch_threads
from envs.world_model import WorldModel
from experiments.behaviours import make_behaviour
from experiments.statistics import interquartile_mean
from planners.configs import CEMConfig, ICEMConfig, MCTSConfig, MPPIConfig, PlannerConfig
from planners.planner_policy import PlannerPolicy, make_planner
from worldmodels.configs import EnsembleConfig
from worldmodels.training.fit import fit_model


def learned(env_id: str, folder: Path) -> WorldModel:
    log = record(make_behaviour("mixed", spec_of(env_id)), env_id, 10_000, 0, folder / "log")
    with torch_threads(1):
        return fit_model(log, EnsembleConfig(), progress=None)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, WorldModel]:
    return {env_id: learned(env_id, tmp_path_factory.mktemp(env_id)) for env_id in ("CartPole-v1", "Pendulum-v1")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "config", "asked"),
    [
        ("CartPole-v1", MCTSConfig(num_simulations=6), 475),
        ("CartPole-v1", CEMConfig(), 475),
        ("Pendulum-v1", ICEMConfig(hold=2, iterations=3), -200),
        ("Pendulum-v1", MPPIConfig(horizon=30, hold=2, noise_exponent=2.0), -200),
    ],
    ids=["MCTS", "CEM", "iCEM", "MPPI"],
)
def test_what_was_learned_is_enough_to_plan_on(
    models: dict[str, WorldModel], env_id: str, config: PlannerConfig, asked: float
) -> None:
    with torch_threads(1):
        found = evaluate(PlannerPolicy(models[env_id], make_planner(config)), env_id, 12, seed=1)
    assert interquartile_mean(found.returns) >= asked
