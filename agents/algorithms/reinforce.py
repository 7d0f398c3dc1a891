"""REINFORCE (Williams 1992) as PPO's simple case: one gradient step on whole returns, with a baseline or without.

Departure: returns are those of long rollouts, not of single episodes. Where a time limit or the rollout's end cuts an
episode, the critic's value stands for what would have come, so that no return is missing any of it.
"""

from agents.agent import Agent
from agents.algorithms.ppo import make_ppo
from agents.configs import PPOConfig, REINFORCEConfig
from envs.spec import EnvSpec


def make_reinforce(spec: EnvSpec, config: REINFORCEConfig) -> Agent:
    """Returns REINFORCE as an agent; raises `InputError` for spaces that it cannot serve."""
    return make_ppo(spec, reinforce_as_ppo(config))._replace(config=config)


def reinforce_as_ppo(config: REINFORCEConfig) -> PPOConfig:
    """Returns the settings that make PPO's update REINFORCE's: one step on the whole rollout, without a limit."""
    return PPOConfig(**vars(config), num_epochs=1, num_minibatches=1, clip=float("inf"))
