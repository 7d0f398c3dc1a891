"""States of any deterministic environment, as the seed it was reset with and the actions that it was given since.

Restoring one resets a scratch environment and replays the actions, or only the last of them where the scratch is on the
way already. That costs as many steps as the episode is long, but needs to know nothing of the environment.

A state is a vector ``[seed, number of actions, actions ...]``, filled up with zeros.

Shape legend: ``D`` length of the vector, ``A`` the action's shape.
"""

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from envs.errors import InputError

_HEAD = 2
"""Numbers before the actions."""


class RecordedEnv(gymnasium.Wrapper):
    """Remembers the seed of the last reset and the actions since, unclipped and in their order.

    A reset without a seed takes one that follows from the seed before, since otherwise nothing could be replayed.

    Attributes:
        seed: of the last reset; None before the first.
        actions: those given since.
    """

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.seed: int | None = None
        self.actions: list[np.ndarray] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if options:
            raise InputError(f"expected no options of the reset of {self.env}, whose steps are to be replayed")
        before = 0 if self.seed is None else self.seed
        self.seed = int(np.random.SeedSequence([before, 1]).generate_state(1)[0]) if seed is None else seed
        self.actions = []
        return self.env.reset(seed=self.seed)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.actions.append(np.array(action))
        return self.env.step(action)

    def forget(self) -> None:
        """Makes the next restoring begin with a reset."""
        self.seed = None


def recorded(env: gymnasium.Env) -> RecordedEnv:
    """Returns the `RecordedEnv` among the wrappers of ``env``; raises `InputError` where there is none."""
    one: gymnasium.Env = env
    while not isinstance(one, RecordedEnv):
        if not isinstance(one, gymnasium.Wrapper):
            raise InputError(f"expected {env} to be watched by `SimulatorModel.watch`, for its state is its actions")
        one = one.env
    return one


def make_capture(capacity: int) -> Callable[[RecordedEnv], np.ndarray]:
    """Returns the function that reads the state ``[D]`` of an environment after at most ``capacity`` steps.

    It raises InputError where there were more.
    """

    def capture(env: RecordedEnv) -> np.ndarray:
        if len(env.actions) > capacity:
            raise InputError(f"expected at most {capacity} steps of {env.env} to replay, got {len(env.actions)}")
        size = math.prod(env.action_space.shape or ())
        vector = np.zeros(_HEAD + capacity * size)
        vector[:_HEAD] = env.seed or 0, len(env.actions)
        if env.actions:
            vector[_HEAD : _HEAD + len(env.actions) * size] = np.concatenate([one.ravel() for one in env.actions])
        return vector

    return capture


def restore_by_replay(env: RecordedEnv, vector: np.ndarray) -> None:
    """Brings ``env`` to the state ``[D]``, in as few steps as it takes."""
    space, seed, count = env.action_space, int(vector[0]), int(vector[1])
    size = math.prod(space.shape or ())
    wanted = vector[_HEAD : _HEAD + count * size].reshape(count, *(space.shape or ())).astype(space.dtype)
    done = len(env.actions)
    on_the_way = env.seed == seed and done <= count and all(map(np.array_equal, env.actions, wanted[:done]))
    if not on_the_way:
        env.reset(seed=seed)
    for action in wanted[len(env.actions) :]:
        env.step(action if space.shape else action.item())
