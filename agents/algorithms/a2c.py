"""Advantage actor-critic (Mnih et al. 2016, the synchronous variant) as PPO's simple case (Huang et al. 2022).

With one gradient step on each rollout the probability ratio is 1, where the gradient of PPO's clipped objective is the
policy gradient itself: nothing needs to be switched off but the repetition. Departure: Adam in place of RMSprop.
"""

from agents.agent import Agent
from agents.algorithms.ppo import make_ppo
from agents.configs import A2CConfig, PPOConfig
from envs.spec import EnvSpec


def make_a2c(spec: EnvSpec, config: A2CConfig) -> Agent:
    """Returns A2C as an agent; raises `InputError` for spaces that it cannot serve."""
    return make_ppo(spec, a2c_as_ppo(config))._replace(config=config)


def a2c_as_ppo(config: A2CConfig) -> PPOConfig:
    """Returns the settings that make PPO's update A2C's: one step on the whole rollout, without a limit."""
    return PPOConfig(**vars(config), num_epochs=1, num_minibatches=1, clip=float("inf"))
