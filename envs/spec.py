"""`EnvSpec`: what an environment, a model of it, a policy for it and a log of it must agree on."""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium import spaces

from envs.errors import InputError, unknown_name
from envs.spaces import space_from_json, space_to_json

STAND_INS = "simulacra/"
"""How the ids of our own environments begin, which stand in for real ones."""

_REAL_OF_OURS = "simulacra/PositionOnly"
"""How the ids of those begin that do not: real environments with numbers hidden (`envs.position_only`)."""


@dataclass(frozen=True)
class EnvSpec:
    """The face of an environment, real or standing in for a real one.

    Attributes:
        env_id: Gymnasium id of the real environment that this stands for, for example ``CartPole-v1``.
        observation_space: space of one observation.
        action_space: space of one action.
        max_episode_steps: steps after which an episode is truncated; None where there is no limit.
        reward_range: lowest and highest reward of one step; infinite where unknown.
    """

    env_id: str
    observation_space: spaces.Space
    action_space: spaces.Space
    max_episode_steps: int | None = None
    reward_range: tuple[float, float] = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        low, high = self.reward_range
        if not low <= high:
            raise InputError(f"expected reward_range (low, high) with low <= high, got {self.reward_range}")
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise InputError(f"expected max_episode_steps of at least 1 or None, got {self.max_episode_steps}")

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object from which `EnvSpec.from_json` builds an equal spec."""
        return {
            "env_id": self.env_id,
            "observation_space": space_to_json(self.observation_space),
            "action_space": space_to_json(self.action_space),
            "max_episode_steps": self.max_episode_steps,
            "reward_range": [value if math.isfinite(value) else str(value) for value in self.reward_range],
        }

    @classmethod
    def from_json(cls, content: Any) -> "EnvSpec":
        """Builds a spec from `to_json`'s object; raises `InputError` for anything else."""
        try:
            low, high = content["reward_range"]
            return cls(
                env_id=str(content["env_id"]),
                observation_space=space_from_json(content["observation_space"]),
                action_space=space_from_json(content["action_space"]),
                max_episode_steps=content["max_episode_steps"],
                reward_range=(float(low), float(high)),
            )
        except InputError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"expected the JSON of an environment spec, but {error!r} is missing or wrong") from None

    def require_same(self, other: "EnvSpec", mine: str, others: str) -> None:
        """Raises `InputError`, showing both sides, unless ``other`` has the same environment and spaces.

        Args:
            other: the spec to compare with; its episode limit and reward range may differ.
            mine: what this spec belongs to, for the message ("the world model").
            others: what the other belongs to ("the log").
        """
        for name in ("env_id", "observation_space", "action_space"):
            left, right = getattr(self, name), getattr(other, name)
            if left != right:
                raise InputError(f"{mine} and {others} disagree on {name}: {left} against {right}")


def make_real(env_id: str, **settings: Any) -> gymnasium.Env:
    """Makes the reference Gymnasium environment.

    Raises:
        InputError: an unknown id (the nearest ones are shown), one of our stand-ins, which is never what a result is
            measured on, or an environment that cannot be made here or not with these ``settings``.
    """
    name = env_id.rpartition(":")[2]
    if name.startswith(STAND_INS) and not name.startswith(_REAL_OF_OURS):
        raise InputError(f"expected a real environment, got {env_id!r}, which makes stand-ins")
    if ":" not in env_id and env_id not in gymnasium.registry:
        raise unknown_name("environment id", env_id, gymnasium.registry)
    try:
        return gymnasium.make(env_id, disable_env_checker=True, **settings)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise InputError(f"environment {env_id!r} cannot be made here: {error}") from None


def spec_of(env_id: str) -> EnvSpec:
    """Returns the spec of a real Gymnasium environment by its id."""
    env = make_real(env_id)
    try:
        limit = env.spec.max_episode_steps if env.spec else None
        return EnvSpec(env_id, env.observation_space, env.action_space, limit)
    finally:
        env.close()
