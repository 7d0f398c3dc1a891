"""Agents as evolution trains them and as synthetic environments are judged by: 10,000 steps, 64 x 64 units.

Sizes after Liesen et al. 2024; numeric settings are drawn anew for every training
(`experiments.hyperparameter_ranges`), which these are only the middle of.

Beside them are agents that no evolution sees, by which it is judged what of a synthetic environment carries over.
"""

from dataclasses import replace

from agents.configs import AgentConfig, DDPGConfig, DQNConfig, PPOConfig, SACConfig, TD3Config
from experiments.evolve_configs import EvolvedPolicyConfig

_STEPS = 10_000
_DQN = DQNConfig(
    total_steps=_STEPS, num_envs=8, gradient_steps=8, batch_size=64, target_period=1, tau=0.02, warmup_steps=500,
    exploration_fraction=0.3,
)  # fmt: skip

INNER_AGENTS: dict[str, AgentConfig] = {
    "ppo": PPOConfig(
        total_steps=_STEPS, num_envs=5, num_steps=100, num_epochs=10, num_minibatches=10, anneal=False
    ),
    "dqn": _DQN,
    "sac": SACConfig(total_steps=_STEPS, num_envs=8, gradient_steps=8, batch_size=128),
    "td3": TD3Config(total_steps=_STEPS, num_envs=8, gradient_steps=8, batch_size=128),
    "ddpg": DDPGConfig(total_steps=_STEPS, num_envs=8, gradient_steps=8, batch_size=128),
}  # fmt: skip

_TWICE_AS_DEEP = (64, 64, 64, 64)

UNSEEN_AGENTS: dict[str, AgentConfig | EvolvedPolicyConfig] = {
    "dueling-ddqn": replace(_DQN, double=True, dueling=True),
    "ppo-deep": replace(INNER_AGENTS["ppo"], hidden=_TWICE_AS_DEEP),
    "td3-deep": replace(INNER_AGENTS["td3"], hidden=_TWICE_AS_DEEP),
    "evolved": EvolvedPolicyConfig(),
}  # fmt: skip
"""The evolved one takes 100 times the steps of the others, and none of its settings is drawn."""
