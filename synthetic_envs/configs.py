"""Settings of synthetic environments and of their evolution. Nothing heavy is imported here."""

import math
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
class TargetBanditConfig(BanditConfig):
    """Sizes of a bandit that pays by the distance to a target; ``reward_hidden`` are those of the target's network."""


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


SyntheticConfig = BanditConfig | TargetBanditConfig | MDPConfig | RewardNetworkConfig
"""Which synthetic environment, and its settings."""


def _require_widths(name: str, widths: tuple[int, ...]) -> None:
    whole = all(isinstance(width, int) and width >= 1 for width in widths)
    require(whole, name, "of whole widths of at least 1", widths)


def _require_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    require(value in known, name, f"to be one of {', '.join(known)}", value)


@dataclass(frozen=True)
class DistillationConfig:
    """Settings of making a bandit from a teacher."""

    num_contexts: int = 20_000
    """contexts in which the teacher is asked"""
    spread: float = 1.0
    """how much further than the observations contexts lie from their mean, so that what strays is known, too"""
    context_steps: int = 500
    """gradient steps of the context network"""
    reward_steps: int = 4_000
    """gradient steps of the reward network"""
    batch_size: int = 256
    """rows in a gradient step"""
    learning_rate: float = 3e-3
    """Adam's step size at the start; it falls to 0"""

    def __post_init__(self) -> None:
        for name, least in (("num_contexts", 10), ("context_steps", 1), ("reward_steps", 1), ("batch_size", 2)):
            value = getattr(self, name)
            require(value >= least, f"the distillation's {name}", f"of at least {least}", value)
        for name in ("spread", "learning_rate"):
            require(0 < getattr(self, name) < math.inf, f"the distillation's {name}", "above 0", getattr(self, name))


Strategy = Literal["snes", "xnes", "open-es", "pgpe", "sep-cma-es", "cr-fm-nes"]
"""A key of `synthetic_envs.strategies`."""


@dataclass(frozen=True)
class EvolutionConfig:
    """Settings of an evolution."""

    strategy: Strategy = "snes"
    """the search"""
    num_generations: int = 60
    """most generations to run"""
    population_size: int = 64
    """environments tried in a generation; even where they are sampled in mirrored pairs"""
    antithetic: bool = True
    """sample mirrored pairs; PGPE and CR-FM-NES always do"""
    sigma: float = 0.2
    """standard deviation of the search at the start"""
    learning_rate: float = 0.05
    """Adam's step size, of OpenES and PGPE"""
    common_noise: Literal["none", "pairs", "all"] = "none"
    """who shares random numbers in a generation: nobody, the two of a mirrored pair, or all candidates"""
    agents: Literal["rotate", "together"] = "rotate"
    """with several agents inside: one after the other, a generation each, or all of them in every generation"""
    num_checks: int = 16
    """fresh agents trained on the mean environment every generation, as a held-out check"""
    num_jobs: int = 1
    """parts that a generation is evaluated in, which may run in several processes; results depend on it by rounding"""
    target: float | None = None
    """stop when the held-out agents' mean return has been at least this for `patience` generations in a row"""
    patience: int = 2
    """see `target`; with agents in rotation at least as many as there are, so that each has met it"""
    without_selection: Literal["continue", "stop"] = "continue"
    """what to do after a generation whose fitness is all equal, or never finite; the search stays where it was"""

    def __post_init__(self) -> None:
        for name in ("num_generations", "num_checks", "patience", "num_jobs"):
            require(getattr(self, name) >= 1, f"the evolution's {name}", "of at least 1", getattr(self, name))
        for name in ("sigma", "learning_rate"):
            require(0 < getattr(self, name) < math.inf, f"the evolution's {name}", "above 0", getattr(self, name))
        _require_one_of("the evolution's strategy", self.strategy, get_args(Strategy))
        _require_one_of("the evolution's common_noise", self.common_noise, ("none", "pairs", "all"))
        _require_one_of("the evolution's agents", self.agents, ("rotate", "together"))
        _require_one_of("the evolution's without_selection", self.without_selection, ("continue", "stop"))
        always = self.strategy in ("pgpe", "cr-fm-nes")
        require(self.antithetic or not always, f"antithetic with {self.strategy}", "on: it samples in pairs", False)
        size = self.population_size
        expected = "even and at least 2, for mirrored pairs" if self.antithetic else "of at least 2"
        require(size >= 2 and (size % 2 == 0 or not self.antithetic), "population_size", expected, size)
        require(self.antithetic or self.common_noise != "pairs", "common_noise by pairs", "antithetic sampling", "none")
        most = size + self.num_checks
        require(self.num_jobs <= most, "the evolution's num_jobs", f"of at most {most}, its members", self.num_jobs)


def require_rotation(config: EvolutionConfig, num_agents: int) -> None:
    """Raises `InputError` where agents take turns, and some would never have theirs, or none to meet the target in."""
    if config.agents == "together":
        return
    turns = f"of at least {num_agents}, one generation for each agent in rotation"
    for name in ("num_generations",) if config.target is None else ("num_generations", "patience"):
        require(getattr(config, name) >= num_agents, name, turns, getattr(config, name))
