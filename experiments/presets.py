"""Named configurations of studies. A new one is one entry here."""

from dataclasses import replace

from agents.configs import PPOConfig
from envs.errors import unknown_name
from experiments.configs import TransferConfig
from planners.configs import MCTSConfig, RandomShootingConfig
from synthetic_envs.configs import EvolutionConfig
from worldmodels.configs import FitConfig

CARTPOLE = TransferConfig(
    ppo=PPOConfig(
        num_envs=8, num_steps=32, num_epochs=4, num_minibatches=1, hidden=(64,), learning_rate=1e-2, gamma=0.99,
        gae_lambda=0.95, entropy_coefficient=0.01,
    ),
    evolution=EvolutionConfig(num_generations=80, target=490.0),
    # With an action held for 4 of 12 steps there are 8 sequences in all; MCTS spends about as many imagined steps.
    shooting=RandomShootingConfig(horizon=12, hold=4, num_sequences=8),
    mcts=MCTSConfig(num_simulations=6, hold=5, horizon=12, num_rollouts=2, rollout_hold=12),
    observation_names=("cart position (m)", "cart velocity (m/s)", "pole angle (rad)", "pole velocity (rad/s)"),
    bandit_axes=(2, 3),
)  # fmt: skip

PRESETS: dict[str, TransferConfig] = {
    "cartpole": CARTPOLE,
    # Everything once and small, for a first look and for tests: its agents are not trained to the end.
    "cartpole-small": replace(
        CARTPOLE,
        log_steps=2_000,
        real_steps=5_120,
        model_steps=2_560,
        bandit_steps=1_024,
        num_seeds=2,
        num_episodes=2,
        fit=FitConfig(num_updates=300),
        evolution=EvolutionConfig(num_generations=3, population_size=8, num_checks=2),
        evolution_episodes=2,
    ),
}


def preset(name: str) -> TransferConfig:
    """Returns the configuration of that name; raises `InputError` with the nearest names."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]
