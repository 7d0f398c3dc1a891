"""Model predictive path integral control (MPPI).

Williams et al. 2017, "Information theoretic MPC for model-based reinforcement learning" (ICRA), algorithm 2: sequences
are drawn about a nominal one with a fixed covariance, and the new nominal one is their mean, weighed by the exponential
of their return over a temperature; the best return is subtracted first, so that nothing overflows.

Departures: several rounds a step, by default a temperature in standard deviations of the returns, colored noise as an
option; draws outside the bounds are clipped before they are imagined and averaged; the smoothing filter is left out;
Discrete actions by categorical distributions averaged in the same way.

Shape legend: ``B`` rows, ``N`` sequences a row, ``H`` horizon, ``K`` blocks of held actions, ``A`` the action's shape.
"""

import torch
from gymnasium import spaces
from torch import Tensor

from envs.spec import EnvSpec
from envs.world_model import ModelState, WorldModel
from planners.action_spaces import box_bounds, require_served
from planners.cem_families import FamilySettings, Parameters, make_family
from planners.configs import MPPIConfig
from planners.draws import Randomness
from planners.model_faces import require_plannable
from planners.plan import Plan, ValueFn
from planners.scoring import make_scorer
from planners.trajectory import block_means, hold_actions, num_blocks, shift


@torch.no_grad()
def mppi(
    model: WorldModel,
    state: ModelState,
    config: MPPIConfig,
    generator: Randomness = None,
    warm_start: Tensor | None = None,
    value_fn: ValueFn | None = None,
) -> Plan:
    """Plans for each row of ``state`` ``[B, ...]``; the plan's value is the weighted mean return of the last round.

    Args:
        model: imagines the sequences.
        state: where to plan from.
        config: settings.
        generator: source of every draw; None for torch's global one.
        warm_start: what the plan of the step before returned: the nominal actions ``[B, H, *A]`` of a Box, or the
            probabilities ``[B, H, n]`` of Discrete actions, shifted by one step.
        value_fn: value of the states after the horizon; None for 0.

    Raises:
        InputError: the action space is neither Discrete nor a bounded Box.
    """
    require_served(model.spec, "mppi")
    settings = FamilySettings(
        config.initial_std,
        min_probability=config.min_probability,
        noise_exponent=config.noise_exponent,
        keeps_spread=True,
    )
    family = make_family(model.spec, settings, model.device)
    score = make_scorer(model, state, config, generator, value_fn)
    blocks = num_blocks(config.horizon, config.hold)
    start = None if warm_start is None else block_means(warm_start, config.hold)
    parameters = family.initial(require_plannable(model, state), blocks, start)
    for _ in range(config.iterations):
        samples = family.draw(parameters, config.num_sequences, generator)
        returns = score(hold_actions(family.to_actions(samples), config.hold, config.horizon))
        scores = returns - _control_cost(model.spec, config, parameters, samples)
        weights = path_weights(scores, config.temperature, config.relative_temperature)
        parameters = family.refit(parameters, samples, weights)
        parameters = Parameters(parameters.centre, parameters.spread * config.std_decay)
    value = (weights * torch.where(weights > 0, returns, 0.0)).sum(dim=1)
    steps = hold_actions(parameters.centre.unsqueeze(1), config.hold, config.horizon).squeeze(1)
    return Plan(
        action=family.best_action(parameters.centre[:, 0]),
        value=torch.where(weights.sum(dim=1) > 0, value, -torch.inf),
        warm_start=shift(steps, family.initial(len(value), 1, None).centre[:, 0]),
        model_calls=config.iterations * config.horizon,
    )


def path_weights(scores: Tensor, temperature: float, relative: bool) -> Tensor:
    """Returns weights ``[B, N]`` that sum to 1: the softmax of the scores over the temperature.

    A score of -inf weighs nothing; the weights of a row without a finite score are all 0. With ``relative`` the
    temperature is in standard deviations of the row's finite scores.
    """
    finite = scores.isfinite()
    best = torch.where(finite, scores, -torch.inf).amax(dim=1, keepdim=True)
    below = torch.where(finite, scores - best, 0.0)  # 0 at the best, at most 0: its exponential cannot overflow
    scale = torch.full_like(best, temperature)
    if relative:
        count = finite.sum(dim=1, keepdim=True).clamp(min=1)
        mean = below.sum(dim=1, keepdim=True) / count
        spread = (torch.where(finite, below - mean, 0.0).square().sum(dim=1, keepdim=True) / count).sqrt()
        scale = scale * torch.where(spread > 0, spread, 1.0)
    weights = torch.where(finite, torch.exp(below / scale), 0.0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1)


def _control_cost(spec: EnvSpec, config: MPPIConfig, parameters: Parameters, samples: Tensor) -> Tensor | float:
    """Returns ``gamma u (v - u) / sigma^2`` ``[B, N]``, summed over a sequence's steps and the action's numbers."""
    if config.control_cost == 0 or isinstance(spec.action_space, spaces.Discrete):
        return 0.0
    low, high = box_bounds(spec, samples.device)
    nominal = (parameters.centre - (low + high) / 2).unsqueeze(1)
    price = nominal * (samples - parameters.centre.unsqueeze(1)) / parameters.spread.unsqueeze(1).square()
    return config.control_cost * hold_actions(price, config.hold, config.horizon).flatten(2).sum(dim=2)
