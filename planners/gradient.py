"""Gradient ascent on action sequences, by differentiating imagined returns through the model.

As in planning by backpropagation (Henaff et al. 2017, arXiv 1705.07177; Bharadhwaj et al. 2020, "Model-predictive
control via cross-entropy and gradient-based optimization", arXiv 2003.10768): drawn sequences, among them the plan of
the step before, are improved by Adam and brought back into the bounds after each step; the best sequence ever imagined
wins, so that a refinement never makes a plan worse in the model.

Shape legend: ``B`` rows, ``N`` sequences a row, ``H`` horizon, ``K`` blocks of held actions, ``A`` the action's shape.
"""

import torch
from torch import Tensor

from envs.errors import InputError
from envs.world_model import ModelState, WorldModel
from planners.action_spaces import box_bounds, draw_actions, require_served
from planners.configs import GradientConfig
from planners.draws import Randomness
from planners.model_faces import require_plannable
from planners.plan import Plan, ValueFn
from planners.scoring import Scorer, make_scorer
from planners.trajectory import block_means, hold_actions, num_blocks, shift


def gradient(
    model: WorldModel,
    state: ModelState,
    config: GradientConfig,
    generator: Randomness = None,
    warm_start: Tensor | None = None,
    value_fn: ValueFn | None = None,
) -> Plan:
    """Plans for each row of ``state`` ``[B, ...]``; the plan's value is the best return imagined.

    Args:
        model: imagines the sequences, and lets gradients through.
        state: where to plan from.
        config: settings.
        generator: source of every draw; None for torch's global one.
        warm_start: the best sequence ``[B, H, *A]`` of the step before, shifted; it takes one drawn sequence's place.
        value_fn: value of the states after the horizon; None for 0.

    Raises:
        InputError: the action space is no bounded Box, or the model lets no gradient through.
    """
    require_served(model.spec, "gradient")
    shape = (require_plannable(model, state), config.num_sequences, num_blocks(config.horizon, config.hold))
    blocks = draw_actions(model.spec, shape, model.device, generator)
    if warm_start is not None:
        blocks[:, 0] = block_means(warm_start, config.hold)
    state = {key: value.clone() for key, value in state.items()}  # what was made in inference mode has no gradients
    with torch.inference_mode(False), torch.enable_grad():
        state = {key: value.clone() for key, value in state.items()}
        score = make_scorer(model, state, config, generator, value_fn)
        blocks, value = ascend(score, blocks.clone(), config)
    best = hold_actions(blocks.unsqueeze(1), config.hold, config.horizon).squeeze(1)
    low, high = box_bounds(model.spec, model.device)
    return Plan(
        action=best[:, 0],
        value=value,
        warm_start=shift(best, ((low + high) / 2).expand_as(best[:, 0])),
        model_calls=(config.iterations + 1) * config.horizon,
    )


def ascend(score: Scorer, blocks: Tensor, config: GradientConfig) -> tuple[Tensor, Tensor]:
    """Improves ``blocks`` ``[B, N, K, *A]``; returns each row's best sequence ``[B, K, *A]`` and its score ``[B]``."""
    low, high = box_bounds(score.model.spec, blocks.device)
    blocks = blocks.requires_grad_()
    scale = (high - low) / 2
    first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
    best, best_score = blocks.detach()[:, 0].clone(), torch.full((len(blocks),), -torch.inf, device=blocks.device)
    for step in range(config.iterations + 1):
        scores = score(hold_actions(blocks, config.hold, config.horizon))
        best, best_score = _better(best, best_score, blocks.detach(), scores.detach())
        if step == config.iterations:
            break
        slope = _slope(scores, blocks, score.model) * scale
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope.square()
        rate = 2 * config.learning_rate * (1 - 0.999 ** (step + 1)) ** 0.5 / (1 - 0.9 ** (step + 1))
        moved = blocks.detach() + scale * rate * first / (second.sqrt() + 1e-8)
        blocks = torch.clamp(moved, low, high).requires_grad_()
    return best, best_score


def _slope(scores: Tensor, blocks: Tensor, model: WorldModel) -> Tensor:
    """Returns the gradient of each sequence's score, 0 where it is not finite."""
    if not scores.requires_grad:
        raise InputError(
            f"gradient expects a model that can be differentiated, this one of {model.spec.env_id} cannot; planners "
            f"that serve it: random-shooting, cem, icem, mppi"
        )
    finite = torch.where(scores.isfinite(), scores, 0.0)
    (slope,) = torch.autograd.grad(finite.sum(), blocks)
    return torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)


def _better(best: Tensor, best_score: Tensor, blocks: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    score, index = scores.max(dim=1)
    found = blocks[torch.arange(len(blocks), device=blocks.device), index]
    better = (score > best_score).view(-1, *[1] * (best.dim() - 1))
    return torch.where(better, found, best), torch.maximum(score, best_score)
