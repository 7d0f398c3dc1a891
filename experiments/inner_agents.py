"""Agents as evolution trains them and as synthetic environments are judged by: 10,000 steps, 64 x 64 units.

Sizes after Liesen et al. 2024; numeric settings are drawn anew for every training
(`experiments.hyperparameter_ranges`), which these are only the middle of.
"""

from dataclasses import replace

from gymnasium import spaces

from agents.configs import AgentConfig, DDPGConfig, DQNConfig, PPOConfig, SACConfig, TD3Config
from envs.errors import unknown_name

_STEPS = 10_000

INNER_AGENTS: dict[str, AgentConfig] = {
    "ppo": PPOConfig(
        total_steps=_STEPS, num_envs=5, num_steps=100, num_epochs=10, num_minibatches=10, anneal=False
    ),
    "dqn": DQNConfig(
        total_steps=_STEPS, num_envs=8, gradient_steps=8, batch_size=64, target_period=1, tau=0.02, warmup_steps=500,
        exploration_fraction=0.3,
    ),
    "sac": SACConfig(total_steps=_STEPS, num_envs=8, gradient_steps=8, batch_size=128),
    "td3": TD3Config(total_steps=_STEPS, num_envs=8, gradient_steps=8, batch_size=128),
    "ddpg": DDPGConfig(total_steps=_STEPS, num_envs=8, gradient_steps=8, batch_size=128),
}  # fmt: skip


def inner_agent(name: str, action_space: spaces.Space) -> AgentConfig:
    """Returns the agent of that name for an action space; raises `InputError` with the nearest names.

    PPO's units are ReLU for Box actions and tanh for Discrete ones, as in the configuration files that Liesen et al.
    publish with their bandits.
    """
    if name not in INNER_AGENTS:
        raise unknown_name("agent to train inside", name, INNER_AGENTS)
    config = INNER_AGENTS[name]
    if isinstance(config, PPOConfig) and isinstance(action_space, spaces.Box):
        return replace(config, activation="relu")
    return config
