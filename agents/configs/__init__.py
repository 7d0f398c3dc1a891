"""Settings of the agents. Nothing heavy is imported here, so that commands can show them at once."""

from agents.configs.common import Activation, AgentConfig, ReplayConfig
from agents.configs.dqn import C51Config, DQNConfig, QLearningConfig, QRDQNConfig, RainbowConfig
from agents.configs.offline import BCConfig, CQLConfig, IQLConfig, TD3BCConfig
from agents.configs.on_policy import A2CConfig, OnPolicyConfig, PPOConfig, REINFORCEConfig
from agents.configs.sac import SACConfig
from agents.configs.td3 import DDPGConfig, TD3Config

__all__ = [
    "CONFIGS",
    "A2CConfig",
    "Activation",
    "AgentConfig",
    "BCConfig",
    "C51Config",
    "CQLConfig",
    "DDPGConfig",
    "DQNConfig",
    "IQLConfig",
    "OnPolicyConfig",
    "PPOConfig",
    "QLearningConfig",
    "QRDQNConfig",
    "REINFORCEConfig",
    "RainbowConfig",
    "ReplayConfig",
    "SACConfig",
    "TD3BCConfig",
    "TD3Config",
]

CONFIGS: dict[str, type[AgentConfig]] = {
    "a2c": A2CConfig,
    "bc": BCConfig,
    "c51": C51Config,
    "cql": CQLConfig,
    "ddpg": DDPGConfig,
    "dqn": DQNConfig,
    "iql": IQLConfig,
    "ppo": PPOConfig,
    "q-learning": QLearningConfig,
    "qr-dqn": QRDQNConfig,
    "rainbow": RainbowConfig,
    "reinforce": REINFORCEConfig,
    "sac": SACConfig,
    "td3": TD3Config,
    "td3-bc": TD3BCConfig,
}
"""The settings of every algorithm by its name, which `agents.table.ALGORITHMS` has too."""
