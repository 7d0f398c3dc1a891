"""Settings of synthetic environments and of their evolution. Nothing heavy is imported here."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from envs.errors import require


@dataclass(frozen=True)
class BanditConfig:
    """Sizes of a contextual bandit's two networks (Liesen et al. 2024: 32 ReLU units each)."""

    state_hidden: tuple[int, ...] = (32,)
    """widths of the hidden layers that turn noise into a context"""
    reward_hidden: tuple[int, ...] = (32,)
    """widths of the hidden layers that turn context and action into a reward"""

    def __post_init__(self) -> None:
        for name in ("state_hidden", "reward_hidden"):
            widths = getattr(self, name)
            whole = all(isinstance(width, int) and width >= 1 for width in widths)
            require(whole, f"the bandit's {name}", "of whole widths of at least 1", widths)


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
        self._require_one_of(Strategy, "strategy")
        self._require_one_of(Literal["none", "pairs", "all"], "common_noise")
        self._require_one_of(Literal["rotate", "together"], "agents")
        self._require_one_of(Literal["continue", "stop"], "without_selection")
        always = self.strategy in ("pgpe", "cr-fm-nes")
        require(self.antithetic or not always, f"antithetic with {self.strategy}", "on: it samples in pairs", False)
        size = self.population_size
        expected = "even and at least 2, for mirrored pairs" if self.antithetic else "of at least 2"
        require(size >= 2 and (size % 2 == 0 or not self.antithetic), "population_size", expected, size)
        require(self.antithetic or self.common_noise != "pairs", "common_noise by pairs", "antithetic sampling", "none")
        most = size + self.num_checks
        require(self.num_jobs <= most, "the evolution's num_jobs", f"of at most {most}, its members", self.num_jobs)

    def _require_one_of(self, literal: Any, name: str) -> None:
        known = get_args(literal)
        value = getattr(self, name)
        require(value in known, f"the evolution's {name}", f"to be one of {', '.join(known)}", value)
