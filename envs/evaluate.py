"""`evaluate`: the one way to measure a policy, on any Gymnasium environment.

Every episode has its own seed and its own row, and exactly the asked number of episodes is run to its end, so short
episodes are not over-represented (as they are where a fixed number of vector-environment steps is counted).

What an episode draws follows from its seed and its index alone: where it starts, and the state that its policy starts
with, which is made for that one episode and then joined with those of the episodes beside it. Its outcome is thus the
same in whatever company it runs, but for what the policy itself makes depend on the other rows: rounding, which can
depend on the batch's size, and `planners.planner_policy.PlannerPolicy`, whose models (and tree search) draw for all
rows with one generator, seeded by the first row still there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np
from tqdm import tqdm

from envs.errors import InputError, require
from envs.policy import Policy, join_rows, select_rows
from envs.spaces import checked_actions
from envs.spec import EnvSpec, make_real

_STEPS_SHOWN = 10


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
    seed: int | np.integer | Sequence[int] | np.ndarray = 0,
    max_rows: int = 128,
    progress: str | None = None,
) -> Evaluation:
    """Runs ``policy`` for exactly ``episodes`` episodes, many at once.

    Args:
        policy: what acts.
        env: id of a real environment, or a function that makes any; it must truncate or terminate in the end.
        episodes: number of episodes, at least 1.
        seed: fixes the episodes' seeds and the policy's random choices. Episode i of a seed starts alike for every
            policy and number of episodes. Several seeds give ``episodes`` each, run together, in their order.
        max_rows: how many episodes run side by side; it matters to memory and speed only (but see above).
        progress: title of a progress bar, or None for no bar.

    Raises:
        InputError: ``episodes``, ``max_rows`` or a seed out of range, a policy for other spaces, or actions of another
            shape or outside the action space.
    """
    seeds = list(seed) if isinstance(seed, Sequence | np.ndarray) else [seed]
    require(episodes >= 1, "episodes", "of at least 1", episodes)
    require(max_rows >= 1, "max_rows", "of at least 1", max_rows)
    fit = len(seeds) > 0 and all(isinstance(one, int | np.integer) and one >= 0 for one in seeds)
    require(fit, "one or more seeds", "of at least 0, all whole numbers", seeds)
    starts = [start for one in seeds for start in episode_seeds(int(one), episodes)]
    make_env = (lambda: make_real(env)) if isinstance(env, str) else env
    envs = [make_env() for _ in range(min(len(starts), max_rows))]
    try:
        _require_fit(policy.spec, envs[0])
        with tqdm(total=len(starts), desc=progress, unit="episode", disable=progress is None, leave=False) as bar:
            waves = [starts[i : i + max_rows] for i in range(0, len(starts), max_rows)]
            parts = [_run_wave(policy, envs, wave, bar) for wave in waves]
    finally:
        for one in envs:
            one.close()
    return Evaluation(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def episode_seeds(seed: int, episodes: int) -> list[tuple[int, int]]:
    """Returns for each of the first ``episodes`` of a ``seed`` the seed of its start and that of its policy.

    Those of episode i do not depend on how many there are.
    """
    starts = np.random.SeedSequence(seed).generate_state(episodes)
    # The 1 keeps them apart from the seeds of `envs.record`, whose key is the episode alone.
    streams = [np.random.SeedSequence(seed, spawn_key=(episode, 1)) for episode in range(episodes)]
    return [(int(start), int(one.generate_state(1)[0])) for start, one in zip(starts, streams, strict=True)]


def _require_fit(spec: EnvSpec, env: gymnasium.Env) -> None:
    for name in ("observation_space", "action_space"):
        mine, others = getattr(spec, name), getattr(env, name)
        if mine != others:
            raise InputError(f"the policy for {spec.env_id} and the environment {env} disagree on {name}: "
                             f"{mine} against {others}")  # fmt: skip


def _run_wave(
    policy: Policy, envs: list[gymnasium.Env], starts: list[tuple[int, int]], bar: tqdm
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One episode a row. Rows of ended episodes are dropped whenever half have ended, so few batch sizes occur."""
    num_rows = len(starts)
    returns, lengths = np.zeros(num_rows), np.zeros(num_rows, np.int64)
    terminated, done = np.zeros(num_rows, bool), np.zeros(num_rows, bool)
    observations = np.stack([env.reset(seed=start)[0] for env, (start, _) in zip(envs, starts, strict=False)])
    rows, state = np.arange(num_rows), join_rows([policy.initial_state(1, seed) for _, seed in starts])
    who = f"the policy for {policy.spec.env_id}"
    while len(rows):
        actions, state = policy.act(observations, state)
        actions = checked_actions(policy.spec.action_space, actions, len(rows), who)
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
        if lengths.max() % _STEPS_SHOWN == 0:  # episodes that run side by side often end together: show that they run
            bar.set_postfix_str(f"step {lengths.max()}")
        keep = np.flatnonzero(~done[rows])
        if 2 * len(keep) <= len(rows):
            rows, observations, state = rows[keep], observations[keep], select_rows(state, keep)
    return returns, lengths, terminated
