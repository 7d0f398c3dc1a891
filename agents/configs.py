"""Settings of the agents. Nothing heavy is imported here, so that commands can show them at once."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from envs.errors import require

Activation = Literal["tanh", "relu", "leaky_relu", "silu"]
"""A key of `envs.mlp.ACTIVATIONS`."""


@dataclass(frozen=True)
class PPOConfig:
    """Settings of PPO. The defaults solve CartPole-v1 in 100,000 steps."""

    total_steps: int = 100_000
    """environment steps of the whole training; rounded up to whole rollouts"""
    num_envs: int = 16
    """environments stepped side by side"""
    num_steps: int = 32
    """steps of each environment between updates"""
    num_epochs: int = 10
    """passes over a rollout"""
    num_minibatches: int = 2
    """gradient steps in a pass"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers, the same for actor and critic"""
    activation: Activation = "tanh"
    """between the layers"""
    learning_rate: float = 2e-3
    """Adam's step size at the start"""
    anneal: bool = True
    """let learning rate and clipping fall linearly to zero over the training"""
    gamma: float = 0.98
    """discount, in [0, 1]"""
    gae_lambda: float = 0.8
    """trace decay of generalised advantage estimation, in [0, 1]"""
    clip: float = 0.2
    """how far the probability ratio may move from 1"""
    clip_value: bool = False
    """clip the value's change as well"""
    entropy_coefficient: float = 0.0
    """weight of the entropy bonus"""
    value_coefficient: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """gradients are scaled down to this global norm"""

    def __post_init__(self) -> None:
        for name in ("total_steps", "num_envs", "num_steps", "num_epochs", "num_minibatches"):
            require(getattr(self, name) >= 1, f"PPO's {name}", "of at least 1", getattr(self, name))
        for name in ("gamma", "gae_lambda"):
            require(0 <= getattr(self, name) <= 1, f"PPO's {name}", "in [0, 1]", getattr(self, name))
        for name in ("learning_rate", "clip", "max_grad_norm"):
            require(getattr(self, name) > 0, f"PPO's {name}", "above 0", getattr(self, name))
        for name in ("entropy_coefficient", "value_coefficient"):
            require(getattr(self, name) >= 0, f"PPO's {name}", "of at least 0", getattr(self, name))
        _require_networks("PPO", self.hidden, self.activation)
        rows = self.num_envs * self.num_steps
        divides = rows % self.num_minibatches == 0
        require(divides, "PPO's num_minibatches", f"to divide num_envs * num_steps = {rows}", self.num_minibatches)

    @property
    def steps_per_update(self) -> int:
        """Environment steps between two updates."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        """Updates of the whole training."""
        return -(-self.total_steps // self.steps_per_update)


@dataclass(frozen=True)
class SACConfig:
    """Settings of SAC. The defaults solve Pendulum-v1 in 20,000 steps."""

    total_steps: int = 20_000
    """environment steps of the whole training; rounded up to whole rollouts"""
    num_envs: int = 4
    """environments stepped side by side"""
    num_steps: int = 1
    """steps of each environment between updates"""
    gradient_steps: int = 4
    """gradient steps in an update"""
    batch_size: int = 256
    """transitions in a gradient step"""
    buffer_size: int = 1_000_000
    """latest transitions to learn from"""
    warmup_steps: int = 500
    """transitions collected by uniformly random actions before the first gradient step"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers, the same for the policy and each critic"""
    activation: Activation = "relu"
    """between the layers"""
    learning_rate: float = 1e-3
    """Adam's step size, for policy, critics and temperature"""
    gamma: float = 0.99
    """discount, in [0, 1]"""
    tau: float = 0.005
    """how far the target critics follow in each gradient step, in (0, 1]"""
    initial_temperature: float = 1.0
    """weight of the entropy at the start"""
    target_entropy: float | None = None
    """entropy in nats that the temperature is steered to; None for minus the number of dimensions (Box actions) or 40%
    of the highest (Discrete ones)"""

    def __post_init__(self) -> None:
        for name in ("total_steps", "num_envs", "num_steps", "gradient_steps", "batch_size", "warmup_steps"):
            require(getattr(self, name) >= 1, f"SAC's {name}", "of at least 1", getattr(self, name))
        require(0 <= self.gamma <= 1, "SAC's gamma", "in [0, 1]", self.gamma)
        require(0 < self.tau <= 1, "SAC's tau", "in (0, 1]", self.tau)
        for name in ("learning_rate", "initial_temperature"):
            require(getattr(self, name) > 0, f"SAC's {name}", "above 0", getattr(self, name))
        least = max(self.batch_size, self.warmup_steps, self.steps_per_update)
        expected = f"of at least {least}: the batch_size, the warmup_steps and the steps between updates"
        require(self.buffer_size >= least, "SAC's buffer_size", expected, self.buffer_size)
        entropy = self.target_entropy
        require(entropy is None or math.isfinite(entropy), "SAC's target_entropy", "to be finite", entropy)
        _require_networks("SAC", self.hidden, self.activation)

    @property
    def steps_per_update(self) -> int:
        """Environment steps between two updates."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        """Updates of the whole training."""
        return -(-self.total_steps // self.steps_per_update)


AgentConfig = PPOConfig | SACConfig
"""The settings of any agent; the table of `agents.table` says whose they are."""


def _require_networks(name: str, hidden: tuple[int, ...], activation: str) -> None:
    widths = bool(hidden) and all(isinstance(width, int) and width >= 1 for width in hidden)
    require(widths, f"{name}'s hidden", "to be one or more whole widths of at least 1", hidden)
    known = get_args(Activation)
    require(activation in known, f"{name}'s activation", f"to be one of {', '.join(known)}", activation)
