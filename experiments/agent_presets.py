"""Settings of agents tuned for an environment; `simulacra train` starts from them. A new one is one entry here.

How they score on Gymnasium's own environments is in docs/algorithms.md; ``python -m benchmarks.scores`` measures it.
"""

from typing import Any

from agents.configs import (
    CONFIGS,
    A2CConfig,
    AgentConfig,
    C51Config,
    DDPGConfig,
    DQNConfig,
    IQLConfig,
    PPOConfig,
    QRDQNConfig,
    RainbowConfig,
    REINFORCEConfig,
    SACConfig,
    TD3BCConfig,
    TD3Config,
)
from envs.errors import unknown_name

_NORMALISED: dict[str, Any] = {"normalise_observations": True, "normalise_rewards": True}
# Where the goal lies far from what random actions reach: noise that is held for long, and much of it at first.
_FAR: dict[str, Any] = {
    "total_steps": 20_000, "gradient_steps": 2, "batch_size": 64, "noise_steps": 30, "warmup_steps": 4_000,
    "normalise_observations": True, "tau": 0.02,
}  # fmt: skip
_FAST: dict[str, Any] = {
    "total_steps": 30_000, "learning_rate": 3e-3, "tau": 0.02, "n_step": 3, "batch_size": 128,
    "normalise_observations": True,
}  # fmt: skip

_DQN: dict[str, Any] = {
    "num_envs": 8, "batch_size": 64, "learning_rate": 1e-3, "learning_rate_end": 0.0, "max_grad_norm": 10.0,
    "exploration_fraction": 0.15, "double": True, "n_step": 3, "tau": 0.02, "target_period": 1,
    "normalise_observations": True,
}  # fmt: skip
_ATOMS: dict[str, Any] = {"num_atoms": 101, "lowest_return": 0.0, "highest_return": 100.0}

AGENT_PRESETS: dict[tuple[str, str], AgentConfig] = {
    ("CartPole-v1", "a2c"): A2CConfig(),
    ("CartPole-v1", "c51"): C51Config(**_DQN, **_ATOMS),
    ("CartPole-v1", "dqn"): DQNConfig(**_DQN, huber_threshold=None),
    ("CartPole-v1", "ppo"): PPOConfig(),
    ("CartPole-v1", "qr-dqn"): QRDQNConfig(**_DQN),
    ("CartPole-v1", "rainbow"): RainbowConfig(**_DQN, **_ATOMS),
    ("CartPole-v1", "reinforce"): REINFORCEConfig(),
    ("CartPole-v1", "sac"): SACConfig(**_FAST, hidden=(128, 128)),
    ("Acrobot-v1", "dqn"): DQNConfig(
        **{**_DQN, "total_steps": 100_000, "batch_size": 128, "exploration_fraction": 0.3}
    ),
    ("Acrobot-v1", "ppo"): PPOConfig(
        total_steps=200_000, num_steps=128, num_epochs=4, num_minibatches=8, learning_rate=1e-3, gamma=0.99,
        gae_lambda=0.94, **_NORMALISED,
    ),
    ("Acrobot-v1", "sac"): SACConfig(**_FAST),
    ("MountainCar-v0", "dqn"): DQNConfig(
        **{**_DQN, "total_steps": 120_000, "batch_size": 128, "max_grad_norm": None, "tau": 0.01, "n_step": 5,
           "exploration_fraction": 0.5},
        noise_steps=20, warmup_steps=5_000,
    ),
    ("MountainCar-v0", "ppo"): PPOConfig(
        total_steps=500_000, num_epochs=4, num_minibatches=4, learning_rate=1e-3, gamma=0.99, gae_lambda=0.98,
        **_NORMALISED,
    ),
    ("MountainCarContinuous-v0", "ppo"): PPOConfig(
        total_steps=200_000, num_steps=128, num_minibatches=8, learning_rate=1e-3, gamma=0.999, gae_lambda=0.95,
        **_NORMALISED,
    ),
    ("MountainCarContinuous-v0", "sac"): SACConfig(**_FAR, learning_rate=3e-3),
    ("MountainCarContinuous-v0", "td3"): TD3Config(**_FAR, exploration_noise=0.6),
    ("MountainCarContinuous-v0", "ddpg"): DDPGConfig(**_FAR, exploration_noise=0.6),
    ("Pendulum-v1", "ppo"): PPOConfig(
        num_envs=4, num_steps=256, num_minibatches=16, learning_rate=1e-3, gamma=0.9, gae_lambda=0.95
    ),
    ("Pendulum-v1", "sac"): SACConfig(),
    ("Pendulum-v1", "td3"): TD3Config(),
    ("Pendulum-v1", "ddpg"): DDPGConfig(),
}  # fmt: skip
"""By environment and algorithm, of agents that collect."""

LOG_PRESETS: dict[tuple[str, str], AgentConfig] = {
    ("Pendulum-v1", "iql"): IQLConfig(batch_size=64, inverse_temperature=100.0, expectile=0.9),
    ("Pendulum-v1", "td3-bc"): TD3BCConfig(batch_size=64, value_weight=100.0),
}
"""The same of agents that learn from logs, tuned on 10,000 steps of the mixed behaviour."""

LONG_PRESETS: dict[tuple[str, str], AgentConfig] = {
    (env_id, algorithm): config(
        total_steps=1_000_000, num_envs=1, num_steps=1, gradient_steps=1, warmup_steps=10_000, hidden=(256, 256),
        learning_rate=3e-4 if algorithm == "sac" else 1e-3,
    )
    for env_id in ("Hopper-v5", "HalfCheetah-v5")
    for algorithm, config in (("sac", SACConfig), ("td3", TD3Config))
}  # fmt: skip
"""Settings for MuJoCo after the papers, a gradient step a step: a night's work on two cores."""


def agent_preset(env_id: str | None, algorithm: str) -> AgentConfig:
    """Returns the settings tuned for an environment, or the algorithm's own where there are none.

    Raises:
        InputError: an unknown algorithm, with the nearest names.
    """
    if algorithm not in CONFIGS:
        raise unknown_name("algorithm", algorithm, CONFIGS)
    tuned = {**AGENT_PRESETS, **LOG_PRESETS, **LONG_PRESETS}
    return tuned.get((env_id or "", algorithm), CONFIGS[algorithm]())
