"""Settings of DQN, of what it becomes with all its switches, and of Q-learning in a table."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from agents.configs.common import AgentConfig, ReplayConfig

Schedule = Literal["linear", "exponential"]
"""How epsilon falls from its start to its end: by equal steps, or by equal shares."""


@dataclass(frozen=True)
class DQNConfig(ReplayConfig):
    """Settings of DQN."""

    label: ClassVar[str] = "DQN"

    total_steps: int = 50_000
    """environment steps of the whole training; rounded up to whole rollouts"""
    warmup_steps: int = 1000
    """transitions collected by uniformly random actions before the first gradient step"""
    stream_hidden: tuple[int, ...] = ()
    """widths of hidden layers between the shared ones and the outputs; dueling streams have their own"""
    double: bool = False
    """let the learning network choose the action that the target network judges (van Hasselt et al. 2016)"""
    dueling: bool = False
    """split the network in a value and advantages (Wang et al. 2016)"""
    noisy: bool = False
    """explore by learned noise on the weights after the shared layers (Fortunato et al. 2018)"""
    distribution: Literal["none", "categorical", "quantile"] = "none"
    """what is learned of the return: its mean, probabilities of fixed values (C51), or its quantiles (QR-DQN)"""
    num_atoms: int = 51
    """values of a categorical distribution"""
    lowest_return: float = -10.0
    """the lowest of them"""
    highest_return: float = 10.0
    """the highest of them"""
    num_quantiles: int = 50
    """quantiles of a quantile distribution"""
    huber_threshold: float | None = 1.0
    """errors beyond count linearly, of means and of quantiles; None for squared errors whatever their size"""
    learning_rate_end: float = 1.0
    """share of the learning rate that is left at the end, in [0, 1]; it falls by equal steps"""
    adam_epsilon: float = 1e-8
    """keeps steps small where gradients have been tiny"""
    tau: float = 1.0
    """how far the target network follows, in (0, 1]"""
    target_period: int = 250
    """gradient steps between two times that it follows"""
    epsilon_start: float = 1.0
    """share of uniformly random actions at the start"""
    epsilon_end: float = 0.05
    """share of them at the end, and where a policy is asked to sample"""
    epsilon_schedule: Schedule = "linear"
    """how the share falls"""
    exploration_fraction: float = 0.5
    """part of the training in which it falls, in (0, 1]"""
    noise_steps: int = 1
    """steps for which a random action, or the noise of noisy networks, is held, at least a rollout if above 1"""

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = "to be whole widths of at least 1"
        self._require(widths, lambda x: all(isinstance(w, int) and w >= 1 for w in x), "stream_hidden")
        self._require_one_of(Literal["none", "categorical", "quantile"], "distribution")
        self._require("of at least 2", lambda x: x >= 2, "num_atoms")
        self._require("of at least 1", lambda x: x >= 1, "num_quantiles", "target_period", "noise_steps")
        self._require("to be finite", lambda x: abs(x) < float("inf"), "lowest_return", "highest_return")
        above = f"above the lowest_return of {self.lowest_return}"
        self._require(above, lambda x: x > self.lowest_return, "highest_return")
        self._require("above 0", lambda x: x is None or 0 < x < float("inf"), "huber_threshold", "adam_epsilon")
        self._require("in (0, 1]", lambda x: 0 < x <= 1, "tau")
        self._require("in [0, 1]", lambda x: 0 <= x <= 1, "learning_rate_end")
        require_exploration(self)


@dataclass(frozen=True)
class C51Config(DQNConfig):
    """Settings of C51: DQN that learns a categorical distribution, which must span the returns to be met."""

    label: ClassVar[str] = "C51"

    distribution: Literal["none", "categorical", "quantile"] = "categorical"
    """what is learned of the return: its mean, probabilities of fixed values (C51), or its quantiles (QR-DQN)"""


@dataclass(frozen=True)
class QRDQNConfig(DQNConfig):
    """Settings of QR-DQN: DQN that learns quantiles of the return."""

    label: ClassVar[str] = "QR-DQN"

    distribution: Literal["none", "categorical", "quantile"] = "quantile"
    """what is learned of the return: its mean, probabilities of fixed values (C51), or its quantiles (QR-DQN)"""


@dataclass(frozen=True)
class RainbowConfig(DQNConfig):
    """Settings of Rainbow: DQN with all switches on; its categorical distribution must span the returns."""

    label: ClassVar[str] = "Rainbow"

    n_step: int = 3
    """rewards that a transition sums up before it bootstraps"""
    priorities: Literal["none", "proportional", "rank"] = "proportional"
    """how transitions are drawn: uniformly, by their error, or by the rank of their error (Schaul et al. 2016)"""
    double: bool = True
    """let the learning network choose the action that the target network judges (van Hasselt et al. 2016)"""
    dueling: bool = True
    """split the network in a value and advantages (Wang et al. 2016)"""
    noisy: bool = True
    """explore by learned noise on the weights after the shared layers (Fortunato et al. 2018)"""
    distribution: Literal["none", "categorical", "quantile"] = "categorical"
    """what is learned of the return: its mean, probabilities of fixed values (C51), or its quantiles (QR-DQN)"""
    epsilon_start: float = 0.0
    """share of uniformly random actions at the start"""
    epsilon_end: float = 0.0
    """share of them at the end, and where a policy is asked to sample"""


@dataclass(frozen=True)
class QLearningConfig(AgentConfig):
    """Settings of Q-learning in a table, for Discrete observations and actions."""

    label: ClassVar[str] = "Q-learning"

    total_steps: int = 500_000
    """environment steps of the whole training; rounded up to whole rollouts"""
    num_envs: int = 8
    """environments stepped side by side"""
    num_steps: int = 25
    """steps of each environment between updates"""
    learning_rate: float = 1.0
    """share of the way to its target that a value goes the first time"""
    rate_exponent: float = 0.6
    """the share falls with this power of the number of times, in [0, 1]; 0 keeps it, 1 averages all targets"""
    initial_value: float = 0.0
    """of every action; a high one makes each be tried"""
    epsilon_start: float = 1.0
    """share of uniformly random actions at the start"""
    epsilon_end: float = 0.1
    """share of them at the end, and where a policy is asked to sample"""
    epsilon_schedule: Schedule = "linear"
    """how the share falls"""
    exploration_fraction: float = 0.5
    """part of the training in which it falls, in (0, 1]"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("in (0, 1]", lambda x: 0 < x <= 1, "learning_rate")
        self._require("in [0, 1]", lambda x: 0 <= x <= 1, "rate_exponent")
        self._require("to be finite", lambda x: abs(x) < float("inf"), "initial_value")
        normalisation = ("normalise_observations", "normalise_rewards")
        self._require("off: a table has nothing to normalise", lambda x: not x, *normalisation)
        self._require("None: a table has no gradient", lambda x: x is None, "max_grad_norm")
        require_exploration(self)


def require_exploration(config: DQNConfig | QLearningConfig) -> None:
    """Raises `InputError` where epsilon cannot fall as the settings say."""
    config._require("in [0, 1]", lambda x: 0 <= x <= 1, "epsilon_start", "epsilon_end")
    config._require_one_of(Schedule, "epsilon_schedule")
    config._require("in (0, 1]", lambda x: 0 < x <= 1, "exploration_fraction")
    if config.epsilon_schedule == "exponential":
        config._require("above 0 for an exponential epsilon_schedule", lambda x: x > 0, "epsilon_start", "epsilon_end")
