"""Settings of soft actor-critic."""

import math
from dataclasses import dataclass
from typing import ClassVar

from agents.configs.common import ReplayConfig


@dataclass(frozen=True)
class SACConfig(ReplayConfig):
    """Settings of SAC. The defaults solve Pendulum-v1 in 20,000 steps."""

    label: ClassVar[str] = "SAC"

    learning_rate: float = 1e-3
    """Adam's step size, for policy, critics and temperature"""
    tau: float = 0.005
    """how far the target critics follow in each gradient step, in (0, 1]"""
    initial_temperature: float = 1.0
    """weight of the entropy at the start"""
    target_entropy: float | None = None
    """entropy in nats that the temperature is steered to; None for minus the number of dimensions (Box actions) or 15%
    of the highest (Discrete ones)"""
    pessimism: float | None = None
    """how far from the mean of the twin critics' values, 0, to the lower of them, 1, learning goes by; None for the
    lower (Box actions) or the mean (Discrete ones)"""
    noise_steps: int = 1
    """steps for which an environment's exploration keeps the same random draw, at least a rollout if above 1;
    more reach further"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("in (0, 1]", lambda x: 0 < x <= 1, "tau")
        self._require("of at least 1", lambda x: x >= 1, "noise_steps")
        self._require("above 0", lambda x: 0 < x < math.inf, "initial_temperature")
        self._require("in [0, 1]", lambda x: x is None or 0 <= x <= 1, "pessimism")
        self._require("to be finite", lambda x: x is None or math.isfinite(x), "target_entropy")
