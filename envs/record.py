"""`record`: writes a log of a policy on the real environment.

Episodes are run one after the other: rows that ran side by side would leave one cut episode each at the end, and with
them a bias towards short ones.
"""

from pathlib import Path

import gymnasium
import numpy as np
from tqdm import tqdm

from envs.artifact import package_versions
from envs.errors import InputError
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.policy import Policy
from envs.spaces import checked_actions
from envs.spec import make_real, spec_of


def record(
    policy: Policy,
    env_id: str,
    num_steps: int,
    seed: int,
    path: Path | str,
    overwrite: bool = False,
    progress: str | None = None,
) -> Log:
    """Records exactly ``num_steps`` steps; the same seed gives the same log, bit for bit.

    An episode that the last step leaves unfinished is stored as truncated. A recording that is interrupted leaves a
    readable log of the episodes that were finished.

    Args:
        policy: what acts; every episode starts with a fresh `Policy.initial_state` of its own seed.
        env_id: id of a real Gymnasium environment.
        num_steps: environment steps in all, at least 1.
        seed: fixes the episodes' starts and the policy's random choices; at least 0.
        path: the folder to make.
        overwrite: replace a log at ``path``.
        progress: title of a progress bar, or None for no bar.

    Raises:
        InputError: unknown environment, a policy for another one, an action of the wrong shape or outside the space,
            numbers out of range, a place that is taken, or NaN from the environment.
    """
    if num_steps < 1 or seed < 0:
        raise InputError(f"expected num_steps of at least 1 and a seed of at least 0, got {num_steps} and {seed}")
    spec = spec_of(env_id)
    spec.require_same(policy.spec, "the environment", "the policy")
    source = {"kind": "record", "policy": type(policy).__name__, "seed": seed, "versions": package_versions()}
    env = make_real(env_id)
    try:
        with (
            LogWriter(path, spec, source, overwrite) as writer,
            tqdm(total=num_steps, desc=progress, unit="step", disable=progress is None, leave=False) as bar,
        ):
            while writer.num_steps < num_steps:
                env_seed, policy_seed = _seeds_of(seed, writer.num_episodes)
                episode = _run_episode(policy, env, env_seed, policy_seed, num_steps - writer.num_steps)
                writer.add(episode)
                bar.update(len(episode.actions))
    finally:
        env.close()
    return open_log(path, verify=False)


def _seeds_of(seed: int, episode: int) -> tuple[int, int]:
    """The seeds of an episode's start and of its policy. The spawn key keeps them apart from those of `evaluate`."""
    env_seed, policy_seed = np.random.SeedSequence(seed, spawn_key=(episode,)).generate_state(2)
    return int(env_seed), int(policy_seed)


def _run_episode(policy: Policy, env: gymnasium.Env, env_seed: int, policy_seed: int, max_steps: int) -> Episode:
    observation, _ = env.reset(seed=env_seed)
    state = policy.initial_state(1, policy_seed)
    observations = [np.array(observation)]
    actions: list[np.ndarray] = []
    rewards: list[float] = []
    terminated = truncated = False
    while not (terminated or truncated) and len(actions) < max_steps:
        batch, state = policy.act(observations[-1][None], state)
        # In the space's dtype, so that the log holds what the environment gets.
        actions.append(checked_actions(policy.spec.action_space, batch, 1, f"the policy for {policy.spec.env_id}")[0])
        observation, reward, terminated, truncated, _ = env.step(actions[-1])
        observations.append(np.array(observation))
        rewards.append(float(reward))
    stopped = not (terminated or truncated)
    columns = (np.stack(observations), np.stack(actions), np.array(rewards, np.float32))
    return Episode(*columns, bool(terminated), bool(truncated) or stopped)
