"""Planning as a policy: a model and a planner act on real observations.

Shape legend: ``B`` rows, each one episode; ``A`` the action's shape.
"""

from typing import Any

import numpy as np
import torch

from envs.errors import InputError
from envs.world_model import ModelState, WorldModel
from planners.cem import cem
from planners.configs import CEMConfig, MCTSConfig, PlannerConfig, RandomShootingConfig
from planners.mcts import EvaluateFn, mcts
from planners.plan import Plan, Planner, ValueFn, WarmStart
from planners.random_shooting import random_shooting


def make_planner(
    config: PlannerConfig, value_fn: ValueFn | None = None, evaluate_fn: EvaluateFn | None = None
) -> Planner:
    """Binds the settings of a planner.

    Args:
        config: settings; their class says which planner.
        value_fn: value at the horizon, for random shooting and CEM.
        evaluate_fn: prior and value of leaves, for MCTS.

    Raises:
        InputError: a function that this planner does not take.
    """
    searches = isinstance(config, MCTSConfig)
    if (searches and value_fn is not None) or (not searches and evaluate_fn is not None):
        raise InputError("expected evaluate_fn for MCTS only, and value_fn for trajectory planners only, got the other")

    def plan(
        model: WorldModel, state: ModelState, generator: torch.Generator | None, warm_start: WarmStart | None
    ) -> Plan:
        if isinstance(config, MCTSConfig):
            kept = warm_start if isinstance(warm_start, dict) else None
            return mcts(model, state, config, generator, evaluate_fn, warm_start=kept)
        assert not isinstance(warm_start, dict)
        match config:
            case RandomShootingConfig():
                return random_shooting(model, state, config, generator, warm_start, value_fn)
            case CEMConfig():
                return cem(model, state, config, generator, warm_start, value_fn)

    return plan


class PlannerPolicy:
    """An `envs.policy.Policy` that plans at every step on a model's state, which it updates with every observation.

    Its state is ``{"seed": [B], "step": [B], "model": ModelState, "action": [B, *A], "warm_start": [B, ...]}``, of
    which the last three are None before the first step. The policy object itself remembers nothing.

    One generator serves all rows of a step, seeded from the first row's seed and the step: the same seed and the same
    rows give the same actions, bit for bit.
    """

    def __init__(self, model: WorldModel, planner: Planner):
        self.spec = model.spec
        self._model = model
        self._planner = planner

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
        model = self._model
        seen = torch.as_tensor(observations, device=model.device)
        model_state = model.encode(seen, state["model"], state["action"])
        words = np.random.SeedSequence([int(state["seed"][0]), int(state["step"][0])]).generate_state(1)
        generator = torch.Generator(model.device).manual_seed(int(words[0]))
        plan = self._planner(model, model_state, generator, state["warm_start"])
        after = {
            "seed": state["seed"],
            "step": state["step"] + 1,
            "model": model_state,
            "action": plan.action,
            "warm_start": plan.warm_start,
        }
        return plan.action.cpu().numpy().astype(self.spec.action_space.dtype, copy=False), after
