"""Policies by name: a saved one, the random one, or a planner on a model."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium

from envs.artifact import read_artifact_json
from envs.errors import InputError, unknown_name
from envs.policy import Policy, RandomPolicy
from envs.spec import make_real, spec_of
from planners.configs import MCTSConfig, PlannerConfig

if TYPE_CHECKING:
    from envs.world_model import WorldModel
    from planners.planner_policy import PlannerPolicy


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


def where_to_act(policy: Policy, env_id: str) -> str | Callable[[], gymnasium.Env]:
    """Returns what `envs.evaluate.evaluate` runs ``policy`` on: ``env_id``, or a function that makes it watched.

    A planner on the real simulator has to see the state of the environment that it acts in where observations do not
    show it.
    """
    planning = _as_planner(policy)
    if planning is None:
        return env_id
    from planners.simulator import SimulatorModel

    model = planning.model
    if isinstance(model, SimulatorModel) and model.needs_watching:
        return lambda: model.watch(make_real(env_id))
    return env_id


def planning_cost(policy: Policy) -> str | None:
    """Returns what the decisions of ``policy`` have cost so far, in words; None where it does not plan."""
    planning = _as_planner(policy)
    return None if planning is None else planning.cost.told()


def _as_planner(policy: Policy) -> "PlannerPolicy | None":
    if "planners.planner_policy" not in sys.modules:  # nobody plans, so nothing of planning is imported
        return None
    from planners.planner_policy import PlannerPolicy

    return policy if isinstance(policy, PlannerPolicy) else None


def _planner(env_id: str, config: PlannerConfig, model: Path | None) -> Policy:
    from planners.action_spaces import require_served
    from planners.planner_policy import PlannerPolicy, make_planner, planner_name

    spec = spec_of(env_id)
    require_served(spec, planner_name(config))
    if model is None:
        return PlannerPolicy(_true_model(env_id), make_planner(config))
    priced = not isinstance(config, MCTSConfig) and config.risk.uncertainty_penalty > 0
    loaded = _model_at(model, priced)
    spec.require_same(loaded.spec, "the environment", "the world model")
    return PlannerPolicy(loaded, make_planner(config))


def _true_model(env_id: str) -> "WorldModel":
    """Returns the exact model of a real environment: its table where it tells one, else the simulator."""
    from planners.simulator import SimulatorModel
    from planners.tabular_model import has_table, toy_text_model

    env = make_real(env_id)
    try:
        told = has_table(env)
    finally:
        env.close()
    return toy_text_model(env_id) if told else SimulatorModel(env_id)


def _model_at(path: Path, epistemic: bool) -> "WorldModel":
    if read_artifact_json(path)["kind"] == "synthetic_env":
        from experiments.synthetic_model import load_synthetic_model

        return load_synthetic_model(path)
    from worldmodels.saved_model import LoadOptions
    from worldmodels.saving import load_model

    return load_model(path, LoadOptions(epistemic=epistemic))
