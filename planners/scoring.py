"""What a sequence is worth to a planner: its imagined return, over particles and with a price on risk.

Particles as in PETS (Chua et al. 2018, TSinf: each particle follows one member of an ensemble to the horizon), scored
by their mean or by a lower confidence bound; the price on epistemic uncertainty as in MOPO (Yu et al. 2020).
Departure: where a model's outcomes are not drawn, particles of the same member are equal, so each member is imagined
once.

Shape legend: ``B`` rows, ``N`` sequences a row, ``P`` particles a sequence, ``H`` horizon, ``A`` the action's shape.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.errors import InputError
from envs.world_model import MemberModel, ModelState, WorldModel, repeat_state
from planners.configs import TrajectoryConfig
from planners.draws import Randomness, shared_generator
from planners.plan import ValueFn
from planners.trajectory import imagine_returns


@dataclass(frozen=True)
class Scorer:
    """Scores action sequences from the same states, any number of times.

    Attributes:
        model: imagines them.
        state: where they start, ``[B, ...]``; with particles ``[B * P, ...]``.
        num_particles: ``P``.
        config: discount and risk.
        value_fn: value of the states after the horizon; None for 0.
        generator: of the model's draws; None for its most likely outcomes.
    """

    model: WorldModel
    state: ModelState
    num_particles: int
    config: TrajectoryConfig
    value_fn: ValueFn | None
    generator: torch.Generator | None

    def __call__(self, actions: Tensor) -> Tensor:
        """Returns the score ``[B, N]`` of ``actions`` ``[B, N, H, *A]``, -inf where any particle diverged."""
        particles, risk = self.num_particles, self.config.risk
        each = actions if particles == 1 else actions.repeat_interleave(particles, dim=0)
        returns = imagine_returns(
            self.model, self.state, each, self.config.discount, self.value_fn, self.generator,
            uncertainty_penalty=risk.uncertainty_penalty,
        )  # fmt: skip
        if particles == 1:
            return returns
        returns = returns.view(len(actions), particles, -1)
        score = returns.mean(dim=1)
        if risk.caution > 0:
            score = score - risk.caution * returns.std(dim=1)
        return torch.where(score.isfinite(), score, -torch.inf)


def make_scorer(
    model: WorldModel, state: ModelState, config: TrajectoryConfig, randomness: Randomness, value_fn: ValueFn | None
) -> Scorer:
    """Returns the scorer of sequences that start from ``state`` ``[B, ...]``.

    Raises:
        InputError: several particles on a model that has no members and whose outcomes are not to be drawn.
    """
    generator = shared_generator(randomness) if config.stochastic_model else None
    num = config.risk.num_particles
    if num > 1 and isinstance(model, MemberModel):
        num = num if config.stochastic_model else min(num, model.num_members)
        rows = len(next(iter(state.values())))
        member = torch.arange(num, device=model.device) % model.num_members
        state = model.follow(repeat_state(state, num), member.repeat(rows))
    elif num > 1 and not config.stochastic_model:
        raise InputError(
            f"expected an ensemble or stochastic_model for {num} particles, got a model of {model.spec.env_id} whose "
            f"particles would all be the same"
        )
    elif num > 1:
        state = repeat_state(state, num)
    return Scorer(model, state, num, config, value_fn, generator)
