"""`evaluate`: the one way to measure a policy, on any Gymnasium environment.

Every episode has its own seed and its own row, and exactly the asked number of episodes is run to its end, so short
episodes are not over-represented (as they are where a fixed number of vector-environment steps is counted).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np
from tqdm import tqdm

from envs.errors import InputError, require
from envs.policy import Policy, select_rows
from envs.spaces import first_outside
from envs.spec import EnvSpec, make_real


@dataclass(frozen=True)
class Evaluation:
    """The outcome of `evaluate`; ``E`` episodes in their order.

    Attributes:
        returns: undiscounted sum of rewards ``[E]``, float64.
        lengths: steps ``[E]``, int64.
        terminated: True ``[E]`` where the episode ended by termination, False where by truncation.
    """

    returns: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray


def evaluate(
    policy: Policy,
    env: str | Callable[[], gymnasium.Env],
    episodes: int = 20,
    seed: int | Sequence[int] = 0,
    max_rows: int = 128,
    progress: str | None = None,
) -> Evaluation:
    """Runs ``policy`` for exactly ``episodes`` episodes, many at once.

    Args:
        policy: what acts.
        env: id of a registered environment, or a function that makes one; it must truncate or terminate in the end.
        episodes: number of episodes, at least 1.
        seed: fixes the episodes' seeds and the policy's random choices. Episode i of a seed starts alike for every
            policy. Several seeds give ``episodes`` each, run together, in their order.
        max_rows: how many episodes run side by side.
        progress: title of a progress bar, or None for no bar.

    Raises:
        InputError: ``episodes``, ``max_rows`` or a seed out of range, a policy for other spaces, or actions of another
            shape or outside the action space.
    """
    seeds = [seed] if isinstance(seed, int) else list(seed)
    require(episodes >= 1, "episodes", "of at least 1", episodes)
    require(max_rows >= 1, "max_rows", "of at least 1", max_rows)
    require(min(seeds, default=-1) >= 0, "one or more seeds", "of at least 0", seeds)
    starts = np.concatenate([np.random.SeedSequence(one).generate_state(episodes) for one in seeds])
    make_env = (lambda: make_real(env)) if isinstance(env, str) else env
    envs = [make_env() for _ in range(min(len(starts), max_rows))]
    try:
        _require_fit(policy.spec, envs[0])
        with tqdm(total=len(starts), desc=progress, unit="episode", disable=progress is None, leave=False) as bar:
            waves = [starts[i : i + max_rows] for i in range(0, len(starts), max_rows)]
            parts = [_run_wave(policy, envs, wave, seeds[0] + i, bar) for i, wave in enumerate(waves)]
    finally:
        for one in envs:
            one.close()
    return Evaluation(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _require_fit(spec: EnvSpec, env: gymnasium.Env) -> None:
    for name in ("observation_space", "action_space"):
        mine, others = getattr(spec, name), getattr(env, name)
        if mine != others:
            raise InputError(f"the policy for {spec.env_id} and the environment {env} disagree on {name}: "
                             f"{mine} against {others}")  # fmt: skip


def _run_wave(
    policy: Policy, envs: list[gymnasium.Env], starts: np.ndarray, seed: int, bar: tqdm
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One episode a row. Rows of ended episodes are dropped whenever half have ended, so few batch sizes occur."""
    num_rows = len(starts)
    returns, lengths = np.zeros(num_rows), np.zeros(num_rows, np.int64)
    terminated, done = np.zeros(num_rows, bool), np.zeros(num_rows, bool)
    observations = np.stack([env.reset(seed=int(s))[0] for env, s in zip(envs, starts, strict=False)])
    rows, state = np.arange(num_rows), policy.initial_state(num_rows, seed)
    while len(rows):
        actions, state = policy.act(observations, state)
        _require_inside(policy.spec, actions, len(rows))
        observations = observations.copy()  # the policy may have kept them in its state
        for position, row in enumerate(rows):
            if done[row]:
                continue
            observation, reward, ended, cut, _ = envs[row].step(actions[position])
            observations[position] = observation
            returns[row] += float(reward)
            lengths[row] += 1
            terminated[row], done[row] = ended, ended or cut
            bar.update(int(done[row]))
        keep = np.flatnonzero(~done[rows])
        if 2 * len(keep) <= len(rows):
            rows, observations, state = rows[keep], observations[keep], select_rows(state, keep)
    return returns, lengths, terminated


def _require_inside(spec: EnvSpec, actions: np.ndarray, num_rows: int) -> None:
    shape = (num_rows, *(spec.action_space.shape or ()))
    if actions.shape != shape:
        raise InputError(f"expected actions of shape {shape} from the policy for {spec.env_id}, got {actions.shape}")
    row = first_outside(spec.action_space, actions)
    if row is not None:
        raise InputError(f"the policy for {spec.env_id} acted outside {spec.action_space}: {actions[row]} (row {row})")
