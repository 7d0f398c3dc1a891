"""Inner agents fitted to an action space: what differs between Discrete and Box ones."""

from dataclasses import replace

from gymnasium import spaces

from agents.configs import AgentConfig, PPOConfig
from envs.errors import unknown_name
from experiments.inner_agents import INNER_AGENTS


def inner_agent(name: str, action_space: spaces.Space) -> AgentConfig:
    """Returns the agent of that name for an action space; raises `InputError` with the nearest names."""
    if name not in INNER_AGENTS:
        raise unknown_name("agent to train inside", name, INNER_AGENTS)
    return suited(INNER_AGENTS[name], action_space)


def suited(config: AgentConfig, action_space: spaces.Space) -> AgentConfig:
    """Returns an agent with ReLU units for Box actions if it is PPO, whose units are tanh for Discrete ones.

    So it is in the configuration files that Liesen et al. publish with their bandits.
    """
    if isinstance(config, PPOConfig) and isinstance(action_space, spaces.Box):
        return replace(config, activation="relu")
    return config
