"""Imagined rollouts branched from logged states, for the replay buffer of any off-policy agent.

Dyna (Sutton 1990, https://doi.org/10.1016/B978-1-55860-141-3.50030-4) as in MBPO (Janner et al. 2019,
https://arxiv.org/abs/1906.08253): many short rollouts that start at real states. How their length grows as training
goes on: `worldmodels.configs.RolloutLengthConfig`.

Shape legend: ``B`` rollouts, ``N`` steps that come out, ``O`` the observation's shape, ``A`` the action's shape.
"""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from envs.errors import require
from envs.logs import Transitions
from envs.spaces import checked_actions
from worldmodels.configs import EpisodeConfig
from worldmodels.gym.imagination import Imagination
from worldmodels.gym.rules import EpisodeRules, make_rules
from worldmodels.gym.start_sources import starts_at
from worldmodels.saved_model import SavedWorldModel
from worldmodels.starts import StartPoints

PolicyFn = Callable[[np.ndarray], np.ndarray]
"""Observations ``[B, *O]`` to actions ``[B, *A]`` inside the action space; always all ``B`` rows, also ended ones."""


def branched_rollouts(
    model: SavedWorldModel,
    policy_fn: PolicyFn,
    num_rollouts: int,
    length: int,
    seed: int,
    episodes: EpisodeConfig | None = None,
    points: StartPoints | None = None,
) -> Transitions:
    """Imagines ``num_rollouts`` rollouts of at most ``length`` steps and returns their steps.

    Args:
        model: what imagines.
        policy_fn: what acts.
        num_rollouts: ``B``, at least 1.
        length: most steps of a rollout, at least 1.
        seed: fixes the starts and the model's noise, at least 0; a new one for each call.
        episodes: where rollouts start (any logged observation by default), what uncertainty costs and where it cuts;
            its horizon is not used.
        points: start at these instead, each as likely as the others.

    Returns:
        At most ``B * length`` steps, sorted by their place in the rollout, in the dtypes of the spaces. A rollout's
        steps stop with its end; its last one is marked truncated where it had all its length. A step whose
        uncertainty is above the limit, or whose outcome was not finite, is left out, and its rollout ends before it.

    Raises:
        InputError: numbers below these bounds, settings that do not fit the model, or an action outside the space.
    """
    require(num_rollouts >= 1, "num_rollouts", "of at least 1", num_rollouts)
    require(length >= 1, "a rollout length", "of at least 1 step", length)
    require(seed >= 0, "seed", "of at least 0", seed)
    rules = make_rules(model, replace(episodes or EpisodeConfig(start="any"), horizon=length))
    if points is not None:
        rules = replace(rules, starts=starts_at(model, points))
    imagination = Imagination(model, rules, num_rollouts)
    imagination.seed(np.random.default_rng(seed))
    return _joined(_imagined_steps(imagination, policy_fn))


def _imagined_steps(imagination: Imagination, policy_fn: PolicyFn) -> list[Transitions]:
    """The steps of each time, of the rollouts that are still under way."""
    spec, rules = imagination.model.spec, imagination.rules
    alive: np.ndarray = np.ones(imagination.num_rows, bool)
    observation, found = imagination.restart(alive), []
    while alive.any():
        chosen = policy_fn(observation)
        action = checked_actions(spec.action_space, chosen, len(alive), f"the policy for {spec.env_id}", ~alive)
        step = imagination.step(action)
        kept = alive & ~step.diverged & ~_too_uncertain(step.uncertainty, rules)
        found.append(
            Transitions(
                observation=observation[kept],
                action=action[kept],
                reward=step.reward[kept].astype(np.float32),
                terminated=step.terminated[kept],
                truncated=step.truncated[kept],
                next_observation=step.observation[kept],
            )
        )
        observation, alive = step.observation, kept & ~step.terminated & ~step.truncated
    return found


def _too_uncertain(uncertainty: np.ndarray, rules: EpisodeRules) -> np.ndarray:
    highest = np.inf if rules.max_uncertainty is None else rules.max_uncertainty
    above: np.ndarray = uncertainty > highest
    return above


def _joined(parts: list[Transitions]) -> Transitions:
    columns = [field.name for field in fields(Transitions)]
    return Transitions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in columns})
