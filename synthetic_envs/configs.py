"""Settings of synthetic environments and of their evolution. Nothing heavy is imported here."""

from dataclasses import dataclass

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
