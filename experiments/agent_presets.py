"""Settings of agents tuned for an environment; `simulacra train` starts from them. A new one is one entry here.

How they score on Gymnasium's own environments is in docs/algorithms.md; ``python -m benchmarks.scores`` measures it.
"""

from agents.configs import CONFIGS, AgentConfig, PPOConfig, SACConfig
from envs.errors import unknown_name

AGENT_PRESETS: dict[tuple[str, str], AgentConfig] = {
    ("CartPole-v1", "ppo"): PPOConfig(),
    ("Pendulum-v1", "sac"): SACConfig(),
}


def agent_preset(env_id: str | None, algorithm: str) -> AgentConfig:
    """Returns the settings tuned for an environment, or the algorithm's own where there are none.

    Raises:
        InputError: an unknown algorithm, with the nearest names.
    """
    if algorithm not in CONFIGS:
        raise unknown_name("algorithm", algorithm, CONFIGS)
    return AGENT_PRESETS.get((env_id or "", algorithm), CONFIGS[algorithm]())
