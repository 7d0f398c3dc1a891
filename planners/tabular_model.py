"""A Markov decision process given as a table, such as those of Gymnasium's toy text, as a model that tells its chances.

Shape legend: ``S`` cells, ``A`` actions, ``C`` outcomes of an action, ``B`` rows.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec, make_real
from envs.world_model import Imagined, ModelState

Outcomes = Sequence[tuple[float, int, float, bool]]
"""What an action can lead to: probability, next cell, reward, and whether that ends the episode."""


class TabularModel:
    """A `WorldModel` and a `planners.model_faces.ChanceModel`; its states are ``{"cell": [B]}``.

    Args:
        spec: of the environment; both spaces must be Discrete.
        table: outcomes of each action, counted from 0, in each cell. Equal ones are joined.

    Attributes:
        probability: ``[S, A, C]`` float64, 0 where there are fewer outcomes.
        next_cell: ``[S, A, C]`` int64.
        reward: ``[S, A, C]`` float64.
        continuation: ``[S, A, C]`` float64, 0 where the episode ends.

    Raises:
        InputError: spaces that are not Discrete, or probabilities that do not sum to 1.
    """

    def __init__(self, spec: EnvSpec, table: Mapping[int, Mapping[int, Outcomes]]):
        if not all(isinstance(one, spaces.Discrete) for one in (spec.observation_space, spec.action_space)):
            raise InputError(f"expected Discrete observations and actions for a table, {spec.env_id} has "
                             f"{spec.observation_space} and {spec.action_space}")  # fmt: skip
        self.spec, self.device = spec, torch.device("cpu")
        joined = [
            [_joined(outcomes) for _, outcomes in sorted(actions.items())] for _, actions in sorted(table.items())
        ]
        self.num_outcomes = max(len(outcomes) for actions in joined for outcomes in actions)
        shape = (len(joined), len(joined[0]), self.num_outcomes)
        self.probability, self.reward, self.continuation = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.next_cell = np.zeros(shape, np.int64)
        for cell, actions in enumerate(joined):
            for action, outcomes in enumerate(actions):
                for outcome, (probability, after, reward, ended) in enumerate(outcomes):
                    place = cell, action, outcome
                    self.probability[place], self.next_cell[place] = probability, after
                    self.reward[place], self.continuation[place] = reward, not ended
        if not np.allclose(self.probability.sum(axis=2), 1):
            raise InputError(f"expected outcomes of {spec.env_id} whose probabilities sum to 1")
        self._start = int(spec.action_space.start)  # type: ignore[attr-defined]
        self._logits = torch.from_numpy(np.log(self.probability, where=self.probability > 0,
                                               out=np.full(shape, -math.inf)))  # fmt: skip
        self._next, self._reward = torch.from_numpy(self.next_cell), torch.from_numpy(self.reward).float()
        self._continuation = torch.from_numpy(self.continuation).float()

    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        """Returns the cells ``[B]``."""
        del previous, action
        return {"cell": observation.long()}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step: the likeliest outcome, of equals the first, or one that is drawn."""
        logits = self._logits[state["cell"], action - self._start]
        if generator is None:
            outcome = logits.argmax(dim=1)
        else:
            outcome = torch.multinomial(logits.exp(), 1, generator=generator).squeeze(1)
        return self._take(state["cell"], action - self._start, outcome)

    def afterstate(self, state: ModelState, action: Tensor) -> tuple[ModelState, Tensor]:
        after = {"cell": state["cell"], "action": action - self._start}
        return after, self._logits[after["cell"], after["action"]]

    def resolve(self, afterstate: ModelState, outcome: Tensor) -> Imagined:
        return self._take(afterstate["cell"], afterstate["action"], outcome)

    def _take(self, cell: Tensor, action: Tensor, outcome: Tensor) -> Imagined:
        after = self._next[cell, action, outcome]
        reward, goes_on = self._reward[cell, action, outcome], self._continuation[cell, action, outcome]
        nothing = torch.zeros_like(reward)
        return Imagined({"cell": after}, after, reward, goes_on, nothing, nothing)


def has_table(env: gymnasium.Env) -> bool:
    """Whether ``env`` tells its whole dynamics as a table, as Gymnasium's toy text does."""
    return isinstance(env.observation_space, spaces.Discrete) and hasattr(env.unwrapped, "P")


def toy_text_model(env: str | Callable[[], gymnasium.Env]) -> TabularModel:
    """Returns the exact model of an environment of Gymnasium's toy text.

    Args:
        env: id of a registered environment, or a function that makes one.

    Raises:
        InputError: an environment that does not tell its dynamics as a table.
    """
    made = make_real(env) if isinstance(env, str) else env()
    try:
        if not has_table(made):
            raise InputError(f"expected an environment that tells its dynamics as a table, got {made}")
        registered = made.spec
        spec = EnvSpec(
            env_id=registered.id if registered else type(made.unwrapped).__name__,
            observation_space=made.observation_space,
            action_space=made.action_space,
            max_episode_steps=registered.max_episode_steps if registered else None,
        )
        return TabularModel(spec, made.unwrapped.P)  # type: ignore[attr-defined]
    finally:
        made.close()


def _joined(outcomes: Outcomes) -> list[tuple[float, int, float, bool]]:
    """Returns the outcomes with equal ones as one."""
    chances: dict[tuple[int, float, bool], float] = {}
    for probability, after, reward, ended in outcomes:
        key = int(after), float(reward), bool(ended)
        chances[key] = chances.get(key, 0.0) + float(probability)
    return [(probability, *key) for key, probability in chances.items() if probability > 0]
