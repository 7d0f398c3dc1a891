"""Settings of TD3 and, as its simple case, DDPG."""

import math
from dataclasses import dataclass
from typing import ClassVar

from agents.configs.common import ReplayConfig


@dataclass(frozen=True)
class TD3Config(ReplayConfig):
    """Settings of TD3. The defaults solve Pendulum-v1 in 20,000 steps."""

    label: ClassVar[str] = "TD3"

    tau: float = 0.005
    """how far the targets follow whenever the policy learns, in (0, 1]"""
    exploration_noise: float = 0.1
    """standard deviation of what is added to actions while collecting, in halves of their range"""
    noise_steps: int = 1
    """steps for which an environment's exploration keeps the same random draw, at least a rollout if above 1;
    more reach further"""
    num_critics: int = 2
    """critics; the lowest of their values is the target"""
    target_noise: float = 0.2
    """standard deviation of what smooths the target policy, in halves of the actions' range"""
    target_noise_clip: float = 0.5
    """that noise's largest size"""
    policy_delay: int = 2
    """gradient steps of the critics for one of the policy"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("in (0, 1]", lambda x: 0 < x <= 1, "tau")
        self._require("of at least 1", lambda x: x >= 1, "noise_steps", "num_critics", "policy_delay")
        noises = ("exploration_noise", "target_noise", "target_noise_clip")
        self._require("finite and of at least 0", lambda x: 0 <= x < math.inf, *noises)


@dataclass(frozen=True)
class DDPGConfig(TD3Config):
    """Settings of DDPG: TD3 with one critic, no smoothing and no delay."""

    label: ClassVar[str] = "DDPG"

    num_critics: int = 1
    """critics; the lowest of their values is the target"""
    target_noise: float = 0.0
    """standard deviation of what smooths the target policy, in halves of the actions' range"""
    policy_delay: int = 1
    """gradient steps of the critics for one of the policy"""
