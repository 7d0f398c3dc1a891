"""iCEM: the cross-entropy method made sample-efficient.

Pinneri et al. 2020, "Sample-efficient Cross-Entropy Method for Real-time Planning" (arXiv 2008.06389): colored noise,
a population that decays over the rounds, elites that compete again in the next round and, shifted, at the next step,
the mean among the last round's sequences, and the best sequence's first action.

Departures: Discrete actions by categorical distributions whose draws are correlated in time by the same noise; held
actions; sequences as good as the worst elite are elites too (see `planners.cem`).

Shape legend: ``B`` rows, ``N`` sequences a row, ``E`` kept elites, ``H`` horizon, ``K`` blocks of held actions,
``A`` the action's shape, ``n`` number of Discrete actions.
"""

import torch
from torch import Tensor

from envs.world_model import ModelState, WorldModel
from planners.action_spaces import require_served
from planners.cem import best_weights
from planners.cem_families import Family, FamilySettings, Parameters, make_family
from planners.configs import ICEMConfig
from planners.draws import Randomness
from planners.model_faces import require_plannable
from planners.plan import Plan, ValueFn
from planners.scoring import make_scorer
from planners.trajectory import block_means, hold_actions, num_blocks, shift


@torch.no_grad()
def icem(
    model: WorldModel,
    state: ModelState,
    config: ICEMConfig,
    generator: Randomness = None,
    warm_start: Tensor | None = None,
    value_fn: ValueFn | None = None,
) -> Plan:
    """Plans for each row of ``state`` ``[B, ...]``; the plan's value is the best return of the last round.

    Args:
        model: imagines the sequences.
        state: where to plan from.
        config: settings.
        generator: source of every draw; None for torch's global one.
        warm_start: what the plan of the step before returned: the mean and the kept elites ``[B, 1 + E, H, *A]`` of a
            Box, or as probabilities ``[B, 1 + E, H, n]`` of Discrete actions, shifted by one step.
        value_fn: value of the states after the horizon; None for 0.

    Raises:
        InputError: the action space is neither Discrete nor a bounded Box.
    """
    require_served(model.spec, "icem")
    settings = FamilySettings(
        config.initial_std, config.min_std, config.min_probability, config.smoothing, config.noise_exponent
    )
    family = make_family(model.spec, settings, model.device)
    score = make_scorer(model, state, config, generator, value_fn)
    num_elites = max(1, round(config.elite_fraction * config.num_sequences))
    num_kept = round(config.kept_fraction * num_elites)
    parameters, kept = _start(family, require_plannable(model, state), config, warm_start)
    for iteration in range(config.iterations):
        drawn = family.draw(parameters, _population(config, num_elites, iteration), generator)
        candidates = [drawn] if kept is None else [drawn, kept]
        if iteration == config.iterations - 1:
            candidates.append(family.as_samples(parameters.centre).unsqueeze(1))
        samples = torch.cat(candidates, dim=1)
        scores = score(hold_actions(family.to_actions(samples), config.hold, config.horizon))
        parameters = family.refit(parameters, samples, best_weights(scores, min(num_elites, samples.shape[1])))
        best = scores.topk(max(1, num_kept), dim=1).indices
        kept = _take(samples, best[:, :num_kept]) if num_kept else None
    value, first = scores.amax(dim=1), family.as_centres(_take(samples, best[:, :1]))[:, 0, 0]
    usable = value.isfinite().view(-1, *[1] * (first.dim() - 1))
    mean = parameters.centre[:, 0]
    action = torch.where(usable, first, mean) if config.act_on == "best" else mean
    return Plan(
        action=family.best_action(action),
        value=value,
        warm_start=_carry(family, parameters, kept, config, generator),
        model_calls=config.iterations * config.horizon,
    )


def _population(config: ICEMConfig, num_elites: int, iteration: int) -> int:
    """Returns how many sequences a round draws."""
    return max(round(config.num_sequences * config.decay**-iteration), 2 * num_elites)


def _start(
    family: Family, rows: int, config: ICEMConfig, warm_start: Tensor | None
) -> tuple[Parameters, Tensor | None]:
    """Returns the first distribution, and the elites ``[B, E, K, *A]`` of the step before."""
    blocks = num_blocks(config.horizon, config.hold)
    if warm_start is None:
        return family.initial(rows, blocks, None), None
    carried = block_means(warm_start.flatten(0, 1), config.hold).unflatten(0, warm_start.shape[:2])
    elites = family.as_samples(carried[:, 1:]) if carried.shape[1] > 1 else None
    return family.initial(rows, blocks, carried[:, 0]), elites


def _carry(
    family: Family, parameters: Parameters, kept: Tensor | None, config: ICEMConfig, generator: Randomness
) -> Tensor:
    """Returns mean and kept elites one step later: the mean ends in the middle, elites in drawn actions."""
    rows = len(parameters.centre)
    start = family.initial(rows, 1, None)
    centres, last = parameters.centre.unsqueeze(1), start.centre.unsqueeze(1)
    if kept is not None:
        centres = torch.cat([centres, family.as_centres(kept)], dim=1)
        last = torch.cat([last, family.as_centres(family.draw(start, kept.shape[1], generator))], dim=1)
    steps = hold_actions(centres, config.hold, config.horizon)
    return shift(steps.flatten(0, 1), last.flatten(0, 1)[:, 0]).unflatten(0, centres.shape[:2])


def _take(samples: Tensor, index: Tensor) -> Tensor:
    """Returns some of each row's sequences: ``[B, N, ...]`` and ``[B, E]`` to ``[B, E, ...]``."""
    return samples[torch.arange(len(samples), device=samples.device)[:, None], index]
