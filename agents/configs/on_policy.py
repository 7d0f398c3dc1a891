"""Settings of the agents that learn from what they have just collected."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from agents.configs.common import AgentConfig
from envs.errors import require

Cell = Literal["none", "gru", "lstm"]
"""What a policy remembers with; ``none`` for a policy that only sees the current observation."""


@dataclass(frozen=True)
class OnPolicyConfig(AgentConfig):
    """The settings that PPO and its simple cases share."""

    anneal: bool = True
    """let learning rate and clipping fall linearly to zero over the training"""
    gae_lambda: float = 0.8
    """trace decay of generalised advantage estimation, in [0, 1]"""
    normalise_advantages: bool = True
    """give the advantages of each minibatch mean 0 and standard deviation 1"""
    entropy_coefficient: float = 0.0
    """weight of the entropy bonus"""
    value_coefficient: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float | None = 0.5
    """gradients are scaled down to this global norm; None for no limit"""
    memory: Cell = "none"
    """what policy and critic remember with: nothing, a GRU or an LSTM"""
    memory_size: int = 64
    """numbers that a memory holds"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("in [0, 1]", lambda x: 0 <= x <= 1, "gae_lambda")
        self._require("of at least 0", lambda x: x >= 0, "entropy_coefficient", "value_coefficient")
        self._require_one_of(Cell, "memory")
        self._require("of at least 1", lambda x: x >= 1, "memory_size")


@dataclass(frozen=True)
class PPOConfig(OnPolicyConfig):
    """Settings of PPO. The defaults solve CartPole-v1 in 100,000 steps."""

    label: ClassVar[str] = "PPO"

    num_epochs: int = 10
    """passes over a rollout"""
    num_minibatches: int = 2
    """gradient steps in a pass; with a memory each learns from whole sequences of some environments"""
    learning_rate: float = 2e-3
    """Adam's step size at the start"""
    gamma: float = 0.98
    """discount, in [0, 1]"""
    clip: float = 0.2
    """how far the probability ratio may move from 1"""
    clip_value: bool = False
    """clip the value's change as well"""
    baseline: bool = True
    """learn from how much better than the critic's value the return was, not from the return itself"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("of at least 1", lambda x: x >= 1, "num_epochs", "num_minibatches")
        self._require("above 0", lambda x: x > 0, "clip")
        steps, rows = (
            ("num_envs * num_steps", self.steps_per_update) if self.memory == "none" else ("num_envs", self.num_envs)
        )
        divides = rows % self.num_minibatches == 0
        require(divides, "PPO's num_minibatches", f"to divide {steps} = {rows}", self.num_minibatches)


@dataclass(frozen=True)
class A2CConfig(OnPolicyConfig):
    """Settings of A2C. The defaults solve CartPole-v1 in 500,000 steps."""

    label: ClassVar[str] = "A2C"

    total_steps: int = 500_000
    """environment steps of the whole training; rounded up to whole rollouts"""
    num_steps: int = 5
    """steps of each environment between updates"""
    gae_lambda: float = 1.0
    """trace decay of generalised advantage estimation, in [0, 1]"""
    normalise_advantages: bool = False
    """give the advantages of each update mean 0 and standard deviation 1"""


@dataclass(frozen=True)
class REINFORCEConfig(OnPolicyConfig):
    """Settings of REINFORCE. The defaults solve CartPole-v1 in 500,000 steps."""

    label: ClassVar[str] = "REINFORCE"

    total_steps: int = 500_000
    """environment steps of the whole training; rounded up to whole rollouts"""
    num_steps: int = 128
    """steps of each environment between updates; where they cut an episode, the critic's value stands for the rest"""
    learning_rate: float = 5e-3
    """Adam's step size at the start"""
    gae_lambda: float = 1.0
    """trace decay of generalised advantage estimation, in [0, 1]; 1 is the whole return"""
    baseline: bool = True
    """learn from how much better than the critic's value the return was, not from the return itself"""
