"""The cross-entropy method over action sequences.

Rubinstein 1999; as planning on learned models PETS (Chua et al. 2018, arXiv 1805.12114): a clipped Gaussian for each
action of a Box, and for Discrete actions one categorical distribution a step. Ours adds held actions, and every
sequence as good as the worst elite is an elite too: where many are equally good (all keep the pole up), taking some
of them would move the distribution by chance.

Shape legend: ``B`` rows, ``N`` sequences a row, ``H`` horizon, ``K`` blocks of held actions, ``A`` the action's shape.
"""

import torch
from gymnasium import spaces
from torch import Tensor

from envs.world_model import ModelState, WorldModel, num_rows
from planners.action_spaces import require_served
from planners.cem_families import Categorical, Gaussian
from planners.configs import CEMConfig
from planners.plan import Plan, ValueFn
from planners.trajectory import block_means, hold_actions, imagine_returns, num_blocks, shift


@torch.no_grad()
def cem(
    model: WorldModel,
    state: ModelState,
    config: CEMConfig,
    generator: torch.Generator | None = None,
    warm_start: Tensor | None = None,
    value_fn: ValueFn | None = None,
) -> Plan:
    """Plans for each row of ``state`` ``[B, ...]``; the plan's value is the mean return of the last elites.

    Args:
        model: imagines the sequences.
        state: where to plan from.
        config: settings.
        generator: source of every draw; None for torch's global one.
        warm_start: what the plan of the step before returned: the mean actions ``[B, H, *A]`` of a Box, or the
            probabilities ``[B, H, n]`` of Discrete actions, shifted by one step.
        value_fn: value of the states after the horizon; None for 0.

    Raises:
        InputError: the action space is neither Discrete nor a bounded Box.
    """
    require_served(model.spec, "cem")
    discrete = isinstance(model.spec.action_space, spaces.Discrete)
    family = (Categorical if discrete else Gaussian)(model.spec, config, model.device)
    blocks = num_blocks(config.horizon, config.hold)
    start = None if warm_start is None else block_means(warm_start, config.hold)
    parameters = family.initial(num_rows(state), blocks, start)
    outcomes = generator if config.stochastic_model else None
    for _ in range(config.iterations):
        samples = family.draw(parameters, config.num_sequences, generator)
        actions = hold_actions(family.to_actions(samples), config.hold, config.horizon)
        returns = imagine_returns(model, state, actions, config.discount, value_fn, outcomes)
        weights = elite_weights(returns, config.elite_fraction)
        parameters = family.refit(parameters, samples, weights)
    value = (weights * torch.where(weights > 0, returns, 0.0)).sum(dim=1)
    steps = hold_actions(parameters.centre.unsqueeze(1), config.hold, config.horizon).squeeze(1)
    return Plan(
        action=family.best_action(parameters.centre[:, 0]),
        value=torch.where(weights.sum(dim=1) > 0, value, -torch.inf),
        warm_start=shift(steps, family.initial(len(value), 1, None).centre[:, 0]),
    )


def elite_weights(returns: Tensor, elite_fraction: float) -> Tensor:
    """Returns equal weights ``[B, N]`` that sum to 1 over each row's elites, and 0 elsewhere.

    The elites of a row are the best ``elite_fraction`` of it (at least one) and their equals. A return of -inf is
    never one, so the weights of a row without a finite return are all 0.
    """
    num_elites = max(1, round(elite_fraction * returns.shape[1]))
    worst_elite = returns.topk(num_elites, dim=1).values[:, -1:]
    elites = ((returns >= worst_elite) & returns.isfinite()).to(returns.dtype)
    return elites / elites.sum(dim=1, keepdim=True).clamp(min=1)
