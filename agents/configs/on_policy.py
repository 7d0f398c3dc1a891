"""Settings of the agents that learn from what they have just collected."""

from dataclasses import dataclass
from typing import ClassVar

from agents.configs.common import AgentConfig
from envs.errors import require


@dataclass(frozen=True)
class PPOConfig(AgentConfig):
    """Settings of PPO. The defaults solve CartPole-v1 in 100,000 steps."""

    label: ClassVar[str] = "PPO"

    num_epochs: int = 10
    """passes over a rollout"""
    num_minibatches: int = 2
    """gradient steps in a pass"""
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
    normalise_advantages: bool = True
    """give the advantages of each minibatch mean 0 and standard deviation 1"""
    entropy_coefficient: float = 0.0
    """weight of the entropy bonus"""
    value_coefficient: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float | None = 0.5
    """gradients are scaled down to this global norm; None for no limit"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("of at least 1", lambda x: x >= 1, "num_epochs", "num_minibatches")
        self._require("in [0, 1]", lambda x: 0 <= x <= 1, "gae_lambda")
        self._require("above 0", lambda x: x > 0, "clip")
        self._require("of at least 0", lambda x: x >= 0, "entropy_coefficient", "value_coefficient")
        rows = self.num_envs * self.num_steps
        divides = rows % self.num_minibatches == 0
        require(divides, "PPO's num_minibatches", f"to divide num_envs * num_steps = {rows}", self.num_minibatches)
