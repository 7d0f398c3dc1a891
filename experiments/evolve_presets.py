"""Named ways to evolve a bandit. A new one is one entry here, for an environment or for all."""

from dataclasses import replace

from agents.configs import DQNConfig, PPOConfig
from envs.errors import unknown_name
from experiments.evolve_configs import EvolveConfig, FitnessConfig, InnerAgent, StageConfig
from experiments.presets import CARTPOLE
from synthetic_envs.configs import EvolutionConfig

# Short trainings of one fixed agent: a bandit in seconds, which serves that agent.
_SPECIALIST = StageConfig(
    agents=(InnerAgent(replace(CARTPOLE.ppo, total_steps=CARTPOLE.bandit_steps)),), search=CARTPOLE.evolution
)
# As in Liesen et al. 2024: 10,000 steps, 64 x 64 units, settings drawn anew for every training.
_SAMPLED_PPO = InnerAgent(
    PPOConfig(total_steps=10_000, num_envs=5, num_steps=100, num_epochs=10, num_minibatches=10, anneal=False), True
)
_SAMPLED_DQN = InnerAgent(
    DQNConfig(
        total_steps=10_000, num_envs=8, gradient_steps=2, batch_size=64, target_period=1, tau=0.02, warmup_steps=500,
        exploration_fraction=0.3,
    ),
    True,
)  # fmt: skip
_GENERAL = StageConfig(
    agents=(_SAMPLED_PPO, _SAMPLED_DQN),
    search=EvolutionConfig(num_generations=40, population_size=32, sigma=0.1, target=480.0, patience=4, num_jobs=4),
    fitness=FitnessConfig(num_episodes=8),
)

_PRESETS: dict[str, tuple[StageConfig, ...]] = {"specialist": (_SPECIALIST,), "general": (_SPECIALIST, _GENERAL)}


def evolve_preset(env_id: str, name: str) -> EvolveConfig:
    """Returns the configuration of that name for an environment; raises `InputError` with the nearest names."""
    if name not in _PRESETS:
        raise unknown_name("way to evolve", name, _PRESETS)
    return EvolveConfig(env_id=env_id, stages=_PRESETS[name])
