"""Settings of the agents. Nothing heavy is imported here, so that commands can show them at once."""

from agents.configs.common import Activation, AgentConfig, ReplayConfig
from agents.configs.on_policy import PPOConfig
from agents.configs.sac import SACConfig

__all__ = ["Activation", "AgentConfig", "PPOConfig", "ReplayConfig", "SACConfig"]
