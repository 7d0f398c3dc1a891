"""Settings of synthetic environments and of their evolution. Nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Literal, get_args

from envs.errors import require

Activation = Literal["leaky_relu", "prelu", "relu", "silu", "tanh"]


@dataclass(frozen=True)
class BanditConfig:
    """Sizes of a contextual bandit's two networks (Liesen et al. 2024: 32 ReLU units each)."""

    state_hidden: tuple[int, ...] = (32,)
    """widths of the hidden layers that turn noise into a context"""
    reward_hidden: tuple[int, ...] = (32,)
    """widths of the hidden layers that turn context and action into a reward"""

    def __post_init__(self) -> None:
        _require_widths("the bandit's state_hidden", self.state_hidden)
        _require_widths("the bandit's reward_hidden", self.reward_hidden)


@dataclass(frozen=True)
class MDPConfig:
    """A synthetic MDP (Ferreira et al. 2022: 83 leaky ReLU units for CartPole, 167 PReLU units for Acrobot)."""

    hidden: tuple[int, ...] = (83,)
    """widths of the hidden layers of each of the three networks: next state, reward, termination"""
    activation: Activation = "leaky_relu"
    """between layers; prelu learns its slope below 0"""
    predicts: Literal["state", "change"] = "state"
    """what the first network tells: the next state, or how it differs from this one"""
    starts: Literal["real", "learned"] = "real"
    """where episodes start: where the real environment's do, or where a network sends Gaussian noise"""
    start_hidden: tuple[int, ...] = (32,)
    """widths of that network's hidden layers"""
    max_steps: int | None = None
    """steps after which an episode is truncated; the real environment's limit where None"""

    def __post_init__(self) -> None:
        _require_widths("the MDP's hidden", self.hidden)
        _require_widths("the MDP's start_hidden", self.start_hidden)
        _require_one_of("the MDP's activation", self.activation, get_args(Activation))
        _require_one_of("the MDP's predicts", self.predicts, ("state", "change"))
        _require_one_of("the MDP's starts", self.starts, ("real", "learned"))
        if self.max_steps is not None:
            whole = isinstance(self.max_steps, int) and self.max_steps >= 1
            require(whole, "the MDP's max_steps", "whole and of at least 1, or None", self.max_steps)


@dataclass(frozen=True)
class RewardNetworkConfig:
    """A learned reward on the real dynamics (Ferreira et al. 2022)."""

    kind: Literal["potential", "free"] = "potential"
    """potential: gamma * Phi(next state) - Phi(state), which leaves the best policies as they are where it is added;
    free: any function of state, action and next state"""
    combine: Literal["additive", "exclusive"] = "additive"
    """added to the real reward, or instead of it"""
    gamma: float = 0.99
    """discount of the potential: that of the agents to be trained, or the best policies may change"""
    hidden: tuple[int, ...] = (64,)
    """widths of the network's hidden layers"""
    activation: Activation = "leaky_relu"
    """between layers; prelu learns its slope below 0"""

    def __post_init__(self) -> None:
        _require_one_of("the reward network's kind", self.kind, ("potential", "free"))
        _require_one_of("the reward network's combine", self.combine, ("additive", "exclusive"))
        _require_one_of("the reward network's activation", self.activation, get_args(Activation))
        _require_widths("the reward network's hidden", self.hidden)
        number = isinstance(self.gamma, int | float)
        require(number and 0 <= self.gamma <= 1, "the reward network's gamma", "in [0, 1]", self.gamma)


SyntheticConfig = BanditConfig | MDPConfig | RewardNetworkConfig
"""Which synthetic environment, and its settings."""


def _require_widths(name: str, widths: tuple[int, ...]) -> None:
    whole = all(isinstance(width, int) and width >= 1 for width in widths)
    require(whole, name, "of whole widths of at least 1", widths)


def _require_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    require(value in known, name, f"to be one of {', '.join(known)}", value)


@dataclass(frozen=True)
class EvolutionConfig:
    """Settings of an evolution by natural evolution strategies."""

    num_generations: int = 60
    """most generations to run"""
    population_size: int = 64
    """environments tried in a generation; even, since they are sampled in mirrored pairs"""
    sigma: float = 0.2
    """standard deviation of the search at the start"""
    num_checks: int = 16
    """fresh agents trained on the mean environment every generation, as a held-out check"""
    target: float | None = None
    """stop when the held-out agents' mean return has been at least this for `patience` generations in a row"""
    patience: int = 2
    """see `target`"""

    def __post_init__(self) -> None:
        for name in ("num_generations", "num_checks", "patience"):
            require(getattr(self, name) >= 1, f"the evolution's {name}", "of at least 1", getattr(self, name))
        size = self.population_size
        require(size >= 2 and size % 2 == 0, "population_size", "even and at least 2, for mirrored pairs", size)
        require(self.sigma > 0, "the evolution's sigma", "above 0", self.sigma)
