"""Named ways to evolve a synthetic environment. A new one is one entry here."""

from dataclasses import replace

from agents.configs import PPOConfig
from envs.compiled_ids import has_box_actions
from envs.errors import unknown_name
from experiments.evolve_configs import EvolveConfig, FitnessConfig, InnerAgent, StageConfig
from experiments.inner_agents import INNER_AGENTS
from experiments.presets import CARTPOLE
from synthetic_envs.configs import EvolutionConfig

_CARTPOLE = "CartPole-v1"
"""Of its returns alone it is known here which are enough to stop at."""


def sampled_agent(name: str, env_id: str) -> InnerAgent:
    """An agent whose settings are drawn anew for every training; PPO has ReLU units for a Box (Liesen et al. 2024)."""
    agent = INNER_AGENTS[name]
    if isinstance(agent, PPOConfig) and has_box_actions(env_id):
        agent = replace(agent, activation="relu")
    return InnerAgent(agent, sampled=True)


def _specialist(env_id: str) -> tuple[StageConfig, ...]:
    """Short trainings of one fixed agent: a bandit in seconds, which serves that agent."""
    short = replace(CARTPOLE.ppo, total_steps=CARTPOLE.bandit_steps)
    agent = sampled_agent("ppo", env_id).agent if has_box_actions(env_id) else short
    search = CARTPOLE.evolution if env_id == _CARTPOLE else replace(CARTPOLE.evolution, target=None)
    return (StageConfig((InnerAgent(agent),), search),)


def _general(env_id: str) -> tuple[StageConfig, ...]:
    """A specialist first, then two algorithms in rotation, with the same agents for all candidates of a generation."""
    agents = tuple(sampled_agent(name, env_id) for name in ("ppo", "td3" if has_box_actions(env_id) else "dqn"))
    search = EvolutionConfig(
        num_generations=40, population_size=32, sigma=0.1, common_noise="all",
        target=480.0 if env_id == _CARTPOLE else None, patience=4, num_jobs=4,
    )  # fmt: skip
    return (*_specialist(env_id), StageConfig(agents, search, FitnessConfig(num_episodes=8)))


def _paper(env_id: str) -> tuple[StageConfig, ...]:
    """Liesen et al. 2024: all algorithms in rotation, episodes that grow. Bodies of brax want a GPU or many workers."""
    names = ("ppo", "sac", "td3", "ddpg") if has_box_actions(env_id) else ("ppo", "sac", "dqn")
    search = EvolutionConfig(num_generations=1000, population_size=256, sigma=0.05, num_jobs=8)
    fitness = FitnessConfig(num_episodes=16, horizon="linear", first_horizon=100, growing_generations=500)
    return (StageConfig(tuple(sampled_agent(name, env_id) for name in names), search, fitness),)


_PRESETS = {"specialist": _specialist, "general": _general, "paper": _paper}


def evolve_preset(env_id: str, name: str) -> EvolveConfig:
    """Returns the configuration of that name for an environment; raises `InputError` with the nearest names."""
    if name not in _PRESETS:
        raise unknown_name("way to evolve", name, _PRESETS)
    return EvolveConfig(env_id=env_id, stages=_PRESETS[name](env_id))
