"""Settings of the agents that learn from logs. All but behaviour cloning can also go on collecting."""

import math
from dataclasses import dataclass
from typing import ClassVar

from agents.configs.common import ReplayConfig
from agents.configs.td3 import TD3Config


@dataclass(frozen=True)
class BCConfig(ReplayConfig):
    """Settings of behaviour cloning."""

    label: ClassVar[str] = "behaviour cloning"


@dataclass(frozen=True)
class TD3BCConfig(TD3Config):
    """Settings of TD3+BC."""

    label: ClassVar[str] = "TD3+BC"

    value_weight: float = 2.5
    """how much the policy follows the critic rather than the log, at least 0; the paper's alpha"""
    normalise_observations: bool = True
    """shift and scale observations by the log's mean and standard deviation"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("finite and of at least 0", lambda x: 0 <= x < math.inf, "value_weight")


@dataclass(frozen=True)
class IQLConfig(ReplayConfig):
    """Settings of implicit Q-learning."""

    label: ClassVar[str] = "IQL"

    tau: float = 0.005
    """how far the target critics follow in each gradient step, in (0, 1]"""
    expectile: float = 0.7
    """which expectile of the logged actions' values a state is worth, in (0, 1); towards 1 the best action counts"""
    inverse_temperature: float = 10.0
    """how much better actions are imitated more, at least 0; it counts in units of the rewards the losses see"""
    largest_weight: float = 100.0
    """no action is imitated more than this many times"""
    normalise_rewards: bool = True
    """scale rewards by the standard deviation of the log's discounted returns"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("in (0, 1]", lambda x: 0 < x <= 1, "tau")
        self._require("in (0, 1)", lambda x: 0 < x < 1, "expectile")
        self._require("finite and of at least 0", lambda x: 0 <= x < math.inf, "inverse_temperature")
        self._require("finite and above 0", lambda x: 0 < x < math.inf, "largest_weight")


@dataclass(frozen=True)
class CQLConfig(ReplayConfig):
    """Settings of conservative Q-learning for Discrete actions."""

    label: ClassVar[str] = "CQL"

    tau: float = 0.005
    """how far the target network follows in each gradient step, in (0, 1]"""
    conservatism: float = 1.0
    """weight of what pushes the values of unlogged actions down, at least 0; the paper's alpha"""
    epsilon: float = 0.05
    """share of random actions while collecting, in [0, 1]"""
    normalise_rewards: bool = True
    """scale rewards by the standard deviation of the log's discounted returns"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("in (0, 1]", lambda x: 0 < x <= 1, "tau")
        self._require("finite and of at least 0", lambda x: 0 <= x < math.inf, "conservatism")
        self._require("in [0, 1]", lambda x: 0 <= x <= 1, "epsilon")
