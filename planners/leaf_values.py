"""What the leaves of a search are worth: by rollouts, which need no network, or by functions of the caller's.

Shape legend: ``B`` leaves, ``A`` number of actions (of a Box: drawn at each node), ``N`` rollouts a leaf.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.world_model import ModelState, WorldModel, repeat_state
from planners.action_spaces import draw_actions, num_actions
from planners.configs import MCTSConfig
from planners.model_faces import MaskedModel
from planners.trajectory import draw_sequences, imagine_returns

EvaluateFn = Callable[[ModelState], tuple[Tensor, Tensor]]
"""Turns states ``[B, ...]`` into logits ``[B, A]`` of a prior over the actions, -inf for those that are not allowed,
and their values ``[B]``."""

ProposeFn = Callable[[ModelState, int, torch.Generator | None], tuple[Tensor, Tensor, Tensor]]
"""Turns states ``[B, ...]`` and a number into so many actions ``[B, A, *action]`` of a Box that are worth considering,
inside its bounds, the logits ``[B, A]`` of a prior over them, and the states' values ``[B]``.

Sampled MuZero (Hubert et al. 2021): for actions drawn from a proposal beta and a policy pi, the logits are
log pi - log beta; 0 for actions drawn from the policy itself."""


@dataclass(frozen=True)
class Evaluated:
    """What is known of leaves.

    Attributes:
        logits: ``[B, A]`` float64 of a prior over the actions, -inf where one is not allowed.
        value: ``[B]`` float64.
        is_last: True ``[B]`` where the search ends.
        actions: ``[B, A, *action]`` of a Box; None for Discrete actions.
    """

    logits: np.ndarray
    value: np.ndarray
    is_last: np.ndarray
    actions: Tensor | None = None


class Evaluation(Protocol):
    """Evaluates states ``[B, ...]`` that lie so many steps ``[B]`` from the root."""

    def __call__(self, state: ModelState, depth: np.ndarray) -> Evaluated: ...


def make_evaluation(
    model: WorldModel,
    config: MCTSConfig,
    generator: torch.Generator | None,
    mask: MaskedModel | None,
    evaluate_fn: EvaluateFn | None,
    propose_fn: ProposeFn | None,
) -> Evaluation:
    """Returns the evaluation by the function that is given, or by rollouts."""
    if evaluate_fn is not None:
        return _own(evaluate_fn, mask)
    if propose_fn is not None:
        return _proposed(propose_fn, config, generator)
    return _rollouts(model, config, generator, mask)


def _own(evaluate_fn: EvaluateFn, mask: MaskedModel | None) -> Evaluation:
    def evaluate(state: ModelState, depth: np.ndarray) -> Evaluated:
        logits, value = evaluate_fn(state)
        known = _any_allowed(to_numpy(logits))
        return Evaluated(_masked(known, state, mask), to_numpy(value), np.zeros(len(depth), bool))

    return evaluate


def _proposed(propose_fn: ProposeFn, config: MCTSConfig, generator: torch.Generator | None) -> Evaluation:
    def evaluate(state: ModelState, depth: np.ndarray) -> Evaluated:
        actions, logits, value = propose_fn(state, config.num_sampled_actions, generator)
        return Evaluated(to_numpy(logits), to_numpy(value), np.zeros(len(depth), bool), actions)

    return evaluate


def _rollouts(
    model: WorldModel, config: MCTSConfig, generator: torch.Generator | None, mask: MaskedModel | None
) -> Evaluation:
    """A uniform prior, and the mean return of rollouts to the horizon.

    Where that is counted from the root, the values of leaves at different depths can be compared. All rollouts of all
    leaves go through the model together. Where ``num_rollouts`` is enough for every distinct sequence of held actions,
    exactly these are imagined, without chance.
    """
    outcomes = generator if config.stochastic_model else None
    box = not isinstance(model.spec.action_space, spaces.Discrete)
    width = config.num_sampled_actions if box else num_actions(model.spec)[0]
    hold = config.rollout_hold if config.discount > 0 else 1  # players who take turns do not hold their actions

    def evaluate(state: ModelState, depth: np.ndarray) -> Evaluated:
        rows, left = len(depth), np.full(len(depth), config.horizon)
        if config.horizon_from == "root":
            left = np.maximum(config.horizon - depth, 0)
        value = np.zeros(rows)
        if left.any():
            lengths = torch.from_numpy(left).to(model.device)
            if mask is None:
                sizes = (rows, config.num_rollouts, int(left.max()))
                actions, _ = draw_sequences(model.spec, sizes, hold, model.device, generator)
                returns = imagine_returns(model, state, actions, config.discount, None, outcomes, lengths)
            else:
                returns = _masked_rollouts(model, mask, state, config, lengths, generator)
            value = to_numpy(returns.mean(dim=1))
        drawn = draw_actions(model.spec, (rows, width), model.device, generator) if box else None
        return Evaluated(_masked(np.zeros((rows, width)), state, mask), value, left == 0, drawn)

    return evaluate


def _masked_rollouts(
    model: WorldModel,
    mask: MaskedModel,
    state: ModelState,
    config: MCTSConfig,
    lengths: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Returns the returns ``[B, N]`` of rollouts that draw every action among those allowed where it is taken."""
    start = num_actions(model.spec)[1]
    state, lasting = repeat_state(state, config.num_rollouts), lengths.repeat_interleave(config.num_rollouts)
    returns = torch.zeros(len(lasting), device=model.device)
    weight = torch.ones_like(returns)
    for t in range(int(lengths.max())):
        weight = torch.where(lasting > t, weight, 0.0)
        if not weight.any():
            break
        valid = mask.valid_actions(state).float()
        valid = torch.where(valid.sum(dim=1, keepdim=True) > 0, valid, 1.0)
        action = torch.multinomial(valid, 1, generator=generator).squeeze(1) + start
        imagined = model.step(state, action, generator if config.stochastic_model else None)
        state, ended = imagined.state, weight == 0
        returns = torch.where(ended, returns, returns + weight * imagined.reward)
        weight = torch.where(ended, weight, weight * imagined.continuation * config.discount)
    return returns.view(-1, config.num_rollouts)


def _masked(logits: np.ndarray, state: ModelState, mask: MaskedModel | None) -> np.ndarray:
    if mask is None:
        return logits
    return _any_allowed(np.where(mask.valid_actions(state).cpu().numpy(), logits, -math.inf))


def _any_allowed(logits: np.ndarray) -> np.ndarray:
    """Returns logits with all actions alike where none was allowed, as at an end."""
    return np.where((logits == -math.inf).all(axis=1, keepdims=True), 0.0, logits)


def to_numpy(values: Tensor) -> np.ndarray:
    """Returns ``values`` as float64 on the host."""
    return values.double().cpu().numpy()
