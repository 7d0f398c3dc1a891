"""The proof that a snapshot restores an environment exactly: restore, replay, compare bit for bit.

Copies of some environments silently begin anew, some remember more than anyone captured, and a random environment
cannot be stepped twice alike; all three are found out here, before a planner builds on them.
"""

from typing import Any

import gymnasium
import numpy as np

from envs.errors import InputError
from planners.replay import RecordedEnv
from planners.snapshots import Snapshot

_EPISODES = 3
_STEPS = 24
_STEPS_BETWEEN_RESTORES = 6


def prove_restorable(original: gymnasium.Env, copy: gymnasium.Env, snapshot: Snapshot) -> None:
    """Raises `InputError` unless ``copy``, restored from ``original``, then does the same, bit for bit.

    Both are stepped with the same random actions, from the start and from the midst of several episodes; before each
    restoring the copy is led elsewhere, through another number of steps, so that a hidden counter shows. Where actions
    are replayed, the copy is also led on under another random generator: a replay repeats chance, so that a planner
    would know its luck beforehand.
    """
    original.action_space.seed(0)
    for episode in range(_EPISODES):
        original.reset(seed=episode)
        ended, steps = False, 0
        while not ended and steps < _STEPS:
            if steps % _STEPS_BETWEEN_RESTORES == 0:
                if snapshot.replays:
                    _require_no_chance(original, copy, snapshot)
                _lead_elsewhere(copy, steps)
                _restore(original, copy, snapshot)
            action = original.action_space.sample()
            outcome = original.step(action)
            same = _same_outcome(outcome, copy.step(action))
            here, there = (snapshot.capture(target(env, snapshot)) for env in (original, copy))
            if not same or not np.array_equal(here, there):
                raise InputError(
                    f"the state of {original.unwrapped} cannot be restored exactly: a restored copy went its own way "
                    f"within {_STEPS_BETWEEN_RESTORES} steps, so it is random or remembers more than was captured"
                )
            ended, steps = bool(outcome[2]), steps + 1


def target(env: gymnasium.Env, snapshot: Snapshot) -> Any:
    """Returns what the functions of ``snapshot`` are given for ``env``."""
    return env if snapshot.replays else env.unwrapped


def _restore(original: gymnasium.Env, copy: gymnasium.Env, snapshot: Snapshot) -> None:
    snapshot.restore(target(copy, snapshot), snapshot.capture(target(original, snapshot)))


def _require_no_chance(original: gymnasium.Env, copy: gymnasium.Env, snapshot: Snapshot) -> None:
    """Leads ``copy`` on from the state of ``original`` under two random generators; it must not make a difference.

    Under the same generator twice it makes none either, or else it is not the generator that makes it: then the proof
    itself will say so.
    """
    actions = [original.action_space.sample() for _ in range(_STEPS_BETWEEN_RESTORES)]
    first, again, other = (_outcomes_by_chance(original, copy, snapshot, actions, seed) for seed in (1, 1, 2))
    if _all_same(first, again) and not _all_same(first, other):
        raise InputError(
            f"the state of {original.unwrapped} cannot be restored for planning: its steps are random, and replaying "
            f"its actions would tell a planner its luck beforehand"
        )


def _outcomes_by_chance(
    original: gymnasium.Env, copy: gymnasium.Env, snapshot: Snapshot, actions: list[Any], seed: int
) -> list[tuple]:
    """Returns what ``actions`` give in ``copy`` from the state of ``original``, up to an end of the episode."""
    assert isinstance(copy, RecordedEnv)
    _restore(original, copy, snapshot)
    copy.unwrapped.np_random = np.random.default_rng(seed)
    outcomes: list[tuple] = []
    for action in actions:
        outcomes.append(copy.step(action))
        if outcomes[-1][2]:
            break
    copy.forget()
    return outcomes


def _lead_elsewhere(env: gymnasium.Env, seed: int) -> None:
    env.reset(seed=1000 + seed)
    for _ in range(1 + seed // _STEPS_BETWEEN_RESTORES):
        if env.step(env.action_space.sample())[2]:
            env.reset()


def _all_same(left: list[tuple], right: list[tuple]) -> bool:
    return len(left) == len(right) and all(map(_same_outcome, left, right))


def _same_outcome(left: tuple, right: tuple) -> bool:
    same_observation = np.asarray(left[0]).tobytes() == np.asarray(right[0]).tobytes()
    return same_observation and float(left[1]) == float(right[1]) and bool(left[2]) == bool(right[2])
