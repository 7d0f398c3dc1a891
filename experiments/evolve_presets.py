"""Named ways to evolve a synthetic environment. A new one is one entry here."""

from dataclasses import replace

from envs.errors import unknown_name
from experiments.evolve_configs import EvolveConfig, FitnessConfig, InnerAgent, StageConfig
from experiments.inner_agents import INNER_AGENTS
from experiments.presets import CARTPOLE
from synthetic_envs.configs import EvolutionConfig

# Short trainings of one fixed agent: a bandit in seconds, which serves that agent.
_SPECIALIST = StageConfig(
    agents=(InnerAgent(replace(CARTPOLE.ppo, total_steps=CARTPOLE.bandit_steps)),), search=CARTPOLE.evolution
)
# Then agents whose settings are drawn anew for every training, as in Liesen et al. 2024.
_GENERAL = StageConfig(
    agents=(InnerAgent(INNER_AGENTS["ppo"], sampled=True), InnerAgent(INNER_AGENTS["dqn"], sampled=True)),
    search=EvolutionConfig(num_generations=40, population_size=32, sigma=0.1, target=480.0, patience=4, num_jobs=4),
    fitness=FitnessConfig(num_episodes=8),
)

_PRESETS: dict[str, tuple[StageConfig, ...]] = {"specialist": (_SPECIALIST,), "general": (_SPECIALIST, _GENERAL)}


def evolve_preset(env_id: str, name: str) -> EvolveConfig:
    """Returns the configuration of that name for an environment; raises `InputError` with the nearest names."""
    if name not in _PRESETS:
        raise unknown_name("way to evolve", name, _PRESETS)
    return EvolveConfig(env_id=env_id, stages=_PRESETS[name])
