"""What an imagined episode obeys: where it starts, when it is cut, and what uncertainty costs.

Shape legend: ``B`` rows.
"""

from dataclasses import dataclass

import numpy as np
import torch

from envs.errors import InputError
from envs.spaces import any_member
from envs.world_model import WorldModel
from worldmodels.configs import EpisodeConfig, Start, UncertaintyKind
from worldmodels.gym.learned_starts import LearnedStarts
from worldmodels.gym.start_sources import StartSource, starts_at
from worldmodels.saved_model import SavedWorldModel
from worldmodels.uncertainty import uncertainty_of


@dataclass(frozen=True)
class EpisodeRules:
    """The rules of imagined episodes.

    Attributes:
        starts: where they start.
        horizon: steps after which an episode is truncated, at least 1.
        uncertainty: the kind that is reported, limited and paid for.
        max_uncertainty: a step above this uncertainty truncates the episode; None for no such limit.
        pessimism: taken off each reward for each unit of uncertainty: MOPO (Yu et al. 2020,
            https://arxiv.org/abs/2005.13239, eq. 7), whose unit is the widest member's standard deviation; here it is
            that of `worldmodels.uncertainty`.
    """

    starts: StartSource
    horizon: int
    uncertainty: UncertaintyKind = "epistemic"
    max_uncertainty: float | None = None
    pessimism: float = 0.0


def make_rules(model: SavedWorldModel, config: EpisodeConfig) -> EpisodeRules:
    """Returns the rules that a configuration asks for.

    Raises:
        InputError: no horizon where the real environment has no limit, or a limit or price of an uncertainty that the
            model was told not to measure.
    """
    horizon = model.spec.max_episode_steps if config.horizon is None else config.horizon
    if horizon is None:
        raise InputError(f"expected a horizon, since {model.spec.env_id} has no limit of its own, got none")
    highest = config.max_uncertainty
    if config.uncertainty_quantile is not None:
        highest = model.trained.uncertainty_at(config.uncertainty_quantile, config.uncertainty)
    rules = EpisodeRules(make_starts(model, config.start), horizon, config.uncertainty, highest, config.pessimism)
    if highest is not None or config.pessimism > 0:
        require_known_uncertainty(model, rules)
    return rules


def make_starts(model: SavedWorldModel, start: Start) -> StartSource:
    """Returns where episodes start."""
    starts = model.trained.starts
    if start == "learned":
        return LearnedStarts(model, starts.initial.observation.numpy())
    return starts_at(model, starts.initial if start == "initial" else starts.any)


def require_known_uncertainty(model: WorldModel, rules: EpisodeRules) -> None:
    """Raises `InputError` where the model gives no number for the uncertainty that the rules are about."""
    _, state = rules.starts(np.zeros((1, rules.starts.num_draws)))
    action = torch.from_numpy(any_member(model.spec.action_space)[None]).to(model.device)
    if uncertainty_of(model.step(state, action), rules.uncertainty).isnan().any():
        raise InputError(
            f"expected a model that measures its {rules.uncertainty} uncertainty, which pessimism and limits need, got "
            "one made with epistemic=False"
        )
