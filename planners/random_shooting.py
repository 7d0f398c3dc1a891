"""Random shooting: imagine many drawn action sequences, act on the best one.

Rao, "A survey of numerical methods for optimal control", 2009; as planning on learned models Nagabandi et al. 2018
(arXiv 1708.02596). Ours adds held actions, all sequences instead of drawn ones where they are few, and the choice of a
Discrete first action by the mean over its sequences.

Shape legend: ``B`` rows, ``N`` sequences a row, ``H`` horizon, ``K`` blocks of held actions, ``A`` the action's shape.
"""

import torch
from gymnasium import spaces
from torch import Tensor

from envs.spec import EnvSpec
from envs.world_model import ModelState, WorldModel
from planners.action_spaces import draw_actions, num_actions, require_served
from planners.configs import RandomShootingConfig
from planners.draws import Randomness, uniform
from planners.model_faces import require_plannable
from planners.plan import Plan, ValueFn
from planners.scoring import make_scorer
from planners.trajectory import draw_sequences, shift


@torch.no_grad()
def random_shooting(
    model: WorldModel,
    state: ModelState,
    config: RandomShootingConfig,
    generator: Randomness = None,
    warm_start: Tensor | None = None,
    value_fn: ValueFn | None = None,
) -> Plan:
    """Plans for each row of ``state`` ``[B, ...]``.

    Args:
        model: imagines the sequences.
        state: where to plan from.
        config: settings.
        generator: source of every draw; None for torch's global one.
        warm_start: the best sequence ``[B, H, *A]`` of the step before, shifted; it takes one drawn sequence's place.
        value_fn: value of the states after the horizon; None for 0.

    Raises:
        InputError: the action space is neither Discrete nor a bounded Box.
    """
    require_served(model.spec, "random-shooting")
    rows = require_plannable(model, state)
    sizes = (rows, config.num_sequences, config.horizon)
    actions, drawn = draw_sequences(model.spec, sizes, config.hold, model.device, generator)
    if drawn and warm_start is not None:
        actions[:, 0] = warm_start
    returns = make_scorer(model, state, config, generator, value_fn)(actions)
    scores = returns
    if config.choose == "mean" and isinstance(model.spec.action_space, spaces.Discrete):
        scores = _mean_by_first_action(actions[:, :, 0], returns, model.spec)
    chosen = _random_argmax(scores, returns, generator)
    each = torch.arange(rows, device=actions.device)
    best = actions[each, chosen]
    last = draw_actions(model.spec, (rows,), actions.device, generator)
    return Plan(best[:, 0], scores[each, chosen], shift(best, last), model_calls=config.horizon)


def _mean_by_first_action(first: Tensor, returns: Tensor, spec: EnvSpec) -> Tensor:
    """Gives each sequence ``[B, N]`` the mean return of those that share its first action; broken ones are left out."""
    n, start = num_actions(spec)
    finite = returns.isfinite()
    shares = torch.nn.functional.one_hot(first - start, n).to(returns.dtype)
    counted = shares * finite.unsqueeze(-1)
    sums = torch.einsum("bna,bn->ba", counted, torch.where(finite, returns, 0.0))
    counts = counted.sum(dim=1)
    means = torch.where(counts > 0, sums / counts.clamp(min=1), -torch.inf)
    return means.gather(1, first - start)


def _random_argmax(scores: Tensor, returns: Tensor, generator: Randomness) -> Tensor:
    """Returns the index ``[B]`` of the best score; among equals decides the own return, then the lot."""
    best = scores == scores.amax(dim=1, keepdim=True)
    best &= returns == torch.where(best, returns, -torch.inf).amax(dim=1, keepdim=True)
    lots = uniform(tuple(scores.shape), scores.dtype, scores.device, generator)
    return torch.where(best, lots, -1.0).argmax(dim=1)
