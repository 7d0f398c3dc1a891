"""Returns of imagined action sequences, and the small arithmetic of sequences whose actions are held.

Shape legend: ``B`` rows, ``N`` sequences a row, ``H`` horizon, ``K`` blocks of held actions, ``A`` the action's shape.
"""

import torch
from gymnasium import spaces
from torch import Tensor

from envs.spec import EnvSpec
from envs.world_model import ModelState, WorldModel, repeat_state
from planners.action_spaces import draw_actions, num_actions
from planners.plan import ValueFn


def imagine_returns(
    model: WorldModel,
    state: ModelState,
    actions: Tensor,
    discount: float = 1.0,
    value_fn: ValueFn | None = None,
    generator: torch.Generator | None = None,
    lengths: Tensor | None = None,
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

    A return that is not a finite number is -inf: a model that diverged never wins.
    """
    num_rows, num_sequences, horizon = actions.shape[:3]
    state = repeat_state(state, num_sequences)
    returns = torch.zeros(num_rows * num_sequences, device=actions.device)
    weight = torch.ones_like(returns)
    lasting = None if lengths is None else lengths.repeat_interleave(num_sequences)
    for t in range(horizon):
        if lasting is not None:
            weight = torch.where(lasting > t, weight, 0.0)
        imagined = model.step(state, actions[:, :, t].flatten(0, 1), generator)
        state, ended = imagined.state, weight == 0
        returns = torch.where(ended, returns, returns + weight * imagined.reward)
        weight = torch.where(ended, weight, weight * imagined.continuation * discount)
    if value_fn is not None:
        returns = torch.where(weight == 0, returns, returns + weight * value_fn(state))
    broken = ~returns.isfinite() | weight.isnan()
    return torch.where(broken, -torch.inf, returns).view(num_rows, num_sequences)


def draw_sequences(
    spec: EnvSpec, sizes: tuple[int, int, int], hold: int, device: torch.device, generator: torch.Generator | None
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
    drawn = draw_actions(spec, (rows, num_sequences, blocks), device, generator)
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
