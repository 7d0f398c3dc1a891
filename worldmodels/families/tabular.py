"""The trivial world models of Discrete observations: counts of what followed what.

*No change*: the state stays. *Most frequent*: what followed a state and action most often. The latter stands for both
the linear and the nearest-neighbour baseline of vectors: a linear map of one-hot states and actions can say little more
than their averages, and the nearest step is one of those with the same state and action.

Shape legend: ``B`` rows, ``S`` values of the observation.
"""

from typing import ClassVar, Protocol

import torch
from gymnasium import spaces
from torch import Tensor

from envs.logs import Transitions
from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from worldmodels.prediction import Categorical, Mixture
from worldmodels.saved_model import PredictiveModel


class Chances(Protocol):
    """What follows a state ``[B]`` and an action ``[B, *A]``."""

    def likely(self, observation: Tensor, action: Tensor) -> Tensor:
        """Returns the one next observation ``[B]`` that is predicted."""
        ...

    def probability(self, observation: Tensor, action: Tensor) -> Tensor:
        """Returns the probabilities ``[B, S]`` of each next observation, counted from the space's start."""
        ...

    def reward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Returns the mean reward ``[B]``."""
        ...

    def continuation(self, observation: Tensor, action: Tensor) -> Tensor:
        """Returns the probability ``[B]`` that the step does not terminate."""
        ...


class TabularBaseline:
    """A baseline for Discrete observations (`worldmodels.saved_model.PredictiveModel`), on the CPU.

    Attributes:
        spec: the environment it models.
    """

    remembers: ClassVar[bool] = False
    device = torch.device("cpu")

    def __init__(self, spec: EnvSpec, chances: Chances, reward_std: Tensor):
        """``reward_std`` ``[1]`` is the width of the predicted reward."""
        self.spec, self._chances, self._reward_std = spec, chances, reward_std

    def encode(
        self,
        observation: Tensor,
        previous: ModelState | None = None,  # noqa: ARG002, part of the contract
        action: Tensor | None = None,  # noqa: ARG002, part of the contract
    ) -> ModelState:
        return {"observation": observation.clone()}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:  # noqa: ARG002
        """Returns the one outcome that is expected; nothing is drawn."""
        before = state["observation"]
        following = self._chances.likely(before, action)
        reward, continuation = self._chances.reward(before, action), self._chances.continuation(before, action)
        nothing = torch.zeros_like(reward)
        return Imagined({"observation": following}, following, reward, continuation, nothing, nothing)

    def predict(self, state: ModelState, action: Tensor) -> Categorical:
        before = state["observation"]
        mean = self._chances.reward(before, action)[:, None, None]
        reward = Mixture(torch.zeros(len(mean), 1), mean, self._reward_std.expand_as(mean))
        return Categorical(self._chances.probability(before, action), reward)


class Staying:
    """The state stays, with the share of training steps in which it did (plus one of two); all others are alike.

    The reward is its training mean, and nothing ever ends.
    """

    def __init__(self, spec: EnvSpec, steps: Transitions):
        self._start, self._num_states = _states(spec)
        stayed = int((steps.observation == steps.next_observation).sum())
        self._stays = (stayed + 1) / (len(steps.reward) + 2) if self._num_states > 1 else 1.0
        self._mean_reward = float(steps.reward.mean(dtype=float))

    def likely(self, observation: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002, part of the contract
        return observation.clone()

    def probability(self, observation: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002, part of the contract
        others = max(1, self._num_states - 1)
        chances = torch.full((len(observation), self._num_states), (1 - self._stays) / others)
        chances[torch.arange(len(observation)), observation - self._start] = self._stays
        return chances

    def reward(self, observation: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002, part of the contract
        return torch.full((len(observation),), self._mean_reward)

    def continuation(self, observation: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002, part of the contract
        return torch.ones(len(observation))


class TransitionTable:
    """Counts of what followed each context: a state and an action, or the state alone where actions are not Discrete.

    One pseudo-count, half on staying and half spread evenly, keeps what was never seen possible, and lets a context
    that was never seen stay.
    """

    def __init__(self, spec: EnvSpec, steps: Transitions):
        self._start, self._num_states = _states(spec)
        actions = spec.action_space
        self._first_action = int(actions.start) if isinstance(actions, spaces.Discrete) else None
        self._num_actions = int(actions.n) if isinstance(actions, spaces.Discrete) else 1
        context = self._context(torch.from_numpy(steps.observation), torch.from_numpy(steps.action))
        after = torch.from_numpy(steps.next_observation) - self._start
        self._pairs, self._counts = torch.unique(context * self._num_states + after, return_counts=True)
        size = self._num_states * self._num_actions
        visits = torch.bincount(context, minlength=size)
        reward, ends = torch.from_numpy(steps.reward).double(), torch.from_numpy(steps.terminated).double()
        seen = visits.clamp(min=1)
        mean_reward = torch.bincount(context, reward, minlength=size) / seen
        self._reward = torch.where(visits > 0, mean_reward, reward.mean()).float()
        self._continuation = (1 - torch.bincount(context, ends, minlength=size) / seen).float()

    def _context(self, observation: Tensor, action: Tensor) -> Tensor:
        chosen = 0 if self._first_action is None else action - self._first_action
        return (observation - self._start) * self._num_actions + chosen

    def likely(self, observation: Tensor, action: Tensor) -> Tensor:
        return self.probability(observation, action).argmax(1) + self._start

    def probability(self, observation: Tensor, action: Tensor) -> Tensor:
        context = self._context(observation, action) * self._num_states
        first, last = (torch.searchsorted(self._pairs, context + ahead) for ahead in (0, self._num_states))
        row = torch.arange(len(context)).repeat_interleave(last - first)
        begins = (last - first).cumsum(0) - (last - first)
        entry = torch.arange(len(row)) + (first - begins)[row]
        mass = torch.full((len(context), self._num_states), 0.5 / self._num_states)
        mass[torch.arange(len(context)), observation - self._start] += 0.5
        mass[row, self._pairs[entry] - context[row]] += self._counts[entry].float()
        return mass / mass.sum(1, keepdim=True)

    def reward(self, observation: Tensor, action: Tensor) -> Tensor:
        return self._reward[self._context(observation, action)]

    def continuation(self, observation: Tensor, action: Tensor) -> Tensor:
        return self._continuation[self._context(observation, action)]


def tabular_baselines(spec: EnvSpec, steps: Transitions, held_out: Transitions) -> dict[str, PredictiveModel]:
    """Returns ``no_change`` and ``most_frequent`` by name, fitted to ``steps``.

    The widths of their predicted rewards are their errors on ``held_out``.
    """
    found: dict[str, Chances] = {"no_change": Staying(spec, steps), "most_frequent": TransitionTable(spec, steps)}
    observation, action = torch.from_numpy(held_out.observation), torch.from_numpy(held_out.action)
    truth = torch.from_numpy(held_out.reward)
    widths = {name: (one.reward(observation, action) - truth).square().mean().sqrt() for name, one in found.items()}
    return {name: TabularBaseline(spec, one, widths[name][None]) for name, one in found.items()}


def _states(spec: EnvSpec) -> tuple[int, int]:
    """Returns the lowest value of a Discrete observation and how many there are."""
    space = spec.observation_space
    assert isinstance(space, spaces.Discrete)
    return int(space.start), int(space.n)
