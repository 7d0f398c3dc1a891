"""The cross-entropy method over action sequences.

Rubinstein 1999; as planning on learned models PETS (Chua et al. 2018, arXiv 1805.12114): a clipped Gaussian for each
action of a Box, and for Discrete actions one categorical distribution a step. Ours adds held actions, and every
sequence as good as the worst elite is an elite too: where many are equally good (all keep the pole up), taking some
of them would move the distribution by chance.

Shape legend: ``B`` rows, ``N`` sequences a row, ``H`` horizon, ``K`` blocks of held actions, ``A`` the action's shape.
"""

import torch
from torch import Tensor

from envs.world_model import ModelState, WorldModel
from planners.action_spaces import require_served
from planners.cem_families import FamilySettings, make_family
from planners.configs import CEMConfig
from planners.draws import Randomness
from planners.model_faces import require_plannable
from planners.plan import Plan, ValueFn
from planners.scoring import make_scorer
from planners.trajectory import block_means, hold_actions, num_blocks, shift


@torch.no_grad()
def cem(
    model: WorldModel,
    state: ModelState,
    config: CEMConfig,
    generator: Randomness = None,
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
    settings = FamilySettings(config.initial_std, config.min_std, config.min_probability, config.smoothing)
    family = make_family(model.spec, settings, model.device)
    score = make_scorer(model, state, config, generator, value_fn)
    blocks = num_blocks(config.horizon, config.hold)
    start = None if warm_start is None else block_means(warm_start, config.hold)
    parameters = family.initial(require_plannable(model, state), blocks, start)
    for _ in range(config.iterations):
        samples = family.draw(parameters, config.num_sequences, generator)
        scores = score(hold_actions(family.to_actions(samples), config.hold, config.horizon))
        weights = elite_weights(scores, config.elite_fraction)
        parameters = family.refit(parameters, samples, weights)
    value = (weights * torch.where(weights > 0, scores, 0.0)).sum(dim=1)
    steps = hold_actions(parameters.centre.unsqueeze(1), config.hold, config.horizon).squeeze(1)
    return Plan(
        action=family.best_action(parameters.centre[:, 0]),
        value=torch.where(weights.sum(dim=1) > 0, value, -torch.inf),
        warm_start=shift(steps, family.initial(len(value), 1, None).centre[:, 0]),
        model_calls=config.iterations * config.horizon,
    )


def elite_weights(returns: Tensor, elite_fraction: float) -> Tensor:
    """Returns equal weights ``[B, N]`` that sum to 1 over each row's elites, and 0 elsewhere.

    The elites of a row are the best ``elite_fraction`` of it (at least one) and their equals. A return of -inf is
    never one, so the weights of a row without a finite return are all 0.
    """
    return best_weights(returns, max(1, round(elite_fraction * returns.shape[1])))


def best_weights(returns: Tensor, num_elites: int) -> Tensor:
    """Returns the weights of `elite_weights` for a number of elites, at least 1 and at most ``N``."""
    worst_elite = returns.topk(num_elites, dim=1).values[:, -1:]
    elites = ((returns >= worst_elite) & returns.isfinite()).to(returns.dtype)
    return elites / elites.sum(dim=1, keepdim=True).clamp(min=1)
