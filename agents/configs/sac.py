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
    """entropy in nats that the temperature is steered to; None for minus the number of dimensions (Box actions) or 40%
    of the highest (Discrete ones)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("in (0, 1]", lambda x: 0 < x <= 1, "tau")
        self._require("above 0", lambda x: 0 < x < math.inf, "initial_temperature")
        self._require("to be finite", lambda x: x is None or math.isfinite(x), "target_entropy")
