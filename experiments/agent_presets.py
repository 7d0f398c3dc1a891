"""Settings of agents tuned for an environment; `simulacra train` starts from them. A new one is one entry here.

How they score on Gymnasium's own environments is in docs/algorithms.md; ``python -m benchmarks.scores`` measures it.
"""

from agents.configs import CONFIGS, AgentConfig, PPOConfig, SACConfig, TD3Config
from envs.errors import unknown_name

AGENT_PRESETS: dict[tuple[str, str], AgentConfig] = {
    ("CartPole-v1", "ppo"): PPOConfig(),
    ("Pendulum-v1", "sac"): SACConfig(),
}

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
    tuned = {**AGENT_PRESETS, **LONG_PRESETS}
    return tuned.get((env_id or "", algorithm), CONFIGS[algorithm]())
