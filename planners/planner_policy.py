"""Planning as a policy: a model and a planner act on real observations.

Shape legend: ``B`` rows, each one episode; ``A`` the action's shape.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from envs.errors import InputError
from envs.world_model import ModelState, WorldModel
from planners.cem import cem
from planners.configs import (
    PLANNERS,
    CEMConfig,
    GradientConfig,
    ICEMConfig,
    MCTSConfig,
    MPPIConfig,
    PlannerConfig,
    RandomShootingConfig,
)
from planners.draws import Randomness, RowStreams, shared_generator
from planners.gradient import gradient
from planners.icem import icem
from planners.mcts import EvaluateFn, mcts
from planners.mppi import mppi
from planners.plan import Plan, Planner, ValueFn, WarmStart
from planners.random_shooting import random_shooting


def planner_name(config: PlannerConfig) -> str:
    """Returns the key of `planners.configs.PLANNERS` whose settings ``config`` are."""
    return next(name for name, settings in PLANNERS.items() if settings is type(config))


def make_planner(
    config: PlannerConfig, value_fn: ValueFn | None = None, evaluate_fn: EvaluateFn | None = None
) -> Planner:
    """Binds the settings of a planner.

    Args:
        config: settings; their class says which planner.
        value_fn: value at the horizon, for all but MCTS.
        evaluate_fn: prior and value of leaves, for MCTS.

    Raises:
        InputError: a function that this planner does not take.
    """
    searches = isinstance(config, MCTSConfig)
    if (searches and value_fn is not None) or (not searches and evaluate_fn is not None):
        raise InputError("expected evaluate_fn for MCTS only, and value_fn for trajectory planners only, got the other")

    def plan(model: WorldModel, state: ModelState, generator: Randomness, warm_start: WarmStart | None) -> Plan:
        if isinstance(config, MCTSConfig):
            kept = warm_start if isinstance(warm_start, dict) else None
            return mcts(model, state, config, shared_generator(generator), evaluate_fn, warm_start=kept)
        assert not isinstance(warm_start, dict)
        match config:
            case RandomShootingConfig():
                return random_shooting(model, state, config, generator, warm_start, value_fn)
            case CEMConfig():
                return cem(model, state, config, generator, warm_start, value_fn)
            case ICEMConfig():
                return icem(model, state, config, generator, warm_start, value_fn)
            case MPPIConfig():
                return mppi(model, state, config, generator, warm_start, value_fn)
            case GradientConfig():
                return gradient(model, state, config, generator, warm_start, value_fn)

    return plan


@dataclass
class PlanningCost:
    """What planning has cost so far.

    Attributes:
        decisions: actions chosen, each row of a batch counted.
        seconds: wall time of choosing them.
        batches: calls of `PlannerPolicy.act`.
        model_calls: how often the model was asked to step a batch.
    """

    decisions: int = 0
    seconds: float = 0.0
    batches: int = 0
    model_calls: int = 0

    def told(self) -> str:
        """Returns the means in words, for one decision and for one batch of them."""
        milliseconds = 1000 * self.seconds / max(1, self.decisions)
        calls, rows = (number / max(1, self.batches) for number in (self.model_calls, self.decisions))
        return f"{milliseconds:.2f} ms a decision, {calls:.0f} model calls for {rows:.1f} decisions at once"


class PlannerPolicy:
    """An `envs.policy.Policy` that plans at every step on a model's state, which it updates with every observation.

    Its state is ``{"seed": [B], "step": [B], "model": ModelState, "action": [B, *A], "warm_start": [B, ...]}``, of
    which the last three are None before the first step. The policy object itself remembers only what it has cost.

    Trajectory planners draw a row's sequences from a generator of its own, seeded from the row's seed and step, so that
    a row plans as it would alone, up to rounding. What the model draws, and all that MCTS draws, is for all rows at
    once: there the first row's seed and step decide. The same seed and rows give the same actions, bit for bit.

    Attributes:
        model: what it plans on.
        cost: time and model calls of all decisions so far.
    """

    def __init__(self, model: WorldModel, planner: Planner):
        self.spec = model.spec
        self.model = model
        self._planner = planner
        self.cost = PlanningCost()

    def initial_state(self, num_rows: int, seed: int) -> dict[str, Any]:
        """Returns the state at the start of ``num_rows`` episodes: nothing is kept from earlier ones."""
        seeds = np.random.SeedSequence(seed).generate_state(num_rows)
        return {
            "seed": seeds.astype(np.int64),
            "step": np.zeros(num_rows, np.int64),
            "model": None,
            "action": None,
            "warm_start": None,
        }

    @torch.no_grad()
    def act(self, observations: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """Plans for ``observations`` ``[B, *O]`` and returns the actions in the action space's dtype."""
        model, started = self.model, time.perf_counter()
        seen = torch.as_tensor(np.require(observations, requirements="W"), device=model.device)
        model_state = model.encode(seen, state["model"], state["action"])
        keys = np.stack([state["seed"], state["step"]], axis=1).tolist()
        plan = self._planner(model, model_state, RowStreams(keys, model.device), state["warm_start"])
        after = {
            "seed": state["seed"],
            "step": state["step"] + 1,
            "model": model_state,
            "action": plan.action,
            "warm_start": plan.warm_start,
        }
        actions = plan.action.cpu().numpy().astype(self.spec.action_space.dtype, copy=False)
        self._note(len(actions), time.perf_counter() - started, plan.model_calls)
        return actions, after

    def _note(self, decisions: int, seconds: float, model_calls: int) -> None:
        cost = self.cost
        cost.decisions, cost.seconds = cost.decisions + decisions, cost.seconds + seconds
        cost.batches, cost.model_calls = cost.batches + 1, cost.model_calls + model_calls
