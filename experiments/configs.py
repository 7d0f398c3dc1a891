"""Settings of studies, composed from the settings of the parts. Nothing heavy is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from agents.configs import PPOConfig, SACConfig
from envs.errors import require
from planners.configs import MCTSConfig, RandomShootingConfig
from synthetic_envs.configs import BanditConfig, EvolutionConfig
from worldmodels.configs import EnsembleConfig, EpisodeConfig, FitConfig, RolloutLengthConfig

ANYWHERE = EpisodeConfig(start="any")
"""How agents are let loose in a world model: from any logged observation, for as long as the real episodes last."""


@dataclass(frozen=True)
class RankingConfig:
    """How policies are ranked in a world model and for real, for its quality card."""

    num_episodes: int = 20
    """episodes of each policy, in the model and on the real environment"""
    ppo: PPOConfig = field(default_factory=lambda: PPOConfig(total_steps=50_000))
    """the agent that is trained inside where actions are Discrete"""
    sac: SACConfig = field(default_factory=lambda: SACConfig(total_steps=10_000))
    """the agent that is trained inside where actions are continuous"""

    def __post_init__(self) -> None:
        require(self.num_episodes >= 1, "the ranking's num_episodes", "of at least 1", self.num_episodes)


@dataclass(frozen=True)
class BranchedConfig:
    """How SAC learns from short rollouts that branch from logged states, mixed with the logged steps (Dyna, MBPO)."""

    num_epochs: int = 40
    """times that rollouts are imagined by the policy of that moment"""
    gradient_steps: int = 500
    """gradient steps after each time"""
    num_rollouts: int = 2000
    """rollouts each time"""
    length: RolloutLengthConfig = field(default_factory=lambda: RolloutLengthConfig(5, 5))
    """steps of a rollout as training goes on"""
    keep_epochs: int = 5
    """the rollouts of the latest so many epochs are learned from"""
    real_share: float = 0.1
    """share of logged steps in what is learned from, in [0, 1]"""

    def __post_init__(self) -> None:
        for name in ("num_epochs", "gradient_steps", "num_rollouts", "keep_epochs"):
            require(getattr(self, name) >= 1, f"branched {name}", "of at least 1", getattr(self, name))
        require(0 <= self.real_share <= 1, "branched real_share", "in [0, 1]", self.real_share)


@dataclass(frozen=True)
class OfflineConfig:
    """From logs to agents that never met the real environment, and what they are worth there."""

    algorithm: Literal["ppo", "sac"] | None = None
    """the agent, whose settings are those below under its name; by default sac for continuous actions, ppo for
    discrete ones"""
    experience: Literal["episodes", "branched"] = "episodes"
    """what it learns from: whole imagined episodes, or (SAC) short rollouts branched from logged states and mixed with
    the logged steps"""
    seeds: int = 5
    """agents trained, each inside the same model"""
    episodes: int = 20
    """real episodes that judge each agent, and as many imagined ones"""
    seed: int = 0
    """fixes the whole study"""
    fit: FitConfig = field(default_factory=FitConfig)
    """the world model's training; its seed is replaced by the study's"""
    imagination: EpisodeConfig = EpisodeConfig(start="any", horizon=50)  # noqa: RUF009, frozen
    """how the agent uses the world model; that an episode is cut is no end: its value is bootstrapped"""
    ppo: PPOConfig = PPOConfig(  # noqa: RUF009
        total_steps=400_000, num_envs=64, num_steps=32, num_epochs=4, num_minibatches=4, gamma=0.99, gae_lambda=0.95
    )
    """the agent for discrete actions"""
    sac: SACConfig = SACConfig(num_envs=16, gradient_steps=16)  # noqa: RUF009
    """the agent for continuous actions, or for discrete ones; its total_steps are not used by branched experience"""
    branched: BranchedConfig = field(default_factory=BranchedConfig)
    """the branched experience"""

    def __post_init__(self) -> None:
        for name in ("seeds", "episodes"):
            require(getattr(self, name) >= 1, f"the study's {name}", "of at least 1", getattr(self, name))
        last = 2**32 - self.seeds
        require(0 <= self.seed <= last, "the study's seed", f"from 0 to {last}", self.seed)
        fits = self.experience == "episodes" or self.algorithm != "ppo"
        require(fits, "branched experience", "for SAC, which learns from single steps", self.algorithm)


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
    imagination: EpisodeConfig = ANYWHERE
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
