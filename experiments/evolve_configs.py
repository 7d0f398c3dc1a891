"""Settings of evolving a synthetic environment for a real one. Nothing heavy is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from agents.configs import AgentConfig, PPOConfig
from envs.errors import require
from synthetic_envs.configs import BanditConfig, EvolutionConfig, SyntheticConfig, require_rotation


@dataclass(frozen=True)
class InnerAgent:
    """An agent that is trained inside the candidates.

    Attributes:
        agent: its settings; ``total_steps`` is the length of a training.
        sampled: whether every training draws its numeric settings anew, from
            `experiments.hyperparameter_ranges`. Networks of several sizes are several inner agents.
    """

    agent: AgentConfig
    sampled: bool = False


@dataclass(frozen=True)
class FitnessConfig:
    """What a candidate is worth: the real returns of agents trained in it, as one number."""

    kind: Literal["final", "area", "cautious", "worst"] = "final"
    """mean return of the final agents; mean return along their training; their mean less `caution` standard deviations;
    the worst agent's"""
    caution: float = 1.0
    """see `kind`"""
    num_agents: int = 1
    """agents trained in each candidate, with random numbers (and sampled settings) of their own"""
    num_episodes: int = 16
    """real episodes that judge each agent"""
    num_points: int = 4
    """points of the learning curve that "area" is the mean of"""
    horizon: Literal["full", "linear", "staged"] = "full"
    """how long they may last: as on the real environment, or less at first, growing evenly or by four steps"""
    first_horizon: int = 100
    """steps in the first generation, where it grows"""
    growing_generations: int = 50
    """generations after which episodes last as long as on the real environment"""

    def __post_init__(self) -> None:
        for name in ("num_agents", "num_episodes", "num_points", "first_horizon", "growing_generations"):
            require(getattr(self, name) >= 1, f"the fitness's {name}", "of at least 1", getattr(self, name))
        require(0 <= self.caution < float("inf"), "the fitness's caution", "of at least 0", self.caution)
        require(self.kind in ("final", "area", "cautious", "worst"), "the fitness's kind",
                "to be final, area, cautious or worst", self.kind)  # fmt: skip
        require(self.horizon in ("full", "linear", "staged"), "the fitness's horizon",
                "to be full, linear or staged", self.horizon)  # fmt: skip
        several = self.num_agents > 1 or self.kind in ("final", "area")
        require(several, f"num_agents of a {self.kind} fitness", "of at least 2", self.num_agents)


@dataclass(frozen=True)
class StageConfig:
    """One search. The next stage begins where it ended: a cheap specialist first, say, then more agents."""

    agents: tuple[InnerAgent, ...] = (InnerAgent(PPOConfig(total_steps=4096)),)
    """trained inside the candidates"""
    search: EvolutionConfig = field(default_factory=EvolutionConfig)
    """how candidates are drawn and selected"""
    fitness: FitnessConfig = field(default_factory=FitnessConfig)
    """what they are worth"""

    def __post_init__(self) -> None:
        require(len(self.agents) > 0, "the agents of a stage", "to be at least one", "none")
        require_rotation(self.search, len(self.agents))


@dataclass(frozen=True)
class EvolveConfig:
    """What is evolved, for which real environment, and how."""

    env_id: str = "CartPole-v1"
    """real environment, whose dynamics are at hand as compiled functions: classic control, or brax's"""
    synthetic: SyntheticConfig = field(default_factory=BanditConfig)
    """the synthetic environment; the class of its settings says which kind"""
    stages: tuple[StageConfig, ...] = (StageConfig(),)
    """searches, one after the other"""
    seed: int = 0
    """fixes everything"""
    start: str | None = None
    """folder of a synthetic environment, or its id in the zoo, of the same kind and settings to begin with; None for
    random weights"""
    model: str | None = None
    """folder of a world model to measure candidates in instead of the real dynamics, so that logs alone become a
    synthetic environment without one further real step"""

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "a seed", f"from 0 to {2**32 - 1}", self.seed)
        require(len(self.stages) > 0, "the stages of an evolution", "to be at least one", "none")


@dataclass(frozen=True)
class ReportConfig:
    """The report of a synthetic environment."""

    agent: str | None = None
    """algorithm of the held-out agents: ppo, dqn, sac, td3 or ddpg; by default the first that can serve the spaces"""
    num_agents: int = 5
    """held-out agents, each with a seed that no evolution has used"""
    steps: int = 10_000
    """length of their training in the environment"""
    factor: int = 10
    """so many times these steps are given to agents that are trained directly on the real environment"""
    axes: tuple[int, int] | None = None
    """the two numbers of the observation over which rewards and states are shown; by default those that decide most"""

    def __post_init__(self) -> None:
        for name in ("num_agents", "steps", "factor"):
            require(getattr(self, name) >= 1, f"the report's {name}", "of at least 1", getattr(self, name))


@dataclass(frozen=True)
class EvolvedPolicyConfig:
    """A policy that an evolution strategy trains, by its mean return alone.

    Attributes:
        policy: whose actor is evolved; only the sizes of its networks count.
        search: how actors are drawn and selected; how many generations follows from ``total_steps``.
        num_episodes: that judge each actor of a generation.
        total_steps: in the environment, of all actors together; the generation that reaches them is the last.
    """

    policy: PPOConfig = field(default_factory=PPOConfig)
    search: EvolutionConfig = field(
        default_factory=lambda: EvolutionConfig("open-es", population_size=64, sigma=0.05, learning_rate=0.02)
    )
    num_episodes: int = 128
    total_steps: int = 1_000_000

    def __post_init__(self) -> None:
        require(self.policy.memory == "none", "the memory of an evolved policy", "none", self.policy.memory)
        for name in ("num_episodes", "total_steps"):
            require(getattr(self, name) >= 1, f"the evolved policy's {name}", "of at least 1", getattr(self, name))
