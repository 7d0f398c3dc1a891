"""Policies by name: a saved one, the random one, or a planner on a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envs.artifact import read_artifact_json
from envs.errors import InputError, unknown_name
from envs.policy import Policy, RandomPolicy
from envs.spec import spec_of
from planners.configs import PlannerConfig

if TYPE_CHECKING:
    from envs.world_model import WorldModel


def is_artifact(name: str) -> bool:
    """Whether ``name`` is a path rather than a name: such a folder exists, or it has a slash."""
    return Path(name).exists() or "/" in name


def open_policy(
    name: str,
    env_id: str | None = None,
    planners: Mapping[str, PlannerConfig] | None = None,
    model: Path | None = None,
    stochastic: bool = False,
) -> Policy:
    """Returns a policy.

    Args:
        name: folder of a saved policy, ``random``, or a key of ``planners``.
        env_id: real environment; needed but for saved policies.
        planners: settings of the planners that can be named.
        model: world model or synthetic MDP that a planner plans on; None for the real simulator.
        stochastic: a saved policy samples its actions.

    Raises:
        InputError: an unknown name, a model given to a policy that does not plan or of another environment, or
            sampling asked of what is no saved policy.
    """
    planners = planners or {}
    if stochastic and (name in planners or name == "random"):
        raise InputError(f"expected a saved policy to be sampled from, got {name!r}")
    if name in planners:
        return _planner(env_id or "", planners[name], model)
    if model is not None:
        raise InputError(f"expected a planner ({', '.join(planners)}) to go with a model, got the policy {name!r}")
    if name == "random" and env_id is not None:
        return RandomPolicy(spec_of(env_id))
    if not is_artifact(name):
        raise unknown_name("policy", name, ["random", *planners])
    from agents.agent_policy import load_policy

    return load_policy(name, stochastic)


def _planner(env_id: str, config: PlannerConfig, model: Path | None) -> Policy:
    from planners.planner_policy import PlannerPolicy, make_planner

    if model is None:
        from planners.simulator import SimulatorModel

        return PlannerPolicy(SimulatorModel(env_id), make_planner(config))
    loaded = _model_at(model)
    spec_of(env_id).require_same(loaded.spec, "the environment", "the world model")
    return PlannerPolicy(loaded, make_planner(config))


def _model_at(path: Path) -> "WorldModel":
    if read_artifact_json(path)["kind"] == "synthetic_env":
        from experiments.synthetic_model import load_synthetic_model

        return load_synthetic_model(path)
    from worldmodels.saving import load_model

    return load_model(path)
