"""Returns of imagined action sequences, and the small arithmetic of sequences whose actions are held.

Shape legend: ``B`` rows, ``N`` sequences a row, ``H`` horizon, ``K`` blocks of held actions, ``A`` the action's shape.
"""

import functools
from typing import cast

import torch
from gymnasium import spaces
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import Imagination, ModelState, SequenceModel, WorldModel, imagine_by_steps, repeat_state
from planners.action_spaces import draw_actions, num_actions
from planners.draws import Randomness
from planners.plan import ValueFn
from planners.prefixes import imagine_shared

SEQUENCES_WORTH_COMPARING = 8
"""So many sequences of Discrete actions are compared, and steps that they share are taken once."""


def imagine_returns(
    model: WorldModel,
    state: ModelState,
    actions: Tensor,
    discount: float = 1.0,
    value_fn: ValueFn | None = None,
    generator: torch.Generator | None = None,
    lengths: Tensor | None = None,
    uncertainty_penalty: float = 0.0,
) -> Tensor:
    """Returns the discounted return ``[B, N]`` of each sequence, with one model call a step.

    The reward of step t weighs ``discount^t`` times the probability that no earlier step terminated the episode, so
    nothing is counted after a termination, whatever the model says there.

    Args:
        model: imagines the steps.
        state: ``[B, ...]``.
        actions: ``[B, N, H, *A]``.
        discount: for each step.
        value_fn: value ``[B * N]`` of the states after the last step, weighed in the same way; None for 0.
        generator: of the model's draws; None for its most likely outcomes.
        lengths: steps ``[B]`` after which each row's sequences end early, counting nothing more; None for all.
        uncertainty_penalty: what one unit of the model's epistemic uncertainty costs at each step.

    A return that is not a finite number is -inf: a model that diverged never wins.

    Raises:
        InputError: the model imagines no rewards, or an uncertainty is to be paid for that it does not measure.
    """
    rows, num_sequences, horizon = actions.shape[:3]
    imagined = _imagine_all(model, state, actions, generator, uncertainty_penalty > 0)
    reward, continuation = imagined.reward, imagined.continuation
    if uncertainty_penalty > 0:
        reward = reward - uncertainty_penalty * _measured(imagined.uncertainty, model)
    if lengths is not None:
        lengths = None if bool((lengths >= horizon).all()) else lengths.repeat_interleave(num_sequences)
    weight = _weights(continuation, discount, lengths)
    returns = _weighed_sum(weight[:-1], reward)
    if value_fn is not None:
        returns = torch.where(weight[-1] == 0, returns, returns + weight[-1] * value_fn(imagined.state))
    broken = ~returns.isfinite() | weight[-1].isnan()
    return torch.where(broken, -torch.inf, returns).view(rows, num_sequences)


def _weights(continuation: Tensor, discount: float, lengths: Tensor | None) -> Tensor:
    """Returns what each step and the state after the last count ``[H + 1, B]``; after an end exactly 0, never NaN.

    Where nothing ends, which is common and much the faster, all rows count alike: ``[H + 1, 1]``.
    """
    if lengths is None and not continuation.requires_grad and bool((continuation == 1).all()):
        return _powers(discount, len(continuation), continuation.device)
    started = torch.ones_like(continuation[:1])
    if lengths is not None:
        step, horizon = torch.arange(len(continuation), device=continuation.device)[:, None], len(continuation)
        continuation = torch.where((step < lengths - 1) | (step == horizon - 1), continuation, 0.0)
        started = torch.where(lengths > 0, started, 0.0)
    ended = (continuation == 0).cummax(dim=0).values
    return torch.cat([started, torch.where(ended, 0.0, continuation * discount)]).cumprod(0)


@functools.lru_cache(maxsize=64)
def _powers(discount: float, horizon: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return (discount ** torch.arange(horizon + 1, device=device)).unsqueeze(1)


def _weighed_sum(weight: Tensor, reward: Tensor) -> Tensor:
    """Returns the sum ``[B]`` of ``reward`` ``[H, B]`` by ``weight`` ``[H, B]`` or ``[H, 1]``, where that is not 0."""
    if weight.shape[1] == 1 and reward.shape[1] != 1:
        return (weight * reward).sum(dim=0)
    return torch.where(weight == 0, 0.0, weight * reward).sum(dim=0)


def _imagine_all(
    model: WorldModel, state: ModelState, actions: Tensor, generator: torch.Generator | None, with_uncertainty: bool
) -> Imagination:
    """Imagines ``actions`` ``[B, N, H, *A]`` from ``state`` ``[B, ...]``, all ``B * N`` rows."""
    many = actions.shape[1] >= SEQUENCES_WORTH_COMPARING
    if many and generator is None and isinstance(model.spec.action_space, spaces.Discrete):
        return imagine_shared(state, actions, lambda one, each: _imagine(model, one, each, None, with_uncertainty))
    repeated = repeat_state(state, actions.shape[1])
    return _imagine(model, repeated, actions.flatten(0, 1), generator, with_uncertainty)


@functools.cache
def _imagines_sequences(kind: type) -> bool:
    """Whether models of a class have a way of their own; asked once, for looking through a protocol takes its time."""
    return issubclass(kind, SequenceModel)


def _imagine(
    model: WorldModel, state: ModelState, actions: Tensor, generator: torch.Generator | None, with_uncertainty: bool
) -> Imagination:
    """Imagines ``actions`` ``[B, H, *A]`` the model's own way, or one step after the other."""
    if _imagines_sequences(type(model)):
        return cast(SequenceModel, model).imagine(state, actions, generator, with_uncertainty)
    return imagine_by_steps(model, state, actions, generator)


def _measured(uncertainty: Tensor | None, model: WorldModel) -> Tensor:
    if uncertainty is None or uncertainty[0].isnan().all():
        raise InputError(
            f"expected a model of {model.spec.env_id} that measures its epistemic uncertainty, for "
            f"uncertainty_penalty is above 0, got one loaded without"
        )
    return uncertainty


def draw_sequences(
    spec: EnvSpec, sizes: tuple[int, int, int], hold: int, device: torch.device, randomness: Randomness
) -> tuple[Tensor, bool]:
    """Returns uniformly random action sequences ``[B, N, H, *A]`` for ``sizes = (B, N, H)``, and whether they are such.

    Where all distinct sequences of a Discrete space, held for ``hold`` steps, are at most N, they are returned instead,
    each once (then there may be fewer than N, and the rows share memory).
    """
    rows, num_sequences, horizon = sizes
    blocks = num_blocks(horizon, hold)
    if isinstance(spec.action_space, spaces.Discrete):
        n, start = num_actions(spec)
        if n**blocks <= num_sequences:
            each = torch.arange(start, start + n, device=device)
            every = torch.cartesian_prod(*[each] * blocks).view(1, -1, blocks)
            return hold_actions(every, hold, horizon).expand(rows, -1, -1), False
    drawn = draw_actions(spec, (rows, num_sequences, blocks), device, randomness)
    return hold_actions(drawn, hold, horizon), True


def num_blocks(horizon: int, hold: int) -> int:
    """Returns ``K``: how many held actions fill the horizon (the last may be cut short)."""
    return -(-horizon // hold)


def hold_actions(blocks: Tensor, hold: int, horizon: int) -> Tensor:
    """Returns each action ``hold`` times in a run: ``[B, N, K, ...] -> [B, N, H, ...]``."""
    return blocks if hold == 1 else blocks.repeat_interleave(hold, dim=2)[:, :, :horizon]


def block_means(values: Tensor, hold: int) -> Tensor:
    """Returns the mean of each block of ``hold`` steps: ``[B, H, ...] -> [B, K, ...]``."""
    if hold == 1:
        return values
    return torch.stack([block.mean(dim=1) for block in values.split(hold, dim=1)], dim=1)


def shift(values: Tensor, last: Tensor) -> Tensor:
    """Returns a plan one step later: the first step is dropped and ``last`` ``[B, ...]`` appended."""
    return torch.cat([values[:, 1:], last.unsqueeze(1)], dim=1)
