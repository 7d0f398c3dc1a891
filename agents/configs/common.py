"""What the settings of all agents have in common, and those of all that learn from a replay buffer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from envs.errors import require

Activation = Literal["tanh", "relu", "leaky_relu", "silu"]
"""A key of `envs.mlp.ACTIVATIONS`."""


@dataclass(frozen=True)
class AgentConfig:
    """The settings that every agent has."""

    label: ClassVar[str] = "agent"
    """what the agent is called in messages"""

    total_steps: int = 100_000
    """environment steps of the whole training; rounded up to whole rollouts"""
    num_envs: int = 16
    """environments stepped side by side"""
    num_steps: int = 32
    """steps of each environment between updates"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers, the same for every network of the agent"""
    activation: Activation = "tanh"
    """between the layers"""
    learning_rate: float = 1e-3
    """Adam's step size"""
    gamma: float = 0.99
    """discount, in [0, 1]"""
    max_grad_norm: float | None = None
    """gradients are scaled down to this global norm; None for no limit"""
    normalise_observations: bool = False
    """shift and scale observations by their running mean and standard deviation"""
    normalise_rewards: bool = False
    """scale rewards by the running standard deviation of discounted returns"""

    def __post_init__(self) -> None:
        self._require("of at least 1", lambda x: x >= 1, "total_steps", "num_envs", "num_steps")
        self._require("in [0, 1]", lambda x: 0 <= x <= 1, "gamma")
        self._require("above 0", lambda x: x is None or 0 < x < float("inf"), "learning_rate", "max_grad_norm")
        widths = bool(self.hidden) and all(isinstance(width, int) and width >= 1 for width in self.hidden)
        require(widths, f"{self.label}'s hidden", "to be one or more whole widths of at least 1", self.hidden)
        self._require_one_of(Activation, "activation")

    @property
    def steps_per_update(self) -> int:
        """Environment steps between two updates."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        """Updates of the whole training."""
        return -(-self.total_steps // self.steps_per_update)

    def _require(self, expected: str, holds: Callable[[Any], bool], *names: str) -> None:
        """Raises `InputError` with the first of the settings for which ``holds`` is false (as it is for NaN)."""
        for name in names:
            value = getattr(self, name)
            require(holds(value), f"{self.label}'s {name}", expected, value)

    def _require_one_of(self, literal: Any, name: str) -> None:
        """Raises `InputError` where a setting is none of a ``Literal``'s words."""
        known = get_args(literal)
        self._require(f"to be one of {', '.join(known)}", lambda x: x in known, name)


@dataclass(frozen=True)
class ReplayConfig(AgentConfig):
    """The settings of every agent that learns from a replay buffer."""

    total_steps: int = 20_000
    """environment steps of the whole training; rounded up to whole rollouts"""
    num_envs: int = 4
    """environments stepped side by side"""
    num_steps: int = 1
    """steps of each environment between updates"""
    activation: Activation = "relu"
    """between the layers"""
    gradient_steps: int = 4
    """gradient steps in an update"""
    batch_size: int = 256
    """transitions in a gradient step"""
    buffer_size: int = 1_000_000
    """latest transitions to learn from"""
    warmup_steps: int = 500
    """transitions collected by uniformly random actions before the first gradient step"""
    n_step: int = 1
    """rewards that a transition sums up before it bootstraps"""
    priorities: Literal["none", "proportional", "rank"] = "none"
    """how transitions are drawn: uniformly, by their error, or by the rank of their error (Schaul et al. 2016)"""
    priority_exponent: float = 0.5
    """how much priorities count, in [0, 1]; 0 is uniform"""
    importance_exponent: float = 0.4
    """how much of the priorities' bias is taken back at the start, in [0, 1]; it rises linearly to 1"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("of at least 1", lambda x: x >= 1, "gradient_steps", "batch_size", "warmup_steps", "n_step")
        self._require("in [0, 1]", lambda x: 0 <= x <= 1, "priority_exponent", "importance_exponent")
        self._require_one_of(Literal["none", "proportional", "rank"], "priorities")
        least = max(self.batch_size, self.warmup_steps, self.steps_per_update)
        expected = f"of at least {least}: the batch_size, the warmup_steps and the steps between updates"
        self._require(expected, lambda x: x >= least, "buffer_size")
        expected = f"below the total_steps of {self.total_steps}, or nothing is learned"
        self._require(expected, lambda x: x < self.total_steps, "warmup_steps")

    @property
    def capacity(self) -> int:
        """Transitions that the buffer must hold: all of the training's, or the latest ``buffer_size``."""
        return min(self.buffer_size, self.num_updates * self.steps_per_update)
