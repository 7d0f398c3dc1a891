"""Settings of studies, composed from the settings of the parts. Nothing heavy is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from agents.configs import PPOConfig
from envs.errors import require
from planners.configs import MCTSConfig, RandomShootingConfig
from synthetic_envs.configs import BanditConfig, EvolutionConfig
from worldmodels.configs import EnsembleConfig, FitConfig


@dataclass(frozen=True)
class ImaginationConfig:
    """How agents are let loose in a world model."""

    start: Literal["initial", "any"] = "any"
    """where imagined episodes start: at logged first observations, or at any logged observation"""
    horizon: int | None = None
    """steps after which an imagined episode is truncated; None for the real environment's limit"""
    uncertainty_quantile: float | None = None
    """truncate where the model is less certain than at this quantile of the logged steps; None for never"""

    def __post_init__(self) -> None:
        require(self.start in ("initial", "any"), "imagination's start", "to be initial or any", self.start)
        require(self.horizon is None or self.horizon >= 1, "imagination's horizon", "of at least 1", self.horizon)
        quantile = self.uncertainty_quantile
        require(quantile is None or 0 <= quantile <= 1, "uncertainty_quantile", "in [0, 1]", quantile)


@dataclass(frozen=True)
class TransferConfig:
    """A transfer study: what is trained where, for how long, and how it is judged."""

    env_id: str = "CartPole-v1"
    """Gymnasium id of the real environment"""
    behaviour: str = "mixed"
    """who makes the logs: random, or mixed (random and a weak scripted rule)"""
    log_steps: int = 10_000
    """real steps to log"""
    real_steps: int = 61_440
    """PPO's steps on the real environment's dynamics"""
    model_steps: int = 61_440
    """PPO's steps inside the world model"""
    bandit_steps: int = 4_096
    """PPO's steps in the bandit; the same as in its evolution"""
    num_seeds: int = 5
    """agents trained, or planners run, in each row"""
    num_episodes: int = 20
    """real episodes that judge each seed"""
    seed: int = 0
    """fixes the whole study"""
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    """the world model"""
    fit: FitConfig = field(default_factory=FitConfig)
    """its training; its seed is replaced by the study's"""
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    """how PPO uses it"""
    bandit: BanditConfig = field(default_factory=BanditConfig)
    """the synthetic environment"""
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)
    """its evolution"""
    evolution_episodes: int = 16
    """real episodes that score an agent during evolution"""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    """the agent, the same on every stand-in; its total_steps is replaced by real_, model_ and bandit_steps"""
    shooting: RandomShootingConfig = field(default_factory=RandomShootingConfig)
    """random shooting on the world model"""
    mcts: MCTSConfig = field(default_factory=MCTSConfig)
    """tree search on the world model"""
    observation_names: tuple[str, ...] = ()
    """what the plots call the observation's dimensions"""
    bandit_axes: tuple[int, int] = (0, 1)
    """the two observation dimensions over which the bandit's reward is drawn"""

    def __post_init__(self) -> None:
        for name in ("log_steps", "real_steps", "model_steps", "bandit_steps", "num_seeds", "num_episodes"):
            require(getattr(self, name) >= 1, f"the study's {name}", "of at least 1", getattr(self, name))
        require(self.evolution_episodes >= 1, "evolution_episodes", "of at least 1", self.evolution_episodes)
        last = 2**32 - self.num_seeds
        require(0 <= self.seed <= last, "the study's seed", f"from 0 to {last}", self.seed)
